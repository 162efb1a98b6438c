"""Tables of tags in Excel workbooks, and formats of other packages."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data import load_dataset
from tag2mask.data.readers import plugins, sources, workbook
from tag2mask.data.readers.listing import Listing
from tag2mask.images.folder import FolderIndex
from tests.helpers import write_images


def book(path: Path, **sheets: Sequence[Sequence[object]]) -> Path:
    made = openpyxl.Workbook()
    made.remove(made.worksheets[0])
    for title, rows in sheets.items():
        sheet = made.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    made.save(path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "photos", ["a.jpg", "b.jpg", "7.jpg"])


def test_a_workbook_is_read_like_csv(images: Path, tmp_path: Path) -> None:
    rows = [("image", "cat", "dog"), ("a.jpg", 1, 0), (), ("b.jpg", True, None), (7, 0.0, 1.0)]
    table = book(tmp_path / "t.xlsx", empty=[], tags=rows, notes=[("x",)])
    dataset = load_dataset(images, table)
    assert dataset.source == "csv"
    assert {record.name: (set(record.present), set(record.unknown)) for record in dataset.records} == {
        "a.jpg": ({"cat"}, set()),
        "b.jpg": ({"cat"}, {"dog"}),
        "7.jpg": ({"dog"}, set()),
    }
    assert dataset.records[1].where == "t.xlsx, line 4"
    assert any("read from sheet 'tags', not from 'notes'" in problem.message for problem in dataset.problems)


def test_formulas_without_a_stored_result_are_said(images: Path, tmp_path: Path) -> None:
    rows = [("image", "cat", "dog"), ("a.jpg", 1, "=1-B2"), ("b.jpg", "=IF(1,1,0)", 1)]
    dataset = load_dataset(images, book(tmp_path / "t.xlsx", tags=rows))
    [said] = [problem.message for problem in dataset.problems if "formula" in problem.message]
    assert "2 cells with a formula and no stored result, read as empty, the first C2" in said


def test_workbooks_that_cannot_be_read(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"t\.xlsx: no cell in this workbook"):
        load_dataset(images, book(tmp_path / "t.xlsx", empty=[]))
    with zipfile.ZipFile(tmp_path / "d.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<x")
    with pytest.raises(DataError, match=r"d\.xlsx: an Excel workbook \(\.xlsx\) that is damaged"):
        load_dataset(images, tmp_path / "d.xlsx")
    monkeypatch.setattr(workbook, "_MOST_BYTES", 100)
    with pytest.raises(DataError, match="too large"):
        load_dataset(images, tmp_path / "t.xlsx")
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(ConfigError, match=r"tag2mask\[excel\]"):
        load_dataset(images, tmp_path / "t.xlsx")


def test_a_format_of_another_package(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
        names = path.read_text().split()[1:]
        return Listing("mine", index, [ImageRecord(name, tags=frozenset({"cat"}), where=path.name) for name in names])

    mine = plugins.FileFormat(read, lambda path, head: head.startswith(b"MINE"))
    monkeypatch.setattr(sources, "plugins", lambda: {"mine": mine})
    (tmp_path / "t.txt").write_text("MINE a.jpg b.jpg")
    assert load_dataset(images, tmp_path / "t.txt").source == "mine"
    assert len(load_dataset(images, tmp_path / "t.txt", format="mine")) == 2
    with pytest.raises(DataError, match=r"expected one of .*images, mine"):
        load_dataset(images, tmp_path / "t.txt", format="yours")
