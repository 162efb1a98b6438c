"""Exports read back by the tool of each format, or by its written rule."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.record import ImageRecord
from tag2mask.masks import export_records, read_mask, write_mask
from tests.masks.test_polygons import coco_fill, iou, opencv_fill, smooth_region

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")

Mask = NDArray[np.uint8]
CLASSES = ("cat", 'big "dog" & <co>', "Gänse")
MASKS = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=16), elements=st.sampled_from([0, 1, 2, 3, 255])
)
TOOLS = Path(os.environ.get("TAG2MASK_TOOLS_PYTHON", Path(__file__).parents[2] / ".tools-venv/bin/python"))


def blobs(seed: int = 0, shape: tuple[int, int] = (60, 83)) -> Mask:
    """Three classes with holes, islands, thin lines, single pixels and undecided pixels."""
    mask = np.zeros(shape, np.uint8)
    for index in (1, 2, 3):
        mask[smooth_region(10 * seed + index, 4, shape)] = index
    mask[smooth_region(10 * seed + 4, 3, shape)] = 0
    mask[5, 5:60], mask[8, 8], mask[40:44, 50:] = 1, 3, 255
    np.fill_diagonal(mask[10:, 20:], 2)
    return mask


RECORDS: list[tuple[ImageRecord, Mask]] = [
    (ImageRecord("plain.jpg"), blobs(1)),
    (ImageRecord("sub folder/a b.jpeg"), blobs(2, (83, 60))),
    (ImageRecord("sub folder/über.v1.PNG"), blobs(3)),
    (ImageRecord("nothing.png"), np.zeros((4, 7), np.uint8)),
]
BY_NAME = {record.name: mask for record, mask in RECORDS}


def read_coco(path: Path) -> dict[str, tuple[Mask, dict[str, Any]]]:
    """The masks of a COCO file, by pycocotools."""
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed").COCO(str(path))
    found = {}
    for image in coco.loadImgs(coco.getImgIds()):
        mask = np.zeros((image["height"], image["width"]), np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):
            region = coco.annToMask(annotation).astype(np.bool_)
            left, top, width, height = annotation["bbox"]
            assert region[top : top + height, left : left + width].any()
            mask[region] = annotation["category_id"]
        found[image["file_name"]] = (mask, image)
    return found


def read_yolo(text: str, shape: tuple[int, int], *, rounded: bool = False) -> Mask:
    """The mask of a label file by ultralytics' rule, or with vertices `rounded` as other readers do it.

    `verify_image_label` in ultralytics/data/utils.py: fields are split at white space, a file whose lines
    have more than 6 is one of segments; values lie in 0..1; rows of equal class and box (from the
    segments, float32) are dropped but one. `polygon2mask` there: vertices times size, cast to int32, `cv2.fillPoly`.
    Boxes without area are dropped (`Instances.remove_zero_area_boxes`).
    """
    rows = [line.split() for line in text.splitlines()]
    assert not rows or all(len(row) > 6 and len(row) % 2 == 1 for row in rows)
    mask = np.zeros(shape, np.uint8)
    boxes = set()
    for row in rows:
        points = np.array(row[1:], np.float32).reshape(-1, 2)
        assert points.min() >= 0 and points.max() <= 1
        box = (row[0], *points.min(axis=0).tolist(), *points.max(axis=0).tolist())
        if box in boxes or box[1] == box[3] or box[2] == box[4]:
            continue
        boxes.add(box)
        points *= np.array([shape[1], shape[0]], np.float32)
        mask[opencv_fill([(np.round(points) if rounded else points).astype(np.int32)], shape)] = int(row[0]) + 1
    return mask


def xml_root(path: Path) -> Any:
    return ElementTree.parse(path).getroot()


def read_cvat(path: Path) -> Iterator[tuple[str, Mask]]:
    """The masks of a CVAT file by its description: row by row in the box, first outside."""
    for image in xml_root(path).iter("image"):
        words = image.attrib
        mask = np.zeros((int(words["height"]), int(words["width"])), np.uint8)
        for shape in image:
            index = CLASSES.index(shape.attrib["label"]) + 1
            if shape.tag == "polygon":
                pairs = [pair.split(",") for pair in shape.attrib["points"].split(";")]
                mask[coco_fill([np.array(pairs, np.float64)], mask.shape)] = index
                continue
            left, top, width, height = (int(shape.attrib[key]) for key in ("left", "top", "width", "height"))
            counts = [int(count) for count in shape.attrib["rle"].split(",")]
            region = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
            mask[top : top + height, left : left + width][region] = index
        yield words["name"], mask


def without_undecided(mask: Mask) -> Mask:
    return np.where(mask == 255, 0, mask).astype(np.uint8)


def assert_close(found: Mask, mask: Mask) -> None:
    for index in range(1, len(CLASSES) + 1):
        assert iou(found == index, mask == index) >= 0.98


def test_coco_run_lengths_are_exact(tmp_path: Path) -> None:
    result = export_records(RECORDS, CLASSES, tmp_path / "coco.json", to="coco")
    assert (result.written, result.failures) == (4, [])
    assert result.notes == ["undecided pixels (255) of 3 masks have no label in this format"]
    found = read_coco(tmp_path / "coco.json")
    assert list(found) == list(BY_NAME)
    for name, mask in BY_NAME.items():
        assert np.array_equal(found[name][0], without_undecided(mask))
    content = json.loads((tmp_path / "coco.json").read_text("utf-8"))
    assert [category["name"] for category in content["categories"]] == list(CLASSES)
    for annotation in content["annotations"]:
        assert annotation["area"] == sum(annotation["segmentation"]["counts"][1::2])
    assert [path.name for path in tmp_path.iterdir()] == ["coco.json"]


@pytest.mark.parametrize("tolerance", [0, 0.5])
def test_coco_polygons(tmp_path: Path, tolerance: float) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "coco.json", to="coco", polygons=True, tolerance=tolerance)
    found = read_coco(tmp_path / "coco.json")
    for name, mask in BY_NAME.items():
        assert_close(found[name][0], mask)
        assert tolerance or np.array_equal(found[name][0], without_undecided(mask))


def test_cvat_masks_and_polygons(tmp_path: Path) -> None:
    result = export_records(RECORDS, CLASSES, tmp_path / "a.xml", to="cvat")
    found = dict(read_cvat(tmp_path / "a.xml"))
    assert list(found) == list(BY_NAME)
    for name, mask in BY_NAME.items():
        assert np.array_equal(found[name], without_undecided(mask))
    assert f"labels for the tool in {tmp_path / 'a.labels.json'}" in result.notes
    labels = json.loads((tmp_path / "a.labels.json").read_text("utf-8"))
    assert [label["name"] for label in labels] == list(CLASSES)
    assert labels[0]["color"] == "#800000"
    export_records(RECORDS, CLASSES, tmp_path / "b.xml", to="cvat", polygons=True)
    for name, mask in read_cvat(tmp_path / "b.xml"):
        assert_close(mask, BY_NAME[name])


def test_label_studio_polygons_are_percent_of_the_size(tmp_path: Path) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "t.json", to="label-studio", polygons=True, image_url="http://x/")
    tasks = json.loads((tmp_path / "t.json").read_text("utf-8"))
    assert tasks[1]["data"]["image"] == "http://x/sub%20folder/a%20b.jpeg"
    interface = xml_root(tmp_path / "t.interface.xml")
    assert [label.get("value") for label in interface.iter("Label")] == list(CLASSES)
    (control,) = interface.iter("PolygonLabels")
    for task, (_, expected) in zip(tasks, RECORDS, strict=True):
        mask = np.zeros_like(expected)
        results = task["predictions"][0]["result"]
        assert len({result["id"] for result in results}) == len(results)
        for result in results:
            assert (result["from_name"], result["type"]) == (control.get("name"), "polygonlabels")
            assert (result["original_height"], result["original_width"]) == mask.shape
            points = np.array(result["value"]["points"]) / 100 * np.array(mask.shape[::-1])
            mask[coco_fill([points], mask.shape)] = CLASSES.index(result["value"]["polygonlabels"][0]) + 1
        assert_close(mask, expected)


@pytest.mark.parametrize("tolerance", [0, 0.5])
def test_yolo_labels_by_the_rule_of_ultralytics(tmp_path: Path, tolerance: float) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "yolo", to="yolo", tolerance=tolerance)
    names = ["plain", "sub folder/a b", "sub folder/über.v1", "nothing"]
    for name, (_, mask) in zip(names, RECORDS, strict=True):
        text = (tmp_path / f"yolo/labels/{name}.txt").read_text("utf-8")
        found = read_yolo(text, (mask.shape[0], mask.shape[1]))
        assert_close(found, mask)
        assert tolerance or np.array_equal(found, without_undecided(mask))
        assert np.array_equal(found, read_yolo(text, found.shape, rounded=True))
    data = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text("utf-8"))
    assert data == {"train": "images", "val": "images", "names": dict(enumerate(CLASSES))}


def test_yolo_keeps_parts_with_the_same_box(tmp_path: Path) -> None:
    mask = np.zeros((30, 30), np.uint8)
    cv2.line(mask, (2, 2), (2, 20), (1,)), cv2.line(mask, (2, 20), (18, 20), (1,))
    mask[2, 4:21], mask[2:19, 20] = 1, 1  # an L and its counterpart
    mask[20, 2:21], mask[4:21, 2] = 1, 1
    mask[2, 2:4] = mask[2:4, 2] = 0
    for tolerance in (0, 0.5):
        out = tmp_path / f"{tolerance}.zip"
        export_records([(ImageRecord("a.jpg"), mask)], ["line"], out, to="yolo", tolerance=tolerance)
        text = zipfile.ZipFile(out).read("labels/a.txt").decode()
        for rounded in (False, True):
            assert np.array_equal(read_yolo(text, (30, 30), rounded=rounded), mask)


@given(MASKS)
@settings(max_examples=25, deadline=None)
def test_any_mask_keeps_its_pixels(tmp_path_factory: pytest.TempPathFactory, mask: Mask) -> None:
    folder = tmp_path_factory.mktemp("any")
    records, shape = [(ImageRecord("a.jpg"), mask)], (mask.shape[0], mask.shape[1])
    expected = without_undecided(mask)
    export_records(records, CLASSES, folder / "c.json", to="coco")
    assert np.array_equal(read_coco(folder / "c.json")["a.jpg"][0], expected)
    export_records(records, CLASSES, folder / "c.xml", to="cvat")
    assert np.array_equal(dict(read_cvat(folder / "c.xml"))["a.jpg"], expected)
    export_records(records, CLASSES, folder / "y", to="yolo", tolerance=0)
    for rounded in (False, True):
        assert np.array_equal(read_yolo((folder / "y/labels/a.txt").read_text(), shape, rounded=rounded), expected)
    export_records(records, CLASSES, folder / "v", to="voc")
    assert np.array_equal(read_mask(folder / "v/SegmentationClass/a.png"), mask)


def test_voc_layout(tmp_path: Path) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "voc.zip", to="voc")
    with zipfile.ZipFile(tmp_path / "voc.zip") as archive:
        archive.extractall(tmp_path / "voc")
    names = (tmp_path / "voc/ImageSets/Segmentation/default.txt").read_text("utf-8").splitlines()
    assert names == ["plain", "sub folder/a b", "sub folder/über.v1", "nothing"]
    colours = {}
    for line in (tmp_path / "voc/labelmap.txt").read_text("utf-8").splitlines()[1:]:
        name, colour, *_ = line.split(":")
        colours[name] = tuple(int(value) for value in colour.split(","))
    for name, (_, mask) in zip(names, RECORDS, strict=True):
        path = tmp_path / f"voc/SegmentationClass/{name}.png"
        assert np.array_equal(read_mask(path), mask)
        rgb = np.asarray(Image.open(path).convert("RGB"))
        assert {tuple(colour) for colour in rgb.reshape(-1, 3).tolist()} <= set(colours.values())
    assert colours["background"] == (0, 0, 0) and colours["cat"] == (128, 0, 0)


def read_by_tool(tmp_path: Path, *words: str) -> dict[str, NDArray[np.bool_]]:
    if not TOOLS.is_file():
        pytest.skip("Datumaro and label-studio-sdk are not there: run `make tools`")
    out = tmp_path / "read.npz"
    program = Path(__file__).with_name("tools_read.py")
    done = subprocess.run([TOOLS, program, *words, out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(out) as regions:
        return dict(regions)


def write_images(folder: Path) -> None:
    for name, mask in BY_NAME.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((*mask.shape, 3), np.uint8)).save(path)


def assert_same_regions(found: dict[str, NDArray[np.bool_]], names: list[str]) -> None:
    for name, (_, mask) in zip(names, RECORDS, strict=True):
        for index, label in enumerate(CLASSES, start=1):
            region = mask == index
            assert region.any() == (f"{name}|{label}" in found)
            assert not region.any() or np.array_equal(found[f"{name}|{label}"], region)


STEMS = ["plain", "sub folder/a b", "sub folder/über.v1", "nothing"]


def test_datumaro_reads_coco(tmp_path: Path) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "co/annotations/instances_default.json", to="coco")
    write_images(tmp_path / "co/images/default")
    assert_same_regions(read_by_tool(tmp_path, "datumaro", "coco_instances", str(tmp_path / "co")), STEMS)


def test_datumaro_reads_cvat(tmp_path: Path) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "cv/default.xml", to="cvat")
    write_images(tmp_path / "cv/images")
    assert_same_regions(read_by_tool(tmp_path, "datumaro", "cvat", str(tmp_path / "cv")), STEMS)


def test_datumaro_reads_voc(tmp_path: Path) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "vo", to="voc")
    write_images(tmp_path / "vo/JPEGImages")
    found = read_by_tool(tmp_path, "datumaro", "voc_segmentation", str(tmp_path / "vo"))
    assert_same_regions(found, STEMS)
    assert np.array_equal(found["plain|undecided"], RECORDS[0][1] == 255)


def test_label_studio_decodes_its_brush(tmp_path: Path) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "t.json", to="label-studio", image_url="")
    found = read_by_tool(tmp_path, "label-studio", str(tmp_path / "t.json"))
    names = ["plain.jpg", "sub%20folder/a%20b.jpeg", "sub%20folder/%C3%BCber.v1.PNG", "nothing.png"]
    assert_same_regions(found, names)


OUTS = [
    ("coco", "o.json"),
    ("cvat", "o.xml"),
    ("label-studio", "o.json"),
    ("voc", "o"),
    ("yolo", "o"),
    ("yolo", "o.zip"),
]


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("to", "name"), OUTS)
def test_not_overwritten_unless_asked_and_whole_after_an_interruption(tmp_path: Path, to: str, name: str) -> None:
    export_records(RECORDS[:1], CLASSES, tmp_path / name, to=to)
    before = everything(tmp_path)
    with pytest.raises(ConfigError, match="overwrite"):
        export_records(RECORDS, CLASSES, tmp_path / name, to=to)

    def interrupted() -> Iterator[tuple[ImageRecord, Mask]]:
        yield RECORDS[1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_records(interrupted(), CLASSES, tmp_path / name, to=to, overwrite=True)
    assert everything(tmp_path) == before
    with pytest.raises(KeyboardInterrupt):
        export_records(interrupted(), CLASSES, tmp_path / "new" / name, to=to)
    assert everything(tmp_path) == before
    export_records(RECORDS, CLASSES, tmp_path / name, to=to, overwrite=True)
    export_records(RECORDS, CLASSES, tmp_path / "again" / name, to=to)
    after = everything(tmp_path)
    assert {path: content for path, content in after.items() if not path.startswith("again/")} == {
        path.removeprefix("again/"): content for path, content in after.items() if path.startswith("again/")
    }


def test_a_folder_with_other_things_is_never_replaced(tmp_path: Path) -> None:
    export_records(RECORDS, CLASSES, tmp_path / "yolo", to="yolo")
    (tmp_path / "yolo/images").mkdir()
    with pytest.raises(ConfigError, match="images"):
        export_records(RECORDS, CLASSES, tmp_path / "yolo", to="yolo", overwrite=True)


def test_bad_masks_are_counted(tmp_path: Path) -> None:
    write_mask(tmp_path / "good.png", blobs())
    (tmp_path / "damaged.png").write_bytes((tmp_path / "good.png").read_bytes()[:-200])
    write_mask(tmp_path / "other.png", np.full((3, 3), 9, np.uint8))
    Image.new("RGB", (4, 4)).save(tmp_path / "small.jpg")
    names = ("damaged", "good", "other", "missing")
    records = [(ImageRecord(f"{name}.jpg"), tmp_path / f"{name}.png") for name in names]
    records.append((ImageRecord("small.jpg", tmp_path / "small.jpg"), tmp_path / "good.png"))
    result = export_records(records, CLASSES, tmp_path / "o.json", to="coco")
    assert result.written == 1
    assert [name for name, _ in result.failures] == ["damaged.jpg", "other.jpg", "missing.jpg", "small.jpg"]
    assert "class index 9" in result.failures[1][1] and "4 x 4" in result.failures[3][1]
    assert list(read_coco(tmp_path / "o.json")) == ["good.jpg"]
    with pytest.raises(DataError, match="damaged"):
        export_records(records, CLASSES, tmp_path / "s.json", to="coco", strict=True)
    with pytest.raises(DataError, match="not one mask"):
        export_records(records[:1], CLASSES, tmp_path / "s.json", to="coco")
    assert not (tmp_path / "s.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"to": "voc2"}, "unknown format"),
        ({"to": "coco", "out": "o.xml"}, r"ends in \.json"),
        ({"to": "voc", "out": "o", "polygons": True}, "voc has none"),
        ({"to": "coco", "tolerance": -1.0}, "tolerance"),
        ({"to": "coco", "image_url": "x"}, "image_url"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, words: dict[str, Any], message: str) -> None:
    out = tmp_path / words.pop("out", "o.json")
    with pytest.raises(ConfigError, match=message):
        export_records(RECORDS, CLASSES, out, **words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "a/../../b.jpg"])
def test_names_never_lead_out_of_the_output(tmp_path: Path, name: str) -> None:
    for to in ("yolo", "voc"):
        with pytest.raises(DataError, match="inside the folder"):
            export_records([(ImageRecord(name), blobs())], CLASSES, tmp_path / "o", to=to)
    assert not list(tmp_path.iterdir())
