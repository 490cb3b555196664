"""JPEGs of one size from a seed: cut from photos where there are some, drawn otherwise; quality 90, 4:2:0. Both get the fine
noise of a camera, without which a photo that was enlarged would be cheaper to decode than one that was taken."""

import io
import json
import os
import tarfile
from pathlib import Path

import numpy
from PIL import Image

NOISE = 3.0


def draw(folder, photos, size, count):
    """Fills a folder with 00000.jpg and so on; one that is full stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        path = folder / f"{i:05}.jpg"
        if not path.exists():
            path.write_bytes(picture(photos, size, i))


def photos(root):
    """Some of the photos of PHOTOS, or of the folder beside the project."""
    given = os.environ.get("PHOTOS")
    folder = Path(given) if given else root.parent / "shared" / "data"
    return sorted(folder.rglob("*.jpg"))[:60] if folder.is_dir() else []


def shards(folder, photos, size, shards, per_shard):
    """The specification of tar shards of pictures with captions; those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        path = folder / f"{shard:05}.tar"
        if path.exists():
            continue
        with tarfile.open(path.with_suffix(".tmp"), "w") as tar:
            for i in range(per_shard):
                number = shard * per_shard + i
                caption = f"a photo of number {number}, as somebody might have described it on a page"
                for extension, body in [("jpg", picture(photos, size, number)), ("txt", caption.encode())]:
                    member = tarfile.TarInfo(f"{number:08}.{extension}")
                    member.size = len(body)
                    tar.addfile(member, io.BytesIO(body))
        path.with_suffix(".tmp").rename(path)
    (folder / "sizes.json").write_text(json.dumps({f"{shard:05}.tar": per_shard for shard in range(shards)}))
    return f"{folder}/{{00000..{shards - 1:05}}}.tar"


def picture(photos, size, seed):
    rng = numpy.random.default_rng(seed)
    image = cut(photos[seed % len(photos)], size, rng) if photos else gradients(size, rng)
    noisy = numpy.asarray(image, dtype=numpy.float32) + rng.normal(0, NOISE, (size[1], size[0], 1))
    body = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(numpy.uint8)).save(body, "JPEG", quality=90, subsampling="4:2:0")
    return body.getvalue()


def cut(path, size, rng):
    """A part of a photo, of the wanted shape, at most a tenth off each side."""
    image = Image.open(path).convert("RGB")
    scale = min(image.width / size[0], image.height / size[1]) * rng.uniform(0.9, 1)
    width, height = size[0] * scale, size[1] * scale
    left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    return image.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))


def gradients(size, rng):
    """Smooth colours over a few scales."""
    planes = numpy.zeros((size[1], size[0], 3), dtype=numpy.float32)
    for cells in (3, 8, 20, 60):
        coarse = rng.uniform(0, 255, (cells, cells, 3)).astype(numpy.uint8)
        planes += numpy.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=numpy.float32)
    return Image.fromarray((planes / 4).clip(0, 255).astype(numpy.uint8))
