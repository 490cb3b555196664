"""open_clip's own training loader over tar shards, in one process: loader_peer.py SPEC SECONDS prints JSON. What is counted is
from the second batch on, so that start-up is not."""

import argparse
import json
import sys
import time

import open_clip
import torch
from open_clip import image_transform
from open_clip_train.data import get_wds_dataset

spec, seconds = sys.argv[1], float(sys.argv[2])
torch.set_num_threads(1)
settings = argparse.Namespace(
    train_data=spec, val_data=None, train_data_upsampling_factors=None, train_num_samples=10**7, val_num_samples=None,
    dataset_resampled=True, seed=0, batch_size=64, workers=0, world_size=1, rank=0, distributed=False)
data = get_wds_dataset(settings, image_transform(224, is_train=True), is_train=True,
                       tokenizer=open_clip.get_tokenizer("ViT-B-32"))
data.set_epoch(0)
samples, wall, cpu = 0, None, None
for pixels, _ in data.dataloader:
    if wall is None:
        wall, cpu = time.perf_counter(), time.process_time()
        continue
    samples += len(pixels)
    if time.perf_counter() - wall > seconds:
        break
print(json.dumps({"samples_per_second": samples / (time.perf_counter() - wall),
                  "samples_per_cpu_second": samples / (time.process_time() - cpu)}))
