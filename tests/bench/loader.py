"""Samples a CPU second: clipdata bench, a bare loop, and open_clip's loader, over the same shards; and the memory over many
samples. Run by loader.sh; arguments pick parts: speed, memory."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from corpus import picture
from measure import measured

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "target" / {"dev": "debug"}.get(os.environ["PROFILE"], os.environ["PROFILE"])
CLIPDATA = Path(os.environ.get("CLIPDATA", BUILT / "clipdata"))
BARE_LOOP = Path(os.environ.get("BARE_LOOP", BUILT / "examples" / "bare_loop"))
SECONDS = float(os.environ.get("SECONDS_EACH", 10))
SHARDS, PER_SHARD = 4, 150
CORPORA = {"256 short side": (341, 256), "ImageNet size": (500, 375)}


def photos():
    given = os.environ.get("PHOTOS")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    return sorted(folder.rglob("*.jpg"))[:60] if folder.is_dir() else []


def shards(name, size):
    folder = ROOT / "target" / "bench-loader" / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(SHARDS):
        path = folder / f"{shard:05}.tar"
        if path.exists():
            continue
        with tarfile.open(path.with_suffix(".tmp"), "w") as tar:
            for i in range(PER_SHARD):
                number = shard * PER_SHARD + i
                caption = f"a photo of number {number}, as somebody might have described it on a page"
                for extension, body in [("jpg", picture(PHOTOS, size, number)), ("txt", caption.encode())]:
                    member = tarfile.TarInfo(f"{number:08}.{extension}")
                    member.size = len(body)
                    tar.addfile(member, io.BytesIO(body))
        path.with_suffix(".tmp").rename(path)
    (folder / "sizes.json").write_text(json.dumps({f"{shard:05}.tar": PER_SHARD for shard in range(SHARDS)}))
    return f"{folder}/{{00000..{SHARDS - 1:05}}}.tar"


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


def resident_kb(process):
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def memory():
    """Resident memory over a million samples of small pictures, the shards looped."""
    spec = shards("small", (64, 48))
    command = [CLIPDATA, "bench", spec, "--samples", "1000000", "--seconds", "100000", "--image-size", "32", "--shuffle-buffer", "50MB", "--json"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        seen = []
        while running.poll() is None:
            seen.append(resident_kb(running.pid) / 1e3)
            time.sleep(1)
        found = json.loads(running.stdout.read().splitlines()[-1])["data"]
    seen = [value for value in seen if value]
    tenth = max(1, len(seen) // 10)
    print(f"memory: {found['samples']} samples in {found['seconds']:.0f} s; resident MB after a tenth {seen[tenth]:.1f}, at most "
          f"{max(seen):.1f}, at the end {seen[-2]:.1f}", flush=True)


PHOTOS = photos()
PARTS = {"speed": speed, "memory": memory}
for part in sys.argv[1:] or PARTS:
    PARTS[part]()
