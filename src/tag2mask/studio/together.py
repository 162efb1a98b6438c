"""Several files that change together: after a kill at any moment all are as before, or all are new.

New files are written into a folder of their own first. Once a marker lies in it they count, and are moved to their
places; what was interrupted is finished, or dropped where the marker was not reached, the next time.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.files import make_folder, write_text
from tag2mask.core.text import printable

_FOLDER = "changing"
_READY = "ready"
_FILES = "files"


@contextmanager
def together(home: Path) -> Iterator[Path]:
    """Give a folder for new files, by their paths in `home`; at the end all of them replace those in `home`.

    Args:
        home: the folder whose files change; one process at a time.

    Raises:
        DataError: the disk is full, or the folder cannot be written to.
    """
    finish(home)
    staged = make_folder(home / _FOLDER / _FILES)
    try:
        yield staged
        write_text(home / _FOLDER / _READY, "")
    except BaseException:
        shutil.rmtree(home / _FOLDER, ignore_errors=True)
        raise
    finish(home)


def finish(home: Path) -> None:
    """Finish a change that was interrupted, or drop one that was not complete.

    Raises:
        DataError: a file cannot be moved to its place.
    """
    changing = home / _FOLDER
    if not changing.exists():
        return
    try:
        if (changing / _READY).exists():
            staged = changing / _FILES
            for path in sorted(staged.rglob("*")):
                if path.is_file():
                    target = home / path.relative_to(staged)
                    make_folder(target.parent)
                    path.replace(target)
            (changing / _READY).unlink()
        shutil.rmtree(changing)
    except OSError as error:
        raise DataError(
            f"{printable(changing)}: a change cannot be finished ({error.strerror}); check space and permissions, then "
            "open the project again"
        ) from error
