"""Masks of a folder: what is kept, replaced, skipped and refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.data import Dataset
from tag2mask.inference import Prediction, Segmenter
from tag2mask.inference.review import read_review
from tag2mask.masks import read_mask
from tests.helpers import TinyDataset, draw_shapes, write_image

COUNT = 6


@pytest.fixture(scope="module")
def segmenter(trained: Path) -> Segmenter:
    return Segmenter.from_pretrained(trained)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for index in range(COUNT):
        write_image(tmp_path / "images" / f"{index}.png", draw_shapes(("disc", "square"), seed=index)[0])
    return tmp_path / "images"


def test_the_same_call_again_does_what_is_missing(segmenter: Segmenter, images: Path, tmp_path: Path) -> None:
    first = segmenter.predict_folder(images, tmp_path / "out")
    assert (first.written, first.kept) == (COUNT, 0)
    (tmp_path / "out" / "3.png").unlink()
    again = segmenter.predict_folder(images, tmp_path / "out")
    assert (again.written, again.kept) == (1, COUNT - 1)
    assert "5 were already there" in again.summary()
    assert set(read_review(tmp_path / "out")) == {f"{index}.png" for index in range(COUNT)}
    assert (tmp_path / "out" / "classes.txt").read_text().split() == ["disc", "square"]


def test_overwriting_that_was_interrupted_keeps_no_old_mask(
    segmenter: Segmenter, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old network's masks are not taken for those of the new one, which the interrupted call had begun to write."""
    segmenter.predict_folder(images, tmp_path / "out")
    other = segmenter.with_options({"prediction.gate": 1.0})  # finds nothing
    original = Segmenter.predict_many

    def interrupted(self: Segmenter, *arguments: Any, **options: Any) -> Iterator[Prediction]:
        for number, prediction in enumerate(original(self, *arguments, **options)):
            if number == 2:
                raise KeyboardInterrupt
            yield prediction

    monkeypatch.setattr(Segmenter, "predict_many", interrupted)
    with pytest.raises(KeyboardInterrupt):
        other.predict_folder(images, tmp_path / "out", overwrite=True)
    monkeypatch.undo()
    outcome = other.predict_folder(images, tmp_path / "out")
    assert (outcome.written, outcome.kept) == (COUNT - 2, 2)
    assert not any(read_mask(tmp_path / "out" / f"{index}.png").any() for index in range(COUNT))


def test_masks_of_another_network_are_not_mixed(segmenter: Segmenter, images: Path, tmp_path: Path) -> None:
    segmenter.predict_folder(images, tmp_path / "out")
    other = segmenter.with_options({"prediction.gate": 0.9})
    with pytest.raises(ConfigError, match="masks that other weights or settings made"):
        other.predict_folder(images, tmp_path / "out")
    assert other.predict_folder(images, tmp_path / "out", overwrite=True).written == COUNT


def test_an_unreadable_image_is_counted_or_stops(segmenter: Segmenter, images: Path, tmp_path: Path) -> None:
    (images / "2.png").write_bytes(b"no image")
    outcome = segmenter.predict_folder(images, tmp_path / "out")
    assert outcome.written == COUNT - 1
    [(name, reason)] = outcome.failures
    assert name == "2.png"
    assert "2.png" in reason
    with pytest.raises(DataError, match=r"2\.png"):
        segmenter.predict_folder(images, tmp_path / "strict", strict=True)


def test_what_is_written_beside(segmenter: Segmenter, images: Path, tmp_path: Path) -> None:
    beside: dict[str, Any] = {"overlays": tmp_path / "see", "confidence": tmp_path / "sure"}
    segmenter.predict_folder(images, tmp_path / "out", **beside)
    assert len(list((tmp_path / "see").glob("*.jpg"))) == len(list((tmp_path / "sure").glob("*.png"))) == COUNT
    (tmp_path / "sure" / "0.png").unlink()
    assert segmenter.predict_folder(images, tmp_path / "out", **beside).written == 1
    with pytest.raises(ConfigError, match="`confidence_bits` 12"):
        segmenter.predict_folder(images, tmp_path / "out", confidence_bits=12)
    with pytest.raises(ConfigError, match="`confidence` .* among the masks"):
        segmenter.predict_folder(images, tmp_path / "out", confidence=tmp_path / "out" / "sure")


def test_tags_of_a_file_or_a_dataset(segmenter: Segmenter, shapes: TinyDataset, tmp_path: Path) -> None:
    dataset = Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file)
    segmenter.predict_folder(dataset, tmp_path / "dataset")
    segmenter.predict_folder(shapes.images, tmp_path / "file", tags=shapes.tags)
    for record in dataset.records:
        mask = read_mask(tmp_path / "dataset" / record.name)
        assert {dataset.classes[value - 1] for value in np.unique(mask) if value} <= record.present
        assert np.array_equal(mask, read_mask(tmp_path / "file" / record.name))
    with pytest.raises(ConfigError, match="a dataset has its own tags"):
        segmenter.predict_folder(dataset, tmp_path / "both", tags=shapes.tags)
