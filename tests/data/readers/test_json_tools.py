"""JSON Lines as SageMaker, Vertex AI, Azure ML and Hugging Face write them; metadata.csv; texts beside images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import Dataset, load_dataset
from tests.data.readers.test_exported import described
from tests.helpers import write_images

NAMES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
SAGE = "s3://bucket/run/"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images", NAMES)


def load(images: Path, *records: dict[str, Any], name: str = "t.jsonl", **options: Any) -> Dataset:
    path = images.parent / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return load_dataset(images, path, **options)


def sage(name: str, value: Any, metadata: dict[str, Any], job: str = "job") -> dict[str, Any]:
    return {"source-ref": SAGE + name, job: value, f"{job}-metadata": metadata}


def test_sagemaker(images: Path) -> None:
    names = {"class-map": {"0": "cat", "1": "dog"}, "type": "groundtruth/image-classification-multilabel"}
    dataset = load(
        images,
        sage("a.jpg", [0, 1], names),
        sage("b.jpg", 1, {"class-name": "dog", "type": "groundtruth/image-classification"}),
        sage("c.jpg", {"image_size": [], "annotations": [{"class_id": 0, "top": 1}]}, names),
        sage("d.jpg", [], names),
        name="output.manifest",
    )
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "dog", "c.jpg": "cat", "d.jpg": ""}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (sage("b.jpg", [7], {"class-map": {"0": "cat"}}), "number 7 is not in `class-map`"),
        (sage("b.jpg", [0], {}), "no `class-map` in job-metadata"),
        (sage("b.jpg", [0], {"failure-reason": "no access"}), "the job failed: 'no access'"),
        (sage("b.jpg", "s3://x/m.png", {"type": "groundtruth/semantic-segmentation"}, "m-ref"), "masks of SageMaker"),
        (sage("b.jpg", 1, {}) | sage("b.jpg", 1, {}, "second"), "several jobs"),
        (sage("b.jpg", 1, 3), "job-metadata 3; expected an object"),  # type: ignore[arg-type]
        ({"source": "a text", "job": 0, "job-metadata": {}}, "text or a table of SageMaker"),
        ({"imageGcsUri": "gs://b/b.jpg", "segmentationAnnotations": []}, "`segmentationAnnotations` of Vertex AI"),
        ({"data_row": {}, "projects": {}}, "no image name among"),
        ({"image": "b.jpg", "objects": [{"bbox": [1]}]}, "names no class; expected a key such as `label`"),
        ({"image": "b.jpg", "label": [0]}, "tag 0 is a number; write names, or give them in the order of numbers"),
    ],
)
def test_lines_that_cannot_be_used(images: Path, record: dict[str, Any], message: str) -> None:
    dataset = load(images, {"image": "a.jpg", "label": "cat"}, record)
    assert dataset.problems[0].kind == "bad row"
    assert message in dataset.problems[0].message


def test_vertex(images: Path) -> None:
    use = {"dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "training"}}
    dataset = load(
        images,
        {"imageGcsUri": "gs://b/a.jpg", "classificationAnnotation": {"displayName": "cat"}, **use},
        {"imageGcsUri": "gs://b/b.jpg", "classificationAnnotations": [{"displayName": "cat"}, {"displayName": "dog"}]},
        {"imageGcsUri": "gs://b/c.jpg", "boundingBoxAnnotations": [{"displayName": "dog", "xMin": "0.1"}]},
        {"imageGcsUri": "gs://b/d.jpg", "classificationAnnotations": []},
    )
    assert described(dataset) == {"a.jpg": "cat", "b.jpg": "cat dog", "c.jpg": "dog", "d.jpg": ""}
    assert dataset.splits() == ("train",)


def test_azure_and_hugging_face(images: Path) -> None:
    dataset = load(
        images,
        {"image_url": "azureml://w/a.jpg", "label": ["cat", "dog"], "image_details": {"format": "jpg"}},
        {"image_url": "azureml://w/b.jpg", "label": [{"label": "dog", "topX": 0.1}]},
        {"file_name": "c.jpg", "objects": {"bbox": [[1, 2, 3, 4]], "categories": ["cat"]}},
        {"image_id": 17, "file_name": "d.jpg", "label": "No Finding"},
    )
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "dog", "c.jpg": "cat", "d.jpg": ""}


def test_numbers_and_rows(images: Path) -> None:
    dataset = load(images, *({"file_name": name, "label": k % 2} for k, name in enumerate(NAMES)), classes=["x", "y"])
    assert list(described(dataset).values()) == ["x", "y", "x", "y"]
    joined = load(
        images, *({"image": "a.jpg", "label": word} for word in ("cat", "dog")), {"image": "b", "label": "cat"}
    )
    assert described(joined) == {"a.jpg": "cat dog", "b.jpg": "cat"}
    commas = load(images, {"image": "a", "tags": "cat, dog"}, {"image": "b", "tags": "cat"})
    assert commas.classes == ("cat", "cat, dog")
    assert any("1 tags hold a comma" in problem.message for problem in commas.problems)


def test_metadata_csv_of_an_image_folder(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", ["train/a.jpg", "train/b.jpg", "test/a.jpg", "test/b.jpg"])
    (root / "train" / "metadata.csv").write_text("file_name,label\na.jpg,red panda\nb.jpg,dog\n")
    (root / "test" / "metadata.csv").write_text("file_name,label\na.jpg,dog\ngone.jpg,dog\n")
    dataset = load_dataset(root)
    assert described(dataset) == {"test/a.jpg": "dog", "train/a.jpg": "red panda", "train/b.jpg": "dog"}
    assert {record.name: record.split for record in dataset.records}["test/a.jpg"] == "test"
    assert any(problem.message.startswith("test/metadata.csv, line 3: ") for problem in dataset.problems)
    (root / "test" / "metadata.csv").write_text("file_name,fox\na.jpg,1\nb.jpg,0\n")
    (root / "train" / "metadata.csv").write_text("file_name,fox,owl\na.jpg,1,1\nb.jpg,0,1\n")
    assert described(load_dataset(root))["test/a.jpg"] == "fox ?owl"


def test_metadata_csv_without_tags_leaves_folders_as_classes(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", ["cat/a.jpg", "dog/b.jpg"])
    (root / "metadata.csv").write_text("file_name,camera\ncat/a.jpg,x\ndog/b.jpg,y\n")
    assert load_dataset(root).source == "folders"


def test_texts_beside_images(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    for name, text in {"a": "cat, red panda\n", "b": "cat\nfox,\n", "c": "none", "d": ""}.items():
        (root / f"{name}.txt").write_text(text)
    dataset = load_dataset(root)
    assert dataset.source == "txt"
    assert described(dataset) == {"a.jpg": "cat red panda", "b.jpg": "cat fox", "c.jpg": ""}
    assert dataset.problem_counts()["image without tags"] == 1
    texts = tmp_path / "texts"
    texts.mkdir()
    for path in root.glob("*.txt"):
        path.rename(texts / path.name)
    assert described(load_dataset(root, texts)) == described(dataset)


def test_captions_are_no_tags(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", ["a.jpg", "b.jpg"])
    for name in ("a", "b"):
        (root / f"{name}.txt").write_text(f"a photograph of a cat that sits on mat {name}")
    with pytest.raises(DataError, match="sentences such as .* are captions, not tags"):
        load_dataset(root)


def test_folders_of_classes_with_texts_are_folders_of_classes(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", ["cat/a.jpg", "dog/b.jpg"])
    (root / "cat" / "a.txt").write_text("sitting, indoors")
    (root / "dog" / "b.txt").write_text("standing")
    assert load_dataset(root).source == "folders"
