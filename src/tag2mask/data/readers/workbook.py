"""The cells of an Excel workbook (.xlsx, .xlsm), by openpyxl: those of its first sheet that holds any."""

from __future__ import annotations

import importlib
import re
import warnings
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.text import counted

SUFFIXES = frozenset({".xlsx", ".xlsm"})

_MOST_BYTES = 1 << 30
"""Of a workbook's XML, unpacked; openpyxl reads it row by row."""

_FORMULA = re.compile(rb"<f[ >]")

_SAVE = "save it in Excel again, or save it as CSV (`CSV UTF-8`) and give that file"


def is_workbook(path: Path) -> bool:
    """Whether a file is a workbook that openpyxl reads, by its content."""
    try:
        with path.open("rb") as stream:
            if stream.read(4) != b"PK\x03\x04":
                return False
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith("xl/") and name.endswith(".xml") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        return False


def workbook_rows(path: Path) -> tuple[list[tuple[int, tuple[str, ...]]], list[str]]:
    """The rows of a workbook that hold anything, each with its number, and notes on what was not read.

    Raises:
        ConfigError: openpyxl is not installed.
        DataError: the workbook is damaged, too large or empty.
    """
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError as error:
        raise ConfigError(
            f"{path}: an Excel workbook needs openpyxl: pip install 'tag2mask[excel]', or save it as CSV "
            "(in Excel: Save As, `CSV UTF-8`)"
        ) from error
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            has_formulas = size <= _MOST_BYTES and _has_formulas(archive)
        if size > _MOST_BYTES:
            raise DataError(f"{path}: a workbook of {size:,} bytes when unpacked, which is too large; {_SAVE}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which are not read
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                found = [(sheet.title, rows) for sheet in book.worksheets if (rows := _rows(sheet))]
            finally:
                book.close()
            unstored = _unstored(openpyxl, path, found[0][0]) if has_formulas and found else []
    except DataError:
        raise
    except Exception as error:  # openpyxl trusts its input: a damaged file raises errors of many kinds
        raise DataError(
            f"{path}: an Excel workbook ({path.suffix.lower() or '.xlsx'}) that is damaged ({type(error).__name__}: "
            f"{str(error)[:80]}); {_SAVE}"
        ) from error
    if not found:
        raise DataError(f"{path}: no cell in this workbook; write a header such as `image,tags` and rows below it")
    title, rows = found[0]
    others = ", ".join(repr(name) for name, _ in found[1:])
    notes = [f"read from sheet {title!r}, not from {others}"] if others else []
    if unstored:
        notes.append(
            f"{counted(len(unstored), 'cells')} with a formula and no stored result, read as empty, the first "
            f"{unstored[0]}; open the workbook in Excel or LibreOffice and save it, or save it as CSV"
        )
    return rows, notes


def _has_formulas(archive: zipfile.ZipFile) -> bool:
    """Whether a cell of any sheet holds a formula: without one, nothing is read twice."""
    for name in archive.namelist():
        if name.startswith("xl/worksheets/") and name.endswith(".xml"):
            with archive.open(name) as stream:
                end = b""
                while part := stream.read(1 << 20):
                    if _FORMULA.search(end + part):
                        return True
                    end = part[-4:]
    return False


def _unstored(openpyxl: Any, path: Path, title: str) -> list[str]:
    """Coordinates of the cells of a sheet with a formula but no result of it, as programs other than Excel write."""
    found: list[str] = []
    books = [openpyxl.load_workbook(path, read_only=True, data_only=stored) for stored in (True, False)]
    try:
        values, formulas = (book[title] for book in books)
        for sheet in (values, formulas):
            sheet.reset_dimensions()
        for stored, written in zip(values.iter_rows(), formulas.iter_rows(), strict=False):
            for value, formula in zip(stored, written, strict=False):
                if value.value is None and isinstance(formula.value, str) and formula.value.startswith("="):
                    found.append(formula.coordinate)
    finally:
        for book in books:
            book.close()
    return found


def _rows(sheet: Any) -> list[tuple[int, tuple[str, ...]]]:
    sheet.reset_dimensions()  # which a file may state wrongly
    rows: list[tuple[int, tuple[str, ...]]] = []
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        texts = tuple(map(_text, cells))
        if any(texts):
            width = len(rows[0][1]) if rows else 0
            rows.append((number, texts + ("",) * (width - len(texts))))  # empty cells at the end are not stored
    return rows


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
