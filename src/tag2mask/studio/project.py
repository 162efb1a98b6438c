"""A project of the studio on disk: a folder of images as people have it, and one folder of ours in it.

    FOLDER/                 images, at any depth; nothing of it is changed
    FOLDER/tag2mask/        project.yaml, tags.csv, classes.txt
        corrected/          kept masks: what `train` takes as `corrected`
        drafts/             painting that is not kept yet; 255 where nothing is painted
        runs/run-1, ...     runs of `train`
        cache/              may be deleted at any time

All files are plain ones that the command line reads. Each is written beside its place and then put there, files that
belong together by `together`, so that a kill at any moment leaves no half of a change.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import MAX_CLASSES, Tag
from tag2mask.core.errors import DataError
from tag2mask.core.files import make_folder, write_text
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import printable
from tag2mask.data import Dataset
from tag2mask.data.tag_table import States, read_tags, tags_text
from tag2mask.images.folder import FolderIndex, check_mask_names, no_image, without_suffix
from tag2mask.inference.review import TABLE, read_review
from tag2mask.masks import mask_path
from tag2mask.masks.class_names import CLASSES_FILE, check_names, classes_text, read_classes
from tag2mask.studio.project_file import ProjectClass, new_class, project_text, read_project
from tag2mask.studio.project_folder import HOME, PROJECT_FILE, TAGS_FILE, ProjectFolder
from tag2mask.studio.together import together

NO_MASK, PREDICTED, DRAFT, KEPT = range(4)
"""What an image has: the best of its masks."""


@dataclass(frozen=True, slots=True)
class TagChange:
    """One tag of one image: the class by its position in the list of classes, from 0."""

    name: str
    position: int
    tag: Tag


class Project(ProjectFolder):
    """An open project; see `opening.open_project`. All methods may be called from several threads.

    Attributes:
        root: folder of the images, resolved.
        names: of the images, sorted.
        left_out: what looks like an image and is not used, in sentences.
    """

    def __init__(self, root: Path, home: Path):
        """Read a project; its folder must be held, as `opening.open_project` does.

        Raises:
            DataError: there is no image, two images would write the same mask, or a file of the project is damaged.
        """
        super().__init__(home)
        self.root = root.resolve()
        self.lock = threading.RLock()
        index = FolderIndex(root)
        self.names: tuple[str, ...] = tuple(index.images())
        if not self.names:
            raise DataError(f"{printable(root)}: {no_image(index)}")
        check_mask_names(self.names)
        self.left_out: list[str] = [f"{printable(name)}: {why}" for name, why in index.refused.items()]
        self.left_out += [
            one.message for one in index.left_out() if not one.name.startswith(f"{HOME}/") and one.is_lost
        ]
        self._paths = {name: index.files[name] for name in self.names}
        self._rows = {name: row for row, name in enumerate(self.names)}
        self._classes: tuple[ProjectClass, ...] = ()
        self._states: States = np.zeros((len(self.names), 0), np.int8)
        self._others: dict[str, States] = {}
        self._corrupt: dict[str, str] = {}
        self._reviews: dict[Path, tuple[int, dict[str, float]]] = {}
        self._read()

    @property
    def classes(self) -> tuple[ProjectClass, ...]:
        """The classes; the one at position k has class index k + 1 in masks."""
        return self._classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, without background."""
        return tuple(one.name for one in self._classes)

    @property
    def run(self) -> str | None:
        """Name of the chosen run, whose masks are shown; None where there is none."""
        with self.lock:
            there = self.runs()
            return self._run if self._run in there else (there[-1] if there else None)

    def run_folder(self, name: str | None = None) -> Path | None:
        """Folder of a run; of the chosen one where none is named. None where there is none."""
        found = name if name is not None else self.run
        return self.runs_folder / found if found is not None and found in self.runs() else None

    def choose_run(self, name: str | None) -> None:
        """Show the masks of a run; None: of the newest."""
        with self.lock:
            if name is not None and name not in self.runs():
                raise DataError(f"{name}: no such run in this project; there are {', '.join(self.runs()) or 'none'}")
            self._write(self._classes, name)
            self._run = name

    def path(self, name: str) -> Path:
        """File of an image of the project.

        Raises:
            KeyError: there is no such image.
        """
        return self._paths[name]

    def row(self, name: str) -> int:
        """Position of an image in `names`.

        Raises:
            KeyError: there is no such image.
        """
        return self._rows[name]

    def find(self, name: str) -> ImageRecord | None:
        """An image with its tags as they are now; None where there is none of this name."""
        row = self._rows.get(name)
        if row is None:
            return None
        with self.lock:
            return self._record(row, self._kept_file(name))

    def dataset(self) -> Dataset:
        """The images of which something is known, with their tags and kept masks."""
        with self.lock:
            kept = self.mask_names(self.corrected)
            rows = np.flatnonzero(_known(self._states)).tolist()
            records = []
            for row in rows:
                name = self.names[row]
                file = mask_path(self.corrected, name) if without_suffix(name) in kept else None
                records.append(self._record(row, file))
            return Dataset(self.root, self.class_names, tuple(records), source="studio")

    def states(self) -> States:
        """Tags as int8 (N, C) of `Tag` values, rows as `names`; a copy."""
        with self.lock:
            states: States = self._states.copy()
            return states

    def tagged(self) -> NDArray[np.bool_]:
        """Which images have a tag that is present or absent, (N,), rows as `names`."""
        with self.lock:
            return _known(self._states)

    def set_tags(self, changes: Iterable[TagChange]) -> int:
        """Change tags; written to disk when this returns. All or none are changed.

        Returns:
            How many images have tags now.

        Raises:
            DataError: there is no such image or class, or the file cannot be written.
        """
        with self.lock:
            states = self._states.copy()
            for change in changes:
                row = self._rows.get(change.name)
                if row is None:
                    raise DataError(f"{printable(change.name)}: no such image in this project; load the page again")
                if not 0 <= change.position < len(self._classes):
                    raise DataError(f"class {change.position}: there are {len(self._classes)}; load the page again")
                states[row, change.position] = change.tag
            write_text(self.tags_file, self._tags_text(self.class_names, states, self._others))
            self._states = states
            return int(_known(states).sum())

    def add_class(self, name: str) -> ProjectClass:
        """Add a class, whose tags are unknown.

        Raises:
            DataError: the name is taken or is none.
        """
        with self.lock:
            check_names([*self.class_names, name], "the new class")
            _check_case(name, self.class_names)
            if len(self._classes) >= MAX_CLASSES:
                raise DataError(f"an 8-bit mask holds {MAX_CLASSES} classes; remove one first")
            made = new_class(name, self._classes)
            column = np.full((len(self.names), 1), Tag.UNKNOWN, np.int8)
            others = {image: np.append(row, np.int8(Tag.UNKNOWN)) for image, row in self._others.items()}
            self._replace((*self._classes, made), np.hstack([self._states, column]), others)
            return made

    def change_class(self, position: int, changed: ProjectClass) -> None:
        """Give a class another name, colour or key; a key that another class has is taken from it.

        Raises:
            DataError: the name is taken or is none.
        """
        with self.lock:
            before = self._classes[position]
            names = [changed.name if k == position else one.name for k, one in enumerate(self._classes)]
            check_names(names, "the class")
            if changed.name != before.name:
                _check_case(changed.name, [name for k, name in enumerate(names) if k != position])
            classes = [
                ProjectClass(one.name, one.colour, "") if one.key == changed.key and changed.key else one
                for one in self._classes
            ]
            classes[position] = changed
            self._replace(tuple(classes), self._states, self._others)

    def remove_class(self, position: int, masks: Mapping[Path, bytes] | None = None) -> None:
        """Remove a class with its tags; the indices of the classes behind it become smaller by one.

        Args:
            position: of the class, from 0.
            masks: new content of the masks that change with it, by their paths in `home`.
        """
        with self.lock:
            classes = tuple(one for k, one in enumerate(self._classes) if k != position)
            others = {image: np.delete(row, position) for image, row in self._others.items()}
            self._replace(classes, np.delete(self._states, position, axis=1), others, masks or {})

    def masks(self) -> NDArray[np.uint8]:
        """What each image has, (N,): `NO_MASK`, `PREDICTED`, `DRAFT` or `KEPT`."""
        found = np.zeros(len(self.names), np.uint8)
        rows = {without_suffix(name): row for row, name in enumerate(self.names)}
        layers = [(folder, PREDICTED) for folder in self.predicted_folders()]
        for folder, value in (*layers, (self.drafts, DRAFT), (self.corrected, KEPT)):
            for name in self.mask_names(folder):
                if (row := rows.get(name)) is not None:
                    found[row] = value
        return found

    def predicted_folders(self) -> list[Path]:
        """Folders of the masks that the chosen run has made, the best first."""
        run = self.run_folder()
        return [] if run is None else [run / "masks", run / "predictions", run / "training-masks"]

    def uncertainties(self) -> dict[str, float]:
        """How uncertain the chosen run's mask of each image is, by name, where that is known."""
        found: dict[str, float] = {}
        for folder in reversed(self.predicted_folders()):
            found |= self._review(folder)
        return found

    @property
    def corrupt(self) -> dict[str, str]:
        """Why images cannot be read, by name, as far as that is known."""
        with self.lock:
            return dict(self._corrupt)

    def note_corrupt(self, name: str, why: str) -> bool:
        """Remember that an image cannot be read; whether that is new."""
        with self.lock:
            is_new = name not in self._corrupt
            self._corrupt[name] = why
            return is_new

    def take(self, dataset: Dataset) -> None:
        """Take over classes and tags of a dataset of the same image files, in place of those that are here."""
        with self.lock:
            rows = {path.resolve(): row for row, path in enumerate(self._paths.values())}
            states = np.full((len(self.names), len(dataset.classes)), Tag.UNKNOWN, np.int8)
            for record, tags in zip(dataset.records, dataset.tags(), strict=True):
                row = None if record.image is None else rows.get(record.image.resolve())
                if row is not None:
                    states[row] = tags
            self._replace(_classes_of(dataset.classes), states, {})

    def _read(self) -> None:
        self._classes, self._run = read_project(self.home / PROJECT_FILE)
        columns, rows = read_tags(self.tags_file)
        if not self._classes and self.classes_file.is_file() and self.classes_file.read_text("utf-8").strip():
            self._classes = _classes_of(read_classes(self.classes_file))
        known = self.class_names
        more = [name for name in columns if name not in known]
        if more:  # somebody added a column
            check_names([*known, *more], printable(self.tags_file))
            for name in more:
                self._classes = (*self._classes, new_class(name, self._classes))
        place = {name: k for k, name in enumerate(self.class_names)}
        order = [place[name] for name in columns]
        self._states = np.full((len(self.names), len(self._classes)), Tag.UNKNOWN, np.int8)
        self._others = {}
        for name, values in rows.items():
            states = np.full(len(self._classes), Tag.UNKNOWN, np.int8)
            states[order] = values
            if (row := self._rows.get(name)) is not None:
                self._states[row] = states
            else:  # of an image that is not there now: kept, it may come back
                self._others[name] = states
        if more or not (self.home / PROJECT_FILE).is_file() or not self.classes_file.is_file():
            self._replace(self._classes, self._states, self._others)

    def _replace(
        self,
        classes: tuple[ProjectClass, ...],
        states: States,
        others: dict[str, States],
        masks: Mapping[Path, bytes] | None = None,
    ) -> None:
        """Write classes and tags at once, then use them."""
        names = [one.name for one in classes]
        with together(self.home) as staged:
            write_text(staged / PROJECT_FILE, project_text(classes, self._run))
            write_text(staged / CLASSES_FILE, classes_text(names))
            write_text(staged / TAGS_FILE, self._tags_text(names, states, others))
            for path, content in (masks or {}).items():
                target = staged / path
                make_folder(target.parent)
                target.write_bytes(content)
        self._classes, self._states, self._others = classes, states, others

    def _write(self, classes: Sequence[ProjectClass], run: str | None) -> None:
        write_text(self.home / PROJECT_FILE, project_text(classes, run))

    def _tags_text(self, names: Sequence[str], states: States, others: Mapping[str, States]) -> str:
        rows = {self.names[row]: states[row] for row in np.flatnonzero(_known(states)).tolist()}
        return tags_text(names, rows | dict(others))

    def _record(self, row: int, kept: Path | None) -> ImageRecord:
        states = self._states[row].tolist()
        present = frozenset(one.name for one, state in zip(self._classes, states, strict=True) if state == Tag.PRESENT)
        unknown = frozenset(one.name for one, state in zip(self._classes, states, strict=True) if state == Tag.UNKNOWN)
        is_known = len(unknown) < len(states)
        name = self.names[row]
        return ImageRecord(name, self._paths[name], present if is_known else None, unknown, corrected=kept)

    def _kept_file(self, name: str) -> Path | None:
        path = mask_path(self.corrected, name)
        return path if path.is_file() else None

    def _review(self, folder: Path) -> dict[str, float]:
        """The table of uncertainty in a folder of masks, read again when it changes."""
        try:
            changed = (folder / TABLE).stat().st_mtime_ns
        except OSError:
            return {}
        with self.lock:
            before = self._reviews.get(folder)
            if before is None or before[0] != changed:
                try:
                    table = {name: value.total for name, value in read_review(folder).items()}
                except DataError:  # a line is being written
                    return {} if before is None else before[1]
                before = self._reviews[folder] = changed, table
            return before[1]


def is_below(name: str, folder: str) -> bool:
    """Whether a name is that of a folder, or of something in it."""
    return name == folder or name.startswith(f"{folder}/")


def _classes_of(names: Sequence[str]) -> tuple[ProjectClass, ...]:
    classes: tuple[ProjectClass, ...] = ()
    for name in names:
        classes = (*classes, new_class(name, classes))
    return classes


def _check_case(name: str, others: Iterable[str]) -> None:
    same = next((other for other in others if other.casefold() == name.casefold()), None)
    if same is not None:
        raise DataError(f"class {name!r}: there is {same!r}, which differs only in upper and lower case; use that one")


def _known(states: States) -> NDArray[np.bool_]:
    """Which rows have a tag that is present or absent."""
    known: NDArray[np.bool_] = (states != Tag.UNKNOWN).any(axis=1)
    return known
