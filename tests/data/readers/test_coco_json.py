from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tests.data.readers.test_exported import described
from tests.helpers import write_images


def coco(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "info": {"year": 2024},
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}, {"id": 3, "file_name": "c.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 18, "iscrowd": 1, "bbox": [0, 0, 1, 1]},
            {"id": 2, "image_id": 1, "category_id": 17, "segmentation": [[0, 0, 1, 0, 1, 1]]},
            {"id": 3, "image_id": 1, "category_id": 17},
            {"id": 4, "image_id": 2, "category_id": 17},
        ],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}, {"id": 19, "name": "horse"}],
    }
    return document | changes


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg"])


def write(tmp_path: Path, document: Any, **options: Any) -> Path:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(document, **options), encoding="utf-8")
    return path


@pytest.mark.parametrize("indent", [None, 1])
def test_categories_become_tags(tmp_path: Path, images: Path, indent: int | None) -> None:
    dataset = load_dataset(images, write(tmp_path, coco(), indent=indent), strict=True)
    assert dataset.source == "coco"
    assert dataset.classes == ("cat", "dog")  # horse does not occur
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "cat", "c.jpg": ""}


def test_chosen_classes(tmp_path: Path, images: Path) -> None:
    dataset = load_dataset(images, write(tmp_path, coco()), classes=["dog", "horse"], strict=True)
    assert dataset.classes == ("dog", "horse")
    assert described(dataset) == {"a.jpg": "dog", "b.jpg": "", "c.jpg": ""}


def test_negatives_of_lvis_leave_the_rest_unknown(tmp_path: Path, images: Path) -> None:
    document = coco()
    document["images"][1]["neg_category_ids"] = [18]
    document["images"][2]["neg_category_ids"] = []
    dataset = load_dataset(images, write(tmp_path, document), classes=["cat", "dog", "horse"])
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "cat ?horse", "c.jpg": "?cat ?dog ?horse"}


def test_background_is_no_class(tmp_path: Path, images: Path) -> None:
    document = coco(categories=[{"id": 17, "name": "cat"}, {"id": 18, "name": "Background"}])
    dataset = load_dataset(images, write(tmp_path, document))
    assert dataset.classes == ("cat",)


def test_names_relative_to_the_folder_above(tmp_path: Path, images: Path) -> None:
    document = coco()
    document["images"] = [{"id": 1, "file_name": "images/a.jpg"}, {"id": 2, "file_name": "b"}]
    assert described(load_dataset(images, write(tmp_path, document))) == {"a.jpg": "cat dog", "b.jpg": "cat"}


def test_bad_records_are_left_out_and_counted(tmp_path: Path, images: Path) -> None:
    document = coco()
    document["images"] += [7, {"id": 8}, {"id": [1], "file_name": "x.jpg"}, {"id": 9, "file_name": "gone.jpg"}]
    document["images"] += [{"id": 10, "file_name": "/etc/passwd"}, {"id": 11, "file_name": "../../etc/passwd"}]
    document["images"].append({"id": 12, "file_name": "a\0.jpg"})
    document["annotations"] += [None, {"image_id": 1, "category_id": 99}, {"image_id": 500, "category_id": 17}]
    dataset = load_dataset(images, write(tmp_path, document))
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "cat", "c.jpg": ""}
    assert dataset.problem_counts() == {"bad row": 5, "missing image": 3, "bad name": 2}
    messages = "\n".join(problem.message for problem in dataset.problems)
    assert "instances.json, annotation 6: category_id 99 is not among the categories; add it there" in messages
    assert "instances.json, image 5: file_name is None; expected the name of a file" in messages
    assert "annotations of 1 images that are not in `images`, such as image_id 500" in messages
    assert "instances.json, image 9: '../../etc/passwd': a name with .. leads out of the folder" in messages
    with pytest.raises(DataError, match="10 problems, and strict is on"):
        load_dataset(images, write(tmp_path, document), strict=True)


def test_images_listed_twice(tmp_path: Path, images: Path) -> None:
    document = coco()
    document["images"].append({"id": 4, "file_name": "c.jpg"})
    dataset = load_dataset(images, write(tmp_path, document))
    assert dataset.problem_counts() == {"duplicate row": 1}
    document["images"].append({"id": 5, "file_name": "b.jpg"})
    with pytest.raises(DataError, match=r"b\.jpg is listed twice and differently: instances\.json, image 2: cat;"):
        load_dataset(images, write(tmp_path, document))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "no list `images`; expected COCO JSON"),
        ({"categories": []}, "the list `categories` is empty"),
        ({"categories": [{"id": 1, "name": 5}]}, "category 1: 5 is not the name of a class"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "category id 1 is both 'a' and 'b'"),
        ({"categories": [{"id": 1.5, "name": "a"}]}, "category 1: id is 1.5; expected a number"),
        ({"categories": [{"id": 17, "name": "c\nat"}, {"id": 18, "name": "dog"}]}, "cannot be a class name"),
        ({"categories": [{"id": 17, "name": "Cat"}, {"id": 18, "name": "cat"}]}, "differ only in upper and lower"),
        ({"images": [], "annotations": []}, "no image in it"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, images: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"instances\.json.*{message}"):
        load_dataset(images, write(tmp_path, coco(**changes)), format="coco")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"{" + b'"a":{' * 200_000, "nested too deeply"),
        (b'{"images": ' + b"[" * 200_000, "nested too deeply"),
        (b'{"images": [' + b"9" * 100_000 + b"]}", "not usable JSON"),
        (b'{\n"images": [', "line 2: not JSON .* is the file cut off"),
        (b'{"images": "\xff"}', "not UTF-8 text"),
        (b'{"images": \0}', "NUL byte"),
        (b"[]", "no list `images`"),
    ],
)
def test_broken_files(tmp_path: Path, images: Path, content: bytes, message: str) -> None:
    path = tmp_path / "instances.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"instances\.json.*{message}"):
        load_dataset(images, path, format="coco")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, images: Path, encoding: str) -> None:
    path = tmp_path / "instances.json"
    path.write_bytes(json.dumps(coco(), indent=1).replace("\n", "\r\n").encode(encoding))
    assert len(load_dataset(images, path)) == 3


