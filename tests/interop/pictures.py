"""Pictures with captions: drawn ones, and the photos of ../shared/data where that folder exists."""

import csv
import io
import json
import random
from pathlib import Path

from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"


def drawn(count=60, seed=0):
    """(file name, bytes, caption) of drawn pictures: JPEG, PNG and WebP, grey and alpha among them."""
    rng = random.Random(seed)
    forms = [("jpg", "JPEG", "RGB"), ("png", "PNG", "RGBA"), ("webp", "WEBP", "RGB"), ("jpg", "JPEG", "L")]
    for i in range(count):
        suffix, form, mode = forms[i % len(forms)]
        width, height = rng.randint(40, 700), rng.randint(40, 700)
        picture = Image.new(mode, (width, height), "white")
        draw = ImageDraw.Draw(picture)
        for _ in range(6):
            x, y = rng.randint(0, width), rng.randint(0, height)
            draw.ellipse([x, y, x + width // 3, y + height // 3], fill=rng.choice(["red", "green", "blue", "black"]))
        body = io.BytesIO()
        picture.save(body, form)
        yield f"drawn_{i:03}.{suffix}", body.getvalue(), f"drawing {i}, naïve “caption” 画 {rng.random()}"


def photos():
    """(file name, bytes, caption) of every photo in the shared folders; empty where they are absent."""
    if not SHARED.is_dir():
        return
    for row in csv.DictReader(open(SHARED / "cc-by-photos" / "credits.csv", newline="")):
        path = next((SHARED / "cc-by-photos").glob(f"{Path(next(iter(row.values()))).stem}*.jpg"), None)
        if path:
            yield path.name, path.read_bytes(), f"photo {path.stem}"
    for split in ("train2017", "val2017"):
        captions = json.load(open(SHARED / "coco-captions" / "annotations" / f"captions_{split}.json"))
        first = {}
        for annotation in captions["annotations"]:
            first.setdefault(annotation["image_id"], annotation["caption"])
        for image in captions["images"]:
            path = SHARED / "coco-captions" / split / image["file_name"]
            if path.is_file():
                yield f"{split}_{path.name}", path.read_bytes(), first[image["id"]]
    for path in sorted((SHARED / "clothing-cc0").glob("*/*/*.jpg")):
        yield f"{path.parent.parent.name}_{path.name}", path.read_bytes(), f"a photo of a {path.parent.name}"
