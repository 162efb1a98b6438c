"""Images and masks as arrays, and as a dataset of PyTorch."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.inference.mask_dataset import MaskDataset
from tag2mask.masks import write_confidence, write_mask
from tag2mask.masks.pairs import MaskedImages
from tests.helpers import write_image, write_images

CLASSES = ["cat", "dog"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images in two folders, two masks with confidence maps and uncertainty, and a mask without an image."""
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "walk/b.jpg", "c.jpg"):
        write_image(tmp_path / "photos" / name, rng.integers(0, 256, (20, 30, 3)).astype(np.uint8))
    for k, name in enumerate(("a.png", "walk/b.png", "alone.png")):
        mask = np.zeros((20, 30), np.uint8)
        mask[:5], mask[5:8] = k % 2 + 1, 255
        write_mask(tmp_path / "masks" / name, mask)
        probs = np.full((3, 20, 30), 0.25, np.float32)
        probs[1] = 0.5
        write_confidence(tmp_path / "confidence" / name, probs, mask, bits=16)
    (tmp_path / "masks" / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "masks" / "uncertainty.csv").write_text(
        "image,uncertainty,heads,views,tags,pixels\na.jpg,0.25,0.25,0.25,0.25,0.25\nwalk/b.jpg,1,1,1,1,1\n"
    )
    return tmp_path


def test_arrays(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tag2mask")
    pairs = MaskedImages(folder / "photos", folder / "masks", confidence=folder / "confidence")
    assert (pairs.names, pairs.classes) == (("a.jpg", "walk/b.jpg"), ("cat", "dog"))
    assert "1 image without a mask and 1 mask without an image left out" in caplog.text
    name, image, mask, confidence = pairs[1]
    assert (name, image.shape, image.dtype.name) == ("walk/b.jpg", (20, 30, 3), "uint8")
    assert (mask[0, 0], mask[6, 0], mask[10, 0]) == (2, 255, 0)
    assert confidence is not None
    assert confidence[[0, 6, 10], 0].round(2).tolist() == [0.25, 0, 0.25]
    assert [one.name for one in pairs] == list(pairs.names)
    assert MaskedImages(folder / "photos", folder / "masks", names=["walk/b.jpg"])[-1].name == "walk/b.jpg"


def test_what_cannot_be_paired(folder: Path) -> None:
    photos, masks = folder / "photos", folder / "masks"
    with pytest.raises(DataError, match=r"c\.jpg: no image of this name with a mask in"):
        MaskedImages(photos, masks, names=["c.jpg"])
    with pytest.raises(DataError, match=r"no confidence map of a\.jpg \(2 of 2 are missing\)"):
        MaskedImages(photos, masks, confidence=folder)
    with pytest.raises(DataError, match="class index 2, but there are 1 classes"):
        _ = MaskedImages(photos, masks, classes=["cat"])[1]
    write_mask(masks / "c.png", np.zeros((30, 20), np.uint8))
    with pytest.raises(DataError, match=r"the image is 20 x 30 \(height x width\), its mask 30 x 20"):
        _ = MaskedImages(photos, masks, names=["c.jpg"])[0]
    with pytest.raises(DataError, match=r"no line for c\.jpg \(1 of 3 are missing\)"):
        MaskDataset(photos, masks, by_uncertainty=True)
    (masks / "classes.txt").unlink()
    with pytest.raises(ConfigError, match=r"no classes\.txt beside the masks"):
        MaskedImages(photos, masks)
    with pytest.raises(DataError, match="no mask belongs to an image"):
        MaskedImages(write_images(folder / "others", ["x.jpg"]), masks, classes=CLASSES)


def test_samples(folder: Path) -> None:
    dataset = MaskDataset(folder / "photos", folder / "masks")
    assert (len(dataset), dataset.classes) == (2, ("cat", "dog"))
    image, mask = dataset[0]
    assert isinstance(image, tv_tensors.Image)
    assert isinstance(mask, tv_tensors.Mask)
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((3, 20, 30), torch.uint8, (20, 30), torch.int64)
    assert set(mask.unique().tolist()) == {0, 1, 255}


def test_weights(folder: Path) -> None:
    both = MaskDataset(folder / "photos", folder / "masks", confidence=folder / "confidence", by_uncertainty=True)
    sample = both[0]
    assert len(sample) == 3
    weight = sample[2]
    assert (weight.dtype, weight.shape) == (torch.float32, (20, 30))
    assert weight[[0, 6, 10], 0].tolist() == pytest.approx([0.5 * 0.75, 0, 0.25 * 0.75], abs=1e-4)
    alone = MaskDataset(folder / "photos", folder / "masks", by_uncertainty=True)
    assert [float(one[-1].max()) for one in (alone[0], alone[1])] == [0.75, 0]


def test_transforms_move_image_mask_and_weight_alike(folder: Path) -> None:
    """Padding is undecided and counts nothing; batches go through a loader and a loss."""
    undecided = {tv_tensors.Image: 0, tv_tensors.Mask: 255}
    transforms = v2.Compose(
        [v2.RandomHorizontalFlip(1), v2.Pad([0, 0, 10, 12], fill=undecided), v2.ToDtype(torch.float32, scale=True)]
    )
    arguments = (folder / "photos", folder / "masks")
    dataset = MaskDataset(*arguments, transforms, confidence=folder / "confidence")
    plain = MaskDataset(*arguments, confidence=folder / "confidence")
    (image, mask, weight), (raw, before, trust) = dataset[1], plain[1]
    assert torch.equal(mask[:20, :30].as_subclass(torch.Tensor), before.flip(1).as_subclass(torch.Tensor))
    assert torch.equal(weight[:20, :30], trust.flip(1))
    assert torch.allclose(image[:, :20, :30].as_subclass(torch.Tensor), raw.flip(2).as_subclass(torch.Tensor) / 255)
    assert set(mask[20:].unique().tolist()) == {255}
    assert not weight[20:].any()
    images, masks, weights = next(iter(DataLoader(dataset, batch_size=2)))
    loss = F.cross_entropy(torch.randn(2, 3, 32, 40), masks, ignore_index=255, reduction="none")
    assert torch.isfinite((loss * weights).sum() / weights.sum())
    assert images.shape == (2, 3, 32, 40)
