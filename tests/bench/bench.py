"""Times this project's binaries, and the peers in target/peers where they are installed, one after the other on one
machine; download.py times downloads. Compare ratios within one run only."""

import os
from pathlib import Path

from measure import measured

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "target" / {"dev": "debug"}.get(os.environ["PROFILE"], os.environ["PROFILE"])
PEERS = ROOT / "target" / "peers" / "bin"

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


def start_up():
    for command in ([BUILT / "clipdata", "--help"], [PEERS / "img2dataset", "--help"]):
        if command[0].exists():
            walls = [measured(command, env={**os.environ, "PAGER": "cat"}).wall for _ in range(3)]
            print(f"{command[0].name} --help: {min(walls) * 1e3:.0f} ms")


def training_step():
    for name, batch in (("tiny-32", 128), ("ViT-B-32", 16)):
        out = measured([BUILT / "examples" / "step_time", name, batch, 5], env={**os.environ, "RAYON_NUM_THREADS": "2"}).out
        print(out.strip())
    if (PEERS / "python").exists():
        print("open_clip:", measured([PEERS / "python", "-c", TORCH_STEP, "ViT-B-32", 16]).out.strip())


if __name__ == "__main__":
    start_up()
    training_step()
