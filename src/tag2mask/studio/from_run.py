"""Opening a run of `train` in the studio: the project is at the run's images, and takes over what the run has."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.files import make_folder, temporary_folder, write_text
from tag2mask.core.text import counted, printable
from tag2mask.data import Dataset
from tag2mask.studio.project import Project

_COLLECTION = "collection.json"
_OF_A_RUN = ("model.yaml", "config.yaml")
_ORIGIN = "origin.txt"
"""File in a run that was taken over, with the path of the run that it was."""

_NOT_TAKEN = ("checkpoints", "features", "logs", ".*")
_CORRECTED = "corrected"

_log = logging.getLogger(__name__)


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / _COLLECTION).is_file() and any((folder / name).is_file() for name in _OF_A_RUN)


def dataset_of(run: Path) -> Dataset:
    """What a run was trained on.

    Raises:
        DataError: that cannot be read, or its images are not there any more.
    """
    path = run / _COLLECTION
    try:
        found = Dataset.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{printable(path)}: cannot be read ({error}); give the folder of images instead") from None
    if not found.root.is_dir():
        raise DataError(
            f"{printable(run)}: this run was trained on images in {printable(found.root)}, which is not there any "
            "more; give the folder of images instead"
        )
    return found


def take_run(project: Project, run: Path, dataset: Dataset) -> None:
    """Take over a run: its tags where the project has none, its masks and network as a run, its corrected masks.

    Nothing of the run is changed, and nothing of the project is replaced. Files are linked where the file system can,
    else copied; states to resume from are left out.

    Raises:
        DataError: the project's folder cannot be written to.
    """
    if not project.classes and not project.tagged().any():
        project.take(dataset)
    origin = str(run.resolve())
    names = {_origin(project.runs_folder / name): name for name in project.runs()}
    if origin not in names:
        name = f"run-{1 + max((int(one[4:]) for one in project.runs()), default=0)}"
        target = make_folder(project.runs_folder) / name
        with temporary_folder(target) as place:
            made = place / name
            shutil.copytree(run, made, copy_function=_link_or_copy, ignore=shutil.ignore_patterns(*_NOT_TAKEN))
            write_text(made / _ORIGIN, f"{origin}\n")
            made.replace(target)
        names[origin] = name
        _log.info("%s: taken over as %s of the project in %s", printable(run), name, printable(project.home))
    project.choose_run(names[origin])
    _take_corrected(project, run / _CORRECTED)


def _take_corrected(project: Project, folder: Path) -> None:
    """Copy masks that were kept in the run's folder and are not in the project yet."""
    there = project.mask_names(project.corrected) | project.mask_names(project.drafts)
    fresh = sorted(project.mask_names(folder) - there)
    for name in fresh:
        target = project.corrected / f"{name}.png"
        make_folder(target.parent)
        shutil.copy2(folder / f"{name}.png", target)
    if fresh:
        _log.info("%s: %s taken over", printable(folder), counted(len(fresh), "corrected masks"))


def _origin(run: Path) -> str:
    try:
        return (run / _ORIGIN).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
    return target
