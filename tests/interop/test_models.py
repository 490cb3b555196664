"""Models and checkpoints between cliptrain and Python's open_clip: the same weights give the same features, in both directions
and in every format that weights come in."""

import io
import json
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

import numpy
import open_clip
import pyarrow.parquet
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import pictures

CLIPTRAIN = pictures.ROOT / "target" / "debug" / "cliptrain"
TEXTS = ["a diagram", "a dog that looks at the Straße", "&lt;b&gt; caf\u00e9 &amp; 3 cats"]
TOLERANCE = 1e-5
TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
TINY_RESNET = dict(TINY, vision_cfg={"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None})


def drawn(seed):
    """A picture of waves, no two alike."""
    generator = torch.Generator().manual_seed(seed)
    waves = torch.rand(3, 2, generator=generator) / 4
    y, x = torch.meshgrid(torch.arange(240.0), torch.arange(300.0 + seed), indexing="ij")
    channels = [127 + 120 * torch.sin(a * x + b * y) for a, b in waves.tolist()]
    return Image.fromarray(torch.stack(channels, -1).to(torch.uint8).numpy())


def finished(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def settled(model):
    """Statistics of batch norm that are no longer those of the start, and gains that let every block count."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
            if name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
        for name, parameter in model.named_parameters():
            if name.endswith("bn3.weight"):
                parameter.copy_(0.2 + 0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


class Zoo(unittest.TestCase):
    def test_presets_and_tags_are_those_of_open_clip(self):
        lines = finished([CLIPTRAIN, "models", "--json"]).splitlines()
        models = [json.loads(line)["data"] for line in lines]
        for model in models:
            if model["name"].startswith("tiny-"):
                continue
            # Text towers of transformers would be asked of the hub; their parameters are compared with fixtures.
            if "roberta" not in model["name"]:
                with torch.device("meta"):
                    theirs = open_clip.create_model(model["name"], device="meta", load_weights=False)
                count = sum(parameter.numel() for parameter in theirs.parameters())
                self.assertEqual(model["parameters"], count, model["name"])
                side = theirs.visual.image_size
                self.assertEqual(model["image_size"], side[0] if isinstance(side, tuple) else side, model["name"])
            for weights in model["weights"]:
                known = open_clip.get_pretrained_cfg(model["name"], weights["tag"])
                with self.subTest(model=model["name"], tag=weights["tag"]):
                    for name in ("mean", "std"):
                        numpy.testing.assert_allclose(weights[name], known[name])
                    self.assertEqual(weights["resize_mode"], known.get("resize_mode", "shortest"))
                    self.assertEqual(known.get("interpolation", "bicubic"), "bicubic")
                    if (model["name"], weights["tag"]) != ("ViT-B-16-plus-240", "laion400m_e32"):
                        self.assertEqual(weights["repository"], known["hf_hub"].rstrip("/"))


class Models(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.pictures = []
        for seed in range(3):
            path = self.folder / f"{seed}.png"
            drawn(seed).save(path)
            self.pictures.append(path)

    def encode(self, model, weights, *flags):
        output = self.folder / "features.safetensors"
        finished([CLIPTRAIN, "encode", "--model", model, "--pretrained", weights, "--image", *self.pictures,
                  "--text", *TEXTS, "--output", output, *flags])
        return load_file(output)

    def same(self, model, features, size):
        transform = open_clip.image_transform(size, is_train=False)
        with torch.no_grad():
            images = torch.stack([transform(Image.open(path)) for path in self.pictures])
            image = model.encode_image(images, normalize=True)
            text = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(TEXTS), normalize=True)
            probabilities = (model.logit_scale.exp() * image @ text.T).softmax(-1)
        for name, expected in (("image_features", image), ("text_features", text), ("probabilities", probabilities)):
            distance = (features[name] - expected).abs().max().item()
            self.assertLessEqual(distance, TOLERANCE if name != "probabilities" else 1e-3, name)

    def full_size(self, name):
        torch.manual_seed(7)
        model = settled(open_clip.create_model(name))
        weights = self.folder / "weights.safetensors"
        save_file(model.state_dict(), weights)
        self.same(model, self.encode(name, weights), 224)

    def test_vit_b_32_of_full_size(self):
        self.full_size("ViT-B-32")

    def test_rn50_of_full_size(self):
        self.full_size("RN50")

    def small(self, config, **changes):
        torch.manual_seed(3)
        path = self.folder / "model.json"
        path.write_text(json.dumps(config))
        return path, settled(open_clip.CLIP(**{**config, **changes}))

    def test_every_container_of_weights(self):
        for config in (TINY, TINY_RESNET):
            path, model = self.small(config)
            state = model.state_dict()
            wrapped = {f"module.{name}": value for name, value in state.items()}
            containers = {
                "bare.bin": state,
                "epoch_1.pt": {"epoch": 1, "name": "run", "state_dict": wrapped, "optimizer": {"state": {}}},
                "half.pt": {name: value.half() if value.is_floating_point() else value for name, value in state.items()},
            }
            for name, container in containers.items():
                with self.subTest(name=name):
                    torch.save(container, self.folder / name)
                    if name == "half.pt":
                        model.load_state_dict({key: value.float() if value.is_floating_point() else value
                                               for key, value in container.items()})
                    self.same(model, self.encode(path, self.folder / name), 64)

    def test_compiled_module_as_openai_published_its_weights(self):
        path, model = self.small(TINY, quick_gelu=True)
        images, texts = torch.zeros(1, 3, 64, 64), torch.zeros(1, 77, dtype=torch.long)
        inputs = {"forward": (images, texts), "encode_image": (images,), "encode_text": (texts,)}
        torch.jit.trace_module(model, inputs, check_trace=False).save(str(self.folder / "compiled.pt"))
        self.same(model, self.encode(path, self.folder / "compiled.pt"), 64)

    def test_position_embeddings_are_resized_alike(self):
        path, model = self.small(TINY)
        weights = self.folder / "weights.safetensors"
        save_file(model.state_dict(), weights)
        for size in (48, 96):
            changed = dict(TINY, vision_cfg=dict(TINY["vision_cfg"], image_size=size))
            other = open_clip.CLIP(**changed).eval()
            open_clip.load_checkpoint(other, str(weights))
            self.same(other, self.encode(path, weights, "--force-image-size", size), size)

    def test_embeddings_are_read_by_numpy_and_arrow(self):
        path, model = self.small(TINY)
        weights, output = self.folder / "weights.safetensors", self.folder / "embeddings"
        save_file(model.state_dict(), weights)
        shown = self.folder / "shown"
        shown.mkdir()
        for picture, text in zip(self.pictures, TEXTS):
            picture.rename(shown / picture.name)
            (shown / picture.with_suffix(".txt").name).write_text(text, encoding="utf-8")
        self.pictures = sorted(shown.glob("*.png"))
        finished([CLIPTRAIN, "embed", shown, "--output", output, "--model", path, "--pretrained", weights])
        features = self.encode(path, weights)
        for kind, name in (("img", "image_features"), ("text", "text_features")):
            embeddings = numpy.load(output / f"{kind}_emb/{kind}_emb_0.npy")
            self.assertEqual((embeddings.dtype, embeddings.shape), (numpy.float16, (3, 32)))
            self.assertLess(abs(embeddings - features[name].numpy()).max(), 1e-3)
        table = pyarrow.parquet.read_table(output / "metadata/metadata_0.parquet").to_pydict()
        self.assertEqual(table, {"image_path": [str(path) for path in self.pictures], "caption": TEXTS})

    def test_checkpoint_of_cliptrain_opens_in_python(self):
        for config in (TINY, TINY_RESNET):
            path = self.folder / "model.json"
            path.write_text(json.dumps(config))
            with tarfile.open(self.folder / "0.tar", "w") as shard:
                for index in range(8):
                    body = io.BytesIO()
                    drawn(index).save(body, "JPEG")
                    for name, content in ((f"{index}.jpg", body.getvalue()), (f"{index}.txt", f"wave {index}".encode())):
                        member = tarfile.TarInfo(name)
                        member.size = len(content)
                        shard.addfile(member, io.BytesIO(content))
            finished([CLIPTRAIN, "--train-data", self.folder / "0.tar", "--train-num-samples", 8, "--model", path,
                      "--batch-size", 4, "--epochs", 1, "--warmup", 1, "--workers", 1, "--logs", self.folder / "logs",
                      "--name", f"run{config['vision_cfg']['width']}"])
            checkpoint = self.folder / f"logs/run{config['vision_cfg']['width']}/checkpoints/epoch_1"
            model = open_clip.create_model(f"local-dir:{checkpoint}").eval()
            self.same(model, self.encode(path, checkpoint), 64)


if __name__ == "__main__":
    unittest.main()
