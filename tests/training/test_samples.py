from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tag2mask.config.schema import DataConfig
from tag2mask.core.errors import DataError
from tag2mask.data import Dataset
from tag2mask.masks import write_mask
from tag2mask.models import Preprocessing
from tag2mask.training.augment import TrainTransform
from tag2mask.training.samples import EpochSampler, TrainDataset, make_loader
from tests.helpers import write_shapes

TRANSFORM = TrainTransform(DataConfig(image_size=64, crop_size=32), Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))


@pytest.mark.parametrize(("length", "ranks", "batch"), [(10, 1, 4), (12, 3, 2), (13, 3, 2), (17, 2, 4), (5, 4, 3)])
def test_each_epoch_shows_each_image_once_over_all_ranks(length: int, ranks: int, batch: int) -> None:
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
    samples = TrainDataset(Dataset.load(tiny.images, tiny.tags, classes=tiny.class_file), TRANSFORM, seed=3)
    alone = {key: samples[key]["image"] for key in (24, 30, 35)}
    torch.manual_seed(99)
    sampler = EpochSampler(12, seed=3)
    sampler.set_epoch(2)
    for batch in make_loader(samples, sampler, batch_size=5, workers=2):
        for position, index in enumerate(batch["index"].tolist()):
            if 24 + index in alone:
                assert torch.equal(batch["image"][position], alone.pop(24 + index))
    assert not alone
    assert not torch.equal(samples[0]["image"], samples[12]["image"])


def test_tags_and_ground_truth_reach_the_sample(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path, 8)
    dataset = Dataset.load(tiny.images, tiny.tags, classes=tiny.class_file, masks=tiny.masks)
    blind = TrainDataset(dataset, TRANSFORM, seed=0)
    seeing = TrainDataset(dataset, TRANSFORM, seed=0, with_gt_masks=True)
    for index, record in enumerate(dataset.records):
        assert blind[index]["tags"].tolist() == [int(name in record.present) for name in tiny.classes]
        assert set(np.unique(blind[index]["mask"])) <= {0, 255}
        assert torch.equal(blind[index]["image"], seeing[index]["image"])
    assert {1, 2} <= set(np.unique(np.concatenate([seeing[index]["mask"].numpy() for index in range(8)])).tolist())


def test_a_corrected_mask_takes_the_place_of_the_pseudo_mask(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path, 4)
    write_mask(tmp_path / "corrected" / "shape_001.png", np.full((48, 64), 2, np.uint8))
    write_mask(tmp_path / "pseudo.png", np.ones((24, 32), np.uint8))
    dataset = Dataset.load(tiny.images, tiny.tags, classes=tiny.class_file, corrected=tmp_path / "corrected")
    samples = TrainDataset(dataset, TRANSFORM, seed=0, pseudo_masks=lambda _: tmp_path / "pseudo.png")
    for index in range(4):
        sample = samples[index]
        assert bool(sample["corrected"]) == (index == 1)
        assert torch.unique(sample["mask"][~sample["outside"]]).tolist() == [2 if index == 1 else 1]


def test_the_upper_bound_needs_ground_truth(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path, 4)
    dataset = Dataset.load(tiny.images, tiny.tags, classes=tiny.class_file)
    with pytest.raises(DataError, match="no ground truth to train the fully supervised upper bound on; .* `masks`"):
        TrainDataset(dataset, TRANSFORM, seed=0, with_gt_masks=True)[0]
