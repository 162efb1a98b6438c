"""Files of the frozen features of images: one flat file for each kind of array, appended to, read by memory mapping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tag2mask.models.frozen import FrozenFeatures, FrozenSegmenter

Size = tuple[int, int]
Half = NDArray[np.float16]

KINDS = ("maps", "energy", "pooled", "affinity", "differences", "contrast_prior", "small")
"""Kinds of arrays; `KIND.bin` holds those of all images, one after the other."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """Sizes (H, W) of what is kept of one image.

    Attributes:
        seen: of the image as the backbone sees it.
        grid: of the features.
        patches: of the affinity; (0, 0) without one.
        fine: of the differences from the background; (0, 0) without them.
        small: of the image on the grid of its mask.
    """

    seen: Size
    grid: Size
    patches: Size
    fine: Size
    small: Size

    @classmethod
    def of(cls, features: FrozenFeatures, seen: Size, small: Size) -> Shapes:
        """Those of the features of one image, a batch of one, that the backbone saw at the size `seen`."""
        patches = (0, 0) if features.affinity is None else _grid(features.affinity, first=1)
        fine = (0, 0) if features.contrast_prior is None else _grid(features.contrast_prior, first=1)
        return cls(seen, _grid(features.maps, first=2), patches, fine, small)

    def to_list(self) -> list[Size]:
        """As JSON has it."""
        return list(astuple(self))


@dataclass(frozen=True, slots=True)
class Layout:
    """Channels of what is kept of every image.

    Attributes:
        channels: D of the projected features.
        pooled: P of the pooled ones.
        fine_channels: S of the projected differences from the background; 0 without them.
    """

    channels: int
    pooled: int
    fine_channels: int

    @classmethod
    def of(cls, network: FrozenSegmenter) -> Layout:
        """What a network's features have."""
        fine = 0 if network.surface is None else network.surface.channels
        return cls(network.channels, network.pooled_channels, fine)

    def lengths(self, shapes: Shapes) -> list[int]:
        """How many numbers of each of `KINDS` an image has."""
        grid, fine = math.prod(shapes.grid), math.prod(shapes.fine)
        affinity, small = math.prod(shapes.patches) ** 2, 3 * math.prod(shapes.small)
        return [self.channels * grid, grid, self.pooled, affinity, self.fine_channels * fine, fine, small]

    def bytes(self, shapes: Shapes) -> int:
        """Bytes that an image takes on disk."""
        return sum(length * kind_type(kind).itemsize for kind, length in zip(KINDS, self.lengths(shapes), strict=True))


class FeatureStore:
    """Features of the images of a dataset, by position.

    Attributes:
        folder: where they lie.
        channels: D of the projected features.
        fine_channels: S of the projected differences from the background; 0 without them.
        shapes: of each image.
    """

    def __init__(self, folder: Path, layout: Layout, shapes: Sequence[Shapes], starts: NDArray[np.int64]):
        """Open the files.

        Args:
            folder: that holds them.
            layout: channels.
            shapes: of each image.
            starts: (N, len(KINDS)), where the arrays of each image start, counted in numbers.
        """
        self.folder, self.layout = folder, layout
        self.channels, self.fine_channels = layout.channels, layout.fine_channels
        self.shapes = list(shapes)
        self._starts = starts
        self._ends = starts + np.array([layout.lengths(one) for one in shapes], np.int64).reshape(-1, len(KINDS))
        self._arrays: dict[str, NDArray[np.float16] | NDArray[np.uint8]] = {}
        for number, kind in enumerate(KINDS):
            length = int(self._ends[:, number].max(initial=0))
            array = np.zeros(0, kind_type(kind))
            if length:
                # Copy on write: nothing is written, but PyTorch warns of arrays that cannot be written to.
                array = np.memmap(folder / f"{kind}.bin", dtype=kind_type(kind), mode="c", shape=(length,))
            self._arrays[kind] = array

    @property
    def bytes(self) -> int:
        """Size of the features of these images on disk."""
        each = np.array([kind_type(kind).itemsize for kind in KINDS])
        return int(((self._ends - self._starts) * each).sum())

    def features(self, index: int, device: torch.device | str = "cpu") -> FrozenFeatures:
        """The features of one image as a batch of one, float32."""
        shape = self.shapes[index]
        energy = _tensor(self._part("energy", index).reshape(1, *shape.grid), device)
        affinity = None
        if count := math.prod(shape.patches):
            affinity = _tensor(self._part("affinity", index).reshape(1, *shape.patches, count), device)
        differences = prior = None
        if (fine := self.differences(index)) is not None:
            differences = fine.to(device)[None]
            prior = self.contrast_prior(index).to(device)[None]
        maps, pooled = self.maps(index).to(device)[None], self.pooled(index).to(device)[None]
        return FrozenFeatures(maps, energy, pooled, affinity, differences, prior)

    def pooled(self, index: int) -> Tensor:
        """The pooled features (P,) of one image, float32."""
        return _tensor(self._part("pooled", index), "cpu")

    def maps(self, index: int) -> Tensor:
        """The projected features (D, h, w) of one image, float32."""
        part = self._part("maps", index).reshape(self.channels, *self.shapes[index].grid)
        return _tensor(part, "cpu")

    def differences(self, index: int) -> Tensor | None:
        """The projected differences (S, h, w) of one image from its background, float32; None without them."""
        if not self.fine_channels:
            return None
        return _tensor(self._part("differences", index).reshape(self.fine_channels, *self.shapes[index].fine), "cpu")

    def contrast_prior(self, index: int) -> Tensor:
        """How much each pixel of one image stands out from its background, (h, w) float32."""
        return _tensor(self._part("contrast_prior", index).reshape(self.shapes[index].fine), "cpu")

    def small(self, index: int) -> NDArray[np.uint8]:
        """The image (H, W, 3) uint8 RGB on the grid of its mask."""
        kept = self._part("small", index).reshape(*self.shapes[index].small, 3)
        return np.array(kept, dtype=np.uint8)

    def _part(self, kind: str, index: int) -> NDArray[np.float16] | NDArray[np.uint8]:
        number = KINDS.index(kind)
        return self._arrays[kind][self._starts[index, number] : self._ends[index, number]]


def arrays_of(features: FrozenFeatures, small: NDArray[np.uint8]) -> dict[str, NDArray[np.float16] | NDArray[np.uint8]]:
    """What is kept of one image, a batch of one, by kind."""
    kept: dict[str, NDArray[np.float16] | NDArray[np.uint8]] = {
        name: to_half(values) for name, values in features._asdict().items() if values is not None
    }
    return kept | {"small": small}


def to_half(values: Tensor) -> Half:
    """In half precision; what is beyond its range becomes its largest number."""
    most = torch.finfo(torch.float16).max
    half: Half = values.float().cpu().clamp(-most, most).half().numpy()
    return half


def kind_type(kind: str) -> np.dtype[np.float16] | np.dtype[np.uint8]:
    """Type of the numbers of one of `KINDS`."""
    return np.dtype(np.uint8) if kind == "small" else np.dtype(np.float16)


def _grid(values: Tensor, *, first: int) -> Size:
    """Two lengths of an array, from one of its axes on."""
    return values.shape[first], values.shape[first + 1]


def _tensor(values: NDArray[np.generic], device: torch.device | str) -> Tensor:
    """Numbers in half precision as float32; PyTorch converts them faster than NumPy."""
    return torch.from_numpy(values).to(device).float()
