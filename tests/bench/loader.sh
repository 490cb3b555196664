#!/usr/bin/env bash
# clipdata bench beside open_clip's own loader (webdataset 0.2.86 and Pillow), on one core each, over the same shards.
#   tests/bench/loader.sh         needs python3, and PyPI for the peer (in target/peers, some 6 GB with torch)
#   tests/bench/loader.sh memory  one part: speed or memory
#   PROFILE=dev                   the binary that `make demo` builds, without a release build first
#   PHOTOS=DIR                    the photos to cut the corpora from; without ../shared/data and without it they are drawn
set -euo pipefail
cd "$(dirname "$0")/../.."

export PROFILE="${PROFILE:-release}"
if [ "$PROFILE" = dev ]; then cargo build --quiet --workspace --all-targets; else
  cargo build --quiet --profile "$PROFILE" --workspace --bins --examples; fi
if [ -z "${PEER_PYTHON:-}" ]; then
  [ -x target/peers/bin/python ] || python3 -m venv target/peers
  target/peers/bin/python -m pip install --quiet webdataset==0.2.86 open_clip_torch==3.3.0 torch torchvision pandas braceexpand
  PEER_PYTHON=target/peers/bin/python
fi
"$PEER_PYTHON" -B tests/bench/loader.py "$@"
