"""Names of images: relative to a folder, with / between parts, NFC, never leading out of it."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.core.files import is_temporary
from tag2mask.core.text import printable
from tag2mask.images.kinds import IMAGE_SUFFIXES, Kind, is_image_name, special_file, suffix_of
from tag2mask.images.left_out import (
    LeftOut,
    folder_kind,
    hidden_images,
    image_folders,
    lookalikes,
    results,
    results_below,
    unreadable_here,
)

__all__ = ["FolderIndex", "check_mask_names", "is_image_name", "list_images", "normalise_name", "without_suffix"]

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_SHOWN = 5  # reasons in a message
_SKIPPED_FOLDERS = frozenset({"__MACOSX", "@eaDir", "__pycache__"})


def normalise_name(text: str) -> str:
    """A name as it is written in a table, as a relative POSIX path in NFC.

    Raises:
        DataError: it is empty, absolute, or has a part `..`.
    """
    text = unicodedata.normalize("NFC", text.strip())
    if text.startswith(("/", "\\")) or _DRIVE.match(text):
        raise DataError(f"{text!r}: an absolute path; write names relative to the folder of images")
    parts = [part for part in text.replace("\\", "/").split("/") if part not in {"", "."}]
    if ".." in parts:
        raise DataError(f"{text!r}: a name with .. leads out of the folder; write names inside the folder")
    if not parts:
        raise DataError(f"{text!r}: not the name of a file")
    return "/".join(parts)


class FolderIndex:
    """The files of a folder and its subfolders, found by names written in many ways.

    Hidden files and folders are skipped. Images and folders that must not be used are remembered:
    broken links, links that lead out of the folder, links to folders, names that are not text, named pipes
    and other files without content of their own, which are never opened.

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
            raise DataError(f"{printable(folder)}: no such folder; check the path")
        if not folder.is_dir():
            what = special_file(folder.stat().st_mode) or "a file"
            raise DataError(f"{printable(folder)}: this is {what}, a folder of images was expected")
        self.root = folder.resolve()
        self.files: dict[str, Path] = {}
        self.refused: dict[str, str] = {}
        self._follow_links = follow_links
        self._start()
        self._walk(self.root, "")

    def _start(self, *, is_local: bool = True) -> None:
        self._is_local = is_local
        self._hidden: list[str] = []
        self._folders: list[str] = []
        self._marked: dict[str, Kind] = {}
        self._written: dict[str, tuple[str, Kind]] | None = None
        self._images: list[str] | None = None
        self._left_out: list[LeftOut] | None = None
        self._loose: dict[str, list[str]] | None = None
        self._by_base: dict[str, list[str]] | None = None

    @classmethod
    def of_names(cls, root: Path, names: Iterable[str]) -> FolderIndex:
        """An index of files that are elsewhere, such as in an object store, from their names below `root`."""
        index = cls.__new__(cls)
        index.root = root
        index.files = {unicodedata.normalize("NFC", name): root / name for name in names}
        index.refused = {}
        index._start(is_local=False)
        return index

    def images(self) -> list[str]:
        """Names of all files with an image suffix, sorted; without those that `left_out` names."""
        if self._images is None:
            written = self._results()
            names = (name for name in self.files if is_image_name(name) and name not in written)
            self._images = sorted(name for name in names if not (self._is_local and unreadable_here(name)))
        return list(self._images)

    def left_out(self) -> list[LeftOut]:
        """What looks like an image and is not among `images`, sorted by name; what is `refused` comes on top.

        Files of an unknown suffix are opened for this, to see whether they are images.
        """
        if self._left_out is None:
            images = self.images()
            found = [
                *(lookalikes(self.files, images, sniff=True) if self._is_local else ()),
                *image_folders(self._folders, images),
                *hidden_images(self._hidden),
                *results(self._results()),
            ]
            self._left_out = sorted(found, key=lambda one: one.name)
        return list(self._left_out)

    def _results(self) -> dict[str, tuple[str, Kind]]:
        if self._written is None:
            self._written = results_below(self._marked, self.files)
        return self._written

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
            for part in (candidate, *map(str, PurePosixPath(candidate).parents)) if self.refused else ():
                if part in self.refused:
                    raise DataError(f"{printable(part)}: {self.refused[part]}")
        for candidate in names:
            found = self._loose_names().get(candidate.casefold(), [])
            if len(found) == 1:
                return found[0]
            if found:
                raise DataError(f"{text!r} may mean {_some(found)}; write the whole name with its suffix")
        base = self._base_names().get(name.rpartition("/")[2], [])
        hint = f"; did you mean {_some(base)}?" if base else "; check the name, or the folder of images"
        raise DataError(f"{printable(name)}: no such image in {printable(self.root)}{hint}")

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
                self._by_base[name.rpartition("/")[2]].append(name)
        return self._by_base

    def _walk(self, folder: Path, prefix: str) -> None:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(
                f"{printable(folder)}: cannot be listed ({error.strerror}); check its permissions"
            ) from error
        kind = folder_kind((entry.name for entry in entries), is_root=not prefix)
        if kind is not None:
            self._marked[prefix.removesuffix("/")] = kind
        for entry in entries:
            name = prefix + unicodedata.normalize("NFC", entry.name)
            if entry.name.startswith(".") or entry.name in _SKIPPED_FOLDERS:
                if _is_hidden_image(entry):
                    self._hidden.append(printable(name))
                continue
            path = Path(entry.path)
            refusal = self._refusal(entry, name)
            if refusal is None and entry.is_dir():
                if is_image_name(name):
                    self._folders.append(name)
                self._walk(path, f"{name}/")
            elif refusal is None and entry.is_file():
                self.files[name] = path
            elif refusal is not None and (entry.is_dir() or is_image_name(name)):
                self.refused[_as_text(name)] = refusal

    def _refusal(self, entry: os.DirEntry[str], name: str) -> str | None:
        if _as_text(name) != name:
            return "the file's name is not valid text (UTF-8); rename it"
        if entry.is_symlink():
            why = self._link_refusal(Path(entry.path))
            if why is not None:
                return why
        if (special := _special(entry)) is not None:
            return f"{special}, not a file; remove it, or put an image there"
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
        raise DataError(f"{printable(folder / name)}: {why}")
    if not names:
        raise DataError(f"{printable(folder)}: {no_image(index)}")
    check_mask_names(names)
    return [(index.files[name], name) for name in names]


