"""Both streams' output on an image of any size, put together from overlapping tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tag2mask.method.torch_generate import Pass
from tag2mask.models import Contrast, Recognition

_STEP = 32  # tiles start at multiples of it, so that every grid of features fits
OVERLAP = 0.25
"""Share of a tile's side that it has in common with the next."""


class Tile(NamedTuple):
    """A tile (rows, columns) in pixels of the size at which the network sees the image."""

    rows: slice
    columns: slice


def tiles_of(size: tuple[int, int], side: int) -> list[Tile]:
    """Cover `size` (multiples of 32) with tiles of at most `side` that overlap by about a quarter."""
    rows, columns = (_spans(length, max(_STEP, side // _STEP * _STEP)) for length in size)
    return [Tile(row, column) for row in rows for column in columns]


def _spans(length: int, side: int) -> list[slice]:
    if length <= side:
        return [slice(0, length)]
    step = max(_STEP, int(side * (1 - OVERLAP)) // _STEP * _STEP)
    starts = [*range(0, length - side, step), length - side]
    return [slice(start, start + side) for start in starts]


def tiled_pass(
    size: tuple[int, int],
    look: Callable[[Tile], tuple[Recognition, Tensor]],
    *,
    side: int,
    flip: bool,
    energy_layers: tuple[int, ...],
) -> Pass:
    """Run the network on overlapping tiles and blend what it says.

    A tile's output counts fully in its middle and not at all near edges that the image goes on behind.
    Features are put together as their energy, summed over channels, which is all that the prior needs.

    Args:
        size: (H, W) at which the network sees the image, multiples of 32.
        look: both streams' output on a tile; with `flip` of its mirror image, too.
        side: of a tile.
        flip: whether batches hold the mirror image second.
        energy_layers: which features are wanted; the others are left out.

    Returns:
        What one pass over the whole image gives, but for the tag logits: see `window_logits`.
    """
    canvases: dict[str, _Canvas] = {}
    count = 0
    for tile in tiles_of(size, side):
        recognition, logits = look(tile)
        count = len(recognition.features)
        maps = {"cams": recognition.cams, "logits": logits}
        for layer in {layer % count for layer in energy_layers}:
            maps[f"energy {layer}"] = recognition.features[layer].float().abs().sum(dim=1, keepdim=True)
        if recognition.contrast is not None:
            maps["contrast"] = torch.cat([recognition.contrast.logits, recognition.contrast.prior[:, None]], dim=1)
        for name, values in maps.items():
            canvases.setdefault(name, _Canvas(size)).add(tile, values.float(), flip=flip)
    done = {name: canvas.blended() for name, canvas in canvases.items()}
    nothing = torch.zeros_like(done["cams"][:, :1])
    features = [done.get(f"energy {layer}", nothing) for layer in range(count)]
    cams = done["cams"]
    contrast = None
    if "contrast" in done:
        odd = done["contrast"]
        contrast = Contrast(odd[:, :-1].mean(dim=(2, 3)), odd[:, :-1], odd[:, -1])
    return Pass(Recognition(cams.mean(dim=(2, 3)), cams, features, contrast), done["logits"])


class _Canvas:
    """A map of the whole image on the grid of some features, as the weighted mean of tiles' maps."""

    def __init__(self, size: tuple[int, int]):
        self.size = size
        self.total: Tensor | None = None
        self.weight: Tensor | None = None

    def add(self, tile: Tile, values: Tensor, *, flip: bool) -> None:
        """Add the maps (B, K, h, w) of a tile; with `flip` the second is of its mirror image."""
        if flip:
            values = torch.cat([values[:1], values[1:].flip(-1)])
        height = tile.rows.stop - tile.rows.start
        stride = height // values.shape[-2]
        if self.total is None or self.weight is None:
            grid = (self.size[0] // stride, self.size[1] // stride)
            self.total = values.new_zeros(*values.shape[:2], *grid)
            self.weight = values.new_zeros(grid)
        rows, columns = (slice(part.start // stride, part.stop // stride) for part in tile)
        window = _ramp(tile.rows, self.size[0], stride)[:, None] * _ramp(tile.columns, self.size[1], stride)
        window = window.to(values)
        self.total[:, :, rows, columns] += values * window
        self.weight[rows, columns] += window

    def blended(self) -> Tensor:
        """The maps (B, K, h, w), mirrored again where they came from the mirror image."""
        assert self.total is not None and self.weight is not None
        result = self.total / self.weight
        return result if len(result) == 1 else torch.cat([result[:1], result[1:].flip(-1)])


def _ramp(part: slice, length: int, stride: int) -> Tensor:
    """Weight of a tile's places along one side: 1 in the middle, falling to nearly 0 at an inner edge."""
    side = (part.stop - part.start) // stride
    overlap = max(1.0, side * OVERLAP)
    place = torch.arange(side) + 0.5
    ramp = torch.ones(side)
    if part.start > 0:
        ramp = torch.minimum(ramp, (2 * place / overlap - 0.5).clamp(1e-3, 1))
    if part.stop < length:
        ramp = torch.minimum(ramp, (2 * (side - place) / overlap - 0.5).clamp(1e-3, 1))
    return ramp


def window_logits(cams: Tensor, bias: Tensor, window: int) -> Tensor:
    """Tag logits of images larger than those of training: the highest of any window of their size.

    Averaging a large image whole would drown a class that is in one corner of it.

    Args:
        cams: (B, C, h, w) class activation maps.
        bias: (C,) of the tag classifier.
        window: side of a training image on this grid.

    Returns:
        (B, C); the average of the whole where it is no larger than the window.
    """
    kernel = (min(window, cams.shape[-2]), min(window, cams.shape[-1]))
    # Sums over windows from sums along each side: the cost does not depend on the window.
    along = F.pad(cams.double().cumsum(dim=-2), (0, 0, 1, 0))
    along = along[..., kernel[0] :, :] - along[..., : along.shape[-2] - kernel[0], :]
    across = F.pad(along.cumsum(dim=-1), (1, 0))
    across = across[..., kernel[1] :] - across[..., : across.shape[-1] - kernel[1]]
    return (across.amax(dim=(2, 3)) / (kernel[0] * kernel[1])).to(cams) + bias
