"""Opening a run of `train` in the studio: the project is at the run's images, and takes over what the run has."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.files import make_folder, temporary_folder, write_text
from tag2mask.core.text import counted, printable
from tag2mask.data import Dataset
from tag2mask.masks.class_names import write_classes
from tag2mask.studio.layers import OURS
from tag2mask.studio.project import Project

_COLLECTION = "collection.json"
_OF_A_RUN = ("model.yaml", "config.yaml")
_ORIGIN = "origin.txt"
"""File in a run that was taken over, with the path of the run that it was."""

_CORRECTED = "corrected"
_NOT_TAKEN = ("checkpoints", "features", "logs", ".*")
_OF_ITS_IMAGES = (_COLLECTION, "masks", "predictions", "training-masks", _CORRECTED, OURS, "tags.csv", "report.html")

_log = logging.getLogger(__name__)


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / _COLLECTION).is_file() and any((folder / name).is_file() for name in _OF_A_RUN)


def dataset_of(run: Path, *, is_needed: bool = True) -> Dataset:
    """What a run was trained on.

    Args:
        run: its folder.
        is_needed: whether its images must be there.

    Raises:
        DataError: that cannot be read, or its images are not there any more.
    """
    path = run / _COLLECTION
    try:
        found = Dataset.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{printable(path)}: cannot be read ({error}); give the folder of images instead") from None
    if is_needed and not found.root.is_dir():
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
    project.choose_run(_copied(project, run, _NOT_TAKEN))
    _take_corrected(project, run / _CORRECTED)


def check_network(run: Path) -> Path:
    """A run's folder, with a trained network in it.

    Raises:
        DataError: there is none.
    """
    if not is_run(run) or not (run / "model.safetensors").is_file():
        raise DataError(f"`run` {printable(run)}: there is no trained run; give a folder that `train` wrote")
    return run


def take_network(project: Project, run: Path) -> None:
    """Take over the network of a run for images that it was not trained on, and its classes where there are none.

    Its masks are left out: they are of other images, which may have the same names.

    Raises:
        DataError: the run cannot be read, or the project's folder cannot be written to.
    """
    dataset = dataset_of(run, is_needed=False)
    if dataset.root.resolve() == project.root.resolve():
        take_run(project, run, dataset)
        return
    name = _copied(project, run, (*_NOT_TAKEN, *_OF_ITS_IMAGES))
    write_classes(make_folder(project.runs_folder / name / OURS), dataset.classes)
    if not project.classes:
        for one in dataset.classes:
            project.add_class(one)
    project.choose_run(name)


def _copied(project: Project, run: Path, left_out: Sequence[str]) -> str:
    """Name in the project of a run from elsewhere, which is linked or copied where it is not there yet."""
    origin = str(run.resolve())
    names = {_origin(project.runs_folder / name): name for name in project.runs()}
    if origin in names:
        return names[origin]
    name = f"run-{1 + max((int(one[4:]) for one in project.runs()), default=0)}"
    target = make_folder(project.runs_folder) / name
    with temporary_folder(target) as place:
        made = place / name
        shutil.copytree(run, made, copy_function=_link_or_copy, ignore=shutil.ignore_patterns(*left_out))
        write_text(made / _ORIGIN, f"{origin}\n")
        made.replace(target)
    _log.info("%s: taken over as %s of the project in %s", printable(run), name, printable(project.home))
    return name


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
