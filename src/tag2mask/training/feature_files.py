"""Files of the frozen features of a dataset's images: one flat file for each kind of array, memory-mapped."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tag2mask.core.errors import DataError
from tag2mask.core.files import make_folder
from tag2mask.models.frozen import FrozenFeatures

Size = tuple[int, int]


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


class FeatureStore:
    """Features of the images of a dataset, by position.

    Attributes:
        folder: where they lie.
        channels: D of the projected features.
        fine_channels: S of the projected differences from the background; 0 without them.
        shapes: of each image.
    """

    def __init__(self, folder: Path, shapes: Sequence[Shapes], *, channels: int, pooled: int, fine_channels: int = 0):
        self.folder, self.channels, self.fine_channels = folder, channels, fine_channels
        self.shapes = list(shapes)
        areas = {
            "maps": [channels * math.prod(one.grid) for one in shapes],
            "energy": [math.prod(one.grid) for one in shapes],
            "pooled": [pooled] * len(shapes),
            "affinity": [math.prod(one.patches) ** 2 for one in shapes],
            "differences": [fine_channels * math.prod(one.fine) for one in shapes],
            "contrast_prior": [math.prod(one.fine) for one in shapes],
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
            path, length = self.folder / f"{name}.bin", int(offsets[-1])
            if not length:
                self._arrays[name] = np.zeros(0, _type(name))
                continue
            fits = path.is_file() and path.stat().st_size == length * _type(name).itemsize
            self._arrays[name] = np.memmap(path, dtype=_type(name), mode="r+" if fits else "w+", shape=(length,))

    def _part(self, name: str, index: int) -> NDArray[np.float16] | NDArray[np.uint8]:
        offsets = self._offsets[name]
        return self._arrays[name][offsets[index] : offsets[index + 1]]


def _type(name: str) -> np.dtype[np.float16] | np.dtype[np.uint8]:
    return np.dtype(np.uint8) if name == "small" else np.dtype(np.float16)


def _half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """In half precision; what is beyond its range becomes its largest number."""
    most = np.finfo(np.float16).max
    return np.clip(values, -most, most).astype(np.float16)


def _tensor(values: NDArray[np.generic], device: torch.device | str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)
