"""The perceptual hash of images whose similarity is known, and groups against a double loop."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from tag2mask.core.record import ImageRecord
from tag2mask.data.checks import perceptual
from tag2mask.data.checks.images import inspect_images
from tag2mask.data.checks.perceptual import MAX_DISTANCE, grouped, near_groups, perceptual_hash
from tests.data.checks.generated import clouds
from tests.helpers import bench_folder


def grey(image: Image.Image) -> NDArray[np.uint8]:
    return np.array(image.convert("L"))


def changed(image: Image.Image) -> dict[str, Image.Image]:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=40)
    width, height = image.size
    return {
        "recompressed": Image.open(stream).convert("RGB"),
        "smaller": image.resize((width // 2, height // 2)),
        "brighter": ImageEnhance.Brightness(image).enhance(1.2),
        "paler": ImageEnhance.Contrast(image).enhance(0.7),
        "cropped": image.crop((width // 100, height // 100, width, height)),
    }


@pytest.mark.parametrize("seed", range(5))
def test_changes_that_keep_the_content_are_near(seed: int) -> None:
    image = Image.fromarray(clouds(seed, (240, 320)))
    for name, other in changed(image).items():
        pair = [grey(image), grey(other)]
        found = near_groups(np.stack([*map(perceptual_hash, pair)]))
        assert found.tolist() == [0, 0], name


def test_groups_are_those_of_a_double_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "_BLOCK", 16)  # pairs within and across blocks
    rng = np.random.default_rng(0)
    hashes = np.where(rng.random((50, 255)) < 0.5, 1, -1).astype(np.int8)
    for copy, original, bits in ((7, 3, 60), (20, 12, 61), (49, 8, 0), (30, 31, 10), (2, 49, 40), (40, 7, 50)):
        hashes[copy] = hashes[original]
        hashes[copy, :bits] *= -1
    pairs = [(i, j) for i in range(50) for j in range(i + 1, 50) if (hashes[i] != hashes[j]).sum() <= MAX_DISTANCE]
    groups = near_groups(hashes).tolist()
    expected = [[2, 8, 49], [3, 7, 40], [30, 31]]
    assert grouped(50, pairs) == grouped(50, [(i, j) for j, i in enumerate(groups) if i != j]) == expected
    assert all(groups[groups[k]] == groups[k] <= k for k in range(50))


def test_groups_are_connected_components() -> None:
    assert grouped(8, [(5, 2), (2, 7), (0, 1), (3, 3)]) == [[0, 1], [2, 5, 7]]
    assert grouped(3, [(2, 0)] * 256) == [[0, 2]]
    assert grouped(3, []) == grouped(0, []) == []


def test_no_false_alarm_on_different_scenes() -> None:
    folder = bench_folder("voc_animals")
    if folder is None:
        pytest.skip("no benchmark dataset beside the repository")
    paths = sorted((folder / "val" / "images").glob("*.jpg"))
    seen, unreadable = inspect_images([ImageRecord(path.name, path) for path in paths])
    assert not unreadable
    groups = near_groups(np.stack([s.hash for s in seen]))
    assert groups.tolist() == list(range(len(seen)))


def test_thousands_that_are_all_alike_are_one_group() -> None:
    assert not near_groups(np.tile(perceptual_hash(clouds(0)[..., 0]), (5000, 1))).any()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("train/images/steel_train_0649.jpg", "val/images/steel_val_0145.jpg"),  # the same defect, another background
        ("train/images/steel_train_0045.jpg", "val/images/steel_val_0010.jpg"),  # in another light
        ("train/images/steel_train_0283.jpg", "train/images/steel_train_0312.jpg"),
    ],
)
def test_the_same_defect_is_recognised(one: str, other: str) -> None:
    folder = bench_folder("steel_defects")
    if folder is None:
        pytest.skip("no benchmark dataset beside the repository")
    seen, _ = inspect_images([ImageRecord(name, folder / name) for name in (one, other)])
    assert near_groups(np.stack([s.hash for s in seen])).tolist() == [0, 0]
