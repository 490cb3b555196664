#!/usr/bin/env bash
# Fuzzes the parsers of foreign bytes with libFuzzer, on the stable compiler.
#   tests/fuzz/run.sh                  every target for a minute
#   tests/fuzz/run.sh image 600        one target for so many seconds
# Inputs that were worth keeping are in target/fuzz/corpus, those that crashed in target/fuzz/crashes.
set -euo pipefail
cd "$(dirname "$0")"

kept="$PWD/../../target/fuzz"
# What cargo-fuzz passes, without a sanitizer: those need an unstable compiler.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
target="$(rustc -vV | sed -n 's/^host: //p')"
cargo build --quiet --release --target "$target" --target-dir "$kept/build"

seconds="${2:-60}"
for name in ${1:-shard_reader image shard_spec metadata_table weights}; do
  mkdir -p "$kept/corpus/$name" "$kept/crashes"
  seeds=("$kept/corpus/$name")
  [ ! -d "seeds/$name" ] || seeds+=("seeds/$name")
  echo "fuzzing $name for $seconds s"
  "$kept/build/$target/release/$name" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 -max_len=65536 \
    -artifact_prefix="$kept/crashes/$name-" -verbosity=0 -print_final_stats=1 "${seeds[@]}"
done
