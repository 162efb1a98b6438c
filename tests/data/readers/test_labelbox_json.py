"""Labelbox's exports: NDJSON, a list of data rows, and the older list of labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import Dataset, load_dataset
from tests.helpers import write_images


def row(name: str, *labels: dict[str, Any], **more: Any) -> dict[str, Any]:
    projects = {"c1": {"labels": [{"annotations": said} for said in labels]}}
    return {"data_row": {"external_id": name}, "projects": projects, **more}


def objects(*names: str) -> dict[str, Any]:
    return {"objects": [{"name": name, "bounding_box": {"top": 1}} for name in names], "classifications": []}


def load(tmp_path: Path, entries: list[Any], name: str = "export.ndjson", **options: Any) -> Dataset:
    write_images(tmp_path / "photos", ["a.jpg", "b.jpg", "c.jpg"])
    text = json.dumps(entries) if name.endswith(".json") else "".join(json.dumps(one) + "\n" for one in entries)
    (tmp_path / name).write_text(text)
    return load_dataset(tmp_path / "photos", tmp_path / name, **options)


def tags(dataset: Dataset) -> dict[str, tuple[set[str], set[str]]]:
    return {record.name: (set(record.present), set(record.unknown)) for record in dataset.records}


@pytest.mark.parametrize("name", ["export.ndjson", "export.json", "export.txt"])
def test_data_rows(tmp_path: Path, name: str) -> None:
    split = [{"schema_name": "split", "value": "Train"}]
    entries = [
        row("a.jpg", objects("cat", "cat"), metadata_fields=split),
        row("b.jpg", objects("cat", "dog"), objects("dog")),
        row("c.jpg"),
    ]
    dataset = load(tmp_path, entries, name)
    assert dataset.source == "labelbox"
    assert tags(dataset) == {"a.jpg": ({"cat"}, set()), "b.jpg": ({"dog"}, {"cat"})}
    assert dataset.records[0].split == "train"
    assert [problem.file for problem in dataset.problems if problem.kind == "image without tags"] == ["c.jpg"]


def test_answers_are_tags_where_there_is_no_object(tmp_path: Path) -> None:
    questions = [
        {"name": "what", "checklist_answers": [{"name": "cat"}, {"name": "dog"}]},
        {"name": "weather", "radio_answer": {"name": "sun"}},
        {"name": "remark", "text_answer": {"content": "blurred"}},
    ]
    said = {"objects": [], "classifications": questions}
    assert tags(load(tmp_path, [row("a.jpg", said)])) == {"a.jpg": ({"cat", "dog", "sun"}, set())}
    dataset = load(tmp_path, [row("a.jpg", said), row("b.jpg", objects("bird"))])
    assert tags(dataset) == {"a.jpg": (set(), set()), "b.jpg": ({"bird"}, set())}
    assert any("3 answers to questions" in problem.message for problem in dataset.problems)
    chosen = load(tmp_path, [row("a.jpg", said), row("b.jpg", objects("bird"))], classes=["bird", "cat", "dog", "sun"])
    assert tags(chosen)["a.jpg"] == ({"cat", "dog", "sun"}, set())


def test_older_list(tmp_path: Path) -> None:
    entries = [
        {"ID": "1", "External ID": "a.jpg", "Label": {"objects": [{"title": "cat", "value": "cat"}]}, "Skipped": False},
        {"ID": "2", "External ID": "b.jpg", "Label": {"objects": [], "classifications": []}},
        {"ID": "3", "External ID": "c.jpg", "Label": {}, "Skipped": True},
    ]
    assert tags(load(tmp_path, entries, "old.json")) == {"a.jpg": ({"cat"}, set()), "b.jpg": (set(), set())}


def test_damaged_lines_are_named(tmp_path: Path) -> None:
    dataset = load(tmp_path, [row("a.jpg", objects("cat")), {"data_row": {}, "projects": {}}, 7])
    assert [problem.message[:22] for problem in dataset.problems if problem.kind == "bad row"] == [
        "export.ndjson, line 2:",
        "export.ndjson, line 3:",
    ]
    with pytest.raises(DataError, match=r"no image in it; export\.ndjson, line 1: `projects` is "):
        load(tmp_path, [{"data_row": {"external_id": "a.jpg"}, "projects": []}])
