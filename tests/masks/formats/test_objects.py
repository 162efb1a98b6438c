"""Exports whose objects are connected parts, and formats of folders and tables, read back by their written rules."""

from __future__ import annotations

import base64
import csv
import io
import json
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask.cli import export as command
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data import load_dataset
from tag2mask.data.readers.sources import FORMATS as READ
from tag2mask.masks import FORMATS, export_records, read_mask
from tests.masks.test_export import BY_NAME, CLASSES, RECORDS, assert_close, read_coco, read_cvat, without_undecided
from tests.masks.test_polygons import coco_fill

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")

Mask = NDArray[np.uint8]


def parts(mask: Mask) -> list[tuple[int, int]]:
    """Class and area of each 8-connected part, sorted."""
    found = []
    for index in range(1, len(CLASSES) + 1):
        count, _, stats, _ = cv2.connectedComponentsWithStats((mask == index).astype(np.uint8), connectivity=8)
        found += [(index, int(area)) for area in stats[1:count, cv2.CC_STAT_AREA]]
    return sorted(found)


def write_photos(folder: Path) -> Path:
    for name, mask in BY_NAME.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (mask.shape[1], mask.shape[0])).save(folder / name)
    return folder


def test_coco_instances_are_the_parts(tmp_path: Path) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "c.json", to="coco", instances=True)
    document = json.loads((tmp_path / "c.json").read_text())
    names = {image["id"]: image["file_name"] for image in document["images"]}
    for number, name in names.items():
        mine = [one for one in document["annotations"] if one["image_id"] == number]
        assert sorted((one["category_id"], one["area"]) for one in mine) == parts(BY_NAME[name])
    for name, (found, _) in read_coco(tmp_path / "c.json").items():
        assert np.array_equal(found, without_undecided(BY_NAME[name]))


def test_cvat_and_label_studio_instances(tmp_path: Path) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "c.xml", to="cvat", instances=True)
    assert (tmp_path / "c.xml").read_text().count("<mask ") == sum(len(parts(mask)) for mask in BY_NAME.values())
    for name, mask in read_cvat(tmp_path / "c.xml"):
        assert np.array_equal(mask, without_undecided(BY_NAME[name]))
    export_records(RECORDS, CLASSES, tmp_path / "t.json", to="label-studio", instances=True)
    tasks = json.loads((tmp_path / "t.json").read_text())
    counts = [len(task["predictions"][0]["result"]) for task in tasks]
    assert counts == [len(parts(mask)) for _, mask in RECORDS]


def test_small_parts_are_left_out_and_counted(tmp_path: Path) -> None:
    small = sum(area < 9 for _, mask in RECORDS for _, area in parts(mask))
    for to, name in (("coco", "c.json"), ("coco-boxes", "b.json"), ("yolo-boxes", "y.zip")):
        outcome = export_records(RECORDS, CLASSES, tmp_path / name, to=to, instances=to == "coco", min_area=9)
        assert f"{small} parts of fewer than 9 pixels left out" in outcome.notes
    annotations = json.loads((tmp_path / "c.json").read_text())["annotations"]
    assert min(one["area"] for one in annotations) >= 9


def test_boxes(tmp_path: Path) -> None:
    mask = np.zeros((20, 40), np.uint8)
    mask[2:5, 4:10], mask[10:20, 30:40], mask[7, 7] = 1, 1, 2
    records = [(ImageRecord("a.jpg"), mask), (ImageRecord("b.jpg"), np.zeros((4, 4), np.uint8))]
    export_records(records, ("cat", "dog"), tmp_path / "b.json", to="coco-boxes")
    found = json.loads((tmp_path / "b.json").read_text())["annotations"]
    boxes = [(one["category_id"], one["bbox"], one["area"], one["segmentation"]) for one in found]
    assert boxes == [(1, [4, 2, 6, 3], 18, []), (1, [30, 10, 10, 10], 100, []), (2, [7, 7, 1, 1], 1, [])]
    export_records(records, ("cat", "dog"), tmp_path / "set", to="yolo-boxes")
    lines = (tmp_path / "set/labels/a.txt").read_text().splitlines()
    assert [list(map(float, line.split())) for line in lines][:2] == [
        [0, 0.175, 0.175, 0.15, 0.15],
        [0, 0.875, 0.75, 0.25, 0.5],
    ]
    assert (tmp_path / "set/labels/b.txt").read_text() == ""


