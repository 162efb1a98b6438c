"""Outputs of many files, a folder or a ZIP archive, that appear complete or not at all."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.files import atomic_path, temporary_folder

PREVIOUS = "before"
"""Name of the output as it was, in the temporary folder, while it is replaced."""

Write = Callable[[str, bytes], None]
"""Writes one file: name relative to the output, with / between parts, and its content."""


def check_free(
    out: Path,
    *,
    overwrite: bool,
    contents: frozenset[str] = frozenset(),
    owns: Callable[[Path], bool] = lambda entry: False,
) -> None:
    """Refuse an output that already exists, or that must not be replaced.

    Args:
        out: file or folder to be written.
        overwrite: it may be replaced.
        contents: what a folder that is replaced may contain at its top; nothing else is ever deleted.
        owns: whether another file or folder at its top is the format's own, too.

    Raises:
        ConfigError: it exists and `overwrite` is off, or it holds something else.
    """
    if out.is_dir():
        entries = sorted(out.iterdir())
        found = [entry.name for entry in entries]
        if not contents:
            raise ConfigError(f"`out`: {out} is a folder; this format is one file, give its name")
        if foreign := [one.name for one in entries if one.name not in contents and not owns(one)]:
            raise ConfigError(
                f"`out`: {out} holds other files ({foreign[0]}), which are never replaced; choose another folder"
            )
        if not found:
            return
    if os.path.lexists(out) and not overwrite:
        raise ConfigError(f"{out}: already exists; choose another `out`, or replace it with `overwrite=True`")


@contextmanager
def container(out: Path) -> Iterator[Write]:
    """Open `out`, a ZIP archive if it ends in .zip, else a folder, for writing.

    On success `out` replaces what was there before; after an error everything is as before.

    Yields:
        A function that writes one file into it.

    Raises:
        DataError: it cannot be written.
    """
    with _archive(out) if out.suffix.lower() == ".zip" else _folder(out) as write:
        yield write


@contextmanager
def _archive(out: Path) -> Iterator[Write]:
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        # A fixed date: the same masks give the same bytes.
        def write(name: str, content: bytes) -> None:
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o644 << 16
            kind = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
            archive.writestr(member, content, compress_type=kind)

        yield write


@contextmanager
def _folder(out: Path) -> Iterator[Write]:
    with temporary_folder(out) as temporary:
        root, before = temporary / "new", temporary / PREVIOUS

        def write(name: str, content: bytes) -> None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

        try:
            root.mkdir()
            yield write
            if out.is_dir():
                out.replace(before)
            try:
                root.replace(out)
            except BaseException:
                if before.is_dir():
                    before.replace(out)
                raise
        except OSError as error:
            raise DataError(f"{out}: writing failed ({error.strerror}); check space and permissions") from error
