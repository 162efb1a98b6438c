from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.core.extras import MissingExtraError
from tag2mask.data import load_dataset
from tag2mask.data.readers.parquet_folder import split_of
from tests.data.readers.test_exported import described

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def encoded(seed: int = 0, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


def image(seed: int = 0, path: str | None = None, kind: str = "PNG") -> dict[str, Any]:
    return {"bytes": encoded(seed, kind), "path": path}


def write(path: Path, columns: dict[str, Any], *, names: list[str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path.parent


def test_names_as_texts_and_lists(tmp_path: Path) -> None:
    root = write(tmp_path / "set" / "a.parquet", {"image": [image(0), image(1)], "label": ["cat", "none"]})
    write(root / "b.parquet", {"img": [encoded(2), encoded(3)], "tags": [["cat", "dog"], None]})
    dataset = load_dataset(root, unpack=tmp_path / "out")
    assert described(dataset) == {"a/000000.png": "cat", "a/000001.png": "", "b/000000.png": "cat dog"}
    assert dataset.root == tmp_path / "out"
    assert dataset.problem_counts() == {"image without tags": 1}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/train-00000-of-00001.parquet", "train"),
        ("validation-0.parquet", "validation"),
        ("default/test/0000.parquet", "test"),
        ("test.parquet", "test"),
        ("training_day.parquet", None),
        ("0000.parquet", None),
    ],
)
def test_splits(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_names_of_classes_in_the_readme(tmp_path: Path) -> None:
    root = write(tmp_path / "set" / "train.parquet", {"image": [image(0), image(1)], "label": [1, 0]})
    with pytest.raises(DataError, match=r"train\.parquet, row 0: tag 1 is a number; write names"):
        load_dataset(root, unpack=tmp_path / "out")
    (root / "README.md").write_text(
        "---\ndataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: label\n    dtype:\n"
        "      class_label:\n        names:\n          '0': cat\n          '1': dog\n---\n# A card\n"
    )
    dataset = load_dataset(root, unpack=tmp_path / "out")
    assert list(described(dataset).values()) == ["dog", "cat"]


def test_unpacked_once(tmp_path: Path) -> None:
    root = write(tmp_path / "set" / "a.parquet", {"image": [image(0), image(1)], "label": ["cat", "dog"]})
    first = load_dataset(root, unpack=tmp_path / "out").records
    stamps = {record.path: record.path.stat().st_mtime_ns for record in first}
    first[1].path.write_bytes(b"cut off")
    again = load_dataset(root, unpack=tmp_path / "out").records
    assert again == first
    assert again[0].path.stat().st_mtime_ns == stamps[again[0].path]
    assert again[1].path.read_bytes() == encoded(1)
    assert sorted(path.name for path in (tmp_path / "out" / "a").iterdir()) == ["000000.png", "000001.png"]


def test_names_inside_the_file_are_not_used(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(encoded())
    root = tmp_path / "set"
    root.mkdir()
    (root / "inside.png").write_bytes(encoded(9))
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    cells = [
        image(0, "../../evil.png"),
        {"bytes": None, "path": "inside.png"},
        {"bytes": None, "path": "../secret.png"},
        {"bytes": None, "path": str(tmp_path / "secret.png")},
        {"bytes": None, "path": "link.png"},
        {"bytes": None, "path": None},
        {"bytes": b"#!/bin/sh", "path": "x.png"},
        image(1, "a\0b", kind="JPEG"),
    ]
    write(root / "a.parquet", {"image": cells, "label": ["cat"] * 8})
    dataset = load_dataset(root, format="parquet", unpack=tmp_path / "out")
    assert list(described(dataset)) == ["a/000000.png", "a/000001.png", "a/000007.jpg"]
    assert dataset.records[1].path.read_bytes() == encoded(9)
    assert dataset.problem_counts() == {"bad row": 5, "refused file": 1}
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == [
        "out/a/000000.png", "out/a/000001.png", "out/a/000007.jpg",
        "secret.png", "set/a.parquet", "set/inside.png", "set/link.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [image()]}, r"a\.parquet: no column of tags .* among 'image'"),
        ({"label": ["cat"]}, "no column of images"),
        ({"a": [image()], "b": [image()], "label": ["cat"]}, "several columns of images .*: a, b; keep one"),
        ({"image": [image()], "label": [1.5]}, "row 0: 1.5 is not the name of a class"),
        ({"image": [image()], "label": ["c\nat"]}, "cannot be a class name"),
        ({"image": [image()], "label": [{"x": 1}]}, "row 0: {'x': 1} is not the name of a class"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    root = write(tmp_path / "set" / "a.parquet", columns)
    with pytest.raises(DataError, match=message):
        load_dataset(root, unpack=tmp_path / "out")


def test_numbers_without_a_name(tmp_path: Path) -> None:
    cells = {"image": [image(k) for k in range(4)], "label": [0, 2, -1, 2**62]}
    root = write(tmp_path / "set" / "a.parquet", cells, names=["cat", "dog"])
    dataset = load_dataset(root, unpack=tmp_path / "out")
    assert described(dataset) == {"a/000000.png": "cat"}
    assert dataset.problem_counts() == {"bad row": 2, "image without tags": 1}
    assert "a.parquet, row 1: tag 2, but there are 2 names" in dataset.problems[0].message


def test_damaged_files(tmp_path: Path) -> None:
    root = write(tmp_path / "set" / "a.parquet", {"image": [image()] * 40, "label": ["cat"] * 40})
    whole = (root / "a.parquet").read_bytes()
    for cut in (0, 3, 100, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        (root / "a.parquet").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file"):
            load_dataset(root, unpack=tmp_path / "out")


def test_a_folder_to_unpack_into_is_asked_for(tmp_path: Path) -> None:
    root = write(tmp_path / "set" / "a.parquet", {"image": [image()], "label": ["cat"]})
    with pytest.raises(DataError, match="images inside Parquet files; name a folder to unpack them into"):
        load_dataset(root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.parquet file in this folder"):
        load_dataset(tmp_path / "empty", format="parquet")


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "set" / "a.parquet", {"image": [image()], "label": ["cat"]})
    monkeypatch.setattr("tag2mask.core.extras._is_there", lambda name: name != "pyarrow")
    with pytest.raises(MissingExtraError, match=r"pip install 'tag2mask\[parquet\]'"):
        load_dataset(root, unpack=tmp_path / "out")


def test_columns_of_yes_and_no(tmp_path: Path) -> None:
    pictures = [image(k) for k in range(3)]
    cells = {"image": pictures, "Smiling": [True, False, None], "Hat": [False, False, True], "celeb_id": [1, 2, 3]}
    root = write(tmp_path / "set" / "a.parquet", cells)
    dataset = load_dataset(root, unpack=tmp_path / "out")
    assert list(described(dataset).values()) == ["Smiling", "", "Hat ?Smiling"]
    assert (
        "2 columns of yes and no are read as classes: Smiling, Hat; not used: celeb_id" in dataset.problems[0].message
    )
    root = write(tmp_path / "ints" / "a.parquet", {"image": pictures, "cat": [1, -1, 1], "dog": [-1, 1, 1]})
    assert list(described(load_dataset(root, unpack=tmp_path / "ints_out")).values()) == ["cat", "dog", "cat dog"]


def test_lists_of_1_and_0(tmp_path: Path) -> None:
    cells = {"image": [image(0), image(1)], "label": [[1, 0, 0], [0, 1, 1]]}
    dataset = load_dataset(write(tmp_path / "set" / "a.parquet", cells, names=["a", "b", "c"]), unpack=tmp_path / "out")
    assert list(described(dataset).values()) == ["a", "b c"]
    assert "hold 3 numbers 0 and 1 each" in dataset.problems[0].message
    with pytest.raises(DataError, match="lists of 3 numbers 0 and 1, but 2 names of classes"):
        load_dataset(write(tmp_path / "two" / "a.parquet", cells, names=["a", "b"]), unpack=tmp_path / "out")
    cells["label"] = [[1, 0], [1]]
    dataset = load_dataset(write(tmp_path / "list" / "a.parquet", cells, names=["a", "b"]), unpack=tmp_path / "out2")
    assert list(described(dataset).values()) == ["a b", "b"]


def test_several_columns_of_tags_are_chosen_by_the_classes(tmp_path: Path) -> None:
    cells = {"image": [image(0), image(1)], "fine_label": [0, 1], "coarse_label": [1, 0]}
    table = pa.table(cells)
    features = {"fine_label": {"names": ["cat", "dog"]}, "coarse_label": {"names": ["plant", "animal"]}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    (tmp_path / "set").mkdir()
    pq.write_table(table, tmp_path / "set" / "a.parquet")
    with pytest.raises(DataError, match=r"several columns of tags .*give a file of `classes`.*'fine_label' \(cat, dog"):
        load_dataset(tmp_path / "set", unpack=tmp_path / "out")
    dataset = load_dataset(tmp_path / "set", unpack=tmp_path / "out", classes=["animal", "plant"])
    assert list(described(dataset).values()) == ["animal", "plant"]


def test_numbers_named_by_the_classes_and_objects(tmp_path: Path) -> None:
    root = write(tmp_path / "set" / "a.parquet", {"image": [image(0), image(1)], "label": [0, 1]})
    dataset = load_dataset(root, unpack=tmp_path / "out", classes=["cat", "dog"])
    assert list(described(dataset).values()) == ["cat", "dog"]
    objects = [{"bbox": [[1.0, 2.0]], "category": ["cat"]}, {"bbox": [], "category": []}]
    root = write(tmp_path / "boxes" / "a.parquet", {"image": [image(0), image(1)], "objects": objects})
    assert list(described(load_dataset(root, unpack=tmp_path / "boxes_out")).values()) == ["cat", ""]
