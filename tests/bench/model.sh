#!/usr/bin/env bash
# Forward and backward of full-size models beside torch and open_clip, on the CPU in fp32 with two threads, in one run.
#   tests/bench/model.sh              ViT-B-32 and RN50; torch and open_clip go to target/peers (some 6 GB)
#   MODELS='ViT-B-16 RN101'           other presets
#   PEERS=0                           this project alone
set -euo pipefail
cd "$(dirname "$0")/../.."

export PROFILE="${PROFILE:-release}" PEERS="${PEERS:-1}"
cargo build --quiet --profile "$PROFILE" --workspace --bins --examples
if [ "$PEERS" = 1 ] && [ -z "${PEER_PYTHON:-}" ]; then
  [ -x target/peers/bin/python ] || python3 -m venv target/peers
  target/peers/bin/python -m pip install --quiet --requirement tests/bench/requirements.txt
fi
export PEER_PYTHON="${PEER_PYTHON:-target/peers/bin/python}"
python3 -B tests/bench/model.py