def test_numbered_parts_beside_voc(tmp_path: Path) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "v", to="voc", instances=True)
    for name in ("plain", "sub folder/über.v1"):
        objects = read_mask(tmp_path / f"v/SegmentationObject/{name}.png")
        mask = next(mask for record, mask in RECORDS if record.name.startswith(name))
        areas = np.bincount(objects[(objects > 0) & (objects < 255)])[1:].tolist()
        assert sorted(areas) == sorted(area for _, area in parts(mask))
    many = np.zeros((40, 40), np.uint8)
    many[::2, ::2] = 1
    with pytest.raises(DataError, match="more than 254 parts"):
        export_records([(ImageRecord("a.jpg"), many)], ["cat"], tmp_path / "w", to="voc", instances=True, strict=True)


@pytest.mark.parametrize("polygons", [False, True])
def test_labelme(tmp_path: Path, polygons: bool) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "set", to="labelme", instances=True, polygons=polygons)
    for record, expected in RECORDS:
        path = (tmp_path / "set" / record.name).with_suffix(".json")
        document = json.loads(path.read_text("utf-8"))
        assert (document["imageHeight"], document["imageWidth"]) == expected.shape
        assert document["imagePath"] == Path(record.name).name
        mask = np.zeros_like(expected)
        for shape in document["shapes"]:
            index = CLASSES.index(shape["label"]) + 1
            if polygons:
                mask[coco_fill([np.array(shape["points"])], mask.shape)] = index
                continue
            (left, top), (right, bottom) = shape["points"]
            region = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"])))).astype(np.bool_)
            mask[top : bottom + 1, left : right + 1][region] = index
        assert_close(mask, expected) if polygons else np.testing.assert_array_equal(mask, without_undecided(expected))
    assert tags_of(write_photos(tmp_path / "set"), format="labelme") == expected_tags()


@pytest.mark.parametrize("polygons", [False, True])
def test_supervisely(tmp_path: Path, polygons: bool) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "p", to="supervisely", polygons=polygons)
    meta = json.loads((tmp_path / "p/meta.json").read_text("utf-8"))
    assert [one["title"] for one in meta["classes"]] == list(CLASSES)
    for record, expected in RECORDS:
        folder, _, base = record.name.rpartition("/")
        document = json.loads((tmp_path / "p" / (folder or "ds") / f"ann/{base}.json").read_text("utf-8"))
        mask = np.zeros_like(expected)
        for one in document["objects"]:
            index = CLASSES.index(one["classTitle"]) + 1
            if polygons:
                mask[coco_fill([np.array(one["points"]["exterior"])], mask.shape)] = index
                continue
            data = np.frombuffer(zlib.decompress(base64.b64decode(one["bitmap"]["data"])), np.uint8)
            region = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED)).astype(np.bool_)
            left, top = one["bitmap"]["origin"]
            mask[top : top + region.shape[0], left : left + region.shape[1]][region] = index
        assert_close(mask, expected) if polygons else np.testing.assert_array_equal(mask, without_undecided(expected))
    twice = [(ImageRecord(name), RECORDS[0][1]) for name in ("a/b/x.jpg", "a__b/y.jpg")]
    with pytest.raises(DataError, match="would be one dataset"):
        export_records(twice, CLASSES, tmp_path / "q", to="supervisely", strict=True)


@pytest.mark.parametrize(
    ("to", "folder"), [("fiftyone", "labels"), ("huggingface", "masks"), ("mmseg", "ann_dir/train")]
)
def test_folders_of_png(tmp_path: Path, to: str, folder: str) -> None:
    records = [(ImageRecord(str(Path(record.name).with_suffix(".jpg"))), mask) for record, mask in RECORDS]
    export_records(records, CLASSES, tmp_path / "o", to=to)
    for record, mask in records:
        assert np.array_equal(read_mask((tmp_path / "o" / folder / record.name).with_suffix(".png")), mask)


def test_mmsegmentation_config(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"several suffixes \(\.PNG, \.jpeg, \.jpg, \.png\)"):
        export_records(RECORDS, CLASSES, tmp_path / "o", to="mmseg")
    export_records(RECORDS[:1], CLASSES, tmp_path / "o", to="mmseg")
    space: dict[str, Any] = {}
    exec((tmp_path / "o/dataset.py").read_text("utf-8"), space)
    settings = space["train_dataset"]
    assert settings["metainfo"]["classes"] == ("background", *CLASSES)
    assert settings["metainfo"]["palette"][:2] == [[0, 0, 0], [128, 0, 0]]
    assert (settings["img_suffix"], settings["reduce_zero_label"]) == (".jpg", False)


