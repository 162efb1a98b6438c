"""The way of a correction: masks, the least certain of them, a person's work, and back into training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tag2mask import Dataset, Segmenter, train
from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tag2mask.inference.review import ReviewTable, least_certain, read_review
from tag2mask.masks import read_mask, write_mask
from tag2mask.masks.export_folder import export_masks
from tag2mask.method.uncertainty import Uncertainty, disagreement, tag_uncertainty, with_missing
from tag2mask.training.losses import pixel_loss
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset


def test_disagreement() -> None:
    one = np.zeros((3, 4, 4), np.float32)
    one[0] = 1
    other = one.copy()
    assert disagreement(one, other) == 0
    other[:, :2] = np.array([0, 1, 0], np.float32)[:, None, None]
    assert disagreement(one, other) > 0.95
    third = one.copy()
    third[:, :2] = np.array([0, 0, 1], np.float32)[:, None, None]
    assert disagreement(third, other) > 0.95  # both see an object, of another class each
    faint = one.copy()
    faint[:, 0, 0] = [0.98, 0.02, 0]
    assert disagreement(one, faint) < 0.15  # a speck of nearly nothing


def test_tags_contradict() -> None:
    probs = np.array([0.9, 0.2, 0.5], np.float32)
    none = np.zeros(3, bool)
    assert tag_uncertainty(probs, np.array([True, False, False]), np.array([False, False, True])) == pytest.approx(0.2)
    assert tag_uncertainty(probs, np.array([False, True, False]), none) == pytest.approx(0.9)
    assert tag_uncertainty(probs, None, none) == 1.0
    assert tag_uncertainty(probs[:1], None, none[:1]) == pytest.approx(0.2)
    mask = np.zeros((100, 100), np.uint8)
    assert with_missing(Uncertainty(), mask, np.array([True, False])).tags == 1
    assert with_missing(Uncertainty(), mask, None).tags == 0
    mask[:10, :10] = 1
    assert with_missing(Uncertainty(), mask, np.array([True, False])).tags == 0


def test_the_table_survives_an_interruption(tmp_path: Path) -> None:
    table = ReviewTable(tmp_path)
    table.add('a "b", c.jpg', Uncertainty(0.1, 0.2, 0.3))
    table.add("d.jpg", Uncertainty(0.5, 0.5, 0.5))
    table.add('a "b", c.jpg', Uncertainty(0.9, 0.9, 0.9))
    path = tmp_path / "uncertainty.csv"
    path.write_bytes(path.read_bytes() + b'"e.jpg",0.1,0')  # cut off
    assert least_certain(tmp_path, 5) == ['a "b", c.jpg', "d.jpg"]
    ReviewTable(tmp_path).add("f.jpg", Uncertainty(1, 1, 1))
    assert list(read_review(tmp_path)) == ["d.jpg", 'a "b", c.jpg', "f.jpg"]
    assert path.read_text().splitlines()[0] == "image,uncertainty,heads,views,tags,pixels"


def test_a_table_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "uncertainty.csv").write_text("image,uncertainty,heads,views,tags\na.jpg,0.2,0.3,0.1,0.2\n")
    [found] = read_review(tmp_path).values()
    assert (found.heads, found.views, found.tags) == (0.3, 0.1, 0.2)
    assert found.total == pytest.approx(0.2)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table of uncertainty"):
        least_certain(tmp_path, 1)
    ReviewTable(tmp_path)
    with pytest.raises(DataError, match="empty"):
        least_certain(tmp_path, 1)


def corrected_half(shapes: TinyDataset, folder: Path, count: int = 10) -> list[str]:
    names = sorted(path.name for path in shapes.masks.iterdir())[:count]
    for name in names:
        write_mask(folder / name, read_mask(shapes.masks / name))
    return names


def test_corrections_come_back(shapes: TinyDataset, trained: Path, tmp_path: Path) -> None:
    segmenter = Segmenter.from_pretrained(trained)
    segmenter.predict_folder(Dataset.load(shapes.images, shapes.tags), tmp_path / "masks")
    chosen = least_certain(tmp_path / "masks", 6)
    assert len(read_review(tmp_path / "masks")) == 48
    export_masks(tmp_path / "masks", out=tmp_path / "queue.json", to="coco", images=shapes.images, names=chosen)
    document = json.loads((tmp_path / "queue.json").read_text())
    assert [image["file_name"] for image in document["images"]] == chosen
    dataset = Dataset.load(
        shapes.images, shapes.tags, corrected=tmp_path / "queue.json", masks=shapes.masks, unpack=tmp_path / "unpacked"
    )
    corrected = [record for record in dataset.records if record.corrected is not None]
    assert sorted(record.name for record in corrected) == sorted(chosen)
    run = tmp_path / "run"
    train(dataset, run, options={**TINY_OPTIONS, "training.epochs": 4})
    for record in corrected:  # honoured to the pixel
        name = Path(record.name).with_suffix(".png")
        np.testing.assert_array_equal(read_mask(run / "masks" / name), read_mask(tmp_path / "masks" / name))
    result = json.loads((run / "result.json").read_text())
    assert result["corrected"] == 6
    assert result["score"]["images"] == 42  # a corrected mask is no prediction


@pytest.mark.parametrize(
    "when", [pytest.param({"paper.every_step": True}, marks=pytest.mark.thorough), {"masks.refresh": 2}], ids=str
)
def test_training_believes_corrected_masks(shapes: TinyDataset, tmp_path: Path, when: dict[str, object]) -> None:
    """Masks that swap the classes teach the network to swap them."""
    for path in shapes.masks.iterdir():
        mask = read_mask(path)
        write_mask(tmp_path / "swapped" / path.name, np.where(mask > 0, 3 - mask, 0))
    options = {**TINY_OPTIONS, "training.epochs": 12, **when, "training.background_weight": 1.0}
    dataset = Dataset.load(shapes.images, shapes.tags, corrected=tmp_path / "swapped")
    segmenter = train(dataset, tmp_path / "run", options=options, make_masks=False)
    settings = segmenter.config.prediction.model_copy(update={"prior_weight": 0.0, "gate": 0.0})
    swapped = right = 0
    for record in dataset.records[:12]:
        mask = segmenter.predict(record.path, settings=settings).mask
        target = read_mask(shapes.masks / Path(record.name).with_suffix(".png"))
        swapped += int(((mask == 3 - target) & (target > 0) & (mask > 0)).sum())
        right += int(((mask == target) & (target > 0)).sum())
    assert swapped > 3 * right


def test_corrected_masks_have_full_weight() -> None:
    logits = torch.zeros(2, 3, 4, 4)
    logits[:, 1] = 2.0
    masks = torch.zeros(2, 4, 4, dtype=torch.int64)
    masks[:, :2] = 1
    tags = torch.ones(2, 2, dtype=torch.int8)
    both = pixel_loss(logits, masks, tags, background_weight=0.2, corrected=torch.tensor([True, True]))
    assert both == pytest.approx(float(pixel_loss(logits, masks, tags)))
    assert pixel_loss(logits, masks, tags, background_weight=0.2) < both


def problems_of(shapes: TinyDataset, source: Path, unpack: Path | None = None) -> dict[str, str]:
    collection = load_dataset(shapes.images, shapes.tags, corrected=source, unpack=unpack)
    return {problem.kind: problem.message for problem in collection.problems}


def test_what_is_wrong_with_corrections_is_said(shapes: TinyDataset, tmp_path: Path) -> None:
    names = corrected_half(shapes, tmp_path / "good", 3)
    first, second = names[:2]
    write_mask(tmp_path / "good" / first, np.zeros((5, 5), np.uint8))
    write_mask(tmp_path / "good" / second, np.full(read_mask(shapes.masks / second).shape, 9, np.uint8))
    write_mask(tmp_path / "good" / "stranger.png", np.zeros((5, 5), np.uint8))
    found = problems_of(shapes, tmp_path / "good")
    assert "1 masks are of no image here, such as stranger" in found["corrected mask without image"]
    assert "class index 9, but there are 2 classes" in found["corrected mask not usable"]
    with pytest.raises(DataError, match="5 x 5, its image"):
        load_dataset(shapes.images, shapes.tags, corrected=tmp_path / "good", strict=True)
    (tmp_path / "none").mkdir()
    for source, message in (("none", "no corrected mask is of any image"), ("gone", "no such file or folder")):
        with pytest.raises(DataError, match=message):
            problems_of(shapes, tmp_path / source)


def test_a_class_that_a_correction_shows_is_tagged(shapes: TinyDataset, tmp_path: Path) -> None:
    collection = load_dataset(shapes.images, shapes.tags)
    item = next(item for item in collection.records if item.present == {"disc"})
    mask: NDArray[np.uint8] = read_mask(shapes.masks / Path(item.name).with_suffix(".png"))
    mask[:4, :4] = 2
    write_mask(tmp_path / "one" / Path(item.name).with_suffix(".png"), mask)
    again = load_dataset(shapes.images, shapes.tags, corrected=tmp_path / "one")
    assert next(one for one in again.records if one.name == item.name).present == {"disc", "square"}
    assert type(again).from_dict(json.loads(json.dumps(again.to_dict()))) == again


def test_coco_that_is_not_usable(shapes: TinyDataset, tmp_path: Path) -> None:
    name = sorted(path.name for path in shapes.images.iterdir())[0]
    image = {"id": 1, "file_name": name}
    path = tmp_path / "a.json"

    def write(**parts: object) -> None:
        path.write_text(json.dumps({"images": [image], "annotations": [], "categories": [], **parts}))

    for text in ("", "[]", "{}", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(DataError, match=r"a\.json"):
            problems_of(shapes, path, tmp_path / "out")
    for named in ([], [{"id": 1, "name": ["disc"]}], [{"id": [1], "name": "disc"}]):
        write(categories=named)
        with pytest.raises(DataError, match="none of its categories is a class here"):
            problems_of(shapes, path, tmp_path / "out")
    categories = [{"id": 1, "name": "disc"}]
    for drawn in ([], [{"image_id": 1, "category_id": 1, "segmentation": [[1, 2]]}], [{"image_id": 1}]):
        write(categories=categories, annotations=drawn)
        with pytest.raises(DataError, match="no corrected mask is of any image"):
            problems_of(shapes, path, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.png")) if (tmp_path / "out").exists() else True
