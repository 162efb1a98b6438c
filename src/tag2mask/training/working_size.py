"""The size at which the network sees images, chosen from the dataset before training, without ground truth.

A larger size shows what is small, but time and kept features grow with its square. So a larger one is taken only where
it clearly pays. Two things are measured on some images at the size of the settings and at larger ones:

- **Recognition from local evidence.** A linear classifier is fitted to the tags and asked about images held out of the
  fitting. Its features are means and maxima over the image, so that a small thing counts as well as a large one: of the
  differences from the background on surfaces, of the responses of the last stage elsewhere.
- **Concentration**, on surfaces: how many cells of the grid stand out more than half as much as the one that does most.

Both say what is recognised, not how good the masks are, and they miss cases: on steel at 96 pixels neither asks for
more, yet the masks at 192 had 10 points of mIoU more. So the size of the settings is kept more often than it should be.
`benchmarks/bench_working_size.py` prints what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from tag2mask.config.schema import Config
from tag2mask.core.constants import Tag
from tag2mask.core.errors import Tag2MaskError
from tag2mask.core.progress import progress_bar
from tag2mask.data import Dataset
from tag2mask.evaluation.verdict.collect import sample
from tag2mask.evaluation.verdict.recognition import folds_of, held_out_scores
from tag2mask.images.cache import whole_reader
from tag2mask.images.decode import image_size
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.models.backbone import Backbone, load_backbone_weights
from tag2mask.models.contrast import contrast_stages
from tag2mask.models.inputs import network_input
from tag2mask.models.surface import SurfaceContrast

FACTORS = (1.5, 2.0)
"""Sizes that are tried, as multiples of the size of the settings."""

NATIVE = 1.3
"""No size above the native one times this is tried: enlarged pixels show nothing new."""

SURFACE_FEATURE_BYTES = 18
"""Of the kept features of surfaces, at most, for each pixel of an image as the network sees it."""

LARGEST = 1024
"""No size above this is tried."""

MOST_PIXELS = 2_000_000_000
"""No size is tried at which the dataset has more pixels: features of surfaces would take over 33 GiB."""

FEW_CELLS = 8
"""Cells of the grid at the size of the settings, under which masks are too coarse for what stands out."""

GAIN = 0.03
"""Least gain of the AUC that counts, and twice its standard error over the images where that is more."""

RECOGNISED = 0.7
"""An AUC under this says that what stands out is not what the tags name."""

KEPT = 0.75
"""A smaller size is enough where it has so much of the gain of the largest."""

_IMAGES = 120
_EACH_CLASS = 16
_LEAST = 10  # images with a class, and without it, for an AUC to count
_LEAST_FACTOR = 1.2  # a size nearer to that of the settings is no other size
_RESAMPLED = 200
_ROUNDED = 32


@dataclass(frozen=True, slots=True)
class SizeSigns:
    """What was measured at one size.

    Attributes:
        size: long side at which the network saw the images.
        auc: mean over classes of the held-out AUC from local evidence, in [0, 1]; None where no class has ten images
            with it and ten known to be without it.
        error: standard error of the gain of `auc` over the first size, over the images; 0 at that size.
        grid: median number of cells of the grid on which evidence lies.
        share: median over the tagged images of the share of these cells that stands out, in [0, 1]; None where the
            class maps are those of objects, whose cells are too large to say how large a thing is.
    """

    size: int
    auc: float | None
    error: float
    grid: float
    share: float | None


@dataclass(frozen=True, slots=True)
class WorkingSize:
    """The size that was chosen.

    Attributes:
        image_size: for `data.image_size`.
        reason: why, in a sentence with numbers and with what it costs.
        signs: what was measured, smallest size first; empty where nothing had to be measured.
    """

    image_size: int
    reason: str
    signs: tuple[SizeSigns, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"image_size": self.image_size, "reason": self.reason, "signs": [asdict(one) for one in self.signs]}


@dataclass(frozen=True, slots=True)
class Seen:
    """What images look like at one size.

    Attributes:
        evidence: (N, D) local evidence of each image.
        grid: (N,) cells of the grid it lies on.
        share: (N,) share of the cells that stand out, in [0, 1]; None: see `SizeSigns`.
    """

    evidence: NDArray[np.float32]
    grid: NDArray[np.float64]
    share: NDArray[np.float64] | None


_Look = tuple[NDArray[np.float32], int, float | None]
"""Evidence (D,), cells of the grid, and the share that stands out, of one image."""


def choose_working_size(
    dataset: Dataset, config: Config, *, device: str | torch.device = "cpu", progress: bool = False
) -> WorkingSize:
    """Choose the size at which the network sees the images of a dataset.

    The size of the settings and, where the images are larger, up to twice that are compared on about 120 images. The
    ground truth is never looked at.

    Args:
        dataset: images with tags.
        config: resolved; `data.image_size` is the size that others are compared with, the kind of evidence follows
            from `model.contrast_stages`, and `model.backbone` sees the images.
        device: where the backbone runs.
        progress: show progress bars.

    Raises:
        ConfigError: the backbone cannot be built.
        WeightsError: its weights cannot be loaded.
    """
    usual = config.data.image_size
    chosen = sample(dataset, _IMAGES, each=_EACH_CLASS)
    native = _native_size(chosen)
    if native is None:
        return WorkingSize(usual, "no image could be read to measure it")
    sizes, limit = candidates(usual, native, len(dataset))
    if not sizes:
        return WorkingSize(usual, f"no larger size is tried: {limit}")
    backbone = _backbone(config, device)
    if backbone.fixed_size is not None:
        return WorkingSize(usual, f"'{backbone.name}' sees every image at {backbone.fixed_size[1]} pixels")
    tags, seen = _look(chosen, (usual, *sizes), backbone, config, device=device, progress=progress)
    if not len(tags):
        return WorkingSize(usual, "no image could be read to measure it")
    return judge_sizes(measure_sizes(seen, tags))


def candidates(usual: int, native: int, images: int) -> tuple[tuple[int, ...], str]:
    """Sizes to be compared with that of the settings.

    Args:
        usual: size of the settings.
        native: median long side of the images.
        images: their number.

    Returns:
        The sizes, smallest first, and what limits them, for a message.
    """
    bounds = {
        f"the images have {native} pixels themselves": NATIVE * native,
        f"{LARGEST} pixels are the most": float(LARGEST),
        f"the features of {images} images would take over {MOST_PIXELS * SURFACE_FEATURE_BYTES / 2**30:.0f} GiB": (
            (MOST_PIXELS / max(1, images)) ** 0.5
        ),
    }
    limit = min(bounds, key=lambda name: bounds[name])
    sizes = {int(min(factor * usual, bounds[limit]) // _ROUNDED * _ROUNDED) for factor in FACTORS}
    return tuple(sorted(size for size in sizes if size >= _LEAST_FACTOR * usual)), limit


def measure_sizes(seen: dict[int, Seen], tags: NDArray[np.int8]) -> tuple[SizeSigns, ...]:
    """The signs of each size, smallest first; `tags` (N, C) `Tag` values of the images that were seen."""
    folds = folds_of(np.arange(len(tags)))
    tagged = (tags == Tag.PRESENT).any(axis=1)
    counted = np.minimum((tags == Tag.PRESENT).sum(axis=0), (tags == Tag.ABSENT).sum(axis=0)) >= _LEAST
    signs: list[SizeSigns] = []
    first: NDArray[np.float64] | None = None
    for size in sorted(seen):
        one, auc, error = seen[size], None, 0.0
        if counted.any():
            scores = held_out_scores(one.evidence, tags, folds)[:, counted]
            auc = _mean_auc(scores, tags[:, counted])
            if first is None:
                first = scores
            else:
                error = _error_of_gain(first, scores, tags[:, counted])
        where = tagged if tagged.any() else np.ones(len(tags), bool)
        share = None if one.share is None else float(np.median(one.share[where]))
        signs.append(SizeSigns(size, auc, error, float(np.median(one.grid)), share))
    return tuple(signs)


def _mean_auc(scores: NDArray[np.float64], tags: NDArray[np.int8]) -> float | None:
    """Mean over classes of the area under the ROC curve, by the rank sum; classes without both kinds are left out."""
    found = []
    for score, column in zip(scores.T, tags.T, strict=True):
        known = column != Tag.UNKNOWN
        present = column[known] == Tag.PRESENT
        number, others = int(present.sum()), int((~present).sum())
        if number and others:
            ranks = float(rankdata(score[known])[present].sum())
            found.append((ranks - number * (number + 1) / 2) / (number * others))
    return float(np.mean(found)) if found else None


def _error_of_gain(before: NDArray[np.float64], after: NDArray[np.float64], tags: NDArray[np.int8]) -> float:
    """Standard error of the gain of the mean AUC, by resampling the images with replacement (Efron, 1979)."""
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(_RESAMPLED):
        rows = rng.integers(0, len(tags), len(tags))
        pair = _mean_auc(before[rows], tags[rows]), _mean_auc(after[rows], tags[rows])
        if pair[0] is not None and pair[1] is not None:
            gains.append(pair[1] - pair[0])
    return float(np.std(gains)) if gains else 0.0


def judge_sizes(signs: Sequence[SizeSigns]) -> WorkingSize:
    """Choose by what was measured, the size of the settings first, larger ones after it."""
    usual, largest = signs[0], signs[-1]
    if usual.auc is None or largest.auc is None:
        reason = f"no class has {_LEAST} images with it and {_LEAST} without it, so the tags cannot tell a better size"
        return WorkingSize(usual.size, reason, tuple(signs))
    gain = largest.auc - usual.auc
    needed = max(GAIN, 2 * largest.error)
    measured = "held-out AUC of local evidence " + ", ".join(f"{one.auc:.3f} at {one.size}" for one in signs)
    # The largest size tells best how large a thing is: at a smaller one it is blurred.
    cells = None if largest.share is None else largest.share * usual.grid
    covered = "" if cells is None else f"; what stands out covers {cells:.1f} cells of the grid at {usual.size}"
    if gain >= needed:
        enough = next(one for one in signs[1:] if one.auc is not None and one.auc - usual.auc >= KEPT * gain)
        return _larger(usual, enough, f"a larger size tells the tags better: {measured}{covered}", signs)
    if cells is not None and cells < FEW_CELLS and largest.auc >= RECOGNISED and gain > -GAIN:
        enough = next((one for one in signs[1:] if cells * (one.size / usual.size) ** 2 >= FEW_CELLS), largest)
        return _larger(usual, enough, f"what the tags name is small: {measured}{covered}", signs)
    reason = f"no sign that a larger size pays (masks may gain all the same): {measured}"
    reason += f"; a gain of {needed:.3f} would count{covered}"
    return WorkingSize(usual.size, reason, tuple(signs))


def _larger(usual: SizeSigns, chosen: SizeSigns, why: str, signs: Sequence[SizeSigns]) -> WorkingSize:
    cost = (chosen.size / usual.size) ** 2
    reason = f"{why}; time and kept features are {cost:.1f} times those at {usual.size}"
    return WorkingSize(chosen.size, reason, tuple(signs))


def _native_size(dataset: Dataset) -> int | None:
    """Median long side of the images that can be read; None: there is none."""
    sides = []
    for record in dataset.records:
        try:
            sides.append(max(image_size(record.path)))
        except (Tag2MaskError, OSError):
            continue  # it is reported when training reads it
    return round(float(np.median(sides))) if sides else None


def _backbone(config: Config, device: str | torch.device) -> Backbone:
    """The first backbone of the settings, pretrained, in evaluation mode."""
    model = config.model
    backbone = Backbone(model.backbone, output_stride=model.output_stride, freeze_norm=True, args=model.backbone_args)
    load_backbone_weights(backbone, model.weights)
    return backbone.to(device).eval()


def _look(
    dataset: Dataset,
    sizes: Sequence[int],
    backbone: Backbone,
    config: Config,
    *,
    device: str | torch.device,
    progress: bool,
) -> tuple[NDArray[np.int8], dict[int, Seen]]:
    """Tags (N, C) of the images that can be read, and what they look like at each size."""
    read = whole_reader(config)
    look = _surface_look(backbone, config) if config.model.contrast_stages else _object_look
    found: dict[int, list[_Look]] = {size: [] for size in sizes}
    kept = []
    with progress_bar("images seen at several sizes", len(dataset), shown=progress) as advance, torch.no_grad():
        for position, record in enumerate(dataset.records):
            advance()
            try:
                image = read(record.path)
            except Tag2MaskError:
                continue  # it is reported when training reads it
            kept.append(position)
            for size in sizes:
                shape = scaled_size((image.shape[0], image.shape[1]), size, multiple=backbone.input_multiple)
                pixels = torch.from_numpy(resize_image(image, shape)).permute(2, 0, 1)[None].to(device)
                found[size].append(look(backbone(network_input(pixels, backbone.preprocessing))))
    tags = dataset.tags()[kept]
    return tags, {size: _joined(looks) for size, looks in found.items()} if kept else {}


def _surface_look(backbone: Backbone, config: Config) -> Callable[[list[Tensor]], _Look]:
    """Differences from the background, those above and those below it: weighted means, and maxima."""
    stages = contrast_stages(config.model.contrast_stages, len(backbone.channels))
    surface = SurfaceContrast(stages, backbone.channels, backbone.strides, 1)

    def look(features: list[Tensor]) -> _Look:
        found = surface.joined(features)
        maps, prior = found.maps[0].flatten(1), found.prior[0]
        means = [one[0] for one in found.pooled()]
        evidence = torch.cat([*means, maps.amax(dim=1), -maps.amin(dim=1)])
        return evidence.cpu().numpy(), prior.numel(), float((prior > prior.max() / 2).float().mean())

    return look


def _object_look(features: list[Tensor]) -> _Look:
    """Responses of the last stage: means and maxima."""
    last = features[-1][0].float().flatten(1)
    return torch.cat([last.mean(dim=1), last.amax(dim=1)]).cpu().numpy(), last.shape[1], None


def _joined(looks: list[_Look]) -> Seen:
    evidence, grid, share = zip(*looks, strict=True)
    measured = None if share[0] is None else np.array(share, float)
    return Seen(np.stack(evidence), np.array(grid, float), measured)
