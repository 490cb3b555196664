"""The same at full size, once: ViT-B-32, 50 steps of 16 photos with captions, beside what float32 alone loses of float64.
Prints the rows of the table in docs/parity.md. Needs ../shared/data, 12 GB of memory and half an hour on two cores.

    target/venv/bin/python -B tests/interop/parity_large.py [STEPS]"""

import io
import itertools
import os
import sys
import tempfile
from pathlib import Path

import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

import pictures
import training

BINARY = Path(os.environ.get("CLIPTRAIN", pictures.ROOT / "target" / "debug" / "cliptrain"))
FLAGS = {"lr": 5e-4, "warmup": 10, "wd": 0.2, "beta1": 0.9, "beta2": 0.98, "eps": 1e-6}
BATCH, STEPS = 16, int(sys.argv[1]) if len(sys.argv) > 1 else 50


def model():
    torch.manual_seed(0)
    return open_clip.create_model("ViT-B-32", output_dict=True)


torch.set_num_threads(2)
photos = itertools.islice(itertools.cycle(pictures.photos()), BATCH * STEPS)
pairs = [(Image.open(io.BytesIO(body)), caption) for _, body, caption in photos]
if not pairs:
    sys.exit("skipped: ../shared/data is not there")
with tempfile.TemporaryDirectory() as folder:
    spec, count = training.shard(folder, pairs, 224)
    weights = Path(folder) / "first.safetensors"
    save_file(model().state_dict(), weights)
    ours = training.in_cliptrain(BINARY, spec, count, "ViT-B-32", FLAGS, 1, BATCH, Path(folder) / "logs", "--pretrained", weights)
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    runs = {}
    for name, dtype in [("float32", torch.float32), ("float64", torch.float64)]:
        data = training.Data(training.batches(spec, tokenizer, BATCH, dtype))
        runs[name] = training.in_python(model(), data, FLAGS, 1, dtype)
        print(f"{name} is done; furthest from cliptrain: {training.furthest(ours, runs[name]):.1e}", file=sys.stderr, flush=True)
for name, (one, other) in {
    "cliptrain and open_clip": (ours, runs["float32"]),
    "open_clip in float32 and float64": (runs["float32"], runs["float64"]),
    "cliptrain and open_clip in float64": (ours, runs["float64"]),
}.items():
    print(f"| {name} | {training.furthest(one[:10], other[:10]):.1e} | {training.furthest(one, other):.1e} |")
print("losses:", *(f"{step}: {ours[step]:.5f} / {runs['float32'][step]:.5f}" for step in range(0, STEPS, 7)))
