"""What people submitted, as a folder that `train` and the studio read.

    FOLDER/                      images; those that are fetched go into FOLDER/label-studio
    FOLDER/tag2mask/             tags.csv, classes.txt
        corrected/               masks that were submitted: what `train` takes as `corrected`
        runs/run-1, ...          runs that were started from here
        label-studio.json        which annotation gave which image its tags

Tags that are there count: an annotation changes those of its own image.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import MAX_CLASSES, Tag
from tag2mask.core.errors import DataError
from tag2mask.core.files import atomic_path, make_folder, sweep_temporary, write_text
from tag2mask.core.lock import locked
from tag2mask.core.text import printable
from tag2mask.data import Dataset, log_problems
from tag2mask.data.tag_table import States, read_tags, tags_text
from tag2mask.images.folder import is_image_name
from tag2mask.images.kinds import suffix_of_content
from tag2mask.images.left_out import MARKER
from tag2mask.masks import mask_path, write_mask
from tag2mask.masks.class_names import CLASSES_FILE, check_names, read_classes, write_classes

HOME = "tag2mask"
"""Folder of ours inside the folder of images, the same as the studio's."""

FETCHED = "label-studio"
"""Folder, inside that of the images, of those that were fetched."""

_STATE = "label-studio.json"
_EMPTY: dict[str, Any] = {"annotations": {}, "before": {}, "masks": [], "new": [], "training": None}
"""Image by annotation; its tags before the first one; images with a submitted mask; those since the last training."""

_RUN = re.compile(r"run-(\d+)")
_HEAD = 512

_log = logging.getLogger(__name__)


