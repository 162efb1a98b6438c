"""How much room and time a training takes, before it begins: sizes of all images, rates measured on a few of them."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tag2mask.config.schema import Config
from tag2mask.core.errors import DataError
from tag2mask.core.machine import usable_cores
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import counted
from tag2mask.core.time_left import Part
from tag2mask.data import Dataset, training_split
from tag2mask.images.decode import image_size, read_image
from tag2mask.inference.backends.torch import TorchBackend, choose_device
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks import write_mask
from tag2mask.models import FrozenSegmenter, SegmentationNetwork, build_network
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.callbacks.progress import STEPS
from tag2mask.training.feature_compute import FeatureComputer, in_batches, readable_bytes, readable_time
from tag2mask.training.feature_files import Size, arrays_of
from tag2mask.training.feature_folder import image_keys
from tag2mask.training.feature_store import feature_folder
from tag2mask.training.plan_rates import decoder_step, joint_step, pseudo_mask_seconds
from tag2mask.training.prepare import features_parent
from tag2mask.training.run_folder import epochs_done
from tag2mask.training.schedule import choose_epochs, refreshes, warmup_epochs
from tag2mask.training.settings import choose_class_maps, resolve

_SAMPLE = 16
"""Images that rates are measured on."""

_QUICK_SAMPLE = 3
"""The same where a training follows at once."""

_PREDICTED = 6
_BATCH = 4

Images = list[tuple[ImageRecord, NDArray[np.uint8]]]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a training.

    Attributes:
        name: what is done.
        seconds: that it takes.
        bytes: that it keeps on disk.
        what: what is counted, as progress names it; empty where nothing is counted.
        units: how many there are.
    """

    name: str
    seconds: float
    bytes: int = 0
    what: str = ""
    units: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training takes.

    Attributes:
        what: images, epochs, network.
        stages: one after the other.
        folder: where features lie, or the run.
        free: bytes that are free there.
        notes: what is there already, what is short.
        unknown: what was neither measured nor computed.
    """

    what: str
    stages: tuple[Stage, ...]
    folder: Path
    free: int
    notes: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(one.seconds for one in self.stages)

    @property
    def bytes(self) -> int:
        """Of all stages."""
        return sum(one.bytes for one in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "folder": str(self.folder), "seconds": self.seconds, "bytes": self.bytes}

    def summary(self) -> str:
        """Lines for people."""
        rows = [(one.name, one.seconds, one.bytes) for one in self.stages] + [("in all", self.seconds, self.bytes)]
        width = max(len(name) for name, _, _ in rows)
        lines = [self.what, f"{'':<{width}}  {'about':>12}  {'disk':>10}"]
        for name, seconds, count in rows:
            size = readable_bytes(count) if count else "-"
            lines.append(f"{name:<{width}}  {readable_time(seconds):>12}  {size:>10}")
        lines += [f"{readable_bytes(self.free)} are free in {self.folder}", *self.notes]
        return "\n".join([*lines, "Not known: " + "; ".join(self.unknown) + "."])


def plan_training(
    dataset: Dataset,
    out: str | PathLike[str],
    *,
    config: Config | str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Plan:
    """Say what `train` with the same arguments would take; nothing is written.

    Of all images only the headers are read. Rates are measured on 16 images, with the network as it is before training.

    Raises:
        Tag2MaskError: as `train`; an image among the 16 that cannot be decoded is left out.
    """
    where, run = choose_device(device), RunFolder(Path(out))
    dataset = training_split(dataset)
    settings, _ = choose_class_maps(
        resolve(config, options), dataset, run, resume=False, device=where, progress=progress
    )
    return _planning(dataset, settings.config, run, where, images=_SAMPLE).plan()


def planned_parts(
    dataset: Dataset, config: Config, run: RunFolder, after: Sequence[str] = ("masks",), *, device: torch.device
) -> list[Part]:
    """What is left of a training in parts, with seconds measured on a few images; for the line of progress.

    Args:
        dataset: to train on.
        config: every setting.
        run: its folder, where some epochs may have been trained.
        after: what follows the training: 'masks', or nothing.
        device: to train on.

    Raises:
        DataError: none of the images that were tried can be decoded.
    """
    planning = _planning(dataset, config, run, device, images=_QUICK_SAMPLE)
    share = max(0.0, 1 - epochs_done(run) / max(1, planning.epochs))
    return [
        Part(one.what, round(one.units * part), one.seconds * part)
        for one in planning.stages(room=False)
        if one.what != "masks" or one.what in after
        for part in [share if one.what in (STEPS, "pseudo masks") else 1.0]
    ]


def _planning(dataset: Dataset, config: Config, run: RunFolder, device: torch.device, *, images: int) -> _Planning:
    """Measures with the network as it is before training."""
    if config.masks.measured and config.paper.background == "soft" and not config.model.contrast_stages:
        config = config.with_threshold(0.5)
    network = build_network(config, len(dataset.classes))
    network.to(device).eval()
    return _Planning(dataset, config, run, network, device, images=images)


class _Planning:
    """Measures the stages of one training."""

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        run: RunFolder,
        network: SegmentationNetwork,
        device: torch.device,
        *,
        images: int = _SAMPLE,
    ):
        self.dataset, self.config, self.run, self.network, self.device = dataset, config, run, network, device
        self.count = len(dataset.records)
        self.epochs = choose_epochs(config, self.count)
        began = time.perf_counter()
        self.images = _decoded(dataset.records, images)
        self.reading = (time.perf_counter() - began) / len(self.images)
        self.notes: list[str] = []
        self.folder = run.root

    def plan(self) -> Plan:
        """The plan."""
        frozen = isinstance(self.network, FrozenSegmenter)
        # Every image is decoded once by two threads, to leave out those that are damaged.
        stages = [Stage("decoding every image once", self.count * self.reading / min(2, usable_cores()))]
        stages += self.stages()
        while not self.folder.is_dir() and self.folder != self.folder.parent:
            self.folder = self.folder.parent
        free = shutil.disk_usage(self.folder).free
        needed = sum(one.bytes for one in stages)
        if needed > free:
            self.notes.append(
                f"Not enough room: {needed:,} bytes are needed, {free:,} are free; name a folder on another disk as "
                "`data.cache='DIR'`, train on fewer images (`limit`), or lower data.image_size"
            )
        model = self.config.model
        names = " + ".join([model.backbone, *(one.backbone for one in model.companions)])
        what = f"{self.count:,} images, {len(self.dataset.classes)} classes, {self.epochs} epochs on {self.device}: "
        what += f"{names}, {self.config.data.image_size} px, backbone {'frozen' if frozen else 'trained'}"
        return Plan(what, tuple(stages), self.folder, free, tuple(self.notes), self._unknown(frozen=frozen))

    def stages(self, *, room: bool = True) -> list[Stage]:
        """What comes after every image was decoded once.

        Args:
            room: also count the bytes of features, for which every image is opened.
        """
        frozen = isinstance(self.network, FrozenSegmenter)
        return [*(self._frozen(room=room) if frozen else self._joint()), self._masks()]

    def _frozen(self, *, room: bool) -> list[Stage]:
        assert isinstance(self.network, FrozenSegmenter)
        network, config = self.network, self.config
        self.folder = features_parent(self.run, config)
        computer = FeatureComputer(network, config, self.device)
        missing = self._missing(network)
        sizes = _sizes([record.path for record in missing]) if room else []
        needed, _ = computer.bytes(sizes)
        needed = round(needed * len(missing) / max(1, len(sizes)))
        computing = _compute_seconds(computer, [image for _, image in self.images]) + self.reading
        steps = self.epochs * math.ceil(self.count / config.training.batch_size)
        stages = [
            Stage("features", len(missing) * computing, needed, "features", len(missing)),
            Stage(
                f"decoder, {self.epochs} epochs", steps * decoder_step(computer, self.images), what=STEPS, units=steps
            ),
        ]
        return [*stages, *self._pseudo_masks(kept=True)]

    def _joint(self) -> list[Stage]:
        step = joint_step(self.network, self.config, self.images, self.device)
        steps = self.epochs * math.ceil(self.count / self.config.training.batch_size)
        reading = self.epochs * self.count * self.reading / (self.config.data.workers or 1)
        stage = Stage(f"network, {self.epochs} epochs", max(steps * step, reading), what=STEPS, units=steps)
        return [stage, *self._pseudo_masks(kept=False)]

    def _pseudo_masks(self, *, kept: bool) -> list[Stage]:
        if self.config.training.supervision != "tags" or self.config.paper.every_step:
            return []
        joint = self.epochs - warmup_epochs(self.config, self.epochs)
        every = self.config.masks.refresh
        times = sum(refreshes(epoch, joint, every) for epoch in range(joint))
        each, size = pseudo_mask_seconds(
            self.network, self.config, self.images, self.dataset, self.device, kept=kept, reading=self.reading
        )
        seconds, units = times * self.count * each, times * self.count
        return [Stage(f"pseudo masks, {counted(times, 'times')}", seconds, self.count * size, "pseudo masks", units)]

    def _masks(self) -> Stage:
        """Masks of all images at the end."""
        segmenter = Segmenter(TorchBackend(self.network, self.dataset.classes, self.config, device=self.device))
        seconds, sizes = [], []
        with tempfile.TemporaryDirectory() as folder:
            for record, image in self.images[: _PREDICTED + 1]:
                began = time.perf_counter()
                mask = segmenter.predict(image, tags=sorted(record.present)).mask
                seconds.append(time.perf_counter() - began)
                write_mask(Path(folder) / "mask.png", mask)
                sizes.append((Path(folder) / "mask.png").stat().st_size)
        each = fmean(seconds[1:] or seconds) + self.reading  # the first compiles the CRF
        size = self.count * round(fmean(sizes))
        return Stage("masks of all images", self.count * each, size, "masks", self.count)

    def _missing(self, network: FrozenSegmenter) -> list[ImageRecord]:
        """The images whose features are not there yet."""
        keys = image_keys([record.path for record in self.dataset.records])
        kept = feature_folder(network, self.config, self.folder).of_dataset(keys).read()
        if kept is None:
            return list(self.dataset.records)
        missing = [record for key, record in zip(keys, self.dataset.records, strict=True) if key not in kept.keys]
        self.notes.append(f"The features of {self.count - len(missing):,} images are there.")
        return missing

    def _unknown(self, *, frozen: bool) -> tuple[str, ...]:
        about = [
            f"how the rest differs from the {len(self.images)} images measured, and this machine's load from now",
            "fitting the tag classifier, verdict and report",
            "images that share a batch, and dense CRFs that run beside the network, may be faster",
        ]
        if frozen:
            about.append("the disk's speed, which counts once features are larger than the memory")
        if self.config.paper.every_step:
            about.append("pseudo masks made in every step")
        return tuple(about)


def _decoded(records: Sequence[ImageRecord], count: int) -> Images:
    """Some evenly spaced images.

    Raises:
        DataError: none can be decoded.
    """
    positions = np.unique(np.linspace(0, len(records) - 1, min(len(records), count)).round().astype(int))
    found: Images = []
    errors = []
    for position in positions:
        try:
            found.append((records[position], read_image(records[position].path)))
        except DataError as error:
            errors.append(str(error))
    if not found:
        raise DataError(f"none of {len(positions)} images can be decoded; the first: {errors[0] if errors else '-'}")
    return found


def _sizes(paths: Sequence[Path]) -> list[Size]:
    """Sizes (H, W) of images from their headers; those that cannot be read are left out."""

    def one(path: Path) -> Size | None:
        try:
            return image_size(path)
        except DataError:
            return None

    with ThreadPoolExecutor(4) as pool:
        return [size for size in pool.map(one, paths) if size is not None]


def _compute_seconds(computer: FeatureComputer, images: Sequence[NDArray[np.uint8]]) -> float:
    """Seconds to make an image smaller, run the backbones on it and take it to half precision."""
    seen = [computer.seen(image) for image in images]
    batches = in_batches(range(len(seen)), [(one.shape[0], one.shape[1]) for one in seen], _BATCH)
    computer.run(np.stack([seen[index] for index in batches[0]]))
    began = time.perf_counter()
    for batch in batches:
        found = computer.run(np.stack([computer.seen(images[index]) for index in batch]))
        arrays_of(found, np.concatenate([computer.small(images[index]).reshape(-1) for index in batch]))
    return (time.perf_counter() - began) / len(images)
