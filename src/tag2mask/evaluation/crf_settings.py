"""Which settings of the dense CRF fit a network's masks, from images with ground truth.

What the network says of an image is computed once; after it only the CRF runs, and settings of equal deviations share
its lattices. The search is by steps: weight and both deviations of the appearance kernel as they are, halved and
doubled, then the smoothness kernel likewise, then the iterations and finer steps; and no CRF at all.

The score is the mean IoU over the classes that the ground truth of the images shows. Of some fifty settings the best on
a few images is the best partly by luck. So today's settings stay unless two signs speak for the others: the interval of
the gain over images drawn again with replacement (Efron, Ann. Statist. 1979) lies above 0; and settings that are chosen
on such a draw gain, in four of five draws, on the images that it left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import CrfConfig
from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.progress import progress_bar
from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset
from tag2mask.evaluation.metrics import confusion_matrix
from tag2mask.images.decode import read_image
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks.interpret import interpret_mask
from tag2mask.method.evidence import Evidence
from tag2mask.method.refine import refine_each, to_mask

LEAST = 5
"""Images with ground truth below which nothing is chosen."""

ENOUGH = 20
"""Images with ground truth from which on a choice is seldom worse than today's settings; `docs/lab-log.md`."""

LEAST_SHARE = 0.8
"""Share of the draws in which a choice must gain on images that had no part in it; `docs/lab-log.md`."""

MOST_PIXELS = 1_000_000
"""Larger images are made smaller for the search, and deviations with them."""

_STEPS = (0.5, 1.0, 2.0)
_FINE = 2**0.5
_RESAMPLES = 500
_TALLIES = 3  # of a class: right pixels, pixels in the ground truth, pixels in the prediction

Tallies = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CrfScore:
    """Settings of the CRF with their score.

    Attributes:
        crf: the settings.
        miou: mean IoU over the classes that the ground truth shows, in [0, 1].
        spread: 95 % interval of `miou` over images drawn again.
        gain: over today's settings, on the same images.
        gain_interval: its 95 % interval over the same draws.
    """

    crf: CrfConfig
    miou: float
    spread: tuple[float, float]
    gain: float
    gain_interval: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "crf": self.crf.model_dump(mode="json"),
            "miou": self.miou,
            "interval": list(self.spread),
            "gain": self.gain,
            "gain_interval": list(self.gain_interval),
        }


@dataclass(frozen=True, slots=True)
class CrfTuning:
    """What the search found.

    Attributes:
        today: the settings that the network has.
        ranked: all that were tried, the best first.
        images: with ground truth, that were scored.
        unseen_gain: mean gain, on images that had no part in the choice, of settings chosen in this way.
        unseen_share: in what share of the draws they gain on those images, in [0, 1].
        made_smaller: how many images were larger than `MOST_PIXELS`.
    """

    today: CrfScore
    ranked: tuple[CrfScore, ...]
    images: int
    unseen_gain: float
    unseen_share: float
    made_smaller: int = 0

    @property
    def is_better(self) -> bool:
        """Whether the best settings are better than today's by more than chance."""
        gains = self.unseen_gain > 0 and self.unseen_share >= LEAST_SHARE
        return gains and self.ranked[0].gain_interval[0] > 0

    @property
    def chosen(self) -> CrfScore:
        """The best settings where they are better by more than chance, else today's."""
        return self.ranked[0] if self.is_better else self.today

    def options(self) -> dict[str, Any]:
        """Settings to change, by dotted name; none where today's stay."""
        chosen, today = self.chosen.crf, self.today.crf
        if not chosen.enabled:
            return {"prediction.crf.enabled": False} if today.enabled else {}
        before, after = today.model_dump(mode="json"), chosen.model_dump(mode="json")
        return {f"prediction.crf.{name}": after[name] for name in after if after[name] != before[name]}

    def summary(self) -> str:
        """One line for people."""
        best, (low, high) = self.ranked[0], self.ranked[0].gain_interval
        gain = (
            f"{100 * best.gain:+.1f} mIoU ({100 * low:+.1f} to {100 * high:+.1f}) over {self.images} images, "
            f"{100 * self.unseen_gain:+.1f} on images that had no part in the choice, "
            f"above 0 in {100 * self.unseen_share:.0f} % of the draws"
        )
        if self.is_better:
            return f"better than today's settings: {gain}"
        if best.crf == self.today.crf:
            return f"today's settings are the best of {len(self.ranked)} on {self.images} images; they stay"
        return f"within noise, so today's settings stay: the best of {len(self.ranked)} has {gain}"

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "images": self.images,
            "made_smaller": self.made_smaller,
            "is_better": self.is_better,
            "unseen_gain": self.unseen_gain,
            "unseen_share": self.unseen_share,
            "options": self.options(),
            "today": self.today.to_dict(),
            "chosen": self.chosen.to_dict(),
            "ranked": [one.to_dict() for one in self.ranked],
            "summary": self.summary(),
        }


