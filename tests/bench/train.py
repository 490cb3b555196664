"""Samples a second, stall, time to the first step and memory of whole training runs: cliptrain and python -m
open_clip_train.main, over the same shards. Run by train.sh. Rates are those of the second half of the steps."""

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import corpus
from measure import Sampler

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "target" / {"dev": "debug"}.get(os.environ["PROFILE"], os.environ["PROFILE"])
CLIPTRAIN = Path(os.environ.get("CLIPTRAIN", BUILT / "cliptrain"))
MODELS = os.environ.get("MODELS", "ViT-B-32 RN50").split()
BATCH, STEPS = int(os.environ.get("BATCH", 32)), int(os.environ.get("STEPS", 12))
THREADS = {"RAYON_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
SHARDS, PER_SHARD = 2, 200


def watched(command):
    """When each line came, in seconds since the start, and the largest memory of all its processes together, in MB."""
    start, lines = time.perf_counter(), []
    child = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=dict(os.environ, **THREADS, WORLD_SIZE="1"))
    sampler = Sampler(child.pid)
    sampler.start()
    for line in child.stdout:
        lines.append((time.perf_counter() - start, line.rstrip()))
    child.wait()
    sampler.over.set()
    sampler.join()
    if child.returncode:
        raise SystemExit("\n".join(line for _, line in lines[-20:]))
    return lines, sampler.peak / 1000


def measured(command, stalls):
    """Rate, stall share, time to the first step, memory."""
    lines, memory = watched(command)
    steps = [(at, line) for at, line in lines if "Train Epoch" in line]
    half = steps[len(steps) // 2:]
    rate = (len(half) - 1) * BATCH / (half[-1][0] - half[0][0])
    return {"rate": rate, "stall": stalls(half), "first": steps[0][0], "memory": memory}


def ours(model, spec, logs):
    command = [CLIPTRAIN, *flags(model, spec, logs)]
    last = lambda steps: float(re.search(r"Stall: ([0-9.]+)%", steps[-1][1])[1])
    return measured(command, last)


def theirs(model, spec, logs):
    def share(steps):
        times = [re.search(r"Data \(t\): ([0-9.]+) Batch \(t\): ([0-9.]+)", line) for _, line in steps]
        return 100 * sum(float(t[1]) for t in times) / sum(float(t[2]) for t in times)
    command = [os.environ["PEER_PYTHON"], "-m", "open_clip_train.main", *flags(model, spec, logs), "--device", "cpu"]
    return measured(command, share)


def flags(model, spec, logs):
    return ["--train-data", spec, "--dataset-type", "webdataset", "--dataset-resampled", "--train-num-samples", BATCH * STEPS,
            "--batch-size", BATCH, "--workers", 2, "--epochs", 1, "--precision", "fp32", "--model", model, "--warmup", 10,
            "--log-every-n-steps", 1, "--logs", logs, "--name", model.lower(), "--save-frequency", 0]


spec = corpus.shards(ROOT / "target" / "bench-train", corpus.photos(ROOT), (341, 256), SHARDS, PER_SHARD)
with tempfile.TemporaryDirectory() as folder:
    for model in MODELS:
        peer, mine = theirs(model, spec, f"{folder}/theirs"), ours(model, spec, f"{folder}/ours")
        print(f"{model}, batches of {BATCH}: {mine['rate']:.1f} samples/s, open_clip {peer['rate']:.1f}: "
              f"{mine['rate'] / peer['rate']:.2f} x; stall {mine['stall']:.1f} % ({peer['stall']:.1f} %); first step after "
              f"{mine['first']:.1f} s ({peer['first']:.1f} s); memory {mine['memory']:.0f} MB ({peer['memory']:.0f} MB): "
              f"{mine['memory'] / peer['memory']:.2f} x", flush=True)
