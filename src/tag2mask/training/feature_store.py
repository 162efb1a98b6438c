"""Frozen features of a dataset's images: computed once, kept in half precision, found again image by image.

What is kept depends on the backbones, the sizes and the channels, which choose the folder, and on the image, which is
found in it (`feature_folder`): another order, another `limit`, added or removed images all use what is there. The
projection belongs to the folder. It is fitted to a sample of the images that come first and stays; a dataset of which
no image is there gets a folder, and a projection, of its own.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as serialise
from torch import Tensor, nn

from tag2mask.config.schema import Config
from tag2mask.core.errors import DataError
from tag2mask.core.lock import locked
from tag2mask.core.progress import progress_bar
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import counted, printable
from tag2mask.images.reading import AS_STORED, Reading
from tag2mask.models import read_safetensors
from tag2mask.models.frozen import FrozenFeatures, FrozenSegmenter
from tag2mask.training.feature_compute import (
    FeatureComputer,
    Pace,
    Reader,
    image_sizes,
    in_batches,
    read_ahead,
    readable_bytes,
)
from tag2mask.training.feature_files import FeatureStore, Layout, Size, arrays_of, to_half
from tag2mask.training.feature_folder import (
    PROJECTION,
    SAMPLE,
    VERSION,
    FeatureFolder,
    FeatureWriter,
    KeptImages,
    image_keys,
)
from tag2mask.training.projection import Moments, fit_projection

_PIXELS = 500  # of each of these images whose differences from the background count
_BATCH = 4  # images that go through the backbones at once
_MARK = 64  # images after which those that are done are marked
_SURFACE = "surface."
_EMPTY: dict[str, Any] = dict.fromkeys(FrozenFeatures._fields)

_log = logging.getLogger(__name__)


def feature_store(
    network: FrozenSegmenter,
    records: Sequence[ImageRecord],
    config: Config,
    folder: Path,
    *,
    read: Reader,
    device: torch.device,
    progress: bool = False,
) -> FeatureStore:
    """The features of images, from the folder where they are there, else computed; sets the network's projection.

    Args:
        network: with pretrained backbones; its projection is set to that of the features.
        records: the images.
        config: sizes and precision.
        folder: these features lie in a folder of their own in it, named by what they depend on.
        read: from a file to an image (H, W, 3) uint8.
        device: where the backbones run.
        progress: show a progress bar.

    Raises:
        DataError: an image cannot be read, there is not enough room, or another process computes features there.
    """
    network.to(device).eval()
    keys = image_keys([record.path for record in records])
    place = feature_folder(network, config, folder).of_dataset(keys)
    kept = place.read()
    if kept is not None and all(key in kept.keys for key in keys):
        _load_projection(network, read_safetensors(place.path / PROJECTION))
        store = kept.store(keys)
        _log.info(
            "features of %s are there (%s), %s",
            counted(len(records), "images"),
            readable_bytes(store.bytes),
            place.path,
        )
    else:
        with locked(place.path, remedy="or name another folder: `data.cache='DIR'`"), _no_room_said(place.path):
            computer = FeatureComputer(network, config, device)
            store = _Filling(computer, place, dict(zip(keys, records, strict=True)), read, progress).fill().store(keys)
    place.used()
    return store


def feature_folder(network: FrozenSegmenter, config: Config, folder: Path) -> FeatureFolder:
    """The first folder, inside `folder`, of the features of a network's backbones at the sizes of `config`."""
    backbones = [f"{one.name}, strides {list(one.strides)}" for one in network.backbones]
    about = {
        "backbones": backbones,
        "image_size": config.data.image_size,
        "mask_stride": config.masks.stride,
        "channels": network.channels,
        "scales": list(network.scales),
        "contrast_stages": [] if network.surface is None else list(network.surface.stages),
        "contrast_channels": 0 if network.surface is None else network.surface.channels,
    }
    if (reading := Reading.of(config.data)) != AS_STORED:
        about["reading"] = reading.key
    digest = hashlib.sha256(repr((VERSION, about)).encode())
    for backbone in network.backbones:
        digest.update(repr(backbone.preprocessing).encode())
        for name, tensor in backbone.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return FeatureFolder(folder, digest.hexdigest(), about, Layout.of(network))


