"""Computing the frozen features of images: sizes, batches, how much room they take and how long it lasts."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tag2mask.config.schema import Config
from tag2mask.images.decode import image_size
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.models.frozen import FrozenFeatures, FrozenSegmenter
from tag2mask.models.inputs import network_input
from tag2mask.models.precision import autocast
from tag2mask.training.feature_files import Layout, Shapes, Size

Reader = Callable[[Path], NDArray[np.uint8]]

_AHEAD = 2  # batches decoded in advance
_TRIED = 8  # sizes of images of which the size of the features is found by trying; of others it follows from these
_EARLY = 8  # images, after the first batch, by which the time is first estimated
_LATER = 64  # and once more, in case the rate has changed
_CHANGED = 0.25

_log = logging.getLogger(__name__)


class FeatureComputer:
    """Runs the frozen backbones of a network on images as `config` says."""

    def __init__(self, network: FrozenSegmenter, config: Config, device: torch.device):
        self.network, self.config, self.device = network.folded(), config, device
        self.layout = Layout.of(network)

    def seen_size(self, shape: Size) -> Size:
        """Size (H, W) at which the backbone sees an image of the size `shape`."""
        return scaled_size(shape, self.config.data.image_size, multiple=self.network.backbone.input_multiple)

    def small_size(self, shape: Size) -> Size:
        """Size (H, W) of the mask of an image of the size `shape`."""
        return scaled_size(shape, self.config.data.image_size / self.config.masks.stride)

    def small(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An image (H, W, 3) on the grid of its mask."""
        return resize_image(image, self.small_size((image.shape[0], image.shape[1])), exact=True)

    def seen(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An image (H, W, 3) as the backbone sees it."""
        return resize_image(image, self.seen_size((image.shape[0], image.shape[1])))

    def run(self, images: NDArray[np.uint8]) -> FrozenFeatures:
        """Features of images (B, H, W, 3)."""
        with torch.no_grad(), autocast(self.config.training.precision, self.device):
            return self.network.features(self._input(images))

    def joined(self, images: NDArray[np.uint8]) -> FrozenFeatures:
        """Features of images (B, H, W, 3), as they are before the projection."""
        with torch.no_grad(), autocast(self.config.training.precision, self.device):
            return self.network.joined(self._input(images))

    def bytes(self, shapes: Sequence[Size]) -> tuple[int, bool]:
        """How much room the features of images of the sizes `shapes` take.

        Returns:
            Bytes, and whether they are exact: of more than a few sizes only the most frequent are tried.
        """
        counts = Counter((self.seen_size(shape), self.small_size(shape)) for shape in shapes)
        sizes = Counter[Size]()
        for (seen, _), count in counts.items():
            sizes[seen] += count
        tried = {seen: self._tried(seen) for seen, _ in sizes.most_common(_TRIED)}
        total = sum(count * self.layout.bytes(_like(tried, seen, small)) for (seen, small), count in counts.items())
        return total, len(tried) == len(sizes)

    def _tried(self, seen: Size) -> Shapes:
        return Shapes.of(self.run(np.zeros((1, *seen, 3), np.uint8)), seen, (0, 0))

    def _input(self, images: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        return network_input(pixels.to(self.device), self.network.backbone.preprocessing)


class Pace:
    """Says, after a few images, how long all of them will take."""

    def __init__(self, what: str, folder: Path, *, images: int, pixels: int):
        """Begin to count.

        Args:
            what: what is computed, e.g. 'features of 100,000 images: 105 GiB in FOLDER'.
            folder: whose free room is said.
            images: how many there are.
            pixels: of all of them, as the backbone sees them; time is taken to grow with them.
        """
        self.what, self.folder, self.images, self.pixels = what, folder, images, pixels
        self._began = time.monotonic()
        self._done = self._measured = self._measured_pixels = self._done_pixels = 0
        self._said: float | None = None

    def add(self, images: int, pixels: int) -> None:
        """Count images that are done; what the first call counts, warm-up, is not measured."""
        if self._done:
            self._measured += images
            self._measured_pixels += pixels
        else:
            self._started = time.monotonic()
        self._done += images
        self._done_pixels += pixels
        due = self._measured >= (_EARLY if self._said is None else _LATER)
        if due and self._measured - images < (_EARLY if self._said is None else _LATER):
            self._say()

    def _say(self) -> None:
        now = time.monotonic()
        seconds = max(now - self._started, 1e-9)
        left = (self.pixels - self._done_pixels) * seconds / max(1, self._measured_pixels)
        total = now - self._began + left
        if self._said is not None and abs(total / self._said - 1) < _CHANGED:
            return
        free = readable_bytes(shutil.disk_usage(self.folder).free)
        word = "about" if self._said is None else "now about"
        rate = self._measured / seconds
        _log.info("%s, %s %s at %.3g images/s; %s are free", self.what, word, readable_time(total), rate, free)
        self._said = total


def read_ahead(batches: Sequence[Sequence[Path]], read: Reader) -> Iterator[list[NDArray[np.uint8]]]:
    """The images of each batch, the next batches being decoded meanwhile."""
    with ThreadPoolExecutor(2) as pool:
        ahead = iter(batches)
        pending = deque([pool.submit(read, path) for path in paths] for paths in islice(ahead, _AHEAD))
        while pending:
            images = [future.result() for future in pending.popleft()]
            pending.extend([pool.submit(read, path) for path in paths] for paths in islice(ahead, 1))
            yield images


def in_batches(indices: Sequence[int], sizes: Sequence[Size], most: int) -> list[list[int]]:
    """The indices in groups of one size, at most `most` each."""
    by_size: dict[Size, list[int]] = {}
    for index in indices:
        by_size.setdefault(sizes[index], []).append(index)
    return [group[start : start + most] for group in by_size.values() for start in range(0, len(group), most)]


def image_sizes(paths: Sequence[Path], *, threads: int = 4) -> list[Size]:
    """Sizes (H, W) of images, from their headers.

    Raises:
        DataError: one cannot be read.
    """
    with ThreadPoolExecutor(threads) as pool:  # a disk in the network answers several at once
        return list(pool.map(image_size, paths, chunksize=64))


def readable_bytes(count: float) -> str:
    """Bytes for people.

    >>> readable_bytes(3 * 2**20), readable_bytes(105 * 2**30), readable_bytes(3.21 * 2**30)
    ('3 MiB', '105 GiB', '3.2 GiB')
    """
    if count < 2**30:
        return f"{count / 2**20:.0f} MiB"
    return f"{count / 2**30:,.0f} GiB" if count >= 100 * 2**30 else f"{count / 2**30:.1f} GiB"


def readable_time(seconds: float) -> str:
    """A time for people.

    >>> readable_time(42), readable_time(610), readable_time(11400), readable_time(400000)
    ('42 s', '10 min', '3 h 10 min', '111 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes < 24 * 60 else f"{round(minutes / 60)} h"


def _like(tried: dict[Size, Shapes], seen: Size, small: Size) -> Shapes:
    """What an image has that is seen at the size `seen`: as found, or in proportion to the nearest size."""
    if seen in tried:
        one = tried[seen]
        return Shapes(seen, one.grid, one.patches, one.fine, small)
    area = seen[0] * seen[1]
    near = min(tried.values(), key=lambda one: abs(one.seen[0] * one.seen[1] - area))

    def scaled(size: Size) -> Size:
        return round(size[0] * seen[0] / near.seen[0]), round(size[1] * seen[1] / near.seen[1])

    return Shapes(seen, scaled(near.grid), scaled(near.patches), scaled(near.fine), small)