def tune_crf(segmenter: Segmenter, dataset: Dataset, *, limit: int = 30, progress: bool = True) -> CrfTuning:
    """Choose the settings `prediction.crf.*` of a network by the masks of a few images.

    Args:
        segmenter: the trained network; its settings are those of today.
        dataset: images of the network's classes, some with `gt_mask`. Where they have tags, these count, as in
            `Segmenter.predict_folder`. Best are images that were not trained on.
        limit: at most so many images with ground truth, spread evenly; what the network says of them is in memory.
        progress: show a progress bar.

    Raises:
        DataError: fewer than `LEAST` images have ground truth, no class occurs in it, other classes, or an image or a
            mask cannot be read.
    """
    search = Search(segmenter, _with_masks(segmenter, dataset, limit), progress=progress)
    today = segmenter.config.prediction.crf
    for settings in (first_settings, smoothness_settings, finer_settings):
        search.try_all(settings(today, search.best(today)))
    return search.result(today)


def _with_masks(segmenter: Segmenter, dataset: Dataset, limit: int) -> Dataset:
    if tuple(dataset.classes) != segmenter.classes:
        raise DataError(
            f"settings of the CRF are chosen on images of the classes {', '.join(segmenter.classes)}; got "
            f"{', '.join(dataset.classes)}"
        )
    positions = [k for k, record in enumerate(dataset.records) if record.gt_mask is not None]
    if len(positions) < LEAST:
        have = f"{len(positions)} of {len(dataset.records)} images have ground truth"
        raise DataError(
            f"{have}, and settings of the CRF are chosen by it: give `masks` of at least {LEAST} images, better "
            f"{ENOUGH}. Without ground truth there is no telling: the label-free score does not rank them"
        )
    kept = tuple(dataset.records[k] for k in positions)
    return Dataset(dataset.root, dataset.classes, kept, source=dataset.source).spread(limit)


def first_settings(today: CrfConfig, best: CrfConfig) -> Iterator[CrfConfig]:
    """No CRF; today's; weight and deviations of the appearance kernel halved and doubled."""
    yield today
    yield today.model_copy(update={"enabled": False})
    for rgb, xy, weight in product(_STEPS, repeat=3):
        yield _scaled(best, bilateral_rgb=rgb, bilateral_xy=xy, bilateral_weight=weight)


def smoothness_settings(today: CrfConfig, best: CrfConfig) -> Iterator[CrfConfig]:
    """Weight and deviation of the smoothness kernel halved and doubled, and none of it."""
    del today
    for xy, weight in product(_STEPS, (0.0, *_STEPS)):
        if weight or xy == 1:
            yield _scaled(best, gaussian_xy=xy, gaussian_weight=weight)


