"""Names of images: relative to a folder, with / between parts, NFC, never leading out of it."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.images.decode import IMAGE_SUFFIXES

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_SKIPPED_FOLDERS = frozenset({"__MACOSX", "@eaDir", "__pycache__"})


def normalise_name(text: str) -> str:
    """A name as it is written in a table, as a relative POSIX path in NFC.

    Raises:
        DataError: it is empty, absolute, or has a part `..`.
    """
    text = unicodedata.normalize("NFC", text.strip())
    if text.startswith(("/", "\\")) or _DRIVE.match(text):
        raise DataError(f"{text!r}: an absolute path; write names relative to the folder of images")
    path = PurePosixPath(text.replace("\\", "/"))
    if ".." in path.parts:
        raise DataError(f"{text!r}: a name with .. leads out of the folder; write names inside the folder")
    if not path.name:
        raise DataError(f"{text!r}: not the name of a file")
    return str(path)


class FolderIndex:
    """The files of a folder and its subfolders, found by names written in many ways.

    Hidden files and folders are skipped. Images and folders that must not be used are remembered:
    broken links, links that lead out of the folder, links to folders, names that are not text.

    Attributes:
        root: the folder, resolved.
        files: path of each file by its name.
        refused: why an image or a folder cannot be used, by its name.
    """

    def __init__(self, folder: Path, *, follow_links: bool = False) -> None:
        """Walk the folder.

        Args:
            folder: where to look.
            follow_links: links may lead anywhere but to a folder they lie in.

        Raises:
            DataError: it does not exist, is not a folder or cannot be listed.
        """
        if not folder.exists():
            raise DataError(f"{folder}: no such folder; check the path")
        if not folder.is_dir():
            raise DataError(f"{folder}: this is a file, a folder of images was expected")
        self.root = folder.resolve()
        self.files: dict[str, Path] = {}
        self.refused: dict[str, str] = {}
        self._follow_links = follow_links
        self._walk(self.root, "")
        self._loose: dict[str, list[str]] | None = None
        self._by_base: dict[str, list[str]] | None = None

    @classmethod
    def of_names(cls, root: Path, names: Iterable[str]) -> FolderIndex:
        """An index of files that are elsewhere, such as in an object store, from their names below `root`."""
        index = cls.__new__(cls)
        index.root = root
        index.files = {unicodedata.normalize("NFC", name): root / name for name in names}
        index.refused = {}
        index._loose = index._by_base = None
        return index

    def images(self) -> list[str]:
        """Names of all files with an image suffix, sorted."""
        return sorted(name for name in self.files if is_image_name(name))

    def find(self, text: str) -> str:
        """Name of the file that `text` means.

        Looked for as written, then with the folder's own name removed from its front, then without
        regard to a missing suffix or to upper and lower case where only one file fits.

        Raises:
            DataError: there is none, several fit, or it must not be used.
        """
        if (exact := unicodedata.normalize("NFC", text)) in self.files:
            return exact
        name = normalise_name(text)
        names = [name]
        if name.startswith(f"{self.root.name}/"):
            names.append(name.removeprefix(f"{self.root.name}/"))
        for candidate in names:
            if candidate in self.files:
                return candidate
            for part in (candidate, *map(str, PurePosixPath(candidate).parents)):
                if part in self.refused:
                    raise DataError(f"{part}: {self.refused[part]}")
        for candidate in names:
            found = self._loose_names().get(candidate.casefold(), [])
            if len(found) == 1:
                return found[0]
            if found:
                raise DataError(f"{text!r} may mean {_some(found)}; write the whole name with its suffix")
        base = self._base_names().get(PurePosixPath(name).name, [])
        hint = f"; did you mean {_some(base)}?" if base else "; check the name, or the folder of images"
        raise DataError(f"{name}: no such image in {self.root}{hint}")

    def _loose_names(self) -> dict[str, list[str]]:
        if self._loose is None:
            self._loose = defaultdict(list)
            for name in self.files:
                keys = {name.casefold()}
                if is_image_name(name):
                    keys.add(without_suffix(name).casefold())
                for key in keys:
                    self._loose[key].append(name)
        return self._loose

    def _base_names(self) -> dict[str, list[str]]:
        if self._by_base is None:
            self._by_base = defaultdict(list)
            for name in self.files:
                self._by_base[PurePosixPath(name).name].append(name)
        return self._by_base

    def _walk(self, folder: Path, prefix: str) -> None:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from error
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _SKIPPED_FOLDERS:
                continue
            name = prefix + unicodedata.normalize("NFC", entry.name)
            path = Path(entry.path)
            refusal = self._refusal(entry, name)
            if refusal is None and entry.is_dir():
                self._walk(path, f"{name}/")
            elif refusal is None and entry.is_file():
                self.files[name] = path
            elif refusal is not None and (entry.is_dir() or is_image_name(name)):
                self.refused[_printable(name)] = refusal

    def _refusal(self, entry: os.DirEntry[str], name: str) -> str | None:
        if _printable(name) != name:
            return "the file's name is not valid text (UTF-8); rename it"
        if entry.is_symlink():
            why = self._link_refusal(Path(entry.path))
            if why is not None:
                return why
        if name in self.files:
            return "two files whose names look the same (unicode forms NFC and NFD); rename one"
        return None

    def _link_refusal(self, link: Path) -> str | None:
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):
            return "a broken link; put the file itself there"
        if self._follow_links:
            inside = link.parent.resolve().is_relative_to(target)
            return "a link to a folder that it lies in; remove it" if inside else None
        if not target.is_relative_to(self.root):
            return "a link that leads out of the folder; put the file itself there"
        if target.is_dir():
            return "a link to a folder, which is not followed; put the folder itself there"
        return None


def list_images(folder: Path) -> list[tuple[Path, str]]:
    """All images of a folder and its subfolders, or one image, without any tags.

    Args:
        folder: a folder, or a single image file.

    Returns:
        (path, name) sorted by name; the name is relative to the folder, with its suffix.

    Raises:
        DataError: there is none, two would write the same mask, or one is a link out of the folder.
    """
    if folder.is_file():
        return [(folder, unicodedata.normalize("NFC", folder.name))]
    index = FolderIndex(folder)
    names = index.images()
    for name, why in index.refused.items():
        raise DataError(f"{folder / name}: {why}")
    if not names:
        raise DataError(f"{folder}: no image in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
    check_mask_names(names)
    return [(index.files[name], name) for name in names]


def check_mask_names(names: Iterable[str]) -> None:
    """Refuse two images that would write the same mask, such as a.jpg and a.png.

    Raises:
        DataError: there are such; the message names both.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(without_suffix(name), name)
        if other != name:
            raise DataError(
                f"{other} and {name} would write the same mask {without_suffix(name)}.png; rename one of them"
            )


def is_image_name(name: str) -> bool:
    """Whether the suffix is that of an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def without_suffix(name: str) -> str:
    """The name without its suffix, if that is an image's."""
    return str(PurePosixPath(name).with_suffix("")) if is_image_name(name) else name


def _printable(name: str) -> str:
    return name.encode("utf-8", "replace").decode("utf-8")


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (f" (and {len(names) - 3} more)" if len(names) > 3 else "")
