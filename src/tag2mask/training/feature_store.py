"""Frozen features of a dataset's images: computed once, kept in half precision, read by memory mapping.

A folder holds one flat file for each kind of array, `index.json`, which says what they were computed from, the
projection as safetensors, and which images are done, so that an interrupted computation goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as serialise
from torch import Tensor, nn

from tag2mask.config.schema import Config
from tag2mask.core.files import atomic_path, write_text
from tag2mask.core.progress import progress_bar
from tag2mask.core.record import ImageRecord
from tag2mask.images.decode import image_size
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.models.backbone import read_safetensors
from tag2mask.models.frozen import FrozenFeatures, FrozenSegmenter
from tag2mask.models.inputs import network_input
from tag2mask.models.precision import autocast
from tag2mask.training.feature_files import FeatureStore, Shapes, Size
from tag2mask.training.projection import fit_projection

_VERSION = 3
_SAMPLE = 100  # images that the projection is fitted to
_PIXELS = 500  # of each of these images whose differences from the background count
_AHEAD = 2  # batches decoded in advance
_BATCH = 4  # images that go through the backbones at once
_MARK = 64  # images after which it is noted which are done

Reader = Callable[[Path], NDArray[np.uint8]]

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
    store = FeatureStore(
        folder,
        shapes,
        channels=network.channels,
        pooled=network.pooled_channels,
        fine_channels=0 if network.surface is None else network.surface.channels,
    )
    done = _done(folder, key, len(records))
    if done is None:
        for path in folder.glob("*"):
            path.unlink()
        done = np.zeros(len(records), dtype=bool)
    store.open()
    kept = (folder / _PROJECTION).is_file()
    if kept:
        _load_projection(network, read_safetensors(folder / _PROJECTION))
    if kept and done.all():
        _log.info("features of %d images are there (%s), %s", len(records), _readable(store.bytes), folder)
        return store
    _log.info("computing the features of %d images, %s in %s", int((~done).sum()), _readable(store.bytes), folder)
    if not kept:
        _fit(network, records, config, store, done, read, device, progress=progress)
        write_text(folder / _INDEX, json.dumps({"version": _VERSION, "key": key}))
    _compute(network, records, config, store, done, read, device, progress=progress)
    return store


_INDEX = "index.json"
_PROJECTION = "projection.safetensors"
_DONE = "done.npy"
_SURFACE = "surface."


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
    one = {name: values[number : number + 1] for name, values in features._asdict().items() if values is not None}
    return features._replace(**one)


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
    """Fit the projections to some images, keep them, and keep the features of these images.

    Where there are fine features, those of so many images are too many for the memory, and are computed again.
    """
    positions = np.unique(np.linspace(0, len(records) - 1, min(len(records), _SAMPLE)).round().astype(int)).tolist()
    found: dict[int, tuple[FrozenFeatures, NDArray[np.uint8]]] = {}
    samples: list[Tensor] = []
    differences: list[Tensor] = []
    with progress_bar("images for the principal components", len(positions), shown=progress) as advance:
        for position in positions:
            image = read(records[position].path)
            images = _input(network, resize_image(image, store.shapes[position].seen)[None], device)
            with autocast(config.training.precision, device):
                joined = network.joined(images)
            samples.append(joined.maps.half().cpu().flatten(2)[0].T)
            if joined.differences is None:
                small = resize_image(image, store.shapes[position].small, exact=True)
                found[position] = joined._replace(maps=joined.maps.half().cpu()), small
            else:
                pixels = joined.differences.flatten(2)[0].T
                differences.append(pixels[:: max(1, len(pixels) // _PIXELS) | 1].half().cpu())
            advance()
    state = _fitted(network.project, samples, network.groups, "features", prefix="")
    if network.surface is not None:
        # Each channel counts alike: the faintest differences may be those that matter.
        each = [1] * sum(network.surface.groups)
        state |= _fitted(network.surface.project, differences, each, "differences", prefix=_SURFACE, unit=True)
    for position, (features, small) in found.items():
        store.write(position, network.projected(features._replace(maps=features.maps.float().to(device))), small)
        done[position] = True
    _note(store.folder, done)
    with atomic_path(store.folder / _PROJECTION) as temporary:
        temporary.write_bytes(serialise(state))


def _fitted(
    layer: nn.Conv2d,
    samples: Sequence[Tensor],
    groups: Sequence[int],
    name: str,
    *,
    prefix: str,
    unit: bool = False,
) -> dict[str, Tensor]:
    """Fit a projection to samples (M_i, sum of groups) of several images and load it; its tensors by name.

    With `unit` the result's root mean square is 1.
    """
    joined = torch.cat([one.float() for one in samples])
    weight, bias, share = fit_projection(joined, groups, layer.out_channels)
    if unit:
        size = (joined @ weight.T + bias).square().mean().sqrt().clamp_min(1e-6)
        weight, bias = weight / size, bias / size
    _log.info(
        "%s: %d of %d principal components keep %.1f%% of the variance", name, len(weight), sum(groups), 100 * share
    )
    state = {"weight": weight[:, :, None, None].contiguous(), "bias": bias}
    layer.load_state_dict(state)
    return {prefix + key: value for key, value in state.items()}


def _load_projection(network: FrozenSegmenter, state: dict[str, Tensor]) -> None:
    """Set the projections to those that were kept."""
    network.project.load_state_dict({key: value for key, value in state.items() if not key.startswith(_SURFACE)})
    if network.surface is not None:
        start = len(_SURFACE)
        of_surface = {key[start:]: value for key, value in state.items() if key.startswith(_SURFACE)}
        network.surface.project.load_state_dict(of_surface)


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
    tried: dict[Size, tuple[Size, Size, Size]] = {}
    shapes = []
    for record in records:
        shape = image_size(record.path)
        seen = _seen(network, shape, config)
        if seen not in tried:
            found = _run(network, np.zeros((1, *seen, 3), np.uint8), config, device)
            patches = (0, 0) if found.affinity is None else _grid(found.affinity, first=1)
            fine = (0, 0) if found.contrast_prior is None else _grid(found.contrast_prior, first=1)
            tried[seen] = _grid(found.maps, first=2), patches, fine
        small = scaled_size(shape, config.data.image_size / config.masks.stride)
        shapes.append(Shapes(seen, *tried[seen], small))
    return shapes


def _grid(values: Tensor, *, first: int) -> Size:
    """Two lengths of an array, from one of its axes on."""
    return values.shape[first], values.shape[first + 1]


def _key(network: FrozenSegmenter, records: Sequence[ImageRecord], config: Config) -> str:
    """What the features depend on, as one number."""
    digest = hashlib.sha256()
    about = [_VERSION, config.data.image_size, config.masks.stride, network.channels, network.scales]
    if network.surface is not None:
        about += [network.surface.stages, network.surface.channels]
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


def _readable(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
