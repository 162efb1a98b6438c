"""Annotations of further tools: a file beside the images, or a file for each image."""

from __future__ import annotations

import json
from typing import Any

from tests.hostile.seeds.seed import NAMES, TAGS, Seed, beside_images, load, photos

_NUMBERS = {"cat": 0, "dog": 1}
_STEMS = tuple(name.removesuffix(".jpg") for name in NAMES)


def _each(make: Any) -> list[Any]:
    return [make(name, list(tags)) for name, tags in zip(NAMES, TAGS, strict=True)]


def _panoptic() -> str:
    document = {
        "images": [{"id": str(i), "file_name": name} for i, name in enumerate(NAMES)],
        "categories": [{"id": 0, "name": "cat", "isthing": 1}, {"id": 1, "name": "dog"}],
        "annotations": [
            {
                "image_id": i,
                "file_name": f"{i}.png",
                "segments_info": [{"id": 5, "category_id": _NUMBERS[t]} for t in tags],
            }
            for i, tags in enumerate(TAGS)
        ],
    }
    return json.dumps(document)


def _taxonomy() -> str:
    tasks = _each(
        lambda name, tags: {
            "data": {"image": f"/data/local-files/?d=images/{name}"},
            "annotations": [
                {"result": [{"type": "taxonomy", "value": {"taxonomy": [["animal", tag] for tag in tags]}}]}
            ],
        }
    )
    return json.dumps(tasks)


def _fiftyone() -> str:
    labels = {stem: [_NUMBERS[tag] for tag in tags] for stem, tags in zip(_STEMS, TAGS, strict=True)}
    return json.dumps({"classes": ["cat", "dog"], "labels": labels})


def _samples() -> str:
    samples = _each(
        lambda name, tags: {
            "filepath": name,
            "tags": ["train"],
            "ground_truth": {"_cls": "Classifications", "classifications": [{"label": tag} for tag in tags]},
        }
    )
    return json.dumps({"samples": samples})


def _vott() -> str:
    assets = _each(lambda name, tags: {"asset": {"name": name, "state": 2}, "regions": [{"tags": tags}]})
    return json.dumps({"name": "x", "tags": [{"name": "cat"}], "assets": dict(enumerate(assets))})


def _via() -> str:
    images = {
        f"{name}7": {
            "filename": name,
            "size": 7,
            "regions": [{"shape_attributes": {"name": "rect"}, "region_attributes": {"type": tag}} for tag in tags],
            "file_attributes": {"caption": ""},
        }
        for name, tags in zip(NAMES, TAGS, strict=True)
    }
    return json.dumps({"_via_settings": {}, "_via_img_metadata": images})


def _datumaro() -> str:
    items = _each(
        lambda name, tags: {
            "id": name.removesuffix(".jpg"),
            "annotations": [{"type": "label", "label_id": _NUMBERS[tag]} for tag in tags],
            "image": {"path": name},
        }
    )
    categories = {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}}
    return json.dumps({"info": {}, "categories": categories, "items": items})


