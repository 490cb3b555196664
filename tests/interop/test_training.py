"""50 steps of open_clip's trainer and of cliptrain, from the same weights over the same batches; and runs that cross over."""

import json
import tempfile
import unittest
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file

import test_models
import training

FLAGS = {"lr": 5e-4, "warmup": 10, "wd": 0.2, "beta1": 0.9, "beta2": 0.98, "eps": 1e-6}
BATCH, BATCHES, EPOCHS = 16, 10, 5


class Training(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.model = self.folder / "model.json"
        self.model.write_text(json.dumps({"model_cfg": test_models.TINY}))
        size = test_models.TINY["vision_cfg"]["image_size"]
        pairs = [(test_models.drawn(number), f"drawing number {number}, of waves") for number in range(BATCH * BATCHES)]
        self.spec, self.count = training.shard(self.folder, pairs, size)
        self.data = training.Data(training.batches(self.spec, open_clip.get_tokenizer("ViT-B-32"), BATCH, torch.float32))

    def first(self):
        """A model as it begins, and its weights in a file."""
        torch.manual_seed(0)
        model = CLIP(**test_models.TINY, output_dict=True)
        weights = self.folder / "first.safetensors"
        save_file(model.state_dict(), weights)
        return model, weights

    def ours(self, flags, *more):
        return training.in_cliptrain(test_models.CLIPTRAIN, self.spec, self.count, self.model, flags, EPOCHS, BATCH,
                                     self.folder / "logs", *more)

    def test_fifty_steps_have_the_same_losses(self):
        for name, extra in [("plain", {}), ("clipped", {"grad_clip_norm": 0.5})]:
            model, weights = self.first()
            flags = dict(FLAGS, **extra)
            theirs = training.in_python(model, self.data, flags, EPOCHS)
            ours = self.ours(flags, "--pretrained", weights, "--name", name)
            self.assertEqual(len(ours), 50)
            self.assertLess(training.furthest(ours, theirs), 1e-4, name)

    def test_a_run_goes_on_from_a_checkpoint_of_python(self):
        model, _ = self.first()
        checkpoint = self.folder / "epoch_2.pt"
        theirs = training.in_python(model, self.data, FLAGS, EPOCHS, save_after=(2, checkpoint))
        ours = self.ours(FLAGS, "--resume", checkpoint, "--name", "crossed")
        self.assertEqual(len(ours), 30)
        self.assertLess(training.furthest(ours, theirs[20:]), 1e-4)


if __name__ == "__main__":
    unittest.main()
