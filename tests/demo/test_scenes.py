from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.demo import CLASSES, make_scene, write_dataset
from tag2mask.demo.scenes import SIZES, tags_of
from tag2mask.masks import read_mask


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_equal_seeds_give_equal_scenes() -> None:
    first, again, other = (make_scene(np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.gt_mask, again.gt_mask)
    assert first.tags == again.tags
    assert first.image.shape != other.image.shape or not np.array_equal(first.image, other.image)


def test_scenes_are_varied_and_their_tags_agree_with_their_masks() -> None:
    scenes = [make_scene(np.random.default_rng([0, index])) for index in range(80)]
    for scene in scenes:
        assert scene.image.dtype == np.uint8 and scene.gt_mask.dtype == np.uint8
        assert scene.image.shape == (*scene.gt_mask.shape, 3) and scene.gt_mask.shape in SIZES
        assert scene.tags == tags_of(scene.gt_mask)
        for index in np.unique(scene.gt_mask[scene.gt_mask > 0]):
            assert (scene.gt_mask == index).mean() > 0.005, "a tagged class must be large enough to be visible"
    counts = {name: sum(name in scene.tags for scene in scenes) for name in CLASSES}
    assert min(counts.values()) >= 8, counts
    assert sum(len(scene.tags) > 1 for scene in scenes) >= 20
    assert 0.1 < np.mean([(scene.gt_mask > 0).mean() for scene in scenes]) < 0.4


def test_mean_colour_does_not_determine_the_class() -> None:
    means: list[np.ndarray] = []
    targets: list[int] = []
    for index in range(120):
        scene = make_scene(np.random.default_rng([1, index]))
        for class_index in np.unique(scene.gt_mask[scene.gt_mask > 0]):
            means.append(scene.image[scene.gt_mask == class_index].mean(axis=0))
            targets.append(int(class_index))
    points, target = np.array(means), np.array(targets)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    accuracy = np.mean(target[distance.argmin(axis=1)] == target)
    assert accuracy < 0.45, "a nearest-neighbour classifier on colour should not recognise five classes"


def test_dataset_has_images_tags_and_masks(tmp_path: Path) -> None:
    write_dataset(tmp_path, train=6, val=3, seed=1)
    assert (tmp_path / "classes.txt").read_text(encoding="utf-8").split() == list(CLASSES)
    for split, count in (("train", 6), ("val", 3)):
        with (tmp_path / split / "tags.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == count
        for row in rows:
            image = Image.open(tmp_path / split / "images" / row["image"])
            mask = read_mask(tmp_path / split / "masks" / Path(row["image"]).with_suffix(".png"))
            assert image.mode == "RGB" and image.size == mask.shape[::-1]
            assert tuple(row["tags"].split()) == tags_of(mask)
            image.close()


def test_equal_arguments_give_equal_files_and_an_interrupted_call_is_continued(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_dataset(first, train=4, val=2, seed=7)
    write_dataset(second, train=4, val=2, seed=7)
    expected = files_of(first)
    assert files_of(second) == expected
    kept = second / "train" / "masks" / "0000.png"
    stamp = kept.stat().st_mtime_ns
    for lost in ("train/masks/0002.png", "train/images/0002.jpg", "train/tags.csv", "val/masks/0001.png"):
        (second / lost).unlink()
    write_dataset(second, train=4, val=2, seed=7)
    assert files_of(second) == expected
    assert kept.stat().st_mtime_ns == stamp


def test_another_seed_replaces_all_files(tmp_path: Path) -> None:
    write_dataset(tmp_path / "a", train=3, val=1, seed=0)
    write_dataset(tmp_path / "a", train=2, val=1, seed=1)
    write_dataset(tmp_path / "b", train=2, val=1, seed=1)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(DataError, match="holds other files"):
        write_dataset(tmp_path, train=1, val=1, seed=0)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"precious"
