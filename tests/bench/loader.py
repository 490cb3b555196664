"""Samples a CPU second: clipdata bench, a bare loop, and open_clip's loader, over the same shards; and the memory over many
samples. Run by loader.sh; arguments pick parts: speed, memory."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import corpus
from measure import measured, resident

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "target" / {"dev": "debug"}.get(os.environ["PROFILE"], os.environ["PROFILE"])
CLIPDATA = Path(os.environ.get("CLIPDATA", BUILT / "clipdata"))
BARE_LOOP = Path(os.environ.get("BARE_LOOP", BUILT / "examples" / "bare_loop"))
SECONDS = float(os.environ.get("SECONDS_EACH", 10))
SHARDS, PER_SHARD = 4, 150
CORPORA = {"256 short side": (341, 256), "ImageNet size": (500, 375)}


def shards(name, size):
    return corpus.shards(ROOT / "target" / "bench-loader" / name.replace(" ", "-"), corpus.photos(ROOT), size, SHARDS, PER_SHARD)


def bench(spec, *more):
    command = [CLIPDATA, "bench", spec, "--workers", "1", "--seconds", str(SECONDS), "--json", *more]
    return json.loads(measured(command).out.splitlines()[-1])["data"]


def peer(spec):
    command = [sys.executable, Path(__file__).with_name("loader_peer.py"), spec, str(SECONDS)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def speed():
    for name, size in CORPORA.items():
        spec = shards(name, size)
        loop = measured([BARE_LOOP, spec, str(SECONDS)])
        bare = json.loads(loop.out)["samples"] / loop.cpu
        theirs = peer(spec)["samples_per_cpu_second"]
        for resize in ("fast", "exact"):
            ours = bench(spec, "--resize", resize)
            rate = ours["samples_per_cpu_second"]
            stages = ", ".join(f"{key[:-3]} {ours[key]:.3f}" for key in ours if key.endswith("_ms") and "_p" not in key)
            print(f"{name}, {resize}: {rate:.0f} samples a CPU second, open_clip {theirs:.0f}: {rate / theirs:.2f} x; "
                  f"bare loop {bare:.0f}: {100 * rate / bare:.0f} %; ms: {stages}; {ours['peak_memory_bytes'] / 1e6:.0f} MB", flush=True)


def memory():
    """Resident memory over a million samples of small pictures, the shards looped."""
    spec = shards("small", (64, 48))
    command = [CLIPDATA, "bench", spec, "--samples", "1000000", "--seconds", "100000", "--image-size", "32", "--shuffle-buffer", "50MB", "--json"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        seen = []
        while running.poll() is None:
            seen.append(resident(running.pid) / 1e3)
            time.sleep(1)
        found = json.loads(running.stdout.read().splitlines()[-1])["data"]
    seen = [value for value in seen if value]
    tenth = max(1, len(seen) // 10)
    print(f"memory: {found['samples']} samples in {found['seconds']:.0f} s; resident MB after a tenth {seen[tenth]:.1f}, at most "
          f"{max(seen):.1f}, at the end {seen[-2]:.1f}", flush=True)


PARTS = {"speed": speed, "memory": memory}
for part in sys.argv[1:] or PARTS:
    PARTS[part]()
