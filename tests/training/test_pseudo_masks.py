"""Training masks of whole images, made from a network as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.data import load_dataset
from tag2mask.images.decode import read_image
from tag2mask.images.resize import scaled_size
from tag2mask.inference.predictor import Predictor
from tag2mask.masks import read_mask, write_mask
from tag2mask.method.torch_generate import mask_steps
from tag2mask.training.pseudo_masks import MaskRefresh, shift_to_share
from tag2mask.training.samples import EpochSampler, TrainDataset
from tag2mask.training.transforms import TrainTransform, network_input, resize, to_tensor
from tests.helpers import TinyCollection

CPU = torch.device("cpu")


@pytest.mark.parametrize("teacher_weight", [0.0, 0.5])
def test_masks_hold_the_tagged_classes_and_find_the_shapes(
    shapes: TinyCollection, trained: Path, tmp_path: Path, teacher_weight: float
) -> None:
    predictor = Predictor.load(trained, device="cpu")
    collection = load_dataset(shapes.images, shapes.tags, classes=shapes.class_file, masks=shapes.masks)
    config = predictor.config.override({"masks.stride": 2, "masks.scales": [1.0, 1.5]})
    refresh = MaskRefresh(collection, config, tmp_path)
    seen: list[None] = []
    empty = refresh(predictor.network, device=CPU, teacher_weight=teacher_weight, advance=lambda: seen.append(None))
    assert len(seen) == 48
    assert 0 <= empty < 0.5
    right = total = 0
    for index, item in enumerate(collection.records):
        mask = read_mask(refresh.path(index))
        assert mask.shape == (24, 32)
        found = {collection.classes[value - 1] for value in np.unique(mask) if value not in (0, IGNORE_INDEX)}
        assert found <= item.present
        assert item.gt_mask is not None
        target = read_mask(item.gt_mask)[::2, ::2]
        right += int(((mask == target) & (target > 0)).sum())
        total += int((target > 0).sum())
    assert right > 0.4 * total


def test_an_image_whose_mask_would_be_empty_is_left_out_of_the_pixel_loss(
    shapes: TinyCollection, trained: Path, tmp_path: Path
) -> None:
    predictor = Predictor.load(trained, device="cpu")
    collection = load_dataset(shapes.images, shapes.tags, classes=shapes.class_file)
    config = predictor.config.override({"masks.soft_threshold": 1.0})
    refresh = MaskRefresh(collection, config, tmp_path)
    assert refresh(predictor.network, device=CPU, teacher_weight=0.0) == 1.0
    for index, item in enumerate(collection.records):
        expected = IGNORE_INDEX if item.present else 0
        assert (read_mask(refresh.path(index)) == expected).all()


@pytest.mark.parametrize("flip", [False, True])
def test_the_threshold_of_a_collection_is_the_mean_of_its_evidence(
    shapes: TinyCollection, trained: Path, tmp_path: Path, flip: bool
) -> None:
    """So a share of the places like that above the mean is foreground, at any strength of the evidence."""
    predictor = Predictor.load(trained, device="cpu")
    collection = load_dataset(shapes.images, shapes.tags, classes=shapes.class_file).subset(range(12))
    settings = {"masks.soft_threshold": "auto", "masks.soft_prior": 0.4, "masks.flip": flip, "masks.scales": [1.0]}
    config = predictor.config.override(settings)
    threshold = MaskRefresh(collection, config, tmp_path).threshold(predictor.network, device=CPU)
    values = []
    for index in (index for index, item in enumerate(collection.records) if item.present):
        pixels = to_tensor(read_image(collection.records[index].path)).as_subclass(torch.Tensor)
        pixels = resize(pixels, scaled_size((48, 64), 64, multiple=32))[None]
        for batch in (pixels, pixels.flip(-1))[: 1 + flip]:
            scores = network_input(batch, predictor.network.backbone.preprocessing)
            with torch.no_grad():
                recognition, _ = predictor.network.both(scores)
            tags = torch.from_numpy(collection.tags()[index])[None]
            steps = mask_steps(recognition, tags, (24, 32), config.masks)
            values.append((0.4 * steps.prior + 0.6 * steps.maps.amax(dim=1)).mean().item())
    assert threshold == pytest.approx(np.mean(values), abs=0.01)
    assert 0.05 < np.mean(values) < 0.95
    larger = MaskRefresh(collection, config.override({"masks.soft_factor": 0.5}), tmp_path)
    assert larger.threshold(predictor.network, device=CPU) == pytest.approx(0.5 * np.mean(values), abs=0.01)


def test_without_any_tag_there_is_no_threshold_to_measure(
    shapes: TinyCollection, trained: Path, tmp_path: Path
) -> None:
    predictor = Predictor.load(trained, device="cpu")
    collection = load_dataset(shapes.images, shapes.tags, classes=shapes.class_file)
    bare = collection.subset([index for index, item in enumerate(collection.records) if not item.present])
    assert len(bare)
    assert MaskRefresh(bare, predictor.config, tmp_path).threshold(predictor.network, device=CPU) is None


@given(st.integers(0, 10_000), st.floats(0.05, 0.95))
def test_a_shift_brings_foreground_to_a_share(seed: int, share: float) -> None:
    foreground = np.random.default_rng(seed).beta(0.8, 1.5, 4000).astype(np.float32).clip(0.01, 0.99)
    shift = shift_to_share(foreground, share)
    assert (np.log(foreground / (1 - foreground)) + shift > 0).mean() == pytest.approx(share, abs=0.03)


def test_without_any_tag_there_is_nothing_to_shift() -> None:
    assert shift_to_share(np.empty(0, np.float32), 0.3) == 0


def test_a_shift_makes_masks_larger(shapes: TinyCollection, trained: Path, tmp_path: Path) -> None:
    predictor = Predictor.load(trained, device="cpu")
    collection = load_dataset(shapes.images, shapes.tags, classes=shapes.class_file).subset(range(8))
    refresh = MaskRefresh(collection, predictor.config, tmp_path)
    sizes = []
    for shift in (-1.0, 0.0, 1.0):
        refresh(predictor.network, device=CPU, teacher_weight=0.5, shift=shift)
        masks = [read_mask(refresh.path(index)) for index in range(8)]
        sizes.append(sum(int(((mask > 0) & (mask != IGNORE_INDEX)).sum()) for mask in masks))
    assert sizes[0] < sizes[1] < sizes[2]


def test_the_mode_of_the_network_is_put_back(shapes: TinyCollection, trained: Path, tmp_path: Path) -> None:
    predictor = Predictor.load(trained, device="cpu")
    collection = load_dataset(shapes.images, shapes.tags, classes=shapes.class_file).subset(range(2))
    predictor.network.train()
    MaskRefresh(collection, predictor.config, tmp_path)(predictor.network, device=CPU, teacher_weight=0.0)
    assert predictor.network.training


def test_the_data_set_gives_made_masks_moved_as_the_image(
    shapes: TinyCollection, trained: Path, tmp_path: Path
) -> None:
    """A made mask at half size equals the human mask at full size after the same crop, but for edges."""
    predictor = Predictor.load(trained, device="cpu")
    collection = load_dataset(shapes.images, shapes.tags, classes=shapes.class_file, masks=shapes.masks)
    for index, item in enumerate(collection.records):
        assert item.gt_mask is not None
        write_mask(tmp_path / f"{index}.png", read_mask(item.gt_mask)[::2, ::2])
    transform = TrainTransform(predictor.config.data, predictor.network.backbone.preprocessing)
    human = TrainDataset(collection, transform, seed=1, with_masks=True)
    made = TrainDataset(collection, transform, seed=1, made_masks=lambda index: tmp_path / f"{index}.png")
    equal = [(human[key]["mask"] == made[key]["mask"]).float().mean() for key in range(48)]
    assert torch.stack(equal).mean() > 0.95
    (tmp_path / "3.png").unlink()
    assert not made[3]["mask"][made[3]["mask"] != IGNORE_INDEX].any()


def test_masks_are_made_before_the_first_sample_of_an_epoch() -> None:
    sampler = EpochSampler(3, seed=0)
    epochs: list[int] = []
    sampler.before = epochs.append
    sampler.set_epoch(4)
    keys = iter(sampler)
    assert epochs == []
    assert next(keys) // 3 == 4
    assert epochs == [4]
