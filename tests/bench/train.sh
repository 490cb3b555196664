#!/usr/bin/env bash
# Whole training runs beside open_clip_train, over the same shards of 256 px pictures: fp32 on the CPU, two threads.
#   tests/bench/train.sh              ViT-B-32 and RN50; torch and open_clip go to target/peers (some 6 GB)
#   MODELS=RN50 BATCH=8 STEPS=6       other models, and shorter runs
#   PROFILE=dev                       the binary that `make demo` builds, without a release build first
set -euo pipefail
cd "$(dirname "$0")/../.."

source tests/bench/peers.sh
"$PEER_PYTHON" -B tests/bench/train.py