@pytest.mark.parametrize("instances", [False, True])
def test_kaggle_run_lengths(tmp_path: Path, instances: bool) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "t.csv", to="kaggle", instances=instances)
    found = {name: np.zeros_like(mask) for name, mask in BY_NAME.items()}
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            numbers = np.array(row["EncodedPixels"].split(), int).reshape(-1, 2)
            flat = found[row["ImageId"]].ravel(order="F")
            for start, length in numbers.tolist():
                flat[start - 1 : start - 1 + length] = CLASSES.index(row["ClassId"]) + 1
            found[row["ImageId"]] = flat.reshape(found[row["ImageId"]].shape, order="F")
    for name, mask in BY_NAME.items():
        assert np.array_equal(found[name], without_undecided(mask))


def tags_of(images: Path, tags: Path | None = None, **options: Any) -> dict[str, set[str]]:
    dataset = load_dataset(images, tags, classes=list(CLASSES), **options)
    return {record.name: set(record.present) for record in dataset.records}


def expected_tags() -> dict[str, set[str]]:
    return {name: {CLASSES[index - 1] for index, _ in parts(mask)} for name, mask in BY_NAME.items()}


def test_our_readers_find_the_tags_of_what_is_written(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    for to, name in (("coco", "c.json"), ("coco-boxes", "b.json"), ("kaggle", "k.csv")):
        export_records(RECORDS, CLASSES, tmp_path / name, to=to)
        assert tags_of(photos, tmp_path / name) == expected_tags(), to
    for to in ("yolo", "yolo-boxes"):
        export_records(RECORDS, CLASSES, tmp_path / to, to=to)
        found = tags_of(write_photos(tmp_path / to / "images").parent)
        assert {name.removeprefix("images/"): tags for name, tags in found.items()} == expected_tags()
    export_records(RECORDS, CLASSES, tmp_path / "hf", to="huggingface")
    assert tags_of(write_photos(tmp_path / "hf")) == expected_tags()


def test_the_page_of_formats_names_all() -> None:
    page = (Path(__file__).parents[3] / "docs/formats.md").read_text("utf-8")
    rows = [[cell.strip(" `") for cell in line.split("|")[2:4]] for line in page.splitlines() if line.startswith("| ")]
    assert {row[1] for row in rows[1:]} - {""} == set(FORMATS)
    assert {row[0] for row in rows[1:]} - {""} == set(READ) - {"auto", "images"}


def test_options_and_names_of_formats(tmp_path: Path) -> None:
    assert set(command._FORMATS.rstrip(".").replace(" or ", ", ").split(", ")) == set(FORMATS)
    for words, message in (
        ({"to": "mmseg", "instances": True}, "`instances`: mmseg has classes of pixels"),
        ({"to": "kaggle", "polygons": True, "out": "o.csv"}, "`polygons`: kaggle has none"),
        ({"to": "yolo", "min_area": 0}, "`min_area` is 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            export_records(RECORDS, CLASSES, tmp_path / str(words.pop("out", "o")), **words)  # type: ignore[arg-type]


@pytest.mark.parametrize("to", ["labelme", "supervisely"])
def test_a_folder_is_replaced_unless_something_else_is_in_it(tmp_path: Path, to: str) -> None:
    out = tmp_path / "out"
    export_records(RECORDS, CLASSES, out, to=to)
    before = sorted(path.relative_to(out) for path in out.rglob("*"))
    with pytest.raises(ConfigError, match="already exists"):
        export_records(RECORDS, CLASSES, out, to=to)
    export_records(RECORDS, CLASSES, out, to=to, overwrite=True)
    assert sorted(path.relative_to(out) for path in out.rglob("*")) == before
    beside = next(out.rglob("*.json")).parent
    for name, content in (("a.jpg", b"image"), ("mine.json", b'{"shapes": [], "imageData": "aGk="}')):
        (beside / name).write_bytes(content)
        with pytest.raises(ConfigError, match="never replaced"):
            export_records(RECORDS, CLASSES, out, to=to, overwrite=True)
        (beside / name).unlink()
