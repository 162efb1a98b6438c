"""The masks that lie on disk for an image of a project: kept, draft, and those of its runs."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.files import atomic_path, write_text
from tag2mask.images.decode import image_size
from tag2mask.masks import mask_path, read_mask, write_mask
from tag2mask.masks.class_names import CLASSES_FILE, classes_text, read_classes
from tag2mask.studio.pixels import work_size
from tag2mask.studio.project import Project

UNPAINTED = 255
"""Value of a draft where nothing is painted."""

_NAMES_NOW = "names-now.txt"
"""File of it with the names in the project of the run's classes, in their order, once one was renamed."""

OURS = "studio"
"""Folder of a run for what the studio adds: what was trained on, the log, the process."""

Mask = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ClassLink:
    """Classes of a run and those of the project, which may have changed since the run was trained.

    Classes belong together by name, also by a new name (`note_new_name`). Pixels of a class that belongs to none become
    255, undecided.

    Attributes:
        of_run: names, without background.
        of_project: names, without background.
        table: uint8 (256,), class index in the project by class index in the run.
    """

    of_run: tuple[str, ...]
    of_project: tuple[str, ...]
    table: NDArray[np.uint8]

    @classmethod
    def of(cls, run: Path, of_project: Sequence[str]) -> ClassLink:
        """Find which classes of a run, by its folder, belong to which of the project."""
        of_run = run_classes(run) or ()
        table = np.full(256, IGNORE_INDEX, np.uint8)
        table[0] = 0
        for position, name in enumerate(_names_now(run) or of_run):
            if name in of_project:
                table[position + 1] = of_project.index(name) + 1
        return cls(tuple(of_run), tuple(of_project), table)

    @property
    def is_same(self) -> bool:
        """Whether indices mean the same on both sides."""
        count = len(self.of_run) + 1
        return bool((self.table[:count] == np.arange(count)).all())

    def to_project(self, mask: Mask) -> Mask:
        """A mask of the run in class indices of the project."""
        return mask if self.is_same else self.table[mask]

    def name_in_run(self, name: str) -> str | None:
        """The run's name of a class of the project; None: the run does not know it."""
        index = self.of_project.index(name) + 1
        found = np.flatnonzero(self.table[1 : len(self.of_run) + 1] == index)
        return self.of_run[int(found[0])] if found.size else None

    def names_in_run(self, names: Sequence[str]) -> tuple[str, ...]:
        """The run's names of those classes of the project that it knows."""
        found = (self.name_in_run(name) for name in names)
        return tuple(name for name in found if name is not None)


def run_classes(run: Path) -> tuple[str, ...] | None:
    """Class names of a run, without background; None where nothing says them yet."""
    for folder in (run / OURS, run / "masks"):
        if (folder / CLASSES_FILE).is_file():
            return tuple(read_classes(folder / CLASSES_FILE))
    with suppress(OSError, ValueError, KeyError):
        return tuple(json.loads((run / "collection.json").read_text(encoding="utf-8"))["classes"])
    return None


def note_new_name(project: Project, before: str, now: str) -> None:
    """Remember in every run that a class has a new name in the project."""
    for run in project.runs():
        folder = project.runs_folder / run
        names = _names_now(folder) or run_classes(folder)
        if names is not None and before in names:
            write_text(folder / OURS / _NAMES_NOW, classes_text([now if name == before else name for name in names]))


def _names_now(run: Path) -> tuple[str, ...] | None:
    """Names in the project of the classes of a run, where one was renamed."""
    path = run / OURS / _NAMES_NOW
    return tuple(read_classes(path)) if path.is_file() else None


def resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """A mask (H, W) at another size, by the nearest pixel."""
    if mask.shape == size:
        return mask
    return np.array(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def at_file_size(mask: Mask, path: Path) -> Mask:
    """A mask at the size of the image in a file, by the nearest pixel.

    Raises:
        DataError: the image cannot be read.
    """
    return resized(mask, image_size(path))


def encode_grey(mask: Mask) -> bytes:
    """A mask as an 8-bit grey PNG of its class indices, quickly rather than small."""
    # OpenCV: Pillow takes three times as long at the same level.
    _, content = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return content.tobytes()


def decode_mask(content: bytes, size: tuple[int, int], classes: int) -> Mask:
    """A mask that a page sends: a grey or palette PNG of class indices, or one in colour with equal channels.

    Args:
        content: of the PNG.
        size: (H, W) that it must have.
        classes: number of classes without background; 255 is allowed too.

    Raises:
        DataError: it is no such PNG, of another size, or holds what is no class.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.size != size[::-1]:
                found = f"{image.size[0]} x {image.size[1]}"
                raise DataError(f"this mask is {found} pixels (width x height), its image {size[1]} x {size[0]}")
            values = np.array(image) if image.mode in ("L", "P", "RGB", "RGBA") else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"this is no PNG that can be read ({error}); send the mask as an 8-bit grey PNG") from None
    if values is None or (values.ndim == 3 and not _is_grey(values)):
        raise DataError("this PNG is not of class indices; send an 8-bit grey PNG without transparency")
    mask: Mask = np.ascontiguousarray(values if values.ndim == 2 else values[..., 0], np.uint8)
    wrong = mask[(mask > classes) & (mask != IGNORE_INDEX)]
    if wrong.size:
        raise DataError(f"class index {int(wrong[0])}, but there are {classes} classes; load the page again")
    return mask


def _is_grey(values: NDArray[np.uint8]) -> bool:
    """Whether an image (H, W, 3 or 4) is opaque with equal channels."""
    is_opaque = values.shape[2] == 3 or bool((values[..., 3] == 255).all())
    return is_opaque and bool((values[..., :3] == values[..., :1]).all())


class Layers:
    """Drafts and kept masks of a project; every change is on disk when a method returns."""

    def __init__(self, project: Project):
        self.project = project

    def size(self, name: str) -> tuple[int, int]:
        """Work size (H, W) of an image.

        Raises:
            DataError: the image cannot be read.
        """
        return work_size(image_size(self.project.path(name)))

    def draft(self, name: str) -> Mask | None:
        """The draft of an image at its work size; None where there is none."""
        return self._read(mask_path(self.project.drafts, name), name)

    def put_draft(self, name: str, content: bytes, *, base: str | None = None) -> bool:
        """Replace the draft of an image by a PNG of its work size; 255 is not painted.

        Args:
            name: of the image.
            content: the PNG.
            base: version of the draft that was painted on; where there is another one now, which somebody else
                painted meanwhile, the two are joined, and it wins where both are painted. None: replace any.

        Returns:
            Whether two were joined.

        Raises:
            DataError: as `decode_mask`, or it cannot be written.
        """
        size = self.size(name)
        with self.project.lock:  # a class may be removed meanwhile, which changes all masks
            mask = decode_mask(content, size, len(self.project.classes))
            newer = self.draft(name) if base not in (None, self.draft_version(name)) else None
            joined = mask if newer is None else np.where(newer == UNPAINTED, mask, newer)
            _write(mask_path(self.project.drafts, name), encode_grey(joined))
            return bool((joined != mask).any())

    def drop_draft(self, name: str, *, base: str | None = None) -> None:
        """Remove the draft of an image, if there is one; where `base` is given, only that version of it."""
        with self.project.lock:
            if base in (None, self.draft_version(name)):
                mask_path(self.project.drafts, name).unlink(missing_ok=True)

    def draft_version(self, name: str) -> str:
        """Stands for what the draft of an image is now."""
        return _version(mask_path(self.project.drafts, name))

    def kept_version(self, name: str) -> str:
        """Stands for what the kept mask of an image is now."""
        return _version(mask_path(self.project.corrected, name))

    def kept(self, name: str) -> Mask | None:
        """The kept mask of an image at its work size; None where there is none."""
        return self._read(mask_path(self.project.corrected, name), name)

    def keep(
        self, name: str, content: bytes, *, base: str | None = None, draft_base: str | None = None
    ) -> tuple[Mask, bool]:
        """Keep a mask, a PNG of the image's work size, at the size of its file; the draft has served its purpose.

        Args:
            name: of the image.
            content: the PNG.
            base: version of the kept mask that was corrected; where another one was kept meanwhile, that one stays,
                and the mask that is given becomes a draft where it differs. None: replace any.
            draft_base: version of the draft that has served its purpose; another one stays. None: any.

        Returns:
            The mask as it was sent, and whether it was kept.

        Raises:
            DataError: as `decode_mask`, or it cannot be written.
        """
        size, path = self.size(name), self.project.path(name)
        with self.project.lock:
            classes = len(self.project.classes)
            mask = decode_mask(content, size, classes)
            other = self.kept(name) if base not in (None, self.kept_version(name)) else None
            if other is not None and (other != mask).any():
                painted = np.where(other == mask, UNPAINTED, mask)
                self.put_draft(name, encode_grey(painted), base="")
                return mask, False
            write_mask(mask_path(self.project.corrected, name), at_file_size(mask, path), classes=classes)
            # Last: killed in between, both are there, and the kept one counts.
            self.drop_draft(name, base=draft_base)
        return mask, True

    def take_back(self, name: str) -> bool:
        """Make the kept mask of an image its draft, unless there is one; false where nothing was kept."""
        with self.project.lock:
            mask = self.kept(name)
            if mask is None:
                return False
            if self.draft(name) is None:
                _write(mask_path(self.project.drafts, name), encode_grey(mask))
            mask_path(self.project.corrected, name).unlink(missing_ok=True)
        return True

    def kept_names(self) -> list[str]:
        """Names of the images with a kept mask, in the order of the project."""
        there = self.project.mask_names(self.project.corrected)
        return [name for name in self.project.names if mask_path(Path(), name).with_suffix("").as_posix() in there]

    def of_run(self, name: str, run: Path, folders: Sequence[str]) -> tuple[Mask, str] | None:
        """The mask of an image that a run wrote, in class indices of the project, and the folder it lies in.

        Args:
            name: of the image.
            run: folder of the run.
            folders: of it, the preferred ones first.
        """
        for folder in folders:
            path = mask_path(run / folder, name)
            if not path.is_file():
                continue
            try:
                mask = read_mask(path)
            except DataError:
                if path.is_file():
                    raise
                continue  # masks of a training are removed when it ends
            return ClassLink.of(run, self.project.class_names).to_project(mask), folder
        return None

    def _read(self, path: Path, name: str) -> Mask | None:
        if not path.is_file():
            return None
        return resized(read_mask(path), self.size(name))


def _version(path: Path) -> str:
    """Stands for the content of a file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:24]
    except OSError:
        return "none"


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
