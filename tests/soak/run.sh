#!/usr/bin/env bash
# The long proofs: kills, hostile servers, learning. Scripted and seeded.
#   tests/soak/run.sh            everything, and the table in docs/soak.md is written anew
#   tests/soak/run.sh --quick    a twentieth of it; writes nothing
#   tests/soak/run.sh training   the proofs that have this word in their names; writes nothing
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo test --quiet --workspace --test soak -- "$@"