def _labelbox() -> str:
    rows = _each(
        lambda name, tags: {
            "data_row": {"external_id": name},
            "projects": {"p": {"labels": [{"annotations": {"objects": [{"name": tag} for tag in tags]}}]}},
        }
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


def _records() -> str:
    return json.dumps(
        _each(lambda name, tags: {"image": name, "annotations": [{"label": tag, "coordinates": {}} for tag in tags]})
    )


def _labelme() -> dict[str, bytes]:
    files = photos(NAMES[:3], "set")
    for stem, tags in zip(_STEMS[:3], TAGS, strict=False):
        shapes = [{"label": tag, "points": [[1, 1], [9, 9]], "shape_type": "rectangle"} for tag in tags]
        document = {"version": "5", "flags": {"blurred": False}, "shapes": shapes, "imagePath": f"{stem}.jpg"}
        files[f"set/{stem}.json"] = json.dumps(document).encode()
    return files


def _supervisely() -> dict[str, bytes]:
    files = photos(NAMES[:3], "set/one/img")
    for name, tags in zip(NAMES[:3], TAGS, strict=False):
        document = {"tags": [{"name": tag} for tag in tags], "size": {"height": 12, "width": 16}, "objects": []}
        files[f"set/one/ann/{name}.json"] = json.dumps(document).encode()
    return files


def _yolo() -> dict[str, bytes]:
    files = {**photos(NAMES[:3], "set/images/train"), **photos(NAMES[3:], "set/images/val")}
    for number, (stem, tags) in enumerate(zip(_STEMS, TAGS, strict=True)):
        text = "".join(f"{_NUMBERS[tag]} 0.5 0.5 0.2 0.2\n" for tag in tags)
        files[f"set/labels/{'train' if number < 3 else 'val'}/{stem}.txt"] = text.encode()
    files["set/data.yaml"] = b"path: .\ntrain: images/train\nnames:\n  0: cat\n  1: dog\n"
    return files


def _xml_beside() -> dict[str, bytes]:
    files = photos(NAMES[:3], "set/train")
    for name, tags in zip(NAMES[:3], TAGS, strict=False):
        objects = "".join(f"<object><name>{tag}</name></object>" for tag in tags)
        text = f"<annotation><filename>{name}</filename>{objects}</annotation>"
        files[f"set/train/{name.removesuffix('.jpg')}.xml"] = text.encode()
    return files


def _coco_folders() -> dict[str, bytes]:
    files = {**photos(NAMES[:3], "set/train"), **photos(NAMES[3:], "set/valid")}
    for split, start in (("train", 0), ("valid", 3)):
        document = {
            "images": [{"id": i, "file_name": NAMES[start + i]} for i in range(3)],
            "categories": [{"id": 0, "name": "animals", "supercategory": "none"}, {"id": 1, "name": "cat"}],
            "annotations": [{"image_id": i, "category_id": 1} for i in range(2)],
        }
        files[f"set/{split}/_annotations.coco.json"] = json.dumps(document).encode()
    return files


def _storage() -> dict[str, bytes]:
    files = photos(NAMES[:3])
    for number, (name, tags) in enumerate(zip(NAMES[:3], TAGS, strict=False)):
        document = {
            "id": number,
            "result": [{"type": "choices", "from_name": "c", "value": {"choices": tags}}],
            "task": {"id": number, "data": {"image": f"/data/upload/1/1a2b3c4d-{name}"}},
        }
        files[f"storage/{number + 1}"] = json.dumps(document).encode()
    return files


SEEDS: dict[str, Seed] = {
    "coco: panoptic": beside_images("panoptic.json", _panoptic),
    "label studio: taxonomy": beside_images("taxonomy.json", _taxonomy),
    "label studio: storage": Seed(_storage, "storage/2", lambda root: load(root / "images", root / "storage")),
    "fiftyone: labels": beside_images("labels.json", _fiftyone),
    "fiftyone: samples": beside_images("samples.json", _samples),
    "vott": beside_images("vott.json", _vott),
    "via": beside_images("via.json", _via),
    "datumaro": beside_images("train.json", _datumaro),
    "labelbox": beside_images("export.ndjson", _labelbox),
    "json: of images": beside_images("dict.json", lambda: json.dumps(dict(zip(NAMES, TAGS, strict=True)))),
    "json: records": beside_images("records.json", _records),
    "labelme": Seed(_labelme, "set/p1.json", lambda root: load(root / "set")),
    "supervisely": Seed(_supervisely, "set/one/ann/p1.jpg.json", lambda root: load(root / "set")),
    "yolo: labels": Seed(_yolo, "set/labels/train/p0.txt", lambda root: load(root / "set")),
    "yolo: names": Seed(_yolo, "set/data.yaml", lambda root: load(root / "set")),
    "voc: beside images": Seed(_xml_beside, "set/train/p0.xml", lambda root: load(root / "set")),
    "coco: folders": Seed(_coco_folders, "set/train/_annotations.coco.json", lambda root: load(root / "set")),
}
