"""The mask that a project shows of an image: kept, or from the chosen run's files, or from its network now."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.inference import Segmenter
from tag2mask.masks import mask_path
from tag2mask.studio.layers import OURS, ClassLink, Layers, Mask, resized
from tag2mask.studio.pixels import WORK_SIDE, image_version
from tag2mask.studio.project import Project
from tag2mask.studio.recent import Recent
from tag2mask.studio.segmenting import Choice, OpenImage, Segmenting, open_image

Source = Literal["auto", "predicted", "draft", "kept", "first"]

WRITTEN = ("masks", "predictions")
"""Folders of a run with masks of its trained network."""

FIRST = "training-masks"
"""Folder of a run with the masks that it learns from, during training."""

_REMEMBERED = 24  # images
_MOST_BYTES = 256 << 20  # of them
_NETWORKS = 2


class NoNetworkError(DataError):
    """There is no trained network yet that could answer."""


class Network(NamedTuple):
    """A run's network.

    Attributes:
        segmenting: answers, in class names and indices of the run.
        link: these classes and those of the project.
    """

    segmenting: Segmenting
    link: ClassLink


class MasksOf:
    """Finds masks of a project's images, and predicts those that no file has; threads may share it."""

    def __init__(self, project: Project, *, device: str = "auto"):
        self.project = project
        self.layers = Layers(project)
        self.device = device
        self._loading = threading.Lock()
        self._networks: Recent[tuple[str, int], Segmenting] = Recent(_NETWORKS)
        self._images: Recent[str, OpenImage] = Recent(
            _REMEMBERED, most_bytes=_MOST_BYTES, bytes_of=lambda image: image.pixels.nbytes
        )
        self._predicted: Recent[tuple[object, ...], Mask] = Recent(
            _REMEMBERED, most_bytes=_MOST_BYTES, bytes_of=lambda mask: mask.nbytes
        )

    def image(self, name: str) -> OpenImage:
        """An image at its work size.

        Raises:
            DataError: it cannot be read.
        """
        path = self.project.path(name)
        version = image_version(path, "work")
        return self._images.get_or_compute(version, lambda: open_image(path, side=WORK_SIDE, name=name))

    def network(self, run: str | None = None) -> Network:
        """The trained network of a run; of the chosen one where none is named.

        Raises:
            NoNetworkError: there is none yet.
        """
        name = run or self.project.run
        folder = None if name is None else self.project.run_folder(name)
        weights = None if folder is None else folder / "model.safetensors"
        if folder is None or weights is None or not weights.is_file():
            which = "no run has been trained yet" if name is None else f"{name} has no trained network yet"
            raise NoNetworkError(f"{which}; train first, or wait until the training has ended")
        with self._loading:
            segmenting = self._networks.get_or_compute(
                (str(folder), weights.stat().st_mtime_ns),
                lambda: Segmenting(Segmenter.from_pretrained(folder, device=self.device)),
            )
        return Network(segmenting, ClassLink.of(folder, self.project.class_names))

    def mask(self, name: str, source: Source = "auto") -> tuple[Mask, str] | None:
        """A mask of an image at its work size in class indices of the project, and which one it is.

        Args:
            name: of the image.
            source: `auto`: the kept mask, else what is predicted, else the one that the chosen run learns from;
                `first`: what the newest run learns from, or has written.

        Returns:
            The mask and `kept`, `draft`, `predicted` or `first`; None where there is none yet.
        """
        if source in ("auto", "kept") and (mask := self.layers.kept(name)) is not None:
            return mask, "kept"
        if source == "draft" and (mask := self.layers.draft(name)) is not None:
            return mask, "draft"
        if source in ("auto", "predicted") and (mask := self.predicted(name)) is not None:
            return mask, "predicted"
        run, folders = self.project.run_folder(), [FIRST]
        if source == "first" and (runs := self.project.runs()):  # the one in training may not be chosen yet
            run, folders = self.project.run_folder(runs[-1]), [FIRST, WRITTEN[0]]
        if source in ("auto", "first") and run is not None:
            found = self.layers.of_run(name, run, folders)
            if found is not None:
                return resized(found[0], self.layers.size(name)), "first"
        return None

    def predicted(self, name: str, run: str | None = None) -> Mask | None:
        """The mask that a run predicts of an image, at the work size; None where it has no network yet.

        Masks that the run wrote are taken, but not those that it copied from people.

        Args:
            name: of the image.
            run: None: the chosen one.
        """
        folder = self.project.run_folder(run)
        if folder is None:
            return None
        if not is_trained_on(folder, name):
            found = self.layers.of_run(name, folder, WRITTEN)
            if found is not None:
                return resized(found[0], self.layers.size(name))
        try:
            network = self.network(run)
        except NoNetworkError:
            return None
        choice = self.usual_choice(name, network)
        key = (image_version(self.project.path(name)), folder, choice.tags, choice.unknown, network.link.of_project)
        return self._predicted.get_or_compute(key, lambda: self.predict(name, network, choice))

    def predict(self, name: str, network: Network, choice: Choice) -> Mask:
        """The mask (H, W) that a network predicts now, in class indices of the project."""
        return network.link.to_project(network.segmenting.predict(self.image(name), choice).mask)

    def usual_choice(self, name: str, network: Network) -> Choice:
        """The settings of the run, and the tags of an image as they are now."""
        record = self.project.find(name)
        assert record is not None
        return network.segmenting.usual(*tags_in_run(record, network.link))

    def given_tags(self, names: Sequence[str], network: Network) -> tuple[str, ...]:
        """Class names of the project as the run knows them.

        Raises:
            DataError: one is no class, or was added after the run was trained.
        """
        for name in names:
            if name not in network.link.of_project:
                raise DataError(f"{name!r}: no class of this project; there are {', '.join(network.link.of_project)}")
            if network.link.name_in_run(name) is None:
                raise DataError(f"{name!r}: this class was added after the run was trained; train again")
        return network.link.names_in_run(names)


def tags_in_run(record: ImageRecord, link: ClassLink) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Present and unknown classes of an image by their names in the run; None where no tag is known."""
    if record.tags is None:
        return None, ()
    return link.names_in_run(sorted(record.tags)), link.names_in_run(sorted(record.unknown))


def is_trained_on(run: Path, name: str) -> bool:
    """Whether a run had the corrected mask of an image to learn from."""
    return mask_path(run / OURS / "corrected", name).is_file()