def test_panoptic_segments(tmp_path: Path, images: Path) -> None:
    annotations = [
        {
            "image_id": 1,
            "file_name": "a.png",
            "segments_info": [{"category_id": 17}, {"category_id": 18, "iscrowd": 1}],
        },
        {"image_id": 2, "segments_info": []},
    ]
    dataset = load_dataset(images, write(tmp_path, coco(annotations=annotations)), strict=True)
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "", "c.jpg": ""}


@pytest.mark.parametrize("kind", [str, float, lambda number: f"{number:012d}"])
def test_ids_of_another_kind(tmp_path: Path, images: Path, kind: Callable[[int], Any]) -> None:
    document = coco()
    for annotation in document["annotations"]:
        annotation["image_id"] = kind(annotation["image_id"])
        annotation["category_id"] = kind(annotation["category_id"])
    dataset = load_dataset(images, write(tmp_path, document), strict=True)
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "cat", "c.jpg": ""}
    assert dataset.problem_counts() == ({} if kind is float else {"ids of two kinds": 1})


def test_text_ids_that_differ_by_zeros_stay_apart(tmp_path: Path, images: Path) -> None:
    document = coco(images=[{"id": "7", "file_name": "a.jpg"}, {"id": "07", "file_name": "b.jpg"}])
    document["annotations"] = [{"image_id": "07", "category_id": 17}, {"image_id": 7, "category_id": 18}]
    dataset = load_dataset(images, write(tmp_path, document))
    assert described(dataset) == {"a.jpg": "", "b.jpg": "cat"}
    assert dataset.problem_counts()["missing image"] == 1


def test_a_class_that_cannot_be_read_is_not_absent(tmp_path: Path, images: Path) -> None:
    document = coco()
    document["annotations"] += [{"image_id": 2, "category_id": 99}, {"image_id": 3}]
    dataset = load_dataset(images, write(tmp_path, document))
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "cat ?dog"}
    assert dataset.problem_counts() == {"bad row": 2, "image without tags": 1}


def test_nothing_could_be_read(tmp_path: Path, images: Path) -> None:
    with pytest.raises(DataError, match="no tag in the whole source.*category_id 99 is not among the categories"):
        load_dataset(images, write(tmp_path, coco(annotations=[{"image_id": 1, "category_id": 99}])))


def test_captions_and_results_are_refused_by_name(tmp_path: Path, images: Path) -> None:
    captions = [{"image_id": 1, "id": 1, "caption": "a cat"}]
    for document in (coco(annotations=captions), {"images": [], "annotations": captions}):
        with pytest.raises(
            DataError, match="COCO captions, which are sentences and no tags; give the file of instances"
        ):
            load_dataset(images, write(tmp_path, document))
    with pytest.raises(DataError, match="a COCO results file"):
        load_dataset(images, write(tmp_path, [{"image_id": 1, "category_id": 17}]), format="coco")


def test_names_without_file_name_come_from_the_address(tmp_path: Path, images: Path) -> None:
    document = coco()
    document["images"][0] = {"id": 1, "coco_url": "http://images.example.org/train2017/a.jpg?x=1"}
    assert described(load_dataset(images, write(tmp_path, document)))["a.jpg"] == "cat dog"


def test_ids_used_twice(tmp_path: Path, images: Path) -> None:
    document = coco()
    document["images"][2]["id"] = 1
    dataset = load_dataset(images, write(tmp_path, document))
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "cat"}
    assert dataset.problems[0].message == (
        "instances.json, image 3: id 1 is that of another image; each image needs its own"
    )


def test_categories_without_annotations(tmp_path: Path, images: Path) -> None:
    group = [{"id": 0, "name": "animals", "supercategory": "none"}]
    cats = [
        {"id": 17, "name": "cat", "supercategory": "animals"},
        {"id": 18, "name": "dog", "supercategory": "animals"},
    ]
    dataset = load_dataset(images, write(tmp_path, coco(categories=group + cats)))
    assert dataset.classes == ("cat", "dog")
    assert [problem.message for problem in dataset.problems] == [
        "category 'animals' groups the others, as Roboflow writes it, and has no annotation: no class"
    ]
    many = cats + [{"id": 100 + k, "name": f"species {k}"} for k in range(300)]
    dataset = load_dataset(images, write(tmp_path, coco(categories=many)), strict=True)
    assert dataset.classes == ("cat", "dog")
    assert dataset.problems[0].message.startswith(
        "2 of 302 categories have annotations and are the classes; 300 have none"
    )


def test_a_file_in_each_folder_of_a_split(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", ["train/a.jpg", "valid/a.jpg", "test/b.jpg"])
    for split, category in (("train", 17), ("valid", 18)):
        document = coco(
            images=[{"id": 1, "file_name": "a.jpg"}], annotations=[{"image_id": 1, "category_id": category}]
        )
        (root / split / "_annotations.coco.json").write_text(json.dumps(document))
    dataset = load_dataset(root, strict=True)
    assert dataset.source == "coco"
    assert described(dataset) == {"train/a.jpg": "cat", "valid/a.jpg": "dog"}
    assert dataset.splits() == ("train", "valid")
    assert dataset.problem_counts() == {"unlisted images": 1}
