"""Files of one tool each: FiftyOne, VoTT, VIA, Datumaro; and tools whose files are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tag2mask.data.dataset import Dataset
from tests.data.readers.test_exported import described
from tests.helpers import write_images


def read(tmp_path: Path, document: Any, *, name: str = "export.json", **options: Any) -> Dataset:
    images = write_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg", "d e.jpg"])
    path = tmp_path / name
    path.write_text(json.dumps(document))
    return load_dataset(images, path, **options)


def test_labels_of_fiftyone(tmp_path: Path) -> None:
    labels = {"a": 0, "b": [0, {"label": 1, "bounding_box": [0, 0, 1, 1]}], "c": [], "d e": None}
    dataset = read(tmp_path, {"classes": ["cat", "dog"], "labels": labels})
    assert dataset.source == "fiftyone"
    assert described(dataset) == {"a.jpg": "cat", "b.jpg": "cat dog", "c.jpg": ""}
    assert dataset.problem_counts() == {"image without tags": 1}
    names = read(tmp_path, {"classes": None, "labels": {"a": "cat", "b": ["dog", "cat"], "c": 3, "d e": 0}})
    assert described(names) == {"a.jpg": "cat", "b.jpg": "cat dog"}
    assert names.problem_counts()["bad row"] == 2
    with pytest.raises(DataError, match="label 7 is not among the 1 classes"):
        read(tmp_path, {"classes": ["cat"], "labels": {"a": 7}})


def test_samples_of_fiftyone(tmp_path: Path) -> None:
    def label(name: str, **more: Any) -> dict[str, Any]:
        return {"_cls": "Classification", "label": name, **more}

    samples = [
        {"filepath": "data/a.jpg", "tags": ["train"], "ground_truth": label("cat"), "predictions": label("dog")},
        {"filepath": "data/b.jpg", "tags": [], "ground_truth": {"_cls": "Detections", "detections": [label("dog")]}},
        {"filepath": "data/c.jpg", "tags": ["test"], "ground_truth": None},
    ]
    dataset = read(tmp_path, {"samples": samples})
    assert described(dataset) == {"a.jpg": "cat", "b.jpg": "dog"}
    assert dataset.splits() == ("train",)
    assert "fields with labels beside ground_truth: predictions" in dataset.problems[0].message
    with pytest.raises(
        DataError, match=r"several fields with labels \(one, two\); call the one to read `ground_truth`"
    ):
        read(tmp_path, {"samples": [{"filepath": "a.jpg", "one": label("cat"), "two": label("dog")}]})


def test_vott(tmp_path: Path) -> None:
    assets = {
        "1": {
            "asset": {"name": "a.jpg", "path": "file:/x/a.jpg"},
            "regions": [{"tags": ["cat", "fur"]}, {"tags": ["cat"]}],
        },
        "2": {"asset": {"name": "d%20e.jpg"}, "regions": [{"tags": ["dog"]}]},
        "3": {"asset": {"name": "b.jpg"}, "regions": []},
        "4": {"asset": {"name": "c.jpg"}, "regions": [{"tags": "cat"}]},
    }
    dataset = read(tmp_path, {"name": "x", "tags": [{"name": "cat"}], "assets": assets})
    assert dataset.source == "vott"
    assert described(dataset) == {"a.jpg": "cat fur", "d e.jpg": "dog"}
    assert dataset.problem_counts()["image without tags"] == 1
    assert dataset.problems[0].message.startswith("export.json, asset 4: region {'tags': 'cat'}; expected a list")
    with pytest.raises(DataError, match="VoTT's project file, without regions; export the project"):
        read(tmp_path, {"name": "x", "securityToken": "y", "assets": {"1": {"name": "a.jpg"}}}, format="vott")


def via(*images: tuple[str, list[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    return {
        f"{name}12": {
            "filename": name,
            "size": 12,
            "regions": [{"region_attributes": r} for r in regions],
            "file_attributes": f,
        }
        for name, regions, f in images
    }


def test_regions_of_via(tmp_path: Path) -> None:
    caption = {"caption": "nice", "public_domain": "no", "image_url": ""}
    images = via(
        ("a.jpg", [{"type": "cat"}, {"type": {"dog": True, "bird": False}}], caption),
        ("b.jpg", [{"type": "dog"}, {}], caption),
        ("c.jpg", [], caption),
    )
    dataset = read(tmp_path, images)
    assert dataset.source == "via"
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "dog"}
    assert (
        dataset.problems[0].message == "export.json: 1 regions have no attribute that names a class; they are not read"
    )
    project = read(tmp_path, {"_via_settings": {}, "_via_img_metadata": images})
    assert described(project) == described(dataset)
    old = images["a.jpg12"] | {"regions": {"0": {"region_attributes": {"type": "cat"}}}}
    assert described(read(tmp_path, {"a": old})) == {"a.jpg": "cat"}


def test_attributes_of_via(tmp_path: Path) -> None:
    images = via(
        ("a.jpg", [{"colour": "red", "animal": "cat"}], {}), ("b.jpg", [{"colour": "red", "animal": "dog"}], {})
    )
    with pytest.raises(DataError, match="several attributes may name the classes: 'animal', 'colour'; call one"):
        read(tmp_path, images)
    assert described(read(tmp_path, images, classes=["cat", "dog"])) == {"a.jpg": "cat", "b.jpg": "dog"}
    named = json.loads(json.dumps(images).replace("animal", "label"))
    dataset = read(tmp_path, named)
    assert described(dataset) == {"a.jpg": "cat", "b.jpg": "dog"}
    assert "attribute 'label' names the classes; not read: 'colour'" in dataset.problems[0].message
    whole = read(tmp_path, via(("a.jpg", [], {"animal": "cat"}), ("b.jpg", [], {"animal": "dog"})))
    assert described(whole) == {"a.jpg": "cat", "b.jpg": "dog"}


def test_datumaro(tmp_path: Path) -> None:
    items = [
        {"id": "a", "annotations": [{"type": "label", "label_id": 0}, {"type": "bbox", "label_id": 1}]},
        {"id": "x", "annotations": [{"label_id": 1}], "image": {"path": "b.jpg"}},
        {"id": "c", "annotations": []},
        {"id": "d e", "annotations": [{"label_id": 5}]},
    ]
    document = {"categories": {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}}, "items": items}
    dataset = read(tmp_path, document, name="train.json")
    assert dataset.source == "datumaro"
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "dog"}
    assert dataset.splits() == ("train",)
    assert dataset.problems[0].message == "train.json, item 4: label_id 5 is not among the 2 labels; add it there"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([{"image_id": 1, "category_id": 1, "score": 0.5}], "a COCO results file"),
        ([{"image_id": 1, "caption": "a cat"}], "a COCO results file"),
        ([{"ID": "1", "DataRow ID": "2", "Label": {}}], "Labelbox's export"),
        ({"project": {}, "file": {}, "metadata": {}, "view": {}}, "VIA version 3's project"),
        ({"securityToken": "x", "name": "y"}, "a VoTT project file"),
        ({"version": "2.0", "item": {"name": "a.jpg"}, "annotations": []}, "V7 Darwin's JSON of one image"),
        ({"metadata": {"name": "a.jpg"}, "instances": []}, "SuperAnnotate's JSON"),
        ({"classes": [{"title": "cat"}], "tags": [], "projectType": "images"}, "Supervisely's meta.json"),
        ({"name": "x", "sample_fields": []}, "FiftyOne's metadata.json"),
        ({"info": {"name": "a.jpg"}, "objects": [{"category": "cat"}]}, "ISAT's JSON"),
        ({"size": {}, "tags": [], "objects": []}, "supervisely's annotation of one image"),
    ],
)
def test_files_that_are_refused_by_name(tmp_path: Path, document: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"export\.json: {message}.*`tags`|export\.json: {message}.*export"):
        read(tmp_path, document)
