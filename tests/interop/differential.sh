#!/usr/bin/env bash
# clipdata download against img2dataset 1.47.0, from PyPI, in the virtual environment that the benchmarks use.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ -z "${CLIPDATA:-}" ]; then cargo build --quiet --bin clipdata; fi
[ -x target/peers/bin/python ] || python3 -m venv target/peers
target/peers/bin/python -m pip install --quiet img2dataset==1.47.0 pillow
target/peers/bin/python -B -W ignore::ResourceWarning tests/interop/test_differential.py --verbose
