"""Samples a second, stall, time to the first step and memory of whole training runs, and samples a second of
evaluations: cliptrain and python -m open_clip_train.main, over the same shards. Run by train.sh.

Rates of training are those of the second half of the steps. The first step begins when its batch is in hand: that is the
arrival of its line less the computing that the line itself names (Batch less Data). The rate of evaluation is taken from two
runs, over one shard and over all of them, so that start-up is in neither."""

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
PEER = [os.environ["PEER_PYTHON"], "-m", "open_clip_train.main"]


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


def times(line):
    """Seconds that a step waited for its batch, and that it took altogether, the same in both programs' lines."""
    data, batch = re.search(r"Data \(t\): ([0-9.]+) Batch \(t\): ([0-9.]+)", line).groups()
    return float(data), float(batch)


def measured(command, stalls):
    """Rate, stall share, times to the first step's beginning and end, memory."""
    lines, memory = watched(command)
    steps = [(at, line) for at, line in lines if "Train Epoch" in line]
    half = steps[len(steps) // 2:]
    rate = (len(half) - 1) * BATCH / (half[-1][0] - half[0][0])
    ended, line = steps[0]
    data, batch = times(line)
    return {"rate": rate, "stall": stalls(half), "begins": ended - (batch - data), "ended": ended, "memory": memory}


def ours(model, spec, logs):
    command = [CLIPTRAIN, *flags(model, spec, logs)]
    last = lambda steps: float(re.search(r"Stall: ([0-9.]+)%", steps[-1][1])[1])
    return measured(command, last)


def theirs(model, spec, logs):
    def share(steps):
        pairs = [times(line) for _, line in steps]
        return 100 * sum(data for data, _ in pairs) / sum(batch for _, batch in pairs)
    return measured([*PEER, *flags(model, spec, logs), "--device", "cpu"], share)


def flags(model, spec, logs):
    return ["--train-data", spec, "--dataset-type", "webdataset", "--dataset-resampled", "--train-num-samples", BATCH * STEPS,
            "--batch-size", BATCH, "--workers", 2, "--epochs", 1, "--precision", "fp32", "--model", model, "--warmup", 10,
            "--log-every-n-steps", 1, "--logs", logs, "--name", model.lower(), "--save-frequency", 0]


def evaluated(command, model, weights, spec, logs):
    """Samples a second of an evaluation: losses and retrieval over pairs."""
    def seconds(shards, count):
        lines, _ = watched([*command, "--val-data", shards, "--val-num-samples", count, "--dataset-type", "webdataset",
                            "--batch-size", BATCH, "--workers", 2, "--precision", "fp32", "--model", model, "--pretrained", weights,
                            "--logs", logs, "--name", f"{count}"])
        return lines[-1][0]
    one = seconds(re.sub(r"\{.*\}", "00000", spec), PER_SHARD)
    return (SHARDS - 1) * PER_SHARD / (seconds(spec, SHARDS * PER_SHARD) - one)


spec = corpus.shards(ROOT / "target" / "bench-train", corpus.photos(ROOT), (341, 256), SHARDS, PER_SHARD)
with tempfile.TemporaryDirectory() as folder:
    for model in MODELS:
        peer, mine = theirs(model, spec, f"{folder}/theirs"), ours(model, spec, f"{folder}/ours")
        print(f"{model}, batches of {BATCH}: {mine['rate']:.1f} samples/s, open_clip {peer['rate']:.1f}: "
              f"{mine['rate'] / peer['rate']:.2f} x; stall {mine['stall']:.1f} % ({peer['stall']:.1f} %); first step begins after "
              f"{mine['begins']:.1f} s ({peer['begins']:.1f} s): {mine['begins'] / peer['begins']:.2f} x, and has ended after "
              f"{mine['ended']:.1f} s ({peer['ended']:.1f} s); memory {mine['memory']:.0f} MB ({peer['memory']:.0f} MB): "
              f"{mine['memory'] / peer['memory']:.2f} x", flush=True)
        weights = f"{folder}/ours/{model.lower()}/checkpoints/epoch_1/open_clip_model.safetensors"
        peer = evaluated([*PEER, "--device", "cpu"], model, weights, spec, f"{folder}/theirs-evaluated")
        mine = evaluated([CLIPTRAIN], model, weights, spec, f"{folder}/ours-evaluated")
        print(f"{model}, evaluation: {mine:.1f} samples/s, open_clip {peer:.1f}: {mine / peer:.2f} x", flush=True)
