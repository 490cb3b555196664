#!/usr/bin/env bash
# How fast the parts are, beside the Python that people use now; download.sh measures downloads.
#   tests/bench/run.sh           this project alone; needs python3, nothing from PyPI
#   PEERS=1 tests/bench/run.sh   img2dataset and open_clip as well, from PyPI, in target/peers (some 6 GB with torch)
#   PROFILE=dev                  the binaries that `make demo` builds, without a release build first
set -euo pipefail
cd "$(dirname "$0")/../.."

export PROFILE="${PROFILE:-release}"
cargo build --quiet --profile "$PROFILE" --workspace --bins --examples
if [ "${PEERS:-}" = 1 ]; then
  [ -x target/peers/bin/python ] || python3 -m venv target/peers
  target/peers/bin/python -m pip install --quiet --requirement tests/bench/requirements.txt
fi
python3 -B tests/bench/bench.py
