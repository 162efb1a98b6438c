"""Frozen features of a dataset's images: computed once, kept in half precision, read by memory mapping.

A folder holds one flat file for each kind of array, `index.json`, which says what they were computed from, the
projection as safetensors, and which images are done, so that an interrupted computation goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as serialise
from torch import Tensor

from tag2mask.config.schema import Config
from tag2mask.core.errors import DataError
from tag2mask.core.files import atomic_path, make_folder, write_text
from tag2mask.core.progress import progress_bar
from tag2mask.core.record import ImageRecord
from tag2mask.images.decode import image_size
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.models.backbone import read_safetensors
from tag2mask.models.frozen import FrozenFeatures, FrozenSegmenter
from tag2mask.models.inputs import network_input
from tag2mask.models.precision import autocast
from tag2mask.training.projection import fit_projection

_VERSION = 2
_SAMPLE = 100  # images that the projection is fitted to
_AHEAD = 2  # batches decoded in advance
_BATCH = 4  # images that go through the backbones at once
_MARK = 64  # images after which it is noted which are done

Reader = Callable[[Path], NDArray[np.uint8]]
Size = tuple[int, int]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shapes:
    """Sizes (H, W) of what is kept of one image.

    Attributes:
        seen: of the image as the backbone sees it.
        grid: of the features.
        patches: of the affinity; (0, 0) without one.
        small: of the image on the grid of its mask.
    """

    seen: Size
    grid: Size
    patches: Size
    small: Size


class FeatureStore:
    """Features of the images of a dataset, by position.

    Attributes:
        folder: where they lie.
        channels: D of the projected features.
        shapes: of each image.
    """

    def __init__(self, folder: Path, shapes: Sequence[Shapes], *, channels: int, pooled: int):
        self.folder, self.channels = folder, channels
        self.shapes = list(shapes)
        areas = {
            "maps": [channels * math.prod(one.grid) for one in shapes],
            "energy": [math.prod(one.grid) for one in shapes],
            "pooled": [pooled] * len(shapes),
            "affinity": [math.prod(one.patches) ** 2 for one in shapes],
            "small": [3 * math.prod(one.small) for one in shapes],
        }
        self._offsets = {name: np.concatenate([[0], np.cumsum(sizes)]) for name, sizes in areas.items()}
        self._arrays: dict[str, NDArray[np.float16] | NDArray[np.uint8]] = {}

    @property
    def bytes(self) -> int:
        """Size of the files on disk."""
        return sum(int(offsets[-1]) * _type(name).itemsize for name, offsets in self._offsets.items())

    def features(self, index: int, device: torch.device | str = "cpu") -> FrozenFeatures:
        """The features of one image as a batch of one, float32."""
        shape = self.shapes[index]
        energy = _tensor(self._part("energy", index).reshape(1, *shape.grid), device)
        affinity = None
        if count := math.prod(shape.patches):
            affinity = _tensor(self._part("affinity", index).reshape(1, *shape.patches, count), device)
        return FrozenFeatures(self.maps(index).to(device)[None], energy, self.pooled(index).to(device)[None], affinity)

    def pooled(self, index: int) -> Tensor:
        """The pooled features (P,) of one image, float32."""
        return _tensor(self._part("pooled", index), "cpu")

    def maps(self, index: int) -> Tensor:
        """The projected features (D, h, w) of one image, float32."""
        part = self._part("maps", index).reshape(self.channels, *self.shapes[index].grid)
        return _tensor(part, "cpu")

    def small(self, index: int) -> NDArray[np.uint8]:
        """The image (H, W, 3) uint8 RGB on the grid of its mask."""
        kept = self._part("small", index).reshape(*self.shapes[index].small, 3)
        return np.array(kept, dtype=np.uint8)

    def write(self, index: int, features: FrozenFeatures, small: NDArray[np.uint8]) -> None:
        """Keep the features of one image, a batch of one, and the image (H, W, 3) on the grid of its mask."""
        for name, values in features._asdict().items():
            if values is not None:
                self._part(name, index)[:] = _half(values.float().cpu().numpy()).reshape(-1)
        self._part("small", index)[:] = small.reshape(-1)

    def open(self) -> None:
        """Make the files, or open those that are there.

        Raises:
            DataError: there is not enough room for them.
        """
        make_folder(self.folder)
        missing = self.bytes - sum(path.stat().st_size for path in self.folder.glob("*.bin"))
        free = shutil.disk_usage(self.folder).free
        if missing > free:
            raise DataError(
                f"{self.folder}: the features of {len(self.shapes)} images take {self.bytes / 2**30:.1f} GiB, and "
                f"{free / 2**30:.1f} GiB are free; name a folder with more room as data.cache, or lower "
                "model.feature_channels or data.image_size"
            )
        for name, offsets in self._offsets.items():
            path = self.folder / f"{name}.bin"
            length = max(1, int(offsets[-1]))
            fits = path.is_file() and path.stat().st_size == length * _type(name).itemsize
            self._arrays[name] = np.memmap(path, dtype=_type(name), mode="r+" if fits else "w+", shape=(length,))

    def _part(self, name: str, index: int) -> NDArray[np.float16] | NDArray[np.uint8]:
        offsets = self._offsets[name]
        return self._arrays[name][offsets[index] : offsets[index + 1]]


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
    """The features of a dataset, from the folder where they are there, else computed; sets the network's projection.

    Args:
        network: with pretrained backbones; its projection is set to that of the features.
        records: the images.
        config: sizes and precision.
        folder: these features lie in a folder of their own in it, named by what they depend on.
        read: from a file to an image (H, W, 3) uint8.
        device: where the backbones run.
        progress: show a progress bar.

    Raises:
        DataError: an image cannot be read, or there is not enough room.
    """
    network.to(device).eval()
    shapes = _shapes(network, records, config, device)
    key = _key(network, records, config)
    folder = folder / key[:16]
    store = FeatureStore(folder, shapes, channels=network.channels, pooled=network.pooled_channels)
    done = _done(folder, key, len(records))
    if done is None:
        for path in folder.glob("*"):
            path.unlink()
        done = np.zeros(len(records), dtype=bool)
    store.open()
    kept = (folder / _PROJECTION).is_file()
    if kept:
        network.project.load_state_dict(read_safetensors(folder / _PROJECTION))
    if kept and done.all():
        _log.info("features of %d images are there (%s), %s", len(records), _size(store.bytes), folder)
        return store
    _log.info("computing the features of %d images, %s in %s", int((~done).sum()), _size(store.bytes), folder)
    if not kept:
        _fit(network, records, config, store, done, read, device, progress=progress)
        write_text(folder / _INDEX, json.dumps({"version": _VERSION, "key": key}))
    _compute(network, records, config, store, done, read, device, progress=progress)
    return store


_INDEX = "index.json"
_PROJECTION = "projection.safetensors"
_DONE = "done.npy"


def _compute(
    network: FrozenSegmenter,
    records: Sequence[ImageRecord],
    config: Config,
    store: FeatureStore,
    done: NDArray[np.bool_],
    read: Reader,
    device: torch.device,
    *,
    progress: bool,
) -> None:
    """Compute and keep what is missing, several images of one size at once."""
    batches = _batches(np.flatnonzero(~done).tolist(), [one.seen for one in store.shapes])
    noted = int(done.sum())
    with (
        ThreadPoolExecutor(2) as pool,
        progress_bar("features", int((~done).sum()), shown=progress) as advance,
    ):
        ahead = iter([(batch, [records[index].path for index in batch]) for batch in batches])
        pending = deque((batch, [pool.submit(read, path) for path in paths]) for batch, paths in islice(ahead, _AHEAD))
        while pending:
            batch, futures = pending.popleft()
            images = [future.result() for future in futures]
            pending.extend(
                (next_one, [pool.submit(read, path) for path in paths]) for next_one, paths in islice(ahead, 1)
            )
            seen = [resize_image(image, store.shapes[index].seen) for index, image in zip(batch, images, strict=True)]
            found = _run(network, np.stack(seen), config, device)
            for number, (index, image) in enumerate(zip(batch, images, strict=True)):
                store.write(index, _of_image(found, number), resize_image(image, store.shapes[index].small, exact=True))
                done[index] = True
                advance()
            if done.sum() - noted >= _MARK or not pending:
                _note(store.folder, done)
                noted = int(done.sum())


def _batches(indices: Sequence[int], sizes: Sequence[Size]) -> list[list[int]]:
    """The indices in groups of one size, at most `_BATCH` each."""
    by_size: dict[Size, list[int]] = {}
    for index in indices:
        by_size.setdefault(sizes[index], []).append(index)
    return [group[start : start + _BATCH] for group in by_size.values() for start in range(0, len(group), _BATCH)]


def _of_image(features: FrozenFeatures, number: int) -> FrozenFeatures:
    """The features of one image of a batch."""
    one = slice(number, number + 1)
    affinity = None if features.affinity is None else features.affinity[one]
    return FrozenFeatures(features.maps[one], features.energy[one], features.pooled[one], affinity)


def _note(folder: Path, done: NDArray[np.bool_]) -> None:
    """Note which images are done."""
    with atomic_path(folder / _DONE) as temporary, temporary.open("wb") as file:
        np.save(file, done, allow_pickle=False)


def _fit(
    network: FrozenSegmenter,
    records: Sequence[ImageRecord],
    config: Config,
    store: FeatureStore,
    done: NDArray[np.bool_],
    read: Reader,
    device: torch.device,
    *,
    progress: bool,
) -> None:
    """Fit the projection to some images, keep it, and keep the features of these images."""
    positions = np.unique(np.linspace(0, len(records) - 1, min(len(records), _SAMPLE)).round().astype(int)).tolist()
    found: dict[int, tuple[FrozenFeatures, NDArray[np.uint8]]] = {}
    with progress_bar("images for the principal components", len(positions), shown=progress) as advance:
        for position in positions:
            image = read(records[position].path)
            images = _input(network, resize_image(image, store.shapes[position].seen)[None], device)
            with autocast(config.training.precision, device):
                joined = network.joined(images)
            small = resize_image(image, store.shapes[position].small, exact=True)
            found[position] = joined._replace(maps=joined.maps.half().cpu()), small
            advance()
    samples = torch.cat([one.maps.float().flatten(2)[0].T for one, _ in found.values()])
    weight, bias, share = fit_projection(samples, network.groups, network.channels)
    count = sum(network.groups)
    _log.info("%d of %d principal components keep %.1f%% of the variance", len(weight), count, 100 * share)
    state = {"weight": weight[:, :, None, None].contiguous(), "bias": bias}
    network.project.load_state_dict(state)
    for position, (features, small) in found.items():
        maps = network.projected(features.maps.float().to(device))
        store.write(position, features._replace(maps=maps), small)
        done[position] = True
    _note(store.folder, done)
    with atomic_path(store.folder / _PROJECTION) as temporary:
        temporary.write_bytes(serialise(state))


def _run(network: FrozenSegmenter, images: NDArray[np.uint8], config: Config, device: torch.device) -> FrozenFeatures:
    """Features of images (B, H, W, 3)."""
    with torch.no_grad(), autocast(config.training.precision, device):
        return network.features(_input(network, images, device))


def _input(network: FrozenSegmenter, images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Images (B, H, W, 3) as the network takes them."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return network_input(pixels.to(device), network.backbone.preprocessing)


def _seen(network: FrozenSegmenter, shape: Size, config: Config) -> Size:
    return scaled_size(shape, config.data.image_size, multiple=network.backbone.input_multiple)


def _shapes(
    network: FrozenSegmenter, records: Sequence[ImageRecord], config: Config, device: torch.device
) -> list[Shapes]:
    """What is kept of each image; the sizes of the maps are tried once for each size of image."""
    tried: dict[Size, tuple[Size, Size]] = {}
    shapes = []
    for record in records:
        shape = image_size(record.path)
        seen = _seen(network, shape, config)
        if seen not in tried:
            found = _run(network, np.zeros((1, *seen, 3), np.uint8), config, device)
            patches = (0, 0) if found.affinity is None else (found.affinity.shape[1], found.affinity.shape[2])
            tried[seen] = (found.maps.shape[2], found.maps.shape[3]), patches
        small = scaled_size(shape, config.data.image_size / config.masks.stride)
        shapes.append(Shapes(seen, *tried[seen], small))
    return shapes


def _key(network: FrozenSegmenter, records: Sequence[ImageRecord], config: Config) -> str:
    """What the features depend on, as one number."""
    digest = hashlib.sha256()
    about = [_VERSION, config.data.image_size, config.masks.stride, network.channels, network.scales]
    digest.update(repr(about).encode())
    for backbone in network.backbones:
        digest.update(f"{backbone.name} {backbone.strides}".encode())
        for name, tensor in backbone.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    for record in records:
        stat = record.path.stat()
        digest.update(f"{record.path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _done(folder: Path, key: str, count: int) -> NDArray[np.bool_] | None:
    """Which images are done in a folder; None where it holds nothing of these images and backbones."""
    try:
        if json.loads((folder / _INDEX).read_text(encoding="utf-8")) != {"version": _VERSION, "key": key}:
            return None
        done: NDArray[np.bool_] = np.load(folder / _DONE, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return done if done.shape == (count,) and done.dtype == bool else None


def _type(name: str) -> np.dtype[np.float16] | np.dtype[np.uint8]:
    return np.dtype(np.uint8) if name == "small" else np.dtype(np.float16)


def _half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """In half precision; what is beyond its range becomes its largest number."""
    most = np.finfo(np.float16).max
    return np.clip(values, -most, most).astype(np.float16)


def _tensor(values: NDArray[np.generic], device: torch.device | str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
