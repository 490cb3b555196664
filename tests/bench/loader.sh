#!/usr/bin/env bash
# clipdata bench beside open_clip's own loader (webdataset 0.2.86 and Pillow), on one core each, over the same shards.
#   tests/bench/loader.sh         needs python3, and PyPI for the peer (in target/peers, some 6 GB with torch)
#   tests/bench/loader.sh memory  one part: speed or memory
#   PROFILE=dev                   the binary that `make demo` builds, without a release build first
#   PHOTOS=DIR                    the photos to cut the corpora from; without ../shared/data and without it they are drawn
set -euo pipefail
cd "$(dirname "$0")/../.."

source tests/bench/peers.sh
"$PEER_PYTHON" -B tests/bench/loader.py "$@"
