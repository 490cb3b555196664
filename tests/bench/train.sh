#!/usr/bin/env bash
# Whole training runs beside open_clip_train, over the same shards of 256 px pictures: fp32 on the CPU, two threads.
#   tests/bench/train.sh              ViT-B-32 and RN50; torch and open_clip go to target/peers (some 6 GB)
#   MODELS=RN50 BATCH=8 STEPS=6       other models, and shorter runs
#   PROFILE=dev                       the binary that `make demo` builds, without a release build first
set -euo pipefail
cd "$(dirname "$0")/../.."

export PROFILE="${PROFILE:-release}"
if [ "$PROFILE" = dev ]; then cargo build --quiet --workspace --all-targets; else
  cargo build --quiet --profile "$PROFILE" --workspace --bins --examples; fi
if [ -z "${PEER_PYTHON:-}" ]; then
  [ -x target/peers/bin/python ] || python3 -m venv target/peers
  target/peers/bin/python -m pip install --quiet --requirement tests/bench/requirements.txt \
    webdataset==0.2.86 open_clip_torch==3.3.0 torchvision pandas braceexpand
  PEER_PYTHON=target/peers/bin/python
fi
PEER_PYTHON="$PEER_PYTHON" "$PEER_PYTHON" -B tests/bench/train.py