def no_image(index: FolderIndex) -> str:
    """Why there is nothing to do in a folder without an image that is read."""
    reasons = [f"{printable(name)}: {why}" for name, why in index.refused.items()]
    reasons += [one.message for one in index.left_out()]
    if not reasons:
        suffixes = ", ".join(sorted(suffix for suffix in IMAGE_SUFFIXES if not unreadable_here(f"x{suffix}")))
        return f"no image in this folder ({suffixes}); check the path"
    more = f"\n  and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    lines = "".join(f"\n  {reason}" for reason in reasons[:_SHOWN])
    return f"no image in this folder that can be used; left out: {len(reasons)}{lines}{more}"


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
                f"{printable(other)} and {printable(name)} would write the same mask "
                f"{printable(without_suffix(name))}.png; rename one of them"
            )


def without_suffix(name: str) -> str:
    """The name without its suffix, if that is an image's."""
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix.lower() in IMAGE_SUFFIXES else name


def _special(entry: os.DirEntry[str]) -> str | None:
    """What an entry is that is neither a file nor a folder, or None."""
    try:
        return None if entry.is_file() or entry.is_dir() else special_file(entry.stat().st_mode)
    except OSError:
        return "a file that cannot be looked at"


def _is_hidden_image(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is an image that is passed over; the files that macOS keeps beside others are none."""
    hidden = is_image_name(entry.name) and not entry.name.startswith("._") and not is_temporary(entry.name)
    return hidden and entry.is_file()


def _as_text(name: str) -> str:
    return name.encode("utf-8", "replace").decode("utf-8")


def _some(names: list[str]) -> str:
    return ", ".join(map(printable, sorted(names)[:3])) + (f" (and {len(names) - 3} more)" if len(names) > 3 else "")