class AnnotationProject:
    """A folder of images with the tags and masks that were submitted; see `opened`.

    Attributes:
        root: folder of the images.
        home: folder of ours in it.
    """

    def __init__(self, root: Path, classes: Sequence[str]):
        """Read a project, which must be held.

        Args:
            root: folder of the images.
            classes: those of the model, with which a new project begins.

        Raises:
            DataError: a file of it is damaged.
        """
        self.root = root.resolve()
        self.home = self.root / HOME
        self._lock = threading.Lock()
        names = read_classes(self.home / CLASSES_FILE) if self._has_classes() else tuple(classes)
        columns, rows = read_tags(self.tags)
        self._classes = [*names, *(name for name in columns if name not in names)]
        place = [self._classes.index(name) for name in columns]
        self._rows: dict[str, States] = {}
        for name, values in rows.items():
            states = self._unknown()
            states[place] = values
            self._rows[name] = states
        self._state: dict[str, Any] = {**_EMPTY, **self._read_state()}
        self._write_tables()

    @property
    def tags(self) -> Path:
        """Table of the tags."""
        return self.home / "tags.csv"

    @property
    def classes_file(self) -> Path:
        """Names of the classes in the order of their indices."""
        return self.home / CLASSES_FILE

    @property
    def corrected(self) -> Path:
        """Folder of the masks that were submitted."""
        return self.home / "corrected"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, without background."""
        return tuple(self._classes)

    @property
    def new(self) -> int:
        """Images that were annotated since the last training began."""
        return len(self._state["new"])

    @property
    def training(self) -> str | None:
        """Name of the run that was started last from here."""
        found: str | None = self._state["training"]
        return found

    def begin_training(self, run: str) -> None:
        """Remember a training; images are counted from 0 again."""
        with self._lock:
            self._state |= {"training": run, "new": []}
            self._write_state()

    def next_run(self) -> Path:
        """Folder of the next run."""
        taken = [int(found[1]) for path in self._runs() if (found := _RUN.fullmatch(path.name))]
        return self.home / "runs" / f"run-{max(taken, default=0) + 1}"

    def indices(self, names: Sequence[str]) -> dict[str, int]:
        """Class index of each name; names that are new become classes.

        Raises:
            DataError: a name cannot be that of a class, or there are too many.
        """
        with self._lock:
            new = [name for name in dict.fromkeys(names) if name not in self._classes]
            if new:
                check_names([*self._classes, *new], "the labels of the annotation")
                if len(self._classes) + len(new) > MAX_CLASSES:
                    raise DataError(f"a mask holds {MAX_CLASSES} classes")
                self._classes += new
                grown = np.full(len(new), Tag.UNKNOWN, np.int8)
                self._rows = {name: np.append(row, grown) for name, row in self._rows.items()}
                _log.info("new classes: %s", ", ".join(new))
            return {name: self._classes.index(name) + 1 for name in names}

    def add_image(self, name: str, file: Path) -> str:
        """Keep an image that was fetched; its name in the project.

        Args:
            name: last part of its address.
            file: its content.
        """
        content = file.read_bytes()
        if not is_image_name(name):
            name += suffix_of_content(content[:_HEAD]) or ".jpg"
        kept = f"{FETCHED}/{hashlib.sha256(content).hexdigest()[:8]}-{name}"
        path = self.root / kept
        if not path.is_file():
            with atomic_path(path) as temporary:
                shutil.copyfile(file, temporary)
        return kept

    def keep(self, annotation: str, image: str, states: dict[str, Tag], mask: NDArray[np.uint8] | None) -> None:
        """Take over an annotation; on disk when this returns.

        Args:
            annotation: its id.
            image: name of its image.
            states: what it says of classes; of others nothing changes.
            mask: uint8 (H, W) class indices, at the image's size; None: it has none.
        """
        with self._lock:
            row = self._rows.get(image, self._unknown())
            if image not in self._state["before"]:
                self._state = self._state | {"before": self._state["before"] | {image: self._named(row)}}
                self._write_state()  # first: after a kill in between, the tags below would count as those before
            self._set_mask(image, mask)
            row = row.copy()
            for name, tag in states.items():
                row[self._classes.index(name)] = tag
            self._rows[image] = row
            self._write_tables()
            self._state = self._state | {
                "annotations": self._state["annotations"] | {annotation: image},
                "new": sorted({*self._state["new"], image}),
            }
            self._write_state()

    def drop(self, annotation: str) -> str | None:
        """Forget an annotation that was deleted: its mask goes, its image's tags are as before; the image's name."""
        with self._lock:
            annotations = dict(self._state["annotations"])
            image: str | None = annotations.pop(annotation, None)
            if image is None:
                return None
            before = dict(self._state["before"])
            if image not in annotations.values():
                self._set_mask(image, None)
                row = self._unknown()
                for name, tag in before.pop(image, {}).items():
                    row[self._classes.index(name)] = tag
                self._rows[image] = row
                self._write_tables()
            self._state = self._state | {"annotations": annotations, "before": before}
            self._write_state()
            return image

    def has_masks(self) -> bool:
        """Whether a mask was submitted."""
        return any(self.corrected.rglob("*.png"))

    def tagged(self) -> int:
        """Images with tags."""
        return sum(bool((row != Tag.UNKNOWN).any()) for row in self._rows.values())

    def take(self, tags: Path) -> None:
        """Take over the tags of a file in any format that is read; nothing where the project has tags.

        Raises:
            DataError: the file cannot be read.
        """
        if self._rows:
            _log.info("%s: not read, there are tags in %s", printable(tags), printable(self.tags))
            return
        found = Dataset.load(self.root, tags)
        self.indices(found.classes)
        place = [self._classes.index(name) for name in found.classes]
        for record, values in zip(found.records, found.tags(), strict=True):
            states = self._unknown()
            states[place] = values
            self._rows[record.name] = states
        self._write_tables()
        log_problems(found.problems)

    def _set_mask(self, image: str, mask: NDArray[np.uint8] | None) -> None:
        """Write the mask of an image; None: remove the one that was submitted, not one that is of the studio."""
        path, masks = mask_path(self.corrected, image), set(self._state["masks"])
        if mask is not None:
            write_mask(path, mask, classes=len(self._classes))
            masks.add(image)
        elif image in masks:
            path.unlink(missing_ok=True)
            masks.discard(image)
        self._state = self._state | {"masks": sorted(masks)}

    def _unknown(self) -> States:
        return np.full(len(self._classes), Tag.UNKNOWN, np.int8)

    def _named(self, row: States) -> dict[str, int]:
        """What is known, by the name of the class."""
        pairs = zip(self._classes, row.tolist(), strict=True)
        return {name: value for name, value in pairs if value != Tag.UNKNOWN}

    def _has_classes(self) -> bool:
        path = self.home / CLASSES_FILE
        return path.is_file() and bool(path.read_text("utf-8").strip())

    def _runs(self) -> list[Path]:
        folder = self.home / "runs"
        return list(folder.iterdir()) if folder.is_dir() else []

    def _read_state(self) -> dict[str, Any]:
        path = self.home / _STATE
        try:
            found = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise DataError(f"{printable(path)}: damaged ({error}); move it away") from None
        return found if isinstance(found, dict) else {}

    def _write_state(self) -> None:
        write_text(self.home / _STATE, json.dumps(self._state, ensure_ascii=False, indent=1) + "\n")

    def _write_tables(self) -> None:
        write_classes(self.home, self._classes)
        write_text(self.tags, tags_text(self._classes, self._rows))


@contextmanager
def opened(root: Path, classes: Sequence[str], *, tags: Path | None = None) -> Iterator[AnnotationProject]:
    """Hold a project, which is made where there is none, while the context lasts.

    Args:
        root: folder of the images; created if missing.
        classes: those of the model.
        tags: file of tags to begin with.

    Raises:
        DataError: another process holds it, such as the studio, or a file of it is damaged.
    """
    make_folder(root)
    with locked(root / HOME, remedy="or end it: the studio and this server do not share a project"):
        (root / HOME / MARKER).touch()
        sweep_temporary(root / HOME)
        project = AnnotationProject(root, classes)
        if tags is not None:
            project.take(tags)
        yield project
