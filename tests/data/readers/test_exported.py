"""Files written by the formats' own tools: see exported/README.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tag2mask.data import Dataset, load_dataset
from tag2mask.images.decode import read_image
from tests.helpers import write_images

EXPORTED = Path(__file__).parent / "exported"


def described(dataset: Dataset) -> dict[str, str]:
    """Tags of each image, unknown ones with a question mark."""
    return {
        record.name: " ".join([*sorted(record.present), *(f"?{u}" for u in sorted(record.unknown))])
        for record in dataset.records
    }


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("cvat.xml", "cvat", {"a.jpg": "cat dog", "sub/b.jpg": "dog"}),
        ("coco.json", "coco", {"a.jpg": "cat", "sub/b.jpg": ""}),
        (
            "label_studio.json",
            "label-studio",
            {"a.jpg": "cat dog", "walk/b c.jpg": "dog person", "c.jpg": "", "e.jpg": "cat ?dog"},
        ),
        (
            "label_studio_min.json",
            "label-studio",
            {"a.jpg": "cat dog", "walk/b c.jpg": "dog person", "c.jpg": "", "e.jpg": "cat ?dog"},
        ),
    ],
)
def test_files_of_tags(tmp_path: Path, file: str, source: str, expected: dict[str, str]) -> None:
    images = write_images(tmp_path / "images", ["a.jpg", "sub/b.jpg", "walk/b c.jpg", "c.jpg", "d.jpg", "e.jpg"])
    dataset = load_dataset(images, EXPORTED / file)
    assert dataset.source == source
    assert described(dataset) == expected
    assert load_dataset(images, EXPORTED / file, format=source).records == dataset.records


def test_skipped_task_is_reported(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg", "walk/b c.jpg", "c.jpg", "d.jpg", "e.jpg"])
    dataset = load_dataset(images, EXPORTED / "label_studio.json")
    (problem,) = dataset.problems
    assert problem.kind == "image without tags"
    assert problem.message.startswith("label_studio.json, task 4: d.jpg has no tag")


@pytest.mark.parametrize(
    ("file", "tags"), [("single.parquet", ["cat", "dog", None]), ("multi.parquet", ["cat dog", "", None])]
)
def test_parquet(tmp_path: Path, file: str, tags: list[str | None]) -> None:
    pytest.importorskip("pyarrow")
    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    (folder / "train-00000-of-00001.parquet").write_bytes((EXPORTED / file).read_bytes())
    dataset = load_dataset(tmp_path / "set", unpack=tmp_path / "images")
    assert dataset.source == "parquet"
    assert dataset.classes == ("cat", "dog")
    names = [f"data/train-00000-of-00001/{row:06d}.png" for row in range(3)]
    assert described(dataset) == {name: one for name, one in zip(names, tags, strict=True) if one is not None}
    assert dataset.splits() == ("train",)
    assert dataset.problem_counts() == {"image without tags": 1}
    for row, record in enumerate(dataset.records):
        expected = np.random.default_rng(row).integers(0, 256, (6, 8, 3)).astype(np.uint8)
        np.testing.assert_array_equal(read_image(record.path), expected)
        assert record.path == dataset.root / record.name
