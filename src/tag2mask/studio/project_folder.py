"""The folder of a project: where each file lies, and what can be said of it without the tags."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from tag2mask.core.files import make_folder, write_text
from tag2mask.masks.class_names import CLASSES_FILE

HOME = "tag2mask"
"""Folder of a project inside the folder of images."""

PROJECT_FILE = "project.yaml"
TAGS_FILE = "tags.csv"

_ADDRESS = "address.txt"
_SECRET = "session.key"
_RUN = re.compile(r"run-(\d+)")


class ProjectFolder:
    """Paths of a project.

    Attributes:
        home: folder of everything that is not an image.
    """

    def __init__(self, home: Path):
        self.home = home

    @property
    def corrected(self) -> Path:
        """Folder of the kept masks."""
        return self.home / "corrected"

    @property
    def drafts(self) -> Path:
        """Folder of painting that is not kept yet."""
        return self.home / "drafts"

    @property
    def runs_folder(self) -> Path:
        """Folder of the runs."""
        return self.home / "runs"

    @property
    def cache(self) -> Path:
        """Folder of what can be computed again."""
        return self.home / "cache"

    @property
    def tags_file(self) -> Path:
        """Tags of the images, as `Dataset.load` reads them."""
        return self.home / TAGS_FILE

    @property
    def classes_file(self) -> Path:
        """Names of the classes in the order of their indices."""
        return self.home / CLASSES_FILE

    def runs(self) -> list[str]:
        """Names of the runs' folders, `run-2` before `run-10`."""
        folder = self.runs_folder
        names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        return sorted((name for name in names if _RUN.fullmatch(name)), key=lambda name: int(name[4:]))

    @staticmethod
    def mask_names(folder: Path) -> set[str]:
        """Names, without suffix and relative to it, of the PNGs in a folder and its subfolders."""
        found = set()
        start = len(str(folder)) + 1
        for place, _, files in os.walk(folder):
            below = place[start:].replace(os.sep, "/")
            prefix = f"{below}/" if below else ""
            found |= {prefix + file[:-4] for file in files if file.endswith(".png") and not file.startswith(".")}
        return found

    def secret(self) -> bytes:
        """32 random bytes of this project, made the first time, that only their owner may read."""
        path = make_folder(self.cache) / _SECRET
        with suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(handle, secrets.token_bytes(32))
            os.close(handle)
        content = path.read_bytes()
        if len(content) != 32:  # killed while it was made
            path.unlink()
            return self.secret()
        return content

    def address(self) -> str | None:
        """Where a server says that this project's page is; it may have been killed since."""
        with suppress(OSError):
            return (self.cache / _ADDRESS).read_text(encoding="utf-8").strip() or None
        return None

    def write_address(self, address: str | None) -> None:
        """Say where this project's page is, for whoever starts a second server; None: nowhere."""
        path = self.cache / _ADDRESS
        if address is None:
            path.unlink(missing_ok=True)
        else:
            write_text(path, address)
