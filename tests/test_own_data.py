"""Every recipe of docs/own-data.md, run as it stands there on a tiny dataset in that format."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from tag2mask import cli
from tag2mask.data import UNPACKED
from tag2mask.masks import read_mask
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset, write_shapes

PAGE = Path(__file__).resolve().parents[1] / "docs" / "own-data.md"
SETTINGS = [word for name, value in TINY_OPTIONS.items() for word in ("--set", f"{name}={json.dumps(value)}")]
SETTINGS += ["--epochs", "1"]


def recipes() -> dict[str, list[str]]:
    """The commands of each section that has a block of shell."""
    found: dict[str, list[str]] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        for block in re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
            found.setdefault(section.split("\n")[0], []).extend(block.splitlines())
    return found


def tags_of(tiny: TinyDataset) -> dict[str, list[str]]:
    """Tags of each image, by its name; an empty list where no class is present."""
    with tiny.tags.open() as stream:
        rows = {row["image"]: row["tags"].split() for row in csv.DictReader(stream)}
    return {name: [tag for tag in tags if tag != "none"] for name, tags in rows.items()}


def copied(tiny: TinyDataset, folder: str) -> Path:
    shutil.copytree(tiny.images, tiny.root / folder)
    return tiny.root / folder


def by_class(tiny: TinyDataset, folder_of: Callable[[int, str], str]) -> None:
    """Copy each image of exactly one class into the folder `folder_of(k, tag)`."""
    for k, (name, tags) in enumerate(tags_of(tiny).items()):
        if len(tags) == 1:
            target = tiny.root / folder_of(k, tags[0]) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tiny.images / name, target)


def table(tiny: TinyDataset) -> None:
    copied(tiny, "photos")


def columns(tiny: TinyDataset) -> None:
    lines = [f"{name},{int('disc' in tags)},{int('square' in tags)}" for name, tags in tags_of(tiny).items()]
    copied(tiny, "photos")
    (tiny.root / "table.csv").write_text("image,disc,square\n" + "\n".join(lines))


def boxes(tiny: TinyDataset) -> None:
    copied(tiny, "photos")
    lines = [f"{name},{tag},1,2,3,4" for name, tags in tags_of(tiny).items() for tag in tags]
    lines += [f"{name},,,,," for name, tags in tags_of(tiny).items() if not tags]
    (tiny.root / "annotations.csv").write_text("filename,class,xmin,ymin,xmax,ymax\n" + "\n".join(lines))


def texts(tiny: TinyDataset) -> None:
    folder = copied(tiny, "set")
    for name, tags in tags_of(tiny).items():
        (folder / name).with_suffix(".txt").write_text(", ".join(tags or ["none"]))


def json_lines(tiny: TinyDataset) -> None:
    copied(tiny, "photos")
    lines = [json.dumps({"image": name, "tags": tags}) for name, tags in tags_of(tiny).items()]
    (tiny.root / "tags.jsonl").write_text("\n".join(lines))


def labelbox(tiny: TinyDataset) -> None:
    copied(tiny, "photos")
    lines = []
    for name, tags in tags_of(tiny).items():
        said = {"objects": [{"name": tag, "bounding_box": {"top": 1}} for tag in tags], "classifications": []}
        lines.append({"data_row": {"external_id": name}, "projects": {"p": {"labels": [{"annotations": said}]}}})
    (tiny.root / "labelbox.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))


def workbook(tiny: TinyDataset) -> None:
    copied(tiny, "photos")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("tags")
    for row in [("image", "tags"), *((name, " ".join(tags) or "none") for name, tags in tags_of(tiny).items())]:
        sheet.append(row)
    book.save(tiny.root / "tags.xlsx")


def coco(tiny: TinyDataset) -> None:
    copied(tiny, "train2017")
    tags = tags_of(tiny)
    document = {
        "images": [{"id": k, "file_name": name} for k, name in enumerate(tags)],
        "annotations": [
            {"image_id": k, "category_id": tiny.classes.index(tag) + 1, "bbox": [0, 0, 1, 1]}
            for k, name in enumerate(tags)
            for tag in tags[name]
        ],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(tiny.classes)],
    }
    (tiny.root / "instances_train2017.json").write_text(json.dumps(document))


def cvat(tiny: TinyDataset) -> None:
    copied(tiny, "task/images")
    images = "".join(
        f'<image id="{k}" name="{name}">' + "".join(f'<tag label="{tag}"/>' for tag in tags or ["none"]) + "</image>"
        for k, (name, tags) in enumerate(tags_of(tiny).items())
    )
    (tiny.root / "task" / "annotations.xml").write_text(f"<annotations><version>1.1</version>{images}</annotations>")


def label_studio(tiny: TinyDataset) -> None:
    copied(tiny, "photos")
    tasks = [
        {
            "data": {"image": f"/data/upload/1/0a1b2c3d-{name}"},
            "annotations": [{"result": [{"type": "choices", "value": {"choices": tags}}] if tags else []}],
        }
        for name, tags in tags_of(tiny).items()
    ]
    (tiny.root / "export.json").write_text(json.dumps(tasks))


def folders(tiny: TinyDataset) -> None:
    by_class(tiny, lambda k, tag: f"photos/{tag}")


def yolo(tiny: TinyDataset) -> None:
    by_class(tiny, lambda k, tag: f"data/{'val' if k >= 12 else 'train'}/{tag}")


def fiftyone(tiny: TinyDataset) -> None:
    copied(tiny, "export/data")
    labels = {Path(name).stem: [tiny.classes.index(tag) for tag in tags] for name, tags in tags_of(tiny).items()}
    (tiny.root / "export" / "labels.json").write_text(json.dumps({"classes": list(tiny.classes), "labels": labels}))


def yolo_boxes(tiny: TinyDataset) -> None:
    copied(tiny, "data/images/train")
    labels = tiny.root / "data" / "labels" / "train"
    labels.mkdir(parents=True)
    for name, tags in tags_of(tiny).items():
        lines = [f"{tiny.classes.index(tag)} 0.5 0.5 0.2 0.2\n" for tag in tags]
        (labels / name).with_suffix(".txt").write_text("".join(lines))
    names = "".join(f"  {k}: {name}\n" for k, name in enumerate(tiny.classes))
    (tiny.root / "data" / "data.yaml").write_text(f"path: .\nnames:\n{names}")


def beside(tiny: TinyDataset) -> None:
    folder = copied(tiny, "data/train")
    (tiny.root / "annotations").mkdir()
    for name, tags in tags_of(tiny).items():
        objects = "".join(f"<object><name>{tag}</name></object>" for tag in tags)
        (folder / name).with_suffix(".xml").write_text(f"<annotation>{objects}</annotation>")
        shapes = {"version": "5.4", "flags": {}, "shapes": [{"label": tag} for tag in tags], "imagePath": name}
        (tiny.root / "annotations" / name).with_suffix(".json").write_text(json.dumps(shapes))


def voc(tiny: TinyDataset) -> None:
    devkit = tiny.root / "VOCdevkit" / "VOC2012"
    copied(tiny, "VOCdevkit/VOC2012/JPEGImages")
    (devkit / "Annotations").mkdir()
    (devkit / "ImageSets" / "Segmentation").mkdir(parents=True)
    for name, tags in tags_of(tiny).items():
        objects = "".join(f"<object><name>{tag}</name></object>" for tag in tags)
        (devkit / "Annotations" / Path(name).with_suffix(".xml")).write_text(f"<annotation>{objects}</annotation>")
    names = "".join(f"{Path(name).stem}\n" for name in tags_of(tiny))
    (devkit / "ImageSets" / "Segmentation" / "train.txt").write_text(names)


def image_folder(tiny: TinyDataset) -> None:
    folder = copied(tiny, "pets/train")
    lines = [json.dumps({"file_name": name, "labels": tags}) for name, tags in tags_of(tiny).items()]
    (folder / "metadata.jsonl").write_text("\n".join(lines))


def parquet(tiny: TinyDataset) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    (tiny.root / "beans" / "data").mkdir(parents=True)
    labels = {"feature": {"names": list(tiny.classes), "_type": "ClassLabel"}, "_type": "List"}
    metadata = {"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}, "labels": labels}}})}
    rows = list(tags_of(tiny).items())
    for part, some in (("train", rows[:12]), ("test", rows[12:])):
        cells = {
            "image": [{"bytes": (tiny.images / name).read_bytes(), "path": name} for name, _ in some],
            "labels": [[tiny.classes.index(tag) for tag in tags] for _, tags in some],
        }
        contents = pa.table(cells).replace_schema_metadata(metadata)
        pq.write_table(contents, tiny.root / "beans" / "data" / f"{part}-00000-of-00001.parquet")


SOURCES: dict[str, Callable[[TinyDataset], None]] = {
    "CSV: a table of tags": table,
    "CSV: a column per class": columns,
    "Tables of other tools": boxes,
    "A text of tags beside each image": texts,
    "JSON Lines": json_lines,
    "Labelbox": labelbox,
    "Excel": workbook,
    "COCO JSON": coco,
    "CVAT": cvat,
    "Label Studio": label_studio,
    "One folder per class": folders,
    "Folders of splits": yolo,
    "YOLO boxes and polygons": yolo_boxes,
    "FiftyOne, VoTT, VIA, Datumaro": fiftyone,
    "One annotation file per image": beside,
    "PASCAL VOC": voc,
    "Hugging Face imagefolder": image_folder,
    "Hugging Face datasets": parquet,
}


def test_every_recipe_has_a_test_and_at_most_five_lines() -> None:
    assert set(recipes()) == set(SOURCES)
    for name, lines in recipes().items():
        assert 2 <= len(lines) <= 5, name
        assert all(line.startswith("tag2mask ") for line in lines), name
        assert [shlex.split(line)[1] for line in lines[:2]] == ["check", "train"], name


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_recipe(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    # Folders take the images of one class each, and fewer than 25 are an error.
    tiny = write_shapes(tmp_path, 56 if name in ("One folder per class", "Folders of splits") else 16)
    shutil.rmtree(tiny.masks)  # the recipes write there
    (tmp_path / "new").mkdir()
    shutil.copy(tiny.images / "shape_000.png", tmp_path / "new" / "x.png")
    SOURCES[name](tiny)
    monkeypatch.chdir(tmp_path)
    for line in recipes()[name]:
        words = shlex.split(line)
        more = [*SETTINGS, "--no-masks"] if words[1] == "train" else []
        monkeypatch.setattr(sys, "argv", [*words, *more])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capfd.readouterr()
        assert not stop.value.code, f"{line}\n{captured.out}\n{captured.err}"
        if words[1] == "check":
            assert "disc" in captured.out
        _check_outputs(words, tiny)


def _check_outputs(words: list[str], tiny: TinyDataset) -> None:
    out = Path(words[words.index("--out") + 1]) if "--out" in words else None
    if words[1] == "train":
        assert out is not None
        dataset = json.loads((out / "collection.json").read_text())
        assert dataset["classes"] == list(tiny.classes)
        expected = {k: sorted(tags) for k, tags in enumerate(tags_of(tiny).values())}
        for record in dataset["records"]:
            number = int(re.findall(r"(\d+)\.png$", record["name"])[0])
            assert sorted(record["tags"]) == expected[number]
        assert len(dataset["records"]) in {6, 8, 12, 16, 28}
    elif words[1] in {"masks", "predict"}:
        assert out is not None
        masks = sorted(out.rglob("*.png"))
        assert masks
        assert all(set(np.unique(read_mask(path))) <= {0, 1, 2} for path in masks if UNPACKED not in path.parts)
    elif words[1] == "export":
        assert out is not None
        assert out.stat().st_size > 0
