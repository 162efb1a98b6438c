"""Opening a project: one process at a time, what a kill has left mended, tags of another format taken over once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.files import sweep_temporary
from tag2mask.core.lock import locked
from tag2mask.core.text import counted, printable
from tag2mask.data import Dataset, log_problems
from tag2mask.images.folder import FolderIndex
from tag2mask.images.left_out import MARKER
from tag2mask.studio.from_run import check_network, dataset_of, is_run, take_network, take_run
from tag2mask.studio.project import Project
from tag2mask.studio.project_folder import HOME, PROJECT_FILE, ProjectFolder
from tag2mask.studio.together import finish


@contextmanager
def open_project(
    folder: str | Path, *, tags: str | Path | None = None, run: str | Path | None = None
) -> Iterator[Project]:
    """Hold a project, which is made where there is none, while the context lasts.

    Args:
        folder: of images; or of a run of `train`, whose images, tags and masks are then those of the project.
        tags: file or folder of tags in any format of `Dataset.load`, taken over where the project has no tags yet;
            the folder of images itself: its layout says the tags, such as a folder a class.
        run: folder of a run that was trained on other images; its network is chosen for these.

    Raises:
        DataError: there is no image, another process holds the project, a file of it is damaged, or `run` is none.
    """
    root, own, dataset = Path(folder), None, None
    network = None if run is None else check_network(Path(run))
    if is_run(root):
        own, dataset = root, dataset_of(root)
        root = dataset.root
    if not root.is_dir():
        FolderIndex(root)  # says what is wrong
    if (root / MARKER).is_file() and (root / PROJECT_FILE).is_file():
        raise DataError(f"{printable(root)}: this is the studio's own folder; give the folder above it")
    home = root / HOME
    address = ProjectFolder(home).address()
    remedy = f"or use its page: {address}" if address else "or end it"
    is_new = not (home / PROJECT_FILE).is_file()
    with locked(home, remedy=remedy):
        (home / MARKER).touch()
        sweep_temporary(home)
        finish(home)
        project = Project(root, home)
        if tags is not None:
            _take_tags(project, root, Path(tags), is_new=is_new)
        if own is not None and dataset is not None:
            take_run(project, own, dataset)
        if network is not None:
            take_network(project, network)
        try:
            yield project
        finally:
            project.write_address(None)


def _take_tags(project: Project, root: Path, tags: Path, *, is_new: bool) -> None:
    """Take over tags from a file of another format.

    Raises:
        DataError: the project has tags already, or the file cannot be read.
    """
    if project.tagged().any() or (project.classes and not is_new):
        raise DataError(
            f"`tags` {printable(tags)}: this project has {counted(int(project.tagged().sum()), 'tagged images')} and "
            f"{counted(len(project.classes), 'classes')} already, in {printable(project.tags_file)}; leave `tags` out, "
            "or move that folder away"
        )
    is_layout = tags.resolve() == root.resolve()
    found = Dataset.load(root, None if is_layout else tags)
    project.take(found)
    log_problems(found.problems)
