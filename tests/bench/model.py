"""Prints a table of samples per second and memory of this project's towers and of torch's, taken in turns so that whatever
else the machine does meets both. The best of several rounds counts."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROFILE = {"release": "release", "dev": "debug"}[os.environ.get("PROFILE", "release")]
OURS = ROOT / "target" / PROFILE / "examples" / "step_time"
MODELS = os.environ.get("MODELS", "ViT-B-32 RN50").split()
BATCH = int(os.environ.get("BATCH", "16"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
STEPS = int(os.environ.get("STEPS", "3"))
THREADS = "2"

PEER = """
import json, resource, sys, time
import torch, open_clip
from open_clip.loss import ClipLoss
torch.set_num_threads(2)
name, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
model, loss = open_clip.create_model(name), ClipLoss()
size = model.visual.image_size
size = size if isinstance(size, int) else size[0]
images, texts = torch.randn(batch, 3, size, size), torch.zeros(batch, 77, dtype=torch.long)
for i in range(batch):
    words = 8 + i % 8
    texts[i, 0], texts[i, 1:words + 1], texts[i, words + 1] = 49406, torch.randint(1, 49000, (words,)), 49407
best = dict.fromkeys(("forward", "step", "forward_cpu", "step_cpu"), 1e9)
def note(name, start, cpu):
    best[name] = min(best[name], time.perf_counter() - start)
    best[name + "_cpu"] = min(best[name + "_cpu"], time.process_time() - cpu)
for _ in range(steps):
    model.eval()
    with torch.no_grad():
        start, cpu = time.perf_counter(), time.process_time()
        model.encode_image(images, normalize=True), model.encode_text(texts, normalize=True)
        note("forward", start, cpu)
    model.train()
    start, cpu = time.perf_counter(), time.process_time()
    image, text = model.encode_image(images, normalize=True), model.encode_text(texts, normalize=True)
    loss(image, text, model.logit_scale.exp()).backward()
    note("step", start, cpu)
    model.zero_grad()
best["kilobytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(best))
"""


def run(command):
    environment = dict(os.environ, RAYON_NUM_THREADS=THREADS, OMP_NUM_THREADS=THREADS)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{command}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def best(results):
    least = {key: min(result[key] for result in results) for key in ("forward", "step", "forward_cpu", "step_cpu")}
    return dict(least, kilobytes=max(result["kilobytes"] for result in results))


def main():
    ours, theirs = {}, {}
    for name in MODELS:
        rounds = ([], [])
        for _ in range(ROUNDS):
            rounds[0].append(run([OURS, name, BATCH, STEPS, "--json"]))
            if os.environ.get("PEERS", "1") == "1":
                rounds[1].append(run([os.environ["PEER_PYTHON"], "-W", "ignore", "-c", PEER, name, BATCH, STEPS]))
        ours[name] = best(rounds[0])
        theirs[name] = best(rounds[1]) if rounds[1] else None
    print(f"batch {BATCH}, fp32, {THREADS} threads, best of {ROUNDS} rounds of {STEPS}\n")
    print("| model | what | this project | torch + open_clip | ratio |")
    print("|---|---|---|---|---|")
    for name in MODELS:
        for key, what in (("forward", "image and text forward, samples/s"), ("forward_cpu", "the same, samples per CPU second"),
                          ("step", "forward and backward, samples/s"), ("step_cpu", "the same, samples per CPU second")):
            mine = BATCH / ours[name][key]
            if theirs[name]:
                other = BATCH / theirs[name][key]
                print(f"| {name} | {what} | {mine:.2f} | {other:.2f} | {mine / other:.2f}x |")
            else:
                print(f"| {name} | {what} | {mine:.2f} | - | - |")
        mine = ours[name]["kilobytes"] / 1e6
        other = f"{theirs[name]['kilobytes'] / 1e6:.2f}" if theirs[name] else "-"
        print(f"| {name} | peak memory of a step, GB | {mine:.2f} | {other} | |")


if __name__ == "__main__":
    main()