def projects_alike(network: FrozenSegmenter, place: FeatureFolder) -> bool:
    """Whether the network's projections are those of the features in a folder.

    Raises:
        WeightsError: they cannot be read.
    """
    state = read_safetensors(place.path / PROJECTION)
    own = dict(network.project.state_dict())
    if network.surface is not None:
        own |= {_SURFACE + key: value for key, value in network.surface.project.state_dict().items()}
    return own.keys() == state.keys() and all(torch.equal(own[key].cpu(), state[key]) for key in own)


@dataclass(slots=True)
class _Filling:
    """Computes what a folder lacks, while it is locked."""

    computer: FeatureComputer
    place: FeatureFolder
    records: Mapping[str, ImageRecord]
    read: Reader
    progress: bool

    def fill(self) -> KeptImages:
        """Compute and keep the features of the images that the folder lacks."""
        kept = self.place.read()
        if kept is None:
            self.place.clear()
        known = KeptImages(self.place.path, self.computer.layout) if kept is None else kept
        missing = {key: record for key, record in self.records.items() if key not in known.keys}
        sizes = dict(zip(missing, image_sizes([record.path for record in missing.values()]), strict=True))
        pace = self._begin(missing, sizes)
        with FeatureWriter(known) as writer:
            if kept is None:
                fitted = self._fit(missing, sizes, writer, pace)
                missing = {key: record for key, record in missing.items() if key not in fitted}
            else:
                _load_projection(self.computer.network, read_safetensors(self.place.path / PROJECTION))
            _compute(self, missing, sizes, writer, pace)
        return known

    def _begin(self, missing: Mapping[str, ImageRecord], sizes: Mapping[str, Size]) -> Pace:
        """Refuse what there is no room for, and say what will be computed.

        Raises:
            DataError: there is not enough room.
        """
        images = counted(len(missing), "images")
        needed, exact = self.computer.bytes(list(sizes.values()))
        free = shutil.disk_usage(self.place.path).free
        size = readable_bytes(needed) if exact else f"about {readable_bytes(needed)}"
        if needed > free:
            raise DataError(
                f"{printable(self.place.path)}: the features of {images} take {size} ({needed:,} bytes), and "
                f"{readable_bytes(free)} ({free:,} bytes) are free; {_remedies(self.computer)}"
            )
        there = len(self.records) - len(missing)
        besides = f" ({counted(there, 'images')} more are there)" if there else ""
        _log.info("computing the features of %s, %s in %s%s", images, size, self.place.path, besides)
        pixels = sum(_pixels(self.computer.seen_size(shape)) for shape in sizes.values())
        what = f"features of {images}: {size} in {self.place.path}"
        return Pace(what, self.place.path, images=len(missing), pixels=pixels)

    def _fit(
        self, missing: Mapping[str, ImageRecord], sizes: Mapping[str, Size], writer: FeatureWriter, pace: Pace
    ) -> set[str]:
        """Fit the projections to some images, and keep the features of these; the keys of those that were kept.

        The sample does not depend on the order of the images. Of surfaces nothing is kept: their fine features before
        the projection are large, and are computed again.
        """
        by_name = sorted(missing, key=lambda key: (str(missing[key].path), key))
        positions = np.linspace(0, len(by_name) - 1, min(len(by_name), SAMPLE)).round().astype(int)
        chosen = [by_name[position] for position in np.unique(positions)]
        computer, surface = self.computer, self.computer.network.surface
        maps, differences = Moments(), Moments()
        with (
            tempfile.TemporaryFile(dir=self.place.path) as joined,
            progress_bar("images for the principal components", len(chosen), shown=self.progress) as advance,
        ):
            for keys, images, seen in self.batches(chosen, missing, sizes):
                batch = computer.joined(np.stack(seen))
                for number, key in enumerate(keys):
                    found = _of_image(batch, number)
                    maps.add(torch.from_numpy(to_half(found.maps)).flatten(2)[0].T)
                    if found.differences is None:
                        kept = arrays_of(found, computer.small(images[number]))
                        pickle.dump((key, kept, seen[number].shape[:2]), joined)
                        pace.add(1, _pixels(seen[number].shape))
                    else:
                        pixels = found.differences.flatten(2)[0].T
                        chosen_pixels = pixels[:: max(1, len(pixels) // _PIXELS) | 1]
                        differences.add(torch.from_numpy(to_half(chosen_pixels)))
                    advance()
            state = _fitted(computer.network.project, maps, computer.network.groups, "features", prefix="")
            if surface is not None:
                # Each channel counts alike: the faintest differences may be those that matter.
                each = [1] * sum(surface.groups)
                state |= _fitted(surface.project, differences, each, "differences", prefix=_SURFACE, unit=True)
            self.place.keep_projection(serialise(state))
            if surface is not None:
                return set()
            joined.seek(0)
            for _ in chosen:
                key, arrays, size = pickle.load(joined)  # a file of this process, without a name
                small = arrays.pop("small")
                features = FrozenFeatures(**_EMPTY | {kind: torch.from_numpy(one) for kind, one in arrays.items()})
                features = features._replace(maps=features.maps.float().to(computer.device))
                writer.add(key, missing[key].path, computer.network.projected(features), size, small)
        writer.mark()
        return set(chosen)

    def batches(
        self, keys: Sequence[str], missing: Mapping[str, ImageRecord], sizes: Mapping[str, Size]
    ) -> Iterator[tuple[list[str], list[NDArray[np.uint8]], list[NDArray[np.uint8]]]]:
        """Images that the backbones see at one size, a few at once: their keys, they, and they as seen."""
        groups = in_batches(range(len(keys)), [self.computer.seen_size(sizes[key]) for key in keys], _BATCH)
        paths = [[missing[keys[index]].path for index in group] for group in groups]
        for group, images in zip(groups, read_ahead(paths, self.read), strict=True):
            yield [keys[index] for index in group], images, [self.computer.seen(image) for image in images]


def _compute(
    filling: _Filling,
    missing: Mapping[str, ImageRecord],
    sizes: Mapping[str, Size],
    writer: FeatureWriter,
    pace: Pace,
) -> None:
    """Compute and keep what is missing, several images of one size at once."""
    computer = filling.computer
    with progress_bar("features", len(missing), shown=filling.progress) as advance:
        for keys, images, seen in filling.batches(list(missing), missing, sizes):
            found = computer.run(np.stack(seen))
            for number, (key, image) in enumerate(zip(keys, images, strict=True)):
                size = (seen[number].shape[0], seen[number].shape[1])
                writer.add(key, missing[key].path, _of_image(found, number), size, computer.small(image))
                advance()
            pace.add(len(keys), len(keys) * _pixels(seen[0].shape))
            if len(writer.unmarked) >= _MARK:
                writer.mark()


def _of_image(features: FrozenFeatures, number: int) -> FrozenFeatures:
    """The features of one image of a batch."""
    one = {name: values[number : number + 1] for name, values in features._asdict().items() if values is not None}
    return features._replace(**one)


def _fitted(
    layer: nn.Conv2d, moments: Moments, groups: Sequence[int], name: str, *, prefix: str, unit: bool = False
) -> dict[str, Tensor]:
    """Fit a projection and load it; its tensors by name."""
    weight, bias, share = fit_projection(moments, groups, layer.out_channels, unit=unit)
    _log.info(
        "%s: %d of %d principal components keep %.1f%% of the variance", name, len(weight), sum(groups), 100 * share
    )
    state = {"weight": weight[:, :, None, None].contiguous(), "bias": bias}
    layer.load_state_dict(state)
    return {prefix + key: value for key, value in state.items()}


def _load_projection(network: FrozenSegmenter, state: Mapping[str, Tensor]) -> None:
    """Set the projections to those that were kept."""
    network.project.load_state_dict({key: value for key, value in state.items() if not key.startswith(_SURFACE)})
    if network.surface is not None:
        start = len(_SURFACE)
        of_surface = {key[start:]: value for key, value in state.items() if key.startswith(_SURFACE)}
        network.surface.project.load_state_dict(of_surface)


def _remedies(computer: FeatureComputer) -> str:
    """What helps where there is not enough room."""
    side = computer.config.data.image_size
    joint = "objects" if computer.network.surface is None else "surfaces"
    return (
        "name a folder on another disk as `data.cache='DIR'`, train on fewer images (`limit`), see them smaller (e.g. "
        f"`data.image_size={max(32, round(0.7 * side / 32) * 32)}`), keep fewer channels (model.feature_channels), or "
        f"train the whole network, which keeps no features: `config='{joint}'`"
    )


@contextmanager
def _no_room_said(folder: Path) -> Iterator[None]:
    """Say what failed where features cannot be written; what was marked before stays."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{printable(folder)}: writing features failed ({error.strerror}); check space and permissions, then run "
            "the same again: what was computed is kept"
        ) from error


def _pixels(shape: Sequence[int]) -> int:
    return shape[0] * shape[1]
