"""What TensorBoard's own reader finds in the event files of a run."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import pictures

CLIPTRAIN = pictures.ROOT / "target" / "debug" / "cliptrain"
MODEL = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16},
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
}


class TensorBoard(unittest.TestCase):
    def test_scalars_texts_and_pictures_are_read(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "model.json").write_text(json.dumps(MODEL))
            flags = "--dataset-type synthetic --train-num-samples 16 --batch-size 4 --epochs 2 --workers 1 --warmup 2"
            command = [CLIPTRAIN, *flags.split(), "--model", folder / "model.json", "--logs", folder, "--name", "run"]
            command += ["--report-to", "tensorboard", "--log-every-n-steps", "1"]
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600)
            self.assertEqual(done.returncode, 0, done.stderr)
            read = EventAccumulator(str(folder / "run/tensorboard"), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
            read.Reload()
            steps = [json.loads(line) for line in (folder / "run/steps.jsonl").read_text().splitlines()]
            for tag, field in [("train/loss", "loss"), ("train/lr", "lr"), ("train/scale", "logit_scale")]:
                found = [(event.step, event.value) for event in read.Scalars(tag)]
                self.assertEqual(len(found), 8, tag)
                for (step, value), kept in zip(found, steps):
                    self.assertEqual(step, kept["step"])
                    self.assertAlmostEqual(value, kept[field], delta=1e-5 * max(1.0, abs(value)), msg=tag)
            names = ["data_time", "batch_time", "samples_per_second", "samples_per_second_per_gpu", "contrastive_loss"]
            self.assertLessEqual({f"train/{name}" for name in names}, set(read.Tags()["scalars"]))
            picture = read.Images("samples/0")[0]
            self.assertEqual((picture.width, picture.height), (16, 16))
            self.assertTrue(picture.encoded_image_string.startswith(b"\x89PNG"))
            texts = read.Tensors("samples/texts")[0].tensor_proto.string_val[0].decode()
            self.assertIn("dummy caption", texts)
            self.assertIn("batch_size", read.Tensors("params")[0].tensor_proto.string_val[0].decode())


if __name__ == "__main__":
    unittest.main()
