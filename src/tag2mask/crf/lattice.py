"""The lattice of one image: everything of the CRF that depends on the image and the deviations alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf import build, filters
from tag2mask.errors import ConfigError

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_KEY_LIMIT = 2**63
_TINY = 1e-20


@dataclass(frozen=True, eq=False)
class PositionGrid:
    """A grid on which the position-only Gaussian is convolved.

    A pixel reads and writes its four surrounding nodes with bilinear weights; between the two, the grid
    is convolved with a Gaussian whose variance is what the two interpolations leave over.

    Attributes:
        rows, columns: nodes of the grid.
        corner: int32 (N,), the upper left of the four nodes of a pixel, N in the order of the lattice.
        weights: float32 (N, 4), bilinear weights times the normalisation.
        taps: float32 (R,), half of the symmetric kernel, centre first.
    """

    rows: int
    columns: int
    corner: Ints
    weights: Floats
    taps: Floats

    def filter(self, values: Floats) -> Floats:
        """Normalised Gaussian filter of `values`, float32 (N, C)."""
        nodes = filters.splat_grid(values, self.corner, self.weights, self.rows, self.columns)
        nodes = filters.blur_grid(nodes, self.rows, self.columns, self.taps)
        out: Floats = filters.slice_grid(nodes, self.corner, self.weights, self.columns)
        return out


class Lattice:
    """The two Gaussian filters of the dense CRF for one image, to be used many times.

    The filters carry the symmetric normalisation `D^-1/2 K D^-1/2` with `D = diag(K 1)`, so that weights
    and iterations can vary from call to call while deviations cannot.

    Args:
        image: uint8 (H, W, 3), RGB.
        gaussian_xy: deviation of the position-only term, in pixels.
        bilateral_xy, bilateral_rgb: deviations of the bilateral term, in pixels and in grey levels 0..255.

    Raises:
        DataError: the image is not a uint8 array of shape (H, W, 3).
        ConfigError: a deviation is not a positive number, or too small for an image of this size.
    """

    def __init__(
        self,
        image: NDArray[np.uint8],
        *,
        gaussian_xy: float = 3.0,
        bilateral_xy: float = 50.0,
        bilateral_rgb: float = 10.0,
    ) -> None:
        self.shape: tuple[int, int] = (image.shape[0], image.shape[1])
        self.settings = (gaussian_xy, bilateral_xy, bilateral_rgb)
        deviations = (bilateral_xy, bilateral_xy, bilateral_rgb, bilateral_rgb, bilateral_rgb)
        scale = _scale(deviations)
        strides, offset = _strides(scale, self.shape)
        simplices, self.starts, self.pixels, self.weights = build.group_pixels(
            image, scale.astype(np.float32), strides, offset
        )
        keys, self.vertices = build.find_vertices(simplices, strides)
        self.links, self.ends = build.find_chains(keys, strides)
        self.vertex_count = len(keys)
        ones = np.ones((len(self.pixels), 1), np.float32)
        self.weights /= np.sqrt(self.filter(ones) + _TINY)
        self.grid = _position_grid(self.pixels, self.shape, gaussian_xy)

    def filter(self, values: Floats) -> Floats:
        """Normalised bilateral filter of `values`, float32 (N, C) in the order of `pixels`."""
        nodes = filters.splat_lattice(values, self.starts, self.vertices, self.weights, self.vertex_count)
        filters.blur_lattice(nodes, self.links)
        out: Floats = filters.slice_lattice(nodes, self.starts, self.vertices, self.weights)
        return out


def _scale(deviations: tuple[float, ...]) -> NDArray[np.float64]:
    """Factors of x, y, r, g, b in the embedding, so that its blur has these deviations."""
    size = len(deviations)
    i = np.arange(size)
    factors = math.sqrt(2 / 3) * (size + 1) / np.sqrt((i + 1.0) * (i + 2.0))
    return np.asarray(factors / np.array(deviations))


def _strides(scale: NDArray[np.float64], shape: tuple[int, int]) -> tuple[NDArray[np.int64], int]:
    """Mixed-radix strides of q_1..q_5 and the offset that makes every key non-negative."""
    top = scale * np.array([shape[1] - 1, shape[0] - 1, 255, 255, 255])
    strides = np.zeros(6, np.int64)
    stride, offset = 1, 0
    for j in range(1, 6):
        low = math.floor(-j * top[j - 1] / 6) - 3
        high = math.ceil(top[j:].sum() / 6) + 3
        if stride * (high - low + 1) * build.CODES >= _KEY_LIMIT:
            raise ConfigError(
                f"the bilateral deviations are too small for an image of {shape[0]} x {shape[1]} pixels: "
                "its lattice has more cells than a 64-bit number can count; use larger deviations"
            )
        strides[j] = stride
        offset -= low * stride
        stride *= high - low + 1
    return strides, offset


def _position_grid(pixels: Ints, shape: tuple[int, int], deviation: float) -> PositionGrid:
    step = max(1, int(deviation / 1.5))
    height, width = shape
    rows, columns = (height - 1) // step + 2, (width - 1) // step + 2
    y, x = np.divmod(pixels, np.int32(width))
    gy, gx = y // step, x // step
    fy = ((y - gy * step) / step).astype(np.float32)
    fx = ((x - gx * step) / step).astype(np.float32)
    weights = np.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], axis=1)
    variance = (deviation / step) ** 2 - (step * step - 1) / (3 * step * step)
    radius = math.ceil(4 * math.sqrt(variance))
    taps = np.exp(-0.5 * np.arange(radius + 1) ** 2 / variance)
    taps /= 2 * taps.sum() - taps[0]
    corner = (gy * columns + gx).astype(np.int32)
    grid = PositionGrid(rows, columns, corner, weights, taps.astype(np.float32))
    norm = grid.filter(np.ones((len(pixels), 1), np.float32))
    weights /= np.sqrt(norm + _TINY)
    return grid
