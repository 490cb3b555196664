"""50 steps of open_clip's trainer and of cliptrain, from the same weights over the same batches; and runs that cross over."""

import json
import math
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

    def first(self, seed=0, **more):
        """A model as it begins, and its weights in a file."""
        torch.manual_seed(seed)
        model = CLIP(**test_models.TINY, output_dict=True, **more)
        weights = self.folder / f"first-{seed}.safetensors"
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

    def test_a_teacher_is_followed_alike(self):
        model, weights = self.first()
        teacher, taught = self.first(seed=1)
        theirs = training.in_python(model, self.data, FLAGS, EPOCHS, loss=open_clip.loss.DistillClipLoss(), teacher=teacher.eval())
        ours = self.ours(FLAGS, "--pretrained", weights, "--name", "taught", "--distill-model", self.model,
                         "--distill-pretrained", taught)
        self.assertLess(training.furthest(ours, theirs), 1e-4)

    def test_sigmoid_losses_are_the_same(self):
        model, weights = self.first(init_logit_scale=math.log(10), init_logit_bias=-10.0)
        theirs = training.in_python(model, self.data, FLAGS, EPOCHS, loss=open_clip.loss.SigLipLoss())
        ours = self.ours(FLAGS, "--pretrained", weights, "--name", "sigmoid", "--siglip")
        self.assertLess(training.furthest(ours, theirs), 1e-4)

    def test_kept_back_pairs_have_the_same_loss_and_ranks(self):
        model, weights = self.first()
        theirs = training.evaluated_in_python(model, self.data)
        ours = training.evaluated_in_cliptrain(test_models.CLIPTRAIN, self.spec, self.model, weights, BATCH)
        self.assertAlmostEqual(ours["clip_val_loss"], theirs["clip_val_loss"], delta=1e-4)
        for name in ["image_to_text_R@1", "text_to_image_R@10", "image_to_text_median_rank"]:
            self.assertAlmostEqual(ours[name], float(theirs[name]), delta=0.02 if "R@" in name else 2, msg=name)

    def test_a_run_goes_on_from_a_checkpoint_of_python(self):
        model, _ = self.first()
        checkpoint = self.folder / "epoch_2.pt"
        theirs = training.in_python(model, self.data, FLAGS, EPOCHS, save_after=(2, checkpoint))
        ours = self.ours(FLAGS, "--resume", checkpoint, "--name", "crossed")
        self.assertEqual(len(ours), 30)
        self.assertLess(training.furthest(ours, theirs[20:]), 1e-4)


if __name__ == "__main__":
    unittest.main()
