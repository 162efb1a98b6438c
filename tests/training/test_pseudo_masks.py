"""Pseudo masks of whole images, made with a network as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.data import Dataset
from tag2mask.images.decode import read_image
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.masks import read_mask, write_mask
from tag2mask.models.checkpoint import RunFolder, load_model
from tag2mask.training.augment import TrainTransform
from tag2mask.training.pseudo_masks import PseudoMaskFiles
from tag2mask.training.samples import TrainDataset
from tests.helpers import TinyDataset


@pytest.fixture(scope="module")
def backend(trained: Path) -> TorchBackend:
    network, classes, config = load_model(RunFolder(trained))
    return TorchBackend(network, classes, config, device="cpu")


@pytest.fixture(scope="module")
def dataset(shapes: TinyDataset) -> Dataset:
    return Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file, masks=shapes.masks)


def with_options(backend: TorchBackend, **options: object) -> TorchBackend:
    """The same network with other settings."""
    return TorchBackend(backend.network, backend.classes, backend.config.override(options), device="cpu")


@pytest.mark.parametrize("teacher_weight", [0.0, 0.5])
def test_masks_hold_the_tagged_classes_and_find_the_shapes(
    backend: TorchBackend, dataset: Dataset, tmp_path: Path, teacher_weight: float
) -> None:
    files = PseudoMaskFiles(dataset, tmp_path)
    assert not files.complete()
    chosen = with_options(backend, **{"masks.stride": 2, "masks.scales": [1.0, 1.5]})
    empty = files.write(chosen, teacher_weight=teacher_weight)
    assert files.complete()
    assert 0 <= empty < 0.5
    right = total = 0
    for index, record in enumerate(dataset.records):
        mask = read_mask(files.path(index))
        assert mask.shape == (24, 32)
        found = {dataset.classes[value - 1] for value in np.unique(mask) if value not in (0, IGNORE_INDEX)}
        assert found <= record.present
        assert record.gt_mask is not None
        target = read_mask(record.gt_mask)[::2, ::2]
        right += int(((mask == target) & (target > 0)).sum())
        total += int((target > 0).sum())
    assert right > 0.4 * total


def test_an_image_whose_mask_would_be_empty_is_left_out_of_the_pixel_loss(
    backend: TorchBackend, dataset: Dataset, tmp_path: Path
) -> None:
    few = dataset.subset(range(12))
    files = PseudoMaskFiles(few, tmp_path)
    assert files.write(with_options(backend, **{"masks.soft_threshold": 1.0}), teacher_weight=0.0) == 1.0
    for index, record in enumerate(few.records):
        expected = IGNORE_INDEX if record.present else 0
        assert (read_mask(files.path(index)) == expected).all()


def test_two_processes_share_the_images(backend: TorchBackend, dataset: Dataset, tmp_path: Path) -> None:
    few = dataset.subset(range(5))
    whole, shared = PseudoMaskFiles(few, tmp_path / "whole"), PseudoMaskFiles(few, tmp_path / "shared")
    whole.write(backend, teacher_weight=0.5)
    for rank in range(2):
        assert not shared.complete()
        shared.write(backend, teacher_weight=0.5, share=(rank, 2))
    assert shared.complete()
    for index in range(5):
        assert np.array_equal(read_mask(whole.path(index)), read_mask(shared.path(index)))


def mean_evidence_by_hand(backend: TorchBackend, dataset: Dataset, *, flip: bool) -> float:
    """Mean over the tagged images of 0.4 * prior + 0.6 * best class map, from the network's features in torch."""
    values = []
    for index, record in enumerate(dataset.records):
        if not record.present:
            continue
        image = resize_image(read_image(record.path), scaled_size((48, 64), 64, multiple=32))
        present = torch.from_numpy(dataset.tags()[index]) == 1
        for view in (image, image[:, ::-1])[: 1 + flip]:
            [output] = backend.run(np.ascontiguousarray(view)[None])
            assert output.cams is not None
            size, mode = (24, 32), "bilinear"
            maps = torch.from_numpy(output.cams)[present][None].clamp_min(0)
            maps = torch.nn.functional.interpolate(maps, size, mode=mode, align_corners=False)[0]
            maps = maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(1e-5)
            prior = torch.from_numpy(output.energies[0])[None, None]
            prior = torch.nn.functional.interpolate(prior, size, mode=mode, align_corners=False)[0, 0]
            prior = (prior - prior.min()) / (prior.max() - prior.min()).clamp_min(1e-5)
            values.append(float((0.4 * prior + 0.6 * maps.amax(dim=0)).mean()))
    return float(np.mean(values))


@pytest.mark.parametrize("flip", [False, True])
def test_the_threshold_of_a_dataset_is_the_mean_of_its_evidence(
    backend: TorchBackend, dataset: Dataset, tmp_path: Path, flip: bool
) -> None:
    """So a share of the pixels like that above the mean is foreground, at any strength of the evidence."""
    few = dataset.subset(range(12))
    settings = {"masks.soft_threshold": "auto", "masks.soft_prior": 0.4, "masks.flip": flip, "masks.scales": [1.0]}
    chosen = with_options(backend, **settings)
    expected = mean_evidence_by_hand(backend, few, flip=flip)
    assert 0.05 < expected < 0.95
    files = PseudoMaskFiles(few, tmp_path)
    measured = files.measure(chosen)
    assert measured is not None and measured.spread is None  # there is no vision transformer
    assert measured.threshold == pytest.approx(expected, abs=0.01)
    larger = files.measure(with_options(chosen, **{"masks.soft_factor": 0.5}))
    assert larger is not None and larger.threshold == pytest.approx(0.5 * expected, abs=0.01)


def test_without_any_tag_there_is_no_threshold_to_measure(
    backend: TorchBackend, dataset: Dataset, tmp_path: Path
) -> None:
    bare = dataset.subset([index for index, record in enumerate(dataset.records) if not record.present])
    assert len(bare)
    assert PseudoMaskFiles(bare, tmp_path).measure(backend) is None


def test_the_mode_of_the_network_is_put_back(backend: TorchBackend, dataset: Dataset, tmp_path: Path) -> None:
    backend.network.train()
    PseudoMaskFiles(dataset.subset(range(2)), tmp_path).write(backend, teacher_weight=0.0)
    assert backend.network.training


def test_samples_have_the_pseudo_masks_moved_as_the_image(
    backend: TorchBackend, dataset: Dataset, tmp_path: Path
) -> None:
    """A pseudo mask at half size equals the ground truth at full size after the same crop, but for edges."""
    for index, record in enumerate(dataset.records):
        assert record.gt_mask is not None
        write_mask(tmp_path / f"{index}.png", read_mask(record.gt_mask)[::2, ::2])
    transform = TrainTransform(backend.config.data, backend.network.backbone.preprocessing)
    with_gt = TrainDataset(dataset, transform, seed=1, with_gt_masks=True)
    with_pseudo = TrainDataset(dataset, transform, seed=1, pseudo_masks=lambda index: tmp_path / f"{index}.png")
    equal = [(with_gt[key]["mask"] == with_pseudo[key]["mask"]).float().mean() for key in range(48)]
    assert torch.stack(equal).mean() > 0.95
    (tmp_path / "3.png").unlink()
    mask = with_pseudo[3]["mask"]
    assert not mask[mask != IGNORE_INDEX].any()