def finer_settings(today: CrfConfig, best: CrfConfig) -> Iterator[CrfConfig]:
    """Half and twice the iterations, and the appearance kernel in steps of a factor of 1.41."""
    del today
    for factor in (0.5, 2.0):
        yield best.model_copy(update={"iterations": max(1, min(1000, round(best.iterations * factor)))})
    for name, factor in product(("bilateral_weight", "bilateral_xy", "bilateral_rgb"), (1 / _FINE, _FINE)):
        yield _scaled(best, **{name: factor})


def _scaled(crf: CrfConfig, **factors: float) -> CrfConfig:
    """The settings, enabled, with some multiplied; a weight of 0 counts as the default."""
    default = CrfConfig()
    values = {
        name: float(f"{(getattr(crf, name) or getattr(default, name)) * factor:.3g}")
        for name, factor in factors.items()
        if factor != 1
    }
    return crf.model_copy(update={"enabled": True, **values})


class Search:
    """Settings that were tried on some images, and how they did."""

    def __init__(self, segmenter: Segmenter, dataset: Dataset, *, progress: bool = True):
        """Run the network on the images, all of which have ground truth.

        Raises:
            DataError: an image or a mask cannot be read, they differ in size, or no class occurs.
        """
        self.threads, self.progress = segmenter.threads, progress
        self.size = len(segmenter.classes) + 1
        self.tried: dict[str, tuple[CrfConfig, Tallies]] = {}
        with progress_bar("images", len(dataset.records), shown=progress) as advance:
            self.images = []
            for record in dataset.records:
                self.images.append(_looked_at(segmenter, record))
                advance()
        shown = np.sum([one.shown(self.size) for one in self.images], axis=0)
        if not shown[1:].any():
            raise DataError(f"{dataset.root}: the ground truth shows no class; give masks with objects")

    def try_all(self, settings: Iterator[CrfConfig]) -> None:
        """Score settings that were not tried yet."""
        new = {_key(crf): crf for crf in settings if _key(crf) not in self.tried}
        order = sorted(new, key=lambda key: (new[key].gaussian_xy, new[key].bilateral_xy, new[key].bilateral_rgb))
        wanted = [new[key] for key in order]
        with (
            ThreadPoolExecutor(self.threads) as pool,
            progress_bar("images scored", len(self.images), shown=self.progress) as advance,
        ):
            rows = []
            for tallies in pool.map(lambda one: one.tallies(wanted, self.size), self.images):
                rows.append(tallies)
                advance()
        for k, key in enumerate(order):
            self.tried[key] = (new[key], np.stack([tallies[k] for tallies in rows]))

    def best(self, today: CrfConfig) -> CrfConfig:
        """The best settings with a CRF; today's before any was tried."""
        scored = [(float(mean_iou_of(tallies.sum(axis=0))), crf) for crf, tallies in self.tried.values() if crf.enabled]
        return max(scored, key=lambda pair: pair[0])[1] if scored else today

    def result(self, today: CrfConfig) -> CrfTuning:
        """All that were tried, ranked, and what the best gains over `today`."""
        settings = [crf for crf, _ in self.tried.values()]
        every = np.stack([tallies for _, tallies in self.tried.values()])
        smaller = sum(one.is_smaller for one in self.images)
        return judged(settings, every, list(self.tried).index(_key(today)), made_smaller=smaller)


