from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tag2mask.config.schema import Config
from tag2mask.core.errors import DataError
from tag2mask.data import Dataset
from tag2mask.images.cache import ImageCache, image_reader
from tag2mask.images.decode import read_image
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset


def first(shapes: TinyDataset) -> Path:
    return sorted(shapes.images.iterdir())[0]


def test_small_images_stay_as_they_are(shapes: TinyDataset, tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", 1000)
    for _ in range(2):
        np.testing.assert_array_equal(cache.read(first(shapes)), read_image(first(shapes)))
    assert len(list(tmp_path.rglob("*.npy"))) == 1


def test_it_is_read_from_the_cache_until_the_image_changes(shapes: TinyDataset, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(first(shapes).read_bytes())
    cache = ImageCache(tmp_path / "cache", 32)
    small = cache.read(path)
    assert max(small.shape[:2]) == 32
    (kept,) = tmp_path.rglob("*.npy")
    np.save(kept, np.zeros_like(small))
    assert not cache.read(path).any()
    assert ImageCache(tmp_path / "cache", 24).read(path).any()  # another size
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(cache.read(path), small)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04rubbish", b"no array at all"])
def test_a_damaged_entry_is_written_again(shapes: TinyDataset, tmp_path: Path, damage: bytes) -> None:
    cache = ImageCache(tmp_path / "cache", 32)
    small = cache.read(first(shapes))
    (kept,) = tmp_path.rglob("*.npy")
    kept.write_bytes(damage)
    np.testing.assert_array_equal(cache.read(first(shapes)), small)
    np.testing.assert_array_equal(np.load(kept), small)


def test_nothing_is_unpickled(shapes: TinyDataset, tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", 32)
    small = cache.read(first(shapes))
    (kept,) = tmp_path.rglob("*.npy")
    np.save(kept, np.array([{"not": "pixels"}], dtype=object), allow_pickle=True)
    np.testing.assert_array_equal(cache.read(first(shapes)), small)


def test_the_largest_size_that_training_needs(tmp_path: Path) -> None:
    assert image_reader(Config()) is read_image
    config = Config().override({"data.cache": str(tmp_path), "data.image_size": 100, "data.scale": [0.5, 1.1]})
    reader = image_reader(config)
    assert getattr(reader, "__self__").side == 125  # noqa: B009 - of masks.scales


def test_a_missing_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png"):
        ImageCache(tmp_path, 32).read(tmp_path / "gone.png")


@pytest.mark.parametrize("supervision", ["tags", "masks"])
def test_training_with_a_cache(shapes: TinyDataset, tmp_path: Path, supervision: str) -> None:
    from tag2mask.training.train import train

    options = {**TINY_OPTIONS, "training.epochs": 2, "data.cache": str(tmp_path / "cache"), "data.image_size": 48}
    options["training.supervision"] = supervision
    dataset = Dataset.load(shapes.images, shapes.tags, masks=shapes.masks)
    train(dataset, tmp_path / "run", options=options, make_masks=False, progress=False)
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 48
