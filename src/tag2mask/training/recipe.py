"""Which kind of class maps fits a dataset, measured on its images and tags before training, without ground truth.

There are two (docs/method.md). Class maps of *objects* come from deep features, which know what things are. Class maps
of *surfaces* come from what stands out in shallow features, which see defects, spots and textures that deep features
blur over the whole image; but they cannot tell a dog from a horse.

So the question is whether shallow features are enough to tell this dataset's classes. Linear classifiers of both kinds
of features are fitted to the tags and asked about images held out of the fitting. Where the shallow ones do nearly as
well, their class maps are chosen, since they are much finer; they have to do better where many pixels of an image stand
out, as among objects, than where few do, as on a surface. Where tags cannot answer (no class has images with it and
without it), that alone decides. `benchmarks/bench_recipe.py` shows how often the choice is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kurtosis

from tag2mask.config.schema import Config
from tag2mask.core.constants import Tag
from tag2mask.core.errors import Tag2MaskError
from tag2mask.core.progress import progress_bar
from tag2mask.data import Dataset
from tag2mask.evaluation.verdict.collect import sample
from tag2mask.evaluation.verdict.recognition import held_out
from tag2mask.images.cache import image_reader
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.models.build import build_network
from tag2mask.models.contrast import describe_contrast

Name = Literal["objects", "surfaces"]

NEARLY = 0.65
"""Shallow features are enough if they do so much of what deep ones do better than chance, where few pixels stand out.
Steel has 0.96, made collections of defects, tissue and aerial images 0.83 to 1.04; of clothing 0.58, of shapes 0.42."""

NEARLY_EVERYWHERE = 0.8
"""The same where many pixels stand out, as in images full of objects. The demo's scenes have 0.72, made leaves 0.83;
animals 0.21."""

RECOGNISED = 0.6
"""A mean AUC under this, of deep features, says nothing: the tags are hardly recognised at all."""

PEAKED = 5.0
"""Kurtosis of what stands out, from which on few pixels do. Steel has 8, made surfaces 7 to 20; animals 3."""

_IMAGES = 200
_EACH_CLASS = 20
_LEAST = 10  # images with a class, and without it, for an AUC to count


@dataclass(frozen=True, slots=True)
class Signs:
    """What was measured.

    Attributes:
        images: number of images it was measured on.
        deep: mean over classes of the held-out AUC of deep features, in [0, 1]; None where no class has at least
            ten images with it and ten known to be without it: fewer make an AUC vary by more than 0.1.
        shallow: the same of what stands out in shallow features.
        peaked: median over images of the kurtosis of how much pixels stand out; 3 for a normal distribution.
    """

    images: int
    deep: float | None
    shallow: float | None
    peaked: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """The class maps that were chosen.

    Attributes:
        name: `objects` (the defaults) or `surfaces` (the preset of that name).
        reason: why, in a sentence.
        signs: what was measured; None where it was not.
    """

    name: Name
    reason: str
    signs: Signs | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"recipe": self.name, "reason": self.reason, "signs": None if self.signs is None else asdict(self.signs)}


def measure_recipe(
    dataset: Dataset, config: Config, *, device: str | torch.device = "cpu", progress: bool = False
) -> Recipe:
    """Measure which class maps fit a dataset.

    Args:
        dataset: images with tags.
        config: with `model.contrast_stages`; the backbone and the size of the images are taken from it.
        device: where the backbone runs.
        progress: show a progress bar.

    Raises:
        ConfigError: the backbone or its weights cannot be had.
    """
    chosen = sample(dataset, _IMAGES, each=_EACH_CLASS)
    backend = TorchBackend(build_network(config, len(dataset.classes)), dataset.classes, config, device=device)
    read = image_reader(config)
    deep, shallow, peaked, kept = [], [], [], []
    with progress_bar("images measured", len(chosen), shown=progress) as advance:
        for position, record in enumerate(chosen.records):
            described = _describe(backend, record.path, read)
            advance()
            if described is not None:
                deep.append(described[0])
                shallow.append(described[1])
                peaked.append(described[2])
                kept.append(position)
    if not kept:
        return Recipe("objects", "no image could be read to measure it")
    tags = chosen.tags()[kept]
    measured = peaked_median(peaked)
    signs = Signs(len(kept), mean_auc(np.stack(deep), tags), mean_auc(np.stack(shallow), tags), measured)
    return judge(signs)


def judge(signs: Signs) -> Recipe:
    """Choose by what was measured."""
    if signs.deep is None or signs.shallow is None:
        peaked = signs.peaked >= PEAKED
        reason = (
            f"no class has {_LEAST} images with it and {_LEAST} without it, so the tags cannot decide; "
            f"{'few' if peaked else 'many'} pixels stand out from the rest of their images "
            f"(kurtosis {signs.peaked:.1f}, on surfaces above {PEAKED:.0f})"
        )
        return Recipe("surfaces" if peaked else "objects", reason, signs)
    measured = f"AUC {signs.shallow:.2f} against {signs.deep:.2f} of deep ones, on {signs.images} images"
    if signs.deep < RECOGNISED and signs.shallow < RECOGNISED:
        return Recipe("objects", f"neither shallow nor deep features recognise the tags ({measured})", signs)
    enough = NEARLY if signs.peaked >= PEAKED else NEARLY_EVERYWHERE
    if signs.shallow >= RECOGNISED and signs.shallow - 0.5 >= enough * (signs.deep - 0.5):
        return Recipe("surfaces", f"shallow features are enough to recognise the tags ({measured})", signs)
    return Recipe("objects", f"shallow features do not recognise the tags well enough ({measured})", signs)


def mean_auc(features: NDArray[np.floating], tags: NDArray[np.int8]) -> float | None:
    """Mean over classes of the AUC of a linear classifier on images held out of its fitting.

    Args:
        features: (N, D).
        tags: (N, C) `Tag` values.

    Returns:
        In [0, 1]; None where no class has enough images with it and known to be without it.
    """
    least = np.minimum((tags == Tag.PRESENT).sum(axis=0), (tags == Tag.ABSENT).sum(axis=0))
    results = held_out(features, tags, np.arange(len(tags)))
    found = [one.auc for one, number in zip(results, least, strict=True) if one is not None and number >= _LEAST]
    return float(np.mean(found)) if found else None


def peaked_median(values: list[float]) -> float:
    """Median of the images' kurtosis; 0 where no image has any contrast."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.median(finite)) if finite else 0.0


def _describe(
    backend: TorchBackend, path: Path, read: Callable[[Path], NDArray[np.uint8]]
) -> tuple[NDArray[np.float32], NDArray[np.float32], float] | None:
    """Deep features (D,), what stands out in shallow ones (2 D'), and its kurtosis; None: the image cannot be read."""
    try:
        image = read(path)
    except Tag2MaskError:
        return None  # it is reported when training reads it
    shape = (image.shape[0], image.shape[1])
    size = scaled_size(shape, backend.config.data.image_size, multiple=backend.input_multiple)
    seen = backend.recognise(resize_image(image, size)[None])
    head = backend.network.contrast
    assert head is not None and seen.contrast is not None, "the configuration has no contrast_stages"
    shallow = head.describe([seen.features[stage] for stage in backend.network.contrast_stages])[0].cpu().numpy()
    prior = seen.contrast.prior[0].float().cpu().numpy()
    deep = seen.features[-1][0].float().mean(dim=(1, 2)).cpu().numpy()
    return deep, describe_contrast(shallow, prior), float(kurtosis(prior, axis=None, fisher=False))
