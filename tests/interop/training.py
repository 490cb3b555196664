"""One training run in two programs: open_clip's own train_one_epoch, and cliptrain, over the same batches from the same first
weights. Crops are the whole picture and pictures are as large as the model takes them, so that nothing is drawn at random; one
shard without a shuffle buffer keeps its order."""

import argparse
import io
import json
import logging
import subprocess
import tarfile
from pathlib import Path

import open_clip
import torch
from open_clip_train.scheduler import cosine_lr
from open_clip_train.train import evaluate, train_one_epoch
from PIL import Image

WHOLE = ["--aug-cfg", "scale=(1.0,1.0)", "ratio=(1.0,1.0)", "--resize", "exact", "--shuffle-buffer", "0"]


def shard(folder, pairs, size):
    """Pairs of picture and caption as one tar of PNG pictures; its specification, and how many there are."""
    path = Path(folder) / "00000.tar"
    with tarfile.open(path, "w") as tar:
        for number, (picture, caption) in enumerate(pairs):
            body = io.BytesIO()
            picture.convert("RGB").resize((size, size), Image.Resampling.BICUBIC).save(body, "PNG")
            for extension, content in [("png", body.getvalue()), ("txt", caption.encode())]:
                member = tarfile.TarInfo(f"{number:06}.{extension}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return str(path), number + 1


def batches(spec, tokenizer, batch_size, dtype):
    """What a run over the shard sees in an epoch."""
    samples = {}
    with tarfile.open(spec) as tar:
        for member in tar:
            key, extension = member.name.split(".")
            samples.setdefault(key, {})[extension] = tar.extractfile(member).read()
    transform = open_clip.image_transform(Image.open(io.BytesIO(next(iter(samples.values()))["png"])).size[0], is_train=False)
    pixels = torch.stack([transform(Image.open(io.BytesIO(sample["png"]))) for sample in samples.values()]).to(dtype)
    texts = tokenizer([sample["txt"].decode() for sample in samples.values()])
    return [(pixels[i:i + batch_size], texts[i:i + batch_size]) for i in range(0, len(pixels), batch_size)]


class Data:
    """As much of open_clip's data as its loop asks for."""

    def __init__(self, batches):
        self.dataloader = self
        self.batches = batches
        self.num_batches, self.num_samples = len(batches), sum(len(pixels) for pixels, _ in batches)

    def set_epoch(self, epoch):
        pass

    def __iter__(self):
        return iter(self.batches)


class Losses(list):
    """Takes the numbers that the loop logs."""

    def add_scalar(self, name, value, step):
        if name == "train/loss":
            self.append(value)


def optimizer_of(model, flags):
    exempt = lambda name, value: value.ndim < 2 or any(mark in name for mark in ("bn", "ln", "bias", "logit_scale"))
    named = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    groups = [{"params": [value for name, value in named if exempt(name, value)], "weight_decay": 0.0},
              {"params": [value for name, value in named if not exempt(name, value)], "weight_decay": flags["wd"]}]
    return torch.optim.AdamW(groups, lr=flags["lr"], betas=(flags["beta1"], flags["beta2"]), eps=flags["eps"])


def in_python(model, data, flags, epochs, dtype=torch.float32, save_after=None, loss=None, teacher=None):
    """The loss of every step; a checkpoint as open_clip's main writes it, after an epoch, where a path is given."""
    logging.disable(logging.INFO)
    model = model.to(dtype)
    optimizer = optimizer_of(model, flags)
    scheduler = cosine_lr(optimizer, flags["lr"], flags["warmup"], data.num_batches * epochs)
    args = argparse.Namespace(
        device="cpu", precision="fp32", accum_freq=1, distill=teacher is not None, skip_scheduler=False, horovod=False, wandb=False, rank=0,
        local_rank=0, world_size=1, log_local=False, batch_size=len(data.batches[0][0]), log_every_n_steps=1,
        grad_clip_norm=flags.get("grad_clip_norm"))
    losses = Losses()
    for epoch in range(epochs):
        train_one_epoch(model, {"train": data}, loss or open_clip.ClipLoss(), epoch, optimizer, None, scheduler, teacher, args, losses)
        if save_after and epoch + 1 == save_after[0]:
            torch.save({"epoch": epoch + 1, "name": "run", "state_dict": model.state_dict(),
                        "optimizer": optimizer.state_dict()}, save_after[1])
    return list(losses)


def evaluated_in_python(model, data):
    """What open_clip says of kept back pairs."""
    args = argparse.Namespace(device="cpu", precision="fp32", rank=0, local_rank=0, world_size=1, log_local=False, val_frequency=1,
                              epochs=1, distributed=False, horovod=False, save_logs=False, wandb=False)
    return evaluate(model, {"val": data}, 1, args)


def evaluated_in_cliptrain(binary, spec, model, weights, batch_size):
    command = [binary, "--val-data", spec, "--model", model, "--pretrained", weights, "--batch-size", batch_size, "--precision",
               "fp32", "--logs", "None", "--json"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["data"]["metrics"]


def in_cliptrain(binary, spec, count, model, flags, epochs, batch_size, logs, *more):
    """The loss of every step."""
    named = [word for name, value in flags.items() for word in ("--" + name.replace("_", "-"), str(value))]
    command = [binary, "--train-data", spec, "--train-num-samples", count, "--model", model, "--epochs", epochs,
               "--batch-size", batch_size, "--workers", 1, "--precision", "fp32", "--log-every-n-steps", 1, "--logs", logs,
               "--json", *WHOLE, *named, *more]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, done.stdout.splitlines())
    return [line["data"]["loss"] for line in lines if line["type"] == "step"]


def furthest(one, other):
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
