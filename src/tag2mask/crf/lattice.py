"""The lattices of one image: all of the CRF that depends only on the image and the standard deviations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf import checks, embedding, grouping, norms, planar, update, vertices
from tag2mask.crf.errors import TooFineError
from tag2mask.crf.gaussian import gaussian_lattice, scale_of
from tag2mask.crf.workspace import Workspace

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_KEY_LIMIT = 2**63
_SCRATCH = Workspace()
_WIDE = (0.0,) * 16


@dataclass(frozen=True)
class Deviations:
    """Standard deviations of both terms.

    Attributes:
        gaussian: of the Gaussian term, in pixels along x and y.
        bilateral: of the bilateral term, in pixels along x and y, and in grey levels 0..255 of red, green and blue.
    """

    gaussian: tuple[float, float]
    bilateral: tuple[float, float, float, float, float]

    @classmethod
    def isotropic(cls, gaussian_xy: float, bilateral_xy: float, bilateral_rgb: float) -> Deviations:
        """The same standard deviation along x and y, and for the three colour channels.

        Raises:
            ParameterError: one of them is not a positive number.
        """
        gaussian = checks.positive("gaussian_xy", gaussian_xy)
        bilateral = checks.positive("bilateral_xy", bilateral_xy)
        colour = checks.positive("bilateral_rgb", bilateral_rgb)
        return cls((gaussian, gaussian), (bilateral, bilateral, colour, colour, colour))

    def scaled(self, factor: float) -> Deviations:
        """The standard deviations for an image resized by `factor`."""
        x, y, r, g, b = self.bilateral
        return Deviations((self.gaussian[0] * factor, self.gaussian[1] * factor), (x * factor, y * factor, r, g, b))


class Lattice:
    """The permutohedral lattices of both pairwise terms for one image, for use in many calls of `dense_crf`.

    The symmetric normalisation D^-1/2 K D^-1/2 with D = diag(K 1) is part of the lattices. Weights and number of
    iterations may differ from call to call; the standard deviations are fixed. Several threads may use one
    lattice at the same time.

    Attributes:
        shape: height and width of the image.
        size: height and width at which inference runs; smaller than `shape` for `scale` below 1.
        deviations: the standard deviations given, in pixels of the image.
        scale: the scale given.

    Example:
        >>> import numpy as np
        >>> from tag2mask.crf import Lattice, dense_crf
        >>> image = np.zeros((4, 6, 3), np.uint8)
        >>> lattice = Lattice(image, bilateral_xy=20)
        >>> probs = np.full((2, 4, 6), 0.5, np.float32)
        >>> [dense_crf(image, probs, lattice=lattice, bilateral_weight=w).shape for w in (3, 5)]
        [(2, 4, 6), (2, 4, 6)]
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
        """Build the lattices.

        Args:
            image: uint8 (H, W, 3), RGB, 0..255.
            gaussian_xy: standard deviation of the Gaussian term in pixels, above 0.
            bilateral_xy: standard deviation of the bilateral term in pixels, above 0.
            bilateral_rgb: standard deviation of the bilateral term in grey levels 0..255, above 0.
            scale: factor in (0, 1] by which the image is resized before inference.

        Raises:
            ArrayError: the image is not a uint8 array of shape (H, W, 3).
            ParameterError: a standard deviation is not a positive number.
            TooFineError: it is too small for the lattice of an image of this size; `dense_crf` without `lattice` takes
                a slower one then.
        """
        deviations = Deviations.isotropic(gaussian_xy, bilateral_xy, bilateral_rgb)
        self._build(image, deviations, checks.scale_factor("scale", scale))

    @classmethod
    def from_deviations(cls, image: NDArray[np.uint8], deviations: Deviations) -> Lattice:
        """Build from positive standard deviations that may differ between axes and channels; errors as `__init__`."""
        lattice = cls.__new__(cls)
        lattice._build(image, deviations, 1.0)
        return lattice

    def _build(self, image: NDArray[np.uint8], deviations: Deviations, factor: float) -> None:
        image = checks.checked_image(image)
        self.shape: tuple[int, int] = (image.shape[0], image.shape[1])
        self.deviations = deviations
        self.scale = factor
        if factor < 1:
            image = shrunk(image, factor)
            deviations = deviations.scaled(factor)
        self.size: tuple[int, int] = (image.shape[0], image.shape[1])
        scale = scale_of(deviations.bilateral)
        strides, offset = _strides(scale, self.size)
        self._allocate(self.size[0] * self.size[1])
        simplices, owners, self.starts = grouping.group_pixels(
            image, scale.astype(np.float32), strides, offset, self.pixels, self.bilateral_barycentric
        )
        keys, table, self.bilateral_corners = vertices.find_vertices(simplices, owners, strides)
        self.bilateral_chains: Ints = vertices.find_chains(keys, table, strides)
        self.bilateral_count = len(keys)
        self.tiles = _tiles(self.size)
        self._copy_gaussian(deviations.gaussian)
        self._normalise_bilateral()
        self.bilateral_corners *= 4  # the form that `simd.load_vertex` takes

    def _allocate(self, count: int) -> None:
        """Allocate the arrays with entries for each pixel, in one piece of memory."""
        self._memory = memory = _SCRATCH.take(15 * count)
        self.bilateral_barycentric: Floats = memory[: 6 * count]
        self.gaussian_barycentric: Floats = memory[6 * count : 9 * count]
        self.gaussian_corners: Ints = memory[9 * count : 12 * count].view(np.int32)
        self.pixels: Ints = memory[12 * count : 13 * count].view(np.int32)
        self.bilateral_sum: Floats = memory[13 * count : 14 * count]
        self.gaussian_sum: Floats = memory[14 * count :]

    def release(self) -> None:
        """Let the next lattice of this thread use the memory. This lattice cannot be used any more."""
        memory = self._memory
        self.__dict__.clear()
        _SCRATCH.give_back(memory)

    def _normalise_bilateral(self) -> None:
        """Multiply D^-1/2 into the barycentric weights, and filter a constant 1 into `bilateral_sum`."""
        values, splatted = np.zeros((2, self.bilateral_count), np.float32)
        norms.splat_ones_grouped(self.starts, self.bilateral_corners, self.bilateral_barycentric, values)
        update.blur(_WIDE, (0.0,), 0, values, self.bilateral_chains)
        norms.normalise_grouped(self.starts, self.bilateral_corners, self.bilateral_barycentric, values, splatted)
        update.blur(_WIDE, (0.0,), 0, splatted, self.bilateral_chains)
        norms.slice_grouped(
            self.starts, self.bilateral_corners, self.bilateral_barycentric, splatted, self.bilateral_sum
        )

    def _copy_gaussian(self, sigma: tuple[float, float]) -> None:
        """Copy the lattice of the Gaussian term, with the pixels in the order of the bilateral lattice."""
        rows = gaussian_lattice(self.size, sigma)
        self.gaussian_count, self.gaussian_chains = rows.count, rows.chains
        planar.gather_positions(
            self.pixels,
            rows.corners,
            rows.weights,
            rows.total,
            self.gaussian_corners,
            self.gaussian_barycentric,
            self.gaussian_sum,
        )