def judged(settings: Sequence[CrfConfig], tallies: Tallies, today: int, *, made_smaller: int = 0) -> CrfTuning:
    """Rank settings by what was counted, and tell a gain from chance.

    Args:
        settings: S of them.
        tallies: int64 (S, N, 3, C) for N images, as from `tallies_of`.
        today: position of today's settings.
        made_smaller: as in `CrfTuning`.
    """
    count = tallies.shape[1]
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), _RESAMPLES)
    missing = (draws == 0).astype(np.int64)
    drawn, left_out = (
        np.stack([mean_iou_of(np.tensordot(by, one, axes=1)) for one in tallies]) for by in (draws, missing)
    )
    chosen = np.nan_to_num(drawn, nan=-1).argmax(axis=0)
    gains = left_out[chosen, np.arange(_RESAMPLES)] - left_out[today]
    mious = mean_iou_of(tallies.sum(axis=1))
    scores = [
        CrfScore(
            crf,
            float(mious[k]),
            _interval(drawn[k]),
            float(mious[k] - mious[today]),
            _interval(drawn[k] - drawn[today]),
        )
        for k, crf in enumerate(settings)
    ]
    ranked = sorted(scores, key=lambda one: (-one.miou, one is not scores[today]))
    gains = gains[~np.isnan(gains)]  # where the images left out show a class
    unseen, share = (float(gains.mean()), float((gains > 0).mean())) if gains.size else (0.0, 0.0)
    return CrfTuning(scores[today], tuple(ranked), count, unseen, share, made_smaller)


def mean_iou_of(tallies: Tallies) -> NDArray[np.float64]:
    """Mean IoU, over the classes that the ground truth shows, from (..., 3, C) counts of `tallies_of`; NaN if none."""
    right, target, preds = (tallies[..., k, :].astype(np.float64) for k in range(_TALLIES))
    iou = right / np.maximum(target + preds - right, 1)
    shown = target > 0
    total: NDArray[np.float64] = (iou * shown).sum(axis=-1) / np.where(shown.any(axis=-1), shown.sum(axis=-1), np.nan)
    return total


def tallies_of(mask: NDArray[np.uint8], target: NDArray[np.uint8], size: int) -> Tallies:
    """int64 (3, C): pixels of each class that are right, in the ground truth, and in the prediction."""
    confusion = confusion_matrix(mask, target, size)
    return np.stack([np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)])


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.nanquantile(values, (0.025, 0.975))
    return float(low), float(high)


def _key(crf: CrfConfig) -> str:
    return crf.model_dump_json() if crf.enabled else "off"


@dataclass(frozen=True, slots=True)
class _Looked:
    """An image (h, w, 3) with what the network says of it, its ground truth (h, w), and pixels per pixel it sees."""

    pixels: NDArray[np.uint8]
    evidence: Evidence
    target: NDArray[np.uint8]
    pixel_scale: float
    is_smaller: bool

    def shown(self, size: int) -> NDArray[np.int64]:
        """Pixels of each class in the ground truth."""
        return np.bincount(self.target[self.target != IGNORE_INDEX], minlength=size)

    def tallies(self, settings: Sequence[CrfConfig], size: int) -> list[Tallies]:
        """Counts of the masks that each of the settings gives; neighbours of equal deviations share lattices."""
        scores = self.evidence.probs((self.pixels.shape[0], self.pixels.shape[1]))
        refined = refine_each(self.pixels, scores, settings, pixel_scale=self.pixel_scale)
        return [tallies_of(to_mask(one, self.evidence.channels), self.target, size) for one in refined]


def _looked_at(segmenter: Segmenter, record: ImageRecord) -> _Looked:
    assert record.gt_mask is not None
    pixels = read_image(record.path, reading=segmenter.reading)
    target, _ = interpret_mask(record.gt_mask, segmenter.classes)
    shape = (pixels.shape[0], pixels.shape[1])
    if target.shape != shape:
        raise DataError(
            f"{record.gt_mask}: the mask is {target.shape[1]} x {target.shape[0]}, its image {shape[1]} x {shape[0]}"
        )
    evidence = segmenter.evidence(pixels, record.tags, unknown=record.unknown)
    settings = segmenter.config.prediction
    side = segmenter.config.data.image_size if settings.image_size is None else settings.image_size
    factor = min(1.0, (MOST_PIXELS / (shape[0] * shape[1])) ** 0.5)
    if factor < 1:
        size = (max(1, round(shape[1] * factor)), max(1, round(shape[0] * factor)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        target = np.asarray(cv2.resize(target, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    return _Looked(pixels, evidence, target, max(pixels.shape[:2]) / (side or max(shape)), factor < 1)
