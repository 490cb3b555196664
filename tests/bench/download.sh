#!/usr/bin/env bash
# clipdata download beside img2dataset 1.47.0, on one machine, from one server on the loopback address.
#   tests/bench/download.sh            all of it; needs python3, PyPI for img2dataset (in target/peers), and nginx if it can be had
#   tests/bench/download.sh start-up   the named parts: start-up, dead-hosts, 468x401-border, 1200x900-keep_ratio, …, memory
#   PROFILE=dev                        the binary that `make demo` builds, without a release build first
#   CLIPDATA=FILE, BARE_LOOP=FILE      binaries that are built already
#   PHOTOS=DIR                         the photos to cut the corpora from; without ../shared/data and without it they are drawn
set -euo pipefail
cd "$(dirname "$0")/../.."

export PROFILE="${PROFILE:-release}"
if [ -z "${CLIPDATA:-}" ]; then
  cargo build --quiet --profile "$PROFILE" --bin clipdata
  built="$PROFILE"; [ "$built" != dev ] || built=debug
  CLIPDATA="$PWD/target/$built/clipdata"
  BARE_LOOP="$(cargo build --quiet --profile "$PROFILE" --bench bare_loop --message-format json |
    python3 -c 'import json, sys; print(*filter(None, (json.loads(line).get("executable") for line in sys.stdin)))')"
fi
export CLIPDATA BARE_LOOP="${BARE_LOOP:-}"

if ! PATH="$PATH:/usr/sbin" command -v nginx >/dev/null; then
  as=""; [ "$(id -u)" = 0 ] || as="sudo"
  { command -v apt-get && $as apt-get update -q && $as apt-get install -q -y --no-install-recommends nginx-light; } >/dev/null 2>&1 ||
    echo "no nginx: Python serves the pictures, and is what the wall times then measure" >&2
fi
[ -x target/peers/bin/python ] || python3 -m venv target/peers
target/peers/bin/python -m pip install --quiet img2dataset==1.47.0 pillow

memory=""; parts=()
for part in "$@"; do if [ "$part" = memory ]; then memory=1; else parts+=("$part"); fi; done
[ "$#" -gt 0 ] && [ "${#parts[@]}" = 0 ] || target/peers/bin/python -B tests/bench/download.py "${parts[@]}"
[ "$#" -gt 0 ] && [ -z "$memory" ] || target/peers/bin/python -B tests/bench/memory.py
