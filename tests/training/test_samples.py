from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tag2mask.config.schema import DataConfig
from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tag2mask.models import Preprocessing
from tag2mask.training.samples import EpochSampler, TrainDataset, make_loader
from tag2mask.training.transforms import TrainTransform
from tests.helpers import write_shapes

TRANSFORM = TrainTransform(DataConfig(image_size=64, crop_size=32), Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))


@pytest.mark.parametrize(("length", "ranks", "batch"), [(10, 1, 4), (12, 3, 2), (13, 3, 2), (17, 2, 4), (5, 4, 3)])
def test_each_epoch_shows_each_item_once_over_all_ranks(length: int, ranks: int, batch: int) -> None:
    orders = []
    for epoch in (0, 1):
        samplers = [EpochSampler(length, seed=4, rank=rank, ranks=ranks, batch_size=batch) for rank in range(ranks)]
        parts = []
        for sampler in samplers:
            sampler.set_epoch(epoch)
            parts.append(list(sampler))
            assert len(parts[-1]) == len(sampler)
        keys = [key for part in parts for key in part]
        assert set(keys) == set(range(epoch * length, epoch * length + length))
        assert len(keys) - length < ranks  # no more than one image again for a rank that would have none
        steps = {-(-len(part) // batch) for part in parts}
        assert len(steps) == 1  # all take the same number of steps
        alone = EpochSampler(length, seed=4, batch_size=batch * ranks)
        alone.set_epoch(epoch)
        order = list(alone)
        for step in range(steps.pop()):
            together = {key for part in parts for key in part[step * batch : (step + 1) * batch]}
            assert together == set(order[step * batch * ranks : (step + 1) * batch * ranks])
        orders.append([key % length for key in keys])
    assert orders[0] != orders[1]


def test_samples_do_not_depend_on_order_or_process(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path, 12)
    collection = load_dataset(tiny.images, tiny.tags, classes=tiny.class_file)
    dataset = TrainDataset(collection, TRANSFORM, seed=3)
    alone = {key: dataset[key]["image"] for key in (24, 30, 35)}
    torch.manual_seed(99)
    sampler = EpochSampler(12, seed=3)
    sampler.set_epoch(2)
    for batch in make_loader(dataset, sampler, batch_size=5, workers=2):
        for position, index in enumerate(batch["index"].tolist()):
            if 24 + index in alone:
                assert torch.equal(batch["image"][position], alone.pop(24 + index))
    assert not alone
    assert not torch.equal(dataset[0]["image"], dataset[12]["image"])


def test_tags_and_human_masks_reach_the_sample(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path, 8)
    collection = load_dataset(tiny.images, tiny.tags, classes=tiny.class_file, masks=tiny.masks)
    blind, seeing = (
        TrainDataset(collection, TRANSFORM, seed=0),
        TrainDataset(collection, TRANSFORM, seed=0, with_masks=True),
    )
    for index, item in enumerate(collection.records):
        assert blind[index]["tags"].tolist() == [int(name in item.present) for name in tiny.classes]
        assert set(np.unique(blind[index]["mask"])) <= {0, 255}
        assert torch.equal(blind[index]["image"], seeing[index]["image"])
    assert {1, 2} <= set(np.unique(np.concatenate([seeing[index]["mask"].numpy() for index in range(8)])).tolist())


def test_the_ceiling_needs_human_masks(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path, 4)
    collection = load_dataset(tiny.images, tiny.tags, classes=tiny.class_file)
    with pytest.raises(DataError, match="no human mask to train the ceiling on"):
        TrainDataset(collection, TRANSFORM, seed=0, with_masks=True)[0]