def _strides(scale: NDArray[np.float64], shape: tuple[int, int]) -> tuple[NDArray[np.int64], int]:
    """Mixed-radix strides int64 (6,) of q_0..q_5 (see `embedding`), and the offset that keeps keys non-negative."""
    top = scale * np.array([shape[1] - 1, shape[0] - 1, 255, 255, 255])
    strides = np.zeros(6, np.int64)
    stride, offset = 1, 0
    for j in range(1, 6):
        low = math.floor(-j * top[j - 1] / 6) - 3
        high = math.ceil(top[j:].sum() / 6) + 3
        if stride * (high - low + 1) * embedding.CODES >= _KEY_LIMIT:
            raise TooFineError(
                f"`bilateral_xy` and `bilateral_rgb` are too small for an image {shape[0]} pixels high and {shape[1]} "
                "wide: the lattice would have more simplices than a 64-bit integer can number; use larger values"
            )
        strides[j] = stride
        offset -= low * stride
        stride *= high - low + 1
    return strides, offset


def shrunk(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """The image resized by nearest-neighbour sampling: averaging would mix the colours of neighbouring objects."""
    height, width = (max(1, round(size * factor)) for size in image.shape[:2])
    rows = ((np.arange(height) + 0.5) * image.shape[0] / height).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * image.shape[1] / width).astype(np.intp)
    return np.ascontiguousarray(image[rows][:, columns])


def _tiles(shape: tuple[int, int]) -> NDArray[np.int64]:
    """Index int64 (T + 1,) of the first pixel of each tile in `Lattice.pixels`, and at the end the number of pixels."""
    heights, widths = (np.diff(np.append(np.arange(0, size, embedding.TILE), size)) for size in shape)
    return np.append(0, np.cumsum(np.outer(heights, widths)))
