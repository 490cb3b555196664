#!/usr/bin/env bash
# Interoperability with the Python peers, from PyPI, in a virtual environment under target/.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=target/venv
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv" || { echo "interop: python3 with its venv module is needed (Debian: apt-get install python3-venv)" >&2; exit 2; }
fi
"$venv/bin/python" -m pip install --quiet --requirement tests/interop/requirements.txt

cargo build --quiet --bin clipdata --bin cliptrain
"$venv/bin/python" -W ignore::ResourceWarning -m unittest discover --start-directory tests/interop --pattern 'test_*.py' --verbose
