#!/usr/bin/env bash
# A subset of MNIST or CIFAR-10 as shards with captions, a small CLIP trained on it, its zero-shot accuracy on the test
# pictures, and the loss curve: run.sh mnist|cifar10 [FLAG…] (flags go to cliptrain).
# EPOCHS changes how long; SMALL_SETS names the folder with mnist-subset.tar.gz and cifar10-subset.tar.gz, CLIPTRAIN the binary, OUTPUT where all goes.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cliptrain=${CLIPTRAIN:-$root/target/debug/cliptrain}
sets=${SMALL_SETS:-$root/../shared/data/small-sets}
set=${1:?mnist or cifar10}
shift
out=${OUTPUT:-$root/target/small-sets}/$set
archive=$sets/$set-subset.tar.gz
[ -f "$archive" ] || { echo "$set: no $archive; SMALL_SETS names its folder" >&2; exit 2; }
rm -rf "$out"
mkdir -p "$out/shards" "$out/samples"
tar xzf "$archive" -C "$out"
data=$out/$set

case $set in
mnist)
  names=(zero one two three four five six seven eight nine)
  templates=("a photo of the digit {}." "the handwritten number {}." "a {} written by hand.")
  flags=(--epochs "${EPOCHS:-14}" --lr 1e-3 --warmup 100 --wd 0.1)
  per_shard=500 ;;
cifar10)
  names=($(ls "$data/train"))
  templates=("a photo of a {}." "a small picture of a {}." "a blurry photo of the {}.")
  flags=(--epochs "${EPOCHS:-10}" --lr 1e-3 --warmup 200 --wd 0.2 --aug-cfg "scale=(0.5,1.0)" "color_jitter=(0.3,0.3,0.3,0.05)")
  per_shard=1000 ;;
*) echo "expected mnist or cifar10, got $set" >&2; exit 2 ;;
esac
printf '%s\n' "${names[@]}" > "$out/names.txt"
printf '%s\n' "${templates[@]}" > "$out/templates.txt"

# Shards: picture and caption side by side, samples of all classes in each.
find "$data/train" -type f | awk -F/ '{ print $NF "\t" $0 }' | sort | cut -f2 | awk -v per="$per_shard" -v out="$out" \
  -v names="$(printf '%s|' "${names[@]}")" -v texts="$(printf '%s|' "${templates[@]}")" '
  BEGIN { split(names, name, "|"); count = split(texts, text, "|") - 1 }
  { n = split($0, part, "/"); class = part[n - 1]; i = NR - 1
    if (class ~ /^[0-9]+$/) class = name[class + 1]
    caption = text[i % count + 1]; sub(/\{\}/, class, caption)
    extension = $0; sub(/.*\./, "", extension)
    key = sprintf("%s/samples/%08d", out, i)
    print caption > (key ".txt"); close(key ".txt")
    printf "ln %s %s.%s\n", $0, key, extension
    printf "%08d.%s\n%08d.txt\n", i, extension, i > sprintf("%s/shards/%05d.list", out, int(i / per)) }' | sh
printf '{' > "$out/shards/sizes.json"
comma=
for list in "$out"/shards/*.list; do
  name=$(basename "$list" .list)
  tar cf "$out/shards/$name.tar" -C "$out/samples" -T "$list"
  printf '%s"%s.tar": %d' "$comma" "$name" $(($(wc -l < "$list") / 2)) >> "$out/shards/sizes.json"
  comma=', '
done
printf '}\n' >> "$out/shards/sizes.json"
last=$(basename "$(ls "$out"/shards/*.tar | tail -1)" .tar)

started=$(date +%s)
"$cliptrain" --train-data "$out/shards/{00000..$last}.tar" --model tiny-32 --batch-size 128 --workers 2 "${flags[@]}" \
  --zeroshot-data "$data/test" --zeroshot-classnames "$out/names.txt" --zeroshot-templates "$out/templates.txt" \
  --zeroshot-frequency 4 --save-frequency 100 --log-every-n-steps 10 --logs "$out" --name run "$@"
echo "$set: $(($(date +%s) - started)) seconds"
tail -1 "$out/run/checkpoints/results.jsonl"
"$cliptrain" plot "$out/run" --only loss --output "$out/$set-loss.svg"
