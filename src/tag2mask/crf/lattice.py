"""The lattice of one image: everything of the CRF that depends on the image and the deviations alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import ConfigError
from tag2mask.crf import checks, embedding, grouping, meanfield, norms, planar, vertices
from tag2mask.crf.positions import plan_of, scale_of
from tag2mask.crf.workspace import Workspace

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_KEY_LIMIT = 2**63
_ROOM = Workspace()
_WIDE = (0.0,) * 16


@dataclass(frozen=True)
class Deviations:
    """Deviations of both terms: pixels along x and y, grey levels 0..255 of red, green and blue."""

    near: tuple[float, float]
    far: tuple[float, float, float, float, float]

    @classmethod
    def isotropic(cls, gaussian_xy: float, bilateral_xy: float, bilateral_rgb: float) -> Deviations:
        """Equal along x and y, and for the three colours.

        Raises:
            ConfigError: one of them is not a positive number.
        """
        near = checks.positive("gaussian_xy", gaussian_xy)
        far = checks.positive("bilateral_xy", bilateral_xy)
        colour = checks.positive("bilateral_rgb", bilateral_rgb)
        return cls((near, near), (far, far, colour, colour, colour))

    def scaled(self, factor: float) -> Deviations:
        """The same for an image resized by `factor`."""
        x, y, r, g, b = self.far
        return Deviations((self.near[0] * factor, self.near[1] * factor), (x * factor, y * factor, r, g, b))


class Lattice:
    """The two Gaussian filters of the dense CRF for one image, to be used many times.

    The filters carry the symmetric normalisation `D^-1/2 K D^-1/2` with `D = diag(K 1)`, so that weights
    and iterations can vary from call to call while deviations cannot. Reading it from several threads is
    safe.

    Attributes:
        shape: height and width of the image.
        size: height and width that the filters work at; smaller where `scale` is below 1.
        deviations: as asked for, in pixels of the image.
        scale: as asked for.
    """

    def __init__(
        self,
        image: NDArray[np.uint8],
        *,
        gaussian_xy: float = 3.0,
        bilateral_xy: float = 50.0,
        bilateral_rgb: float = 10.0,
        scale: float = 1.0,
    ) -> None:
        """Build it.

        Args:
            image: uint8 (H, W, 3), RGB.
            gaussian_xy: deviation of the position-only term, in pixels.
            bilateral_xy: deviation of the bilateral term, in pixels.
            bilateral_rgb: deviation of the bilateral term, in grey levels 0..255.
            scale: above 0 and at most 1: the size to work at.

        Raises:
            DataError: the image is not a uint8 array of shape (H, W, 3).
            ConfigError: a deviation is not a positive number, or too small for an image of this size.
        """
        deviations = Deviations.isotropic(gaussian_xy, bilateral_xy, bilateral_rgb)
        self._build(image, deviations, checks.scale_factor("scale", scale))

    @classmethod
    def from_deviations(cls, image: NDArray[np.uint8], deviations: Deviations) -> Lattice:
        """Build it from positive deviations that may differ along the axes; errors as `__init__`."""
        lattice = cls.__new__(cls)
        lattice._build(image, deviations, 1.0)
        return lattice

    def _build(self, image: NDArray[np.uint8], deviations: Deviations, factor: float) -> None:
        image = checks.checked_image(image)
        self.shape: tuple[int, int] = (image.shape[0], image.shape[1])
        self.deviations = deviations
        self.scale = factor
        if factor < 1:
            image = _shrunk(image, factor)
            deviations = deviations.scaled(factor)
        self.size: tuple[int, int] = (image.shape[0], image.shape[1])
        scale = scale_of(deviations.far)
        strides, offset = _strides(scale, self.size)
        self._allocate(self.size[0] * self.size[1])
        simplices, owners, self.starts = grouping.group_pixels(
            image, scale.astype(np.float32), strides, offset, self.pixels, self.far_weights
        )
        keys, table, self.far_corners = vertices.find_vertices(simplices, owners, strides)
        self.far_links: Ints = vertices.find_chains(keys, table, strides)
        self.far_count = len(keys)
        self.tiles = _tiles(self.size)
        self._place(deviations.near)
        self._normalise_far()
        self.far_corners *= 4  # as the kernels of the mean field take them

    def _allocate(self, count: int) -> None:
        """Make room for what each pixel needs, in one piece."""
        self._room = room = _ROOM.take(15 * count)
        self.far_weights: Floats = room[: 6 * count]
        self.near_weights: Floats = room[6 * count : 9 * count]
        self.near_corners: Ints = room[9 * count : 12 * count].view(np.int32)
        self.pixels: Ints = room[12 * count : 13 * count].view(np.int32)
        self.far_sum: Floats = room[13 * count : 14 * count]
        self.near_sum: Floats = room[14 * count :]

    def recycle(self) -> None:
        """Leave the memory to the next lattice of this thread. This one cannot be used any more."""
        room = self._room
        self.__dict__.clear()
        _ROOM.give(room)

    def _normalise_far(self) -> None:
        """Fold the normalisation into the weights, and filter a constant into `far_sum`."""
        nodes, again = np.zeros((2, self.far_count), np.float32)
        norms.splat_ones_grouped(self.starts, self.far_corners, self.far_weights, nodes)
        meanfield.blur(_WIDE, (0.0,), 0, nodes, self.far_links)
        norms.normalise_grouped(self.starts, self.far_corners, self.far_weights, nodes, again)
        meanfield.blur(_WIDE, (0.0,), 0, again, self.far_links)
        norms.slice_grouped(self.starts, self.far_corners, self.far_weights, again, self.far_sum)

    def _place(self, sigma: tuple[float, float]) -> None:
        """Take over the lattice of positions."""
        plan = plan_of(self.size, sigma)
        self.near_count, self.near_links = plan.count, plan.links
        planar.gather_positions(
            self.pixels,
            plan.corners,
            plan.weights,
            plan.total,
            self.near_corners,
            self.near_weights,
            self.near_sum,
        )


def _strides(scale: NDArray[np.float64], shape: tuple[int, int]) -> tuple[NDArray[np.int64], int]:
    """Mixed-radix strides of q_1..q_5 and the offset that makes every key non-negative."""
    top = scale * np.array([shape[1] - 1, shape[0] - 1, 255, 255, 255])
    strides = np.zeros(6, np.int64)
    stride, offset = 1, 0
    for j in range(1, 6):
        low = math.floor(-j * top[j - 1] / 6) - 3
        high = math.ceil(top[j:].sum() / 6) + 3
        if stride * (high - low + 1) * embedding.CODES >= _KEY_LIMIT:
            raise ConfigError(
                f"the bilateral deviations are too small for an image of {shape[0]} x {shape[1]} pixels: "
                "its lattice has more cells than a 64-bit number can count; use larger deviations"
            )
        strides[j] = stride
        offset -= low * stride
        stride *= high - low + 1
    return strides, offset


def _shrunk(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Every so many pixels of the image: averaging would mix the colours of neighbouring things."""
    height, width = (max(1, round(size * factor)) for size in image.shape[:2])
    rows = ((np.arange(height) + 0.5) * image.shape[0] / height).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * image.shape[1] / width).astype(np.intp)
    return np.ascontiguousarray(image[rows][:, columns])


def _tiles(shape: tuple[int, int]) -> NDArray[np.int64]:
    """First position of each tile in the order of the pixels, and the number of pixels."""
    heights, widths = (np.diff(np.append(np.arange(0, size, embedding.TILE), size)) for size in shape)
    return np.append(0, np.cumsum(np.outer(heights, widths)))
