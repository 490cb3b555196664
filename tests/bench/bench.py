"""Times this project's binaries, and the peers in target/peers where they are installed, one after the other on one
machine. CPU time is user plus system of the process and all its children. Compare ratios within one run only."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "target" / {"dev": "debug"}.get(os.environ["PROFILE"], os.environ["PROFILE"])
PEERS = ROOT / "target" / "peers" / "bin"
PHOTOS = Path(os.environ.get("PHOTOS", ROOT.parent / "shared" / "data" / "clothing-cc0"))
ROWS = 3000
THREADS = 2

TORCH_STEP = """
import sys, time, torch, open_clip
from open_clip.loss import ClipLoss
name, batch = sys.argv[1], int(sys.argv[2])
torch.manual_seed(0); torch.set_num_threads(2)
model = open_clip.create_model(name); model.train()
images = torch.randn(batch, 3, 224, 224)
texts = torch.randint(1, 49000, (batch, 77)); texts[:, 0] = 49406; texts[:, 14] = 49407; texts[:, 15:] = 0
loss, times = ClipLoss(), []
for _ in range(5):
    start = time.perf_counter(); model.zero_grad()
    loss(*model(images, texts)[:3]).backward()
    times.append(time.perf_counter() - start)
print(f"{name}, batch {batch}: forward, loss and backward {min(times) * 1e3:.0f} ms, {batch / min(times):.2f} samples/s")
"""


def measured(command, **options):
    """(wall seconds, CPU seconds, peak kB of its largest process, standard output) of a command that succeeds."""
    words, start = [str(word) for word in command], time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(words, stdout=out, stderr=err, **options)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if child.returncode:
            sys.exit(f"{' '.join(words)}\n{out.read()}\n{err.read()}")
        return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, out.read()


def download(folder):
    photos = sorted(path.relative_to(PHOTOS) for path in PHOTOS.rglob("*.jpg")) if PHOTOS.is_dir() else []
    if not photos:
        print(f"download: skipped, no photos in {PHOTOS} (PHOTOS=DIR names another folder)")
        return
    server = subprocess.Popen([BUILT / "clipdata", "serve", PHOTOS, "--port", "0"], stderr=subprocess.PIPE, text=True)
    address = re.search(r"http://[^/]+", server.stderr.readline()).group()
    try:
        lines = [f"{address}/{photos[i % len(photos)]}?{i}\tphoto {i}" for i in range(ROWS)]
        table = folder / "photos.tsv"
        table.write_text("url\tcaption\n" + "\n".join(lines) + "\n")
        ours = [BUILT / "clipdata", "download", table, "--output-folder", folder / "ours", "--caption-col", "caption",
                "--resize-mode", "keep_ratio", "--allow-private-addresses", "--processes-count", THREADS, "--json"]
        wall, cpu, peak, out = measured(ours)
        summary = json.loads(out.splitlines()[-1])["data"]
        show("clipdata download", summary["successes"], wall, cpu, peak)
        if (PEERS / "img2dataset").exists():
            theirs = [PEERS / "img2dataset", f"--url_list={table}", "--input_format=tsv", "--url_col=url", "--caption_col=caption",
                      f"--output_folder={folder / 'theirs'}", "--output_format=webdataset", "--resize_mode=keep_ratio",
                      f"--processes_count={THREADS}", "--thread_count=16", "--enable_wandb=False"]
            wall, cpu, peak, _ = measured(theirs, env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"})
            stats = [json.loads(path.read_text()) for path in (folder / "theirs").glob("*_stats.json")]
            show("img2dataset 1.47.0", sum(part["successes"] for part in stats), wall, cpu, peak)
    finally:
        server.terminate()


def show(name, pictures, wall, cpu, peak):
    print(f"{name}: {pictures} pictures, {pictures / wall:.0f} a second, {cpu / pictures * 1e3:.2f} ms CPU each, "
          f"{peak / 1000:.0f} MB in the largest process, start-up included")


def start_up():
    for command in ([BUILT / "clipdata", "--help"], [PEERS / "img2dataset", "--help"]):
        if command[0].exists():
            walls = [measured(command, env={**os.environ, "PAGER": "cat"})[0] for _ in range(3)]
            print(f"{command[0].name} --help: {min(walls) * 1e3:.0f} ms")


def training_step():
    for name, batch in (("tiny-32", 128), ("ViT-B-32", 16)):
        out = measured([BUILT / "examples" / "step_time", name, batch, 5], env={**os.environ, "RAYON_NUM_THREADS": "2"})[3]
        print(out.strip())
    if (PEERS / "python").exists():
        print("open_clip:", measured([PEERS / "python", "-c", TORCH_STEP, "ViT-B-32", 16])[3].strip())


if __name__ == "__main__":
    scratch = Path(tempfile.mkdtemp(dir=ROOT / "target"))
    try:
        start_up()
        download(scratch)
        training_step()
    finally:
        shutil.rmtree(scratch)
