"""The network on one image: at several scales, on the horizontal flip, in tiles where the image is large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import WeightsError
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference.backends import Backend
from tag2mask.method.output import Array, NetworkOutput
from tag2mask.method.tiling import Stitching, Tile, tiles_of, windowed_tag_logits

_MEDIAN_PIXELS = 200_000  # of the features that the median of a large image is taken from

Window = Callable[[slice, slice], NDArray[np.uint8]]
"""Gives the pixels (h, w, 3) uint8 RGB of rows and columns of an image."""


class PixelSource(Protocol):
    """An image that is read tile by tile, since it does not fit into the memory.

    Attributes:
        shape: (H, W).
    """

    shape: tuple[int, int]

    def at(self, size: tuple[int, int]) -> Window:
        """The image resized to `size`."""
        ...


def run_views(
    backend: Backend,
    image: NDArray[np.uint8] | PixelSource,
    *,
    side: int,
    scales: Sequence[float],
    flip: bool,
    tile: int = 0,
) -> list[NetworkOutput]:
    """Run the network on all views of an image.

    Args:
        backend: the network.
        image: (H, W, 3) uint8 RGB, or what reads it.
        side: long side in pixels at which the network sees the image at scale 1.
        scales: of the views.
        flip: also see the horizontal flip at each scale.
        tile: views with a longer side go through the network in tiles of this side; 0: never.

    Returns:
        The outputs of each scale, that of the horizontal flip (flipped back) after that of the image itself.

    Raises:
        WeightsError: a tiled or enlarged image, and a network that was exported without class activation maps.
    """
    shape = (image.shape[0], image.shape[1])
    views: list[NetworkOutput] = []
    for scale in scales:
        size = scaled_size(shape, side * scale, multiple=backend.input_multiple)
        window = _resized(image, size) if isinstance(image, np.ndarray) else image.at(size)
        outputs = _run_scale(backend, window, size, flip=flip, tile=tile)
        if side > backend.config.data.image_size:
            outputs = [_with_window(output, size, round(backend.config.data.image_size * scale)) for output in outputs]
        views += outputs
    return views


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> Window:
    resized = resize_image(image, size)
    return lambda rows, columns: resized[rows, columns]


def _run_scale(
    backend: Backend, window: Window, size: tuple[int, int], *, flip: bool, tile: int
) -> list[NetworkOutput]:
    """Outputs on an image (H, W) at its size, and on its horizontal flip (flipped back), each stitched from tiles."""
    tiles = tiles_of(size, tile, backend.input_multiple)
    median = _median(backend, window, size, tiles) if len(tiles) > 1 and backend.has_contrast else None
    views = [Stitching(tiles, size) for _ in range(2 if flip else 1)]
    for part in tiles:
        pixels = window(part.rows, part.columns)
        batch = np.stack([pixels, pixels[:, ::-1]] if flip else [pixels])
        output, *other = backend.run(batch, median=median)
        if len(tiles) > 1:
            _need_maps(output)
        for view, one in zip(views, [output, *(one.flipped() for one in other)], strict=True):
            view.add(one)
    return [view.whole() for view in views]


def _median(backend: Backend, window: Window, size: tuple[int, int], tiles: Sequence[Tile]) -> Array:
    """Median (D,) over a whole image (H, W) of what the contrast head compares, from a sample of a large one."""
    step = max(1, round((size[0] * size[1] / 64 / _MEDIAN_PIXELS) ** 0.5))
    samples = []
    for part in tiles:
        features = backend.contrast_features(window(part.rows, part.columns)[None])[0]
        samples.append(features[:, ::step, ::step].reshape(len(features), -1))
    joined = np.concatenate(samples, axis=1)
    middle = (joined.shape[1] - 1) // 2  # of an even number the lower of the two middle values
    median: Array = np.partition(joined, middle, axis=1)[:, middle]
    return median


def _with_window(output: NetworkOutput, size: tuple[int, int], side: int) -> NetworkOutput:
    """The output with the tag logits of the best window of `side` pixels."""
    _need_maps(output)
    assert output.cams is not None
    stride = size[0] // output.cams.shape[1]
    return replace(output, tag_logits=windowed_tag_logits(output, max(1, round(side / stride))))


def _need_maps(output: NetworkOutput) -> None:
    if output.cams is None:
        raise WeightsError(
            "this ONNX file holds no class activation maps, which images larger than those of training need; "
            "export the network again with this version"
        )
