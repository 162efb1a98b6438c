"""Reading a text file that another tool wrote: its encoding, and the error where it is no text."""

from __future__ import annotations

import codecs
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.data.readers.signatures import refuse_other_files


def read_text(path: Path, kind: str, expected: str) -> str:
    """The text of a file in UTF-8 or, with its mark, UTF-16; the mark (BOM) itself is dropped.

    Args:
        path: the file.
        kind: what it should be saved as, for the message: `CSV`.
        expected: what was expected, for the message.

    Raises:
        DataError: it cannot be read, is not text, or holds a NUL.
    """
    data = read_bytes(path, expected)
    refuse_other_files(path, data[:1024])
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        hint = " (in Excel: Save As, `CSV UTF-8`)" if kind == "CSV" else ""
        raise DataError(
            f"{path}, line {line}: not UTF-8 text (byte 0x{data[error.start]:02x}); save it as UTF-8 {kind}{hint}"
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{path}, line {line}: holds a NUL byte: not a text file; save it as UTF-8 {kind}")
    return text


def read_bytes(path: Path, expected: str, *, most: int = -1) -> bytes:
    """The bytes of a file, or the first `most` of them.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(most)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {expected}") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: this is a folder; the file of tags was expected, such as tags.csv") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
