#!/usr/bin/env bash
# Interoperability with the Python peers, from PyPI, in a virtual environment under target/.
#   tests/interop/run.sh                   shards, S3 and models
#   tests/interop/run.sh --without-torch   all but models: torch comes with 5 GB of CUDA
set -euo pipefail
cd "$(dirname "$0")/../.."

pattern='test_*.py'; requirements=(requirements.txt requirements-torch.txt)
if [ "${1:-}" = --without-torch ]; then pattern='test_s*.py'; requirements=(requirements.txt); fi

venv=target/venv
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv" || { echo "interop: python3 with its venv module is needed (Debian: apt-get install python3-venv)" >&2; exit 2; }
fi
"$venv/bin/python" -m pip install --quiet "${requirements[@]/#/--requirement=tests/interop/}"

# As the tests are built, so that nothing is built twice.
cargo build --quiet --workspace --all-targets
"$venv/bin/python" -W ignore::ResourceWarning -m unittest discover --start-directory tests/interop --pattern "$pattern" --verbose
