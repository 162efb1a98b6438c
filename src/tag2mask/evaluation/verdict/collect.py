"""From the folder of a finished run to the numbers of its verdict; nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d

from tag2mask.config.load import load_yaml, parse_stored_config
from tag2mask.config.schema import Config
from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError, Tag2MaskError
from tag2mask.core.progress import progress_bar
from tag2mask.data import Dataset
from tag2mask.data.checks.training import TrainingCheck, check_for_training
from tag2mask.evaluation.verdict.masks import MaskCounts, count_masks
from tag2mask.evaluation.verdict.numbers import ClassNumbers, RunNumbers
from tag2mask.evaluation.verdict.recognition import HeldOut, held_out
from tag2mask.images.cache import image_reader
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.inference.review import TABLE, read_review
from tag2mask.inference.segmenter import Segmenter
from tag2mask.inference.views import run_views
from tag2mask.masks import mask_path, read_mask
from tag2mask.method.pseudo_masks import measure_evidence, sample_evidence
from tag2mask.models.build import build_network
from tag2mask.models.checkpoint import RunFolder
from tag2mask.models.folding import folded

MOST_MASKS = 1000
"""Masks that are read; of more, evenly spaced ones and some of each rare class."""

MOST_RECOGNISED = 300
"""Images whose features are computed, likewise: a twentieth of a second to a second each."""

EACH_CLASS = 40
"""So many images of each class are among those chosen, if there are so many."""

_PARTS = 6  # an image is looked at in 6 x 6 parts

_THRESHOLD_IMAGES = 12  # on which the threshold of the evidence is measured


def collect_numbers(
    run: RunFolder,
    dataset: Dataset,
    segmenter: Segmenter,
    *,
    check: TrainingCheck | None = None,
    progress: bool = False,
) -> RunNumbers:
    """Count and measure what a verdict needs.

    What cannot be had any more (images that were moved, pretrained weights that are not there) is left out and named in
    `RunNumbers.missing`.

    Args:
        run: folder of the run; its masks are read if there are any.
        dataset: what the run was trained on.
        segmenter: its network.
        check: of the dataset before training; None: the images are checked now.
        progress: show progress bars.
    """
    config = _given_config(run, segmenter.config)
    from_tags = config.training.supervision == "tags"
    missing: list[str] = []
    if check is None:
        check = check_for_training(dataset, progress=progress)
    if check.inspected == 0:
        missing.append("no image could be read any more, so copies among them are not known")
    recognised: dict[str, tuple[HeldOut, tuple[str, ...]]] = {}
    if from_tags:
        try:
            recognised = _recognised(dataset, config, check, segmenter, progress=progress)
        except Tag2MaskError as error:
            missing.append(f"whether the classes are recognised in held-out images: {error}")
    counts = _mask_counts(run, dataset, missing)
    threshold, measured = _thresholds(config, dataset, segmenter) if from_tags else (None, None)
    return RunNumbers(
        images=len(dataset),
        classes=_class_numbers(dataset, check, recognised, counts, _scores(run)),
        from_tags=from_tags,
        pretrained=config.model.weights != "none",
        contrast=bool(segmenter.config.model.contrast_stages),
        inspected=check.inspected,
        different=check.different if check.inspected else None,
        findings=check.findings,
        tagged_masks=counts.tagged,
        empty=counts.empty,
        one_class=counts.one_class,
        heads=_heads(run) if 0 < segmenter.config.prediction.prior_weight < 1 else None,
        threshold=threshold,
        measured_threshold=measured,
        missing=tuple(missing),
    )


def sample(dataset: Dataset, count: int, *, each: int = EACH_CLASS) -> Dataset:
    """About `count` records: evenly spaced ones, and as many of each class as there are, up to `each`.

    Of many classes fewer each, so that at most four times `count` are chosen.
    """
    table = dataset.tags() == Tag.PRESENT
    each = min(each, max(1, 3 * count // max(1, table.shape[1])))
    last = len(dataset.records) - 1
    chosen = set(np.linspace(0, last, min(count, last + 1)).round().astype(int).tolist())
    for column in table.T:
        positions = np.flatnonzero(column)
        lacking = each - sum(int(position) in chosen for position in positions)
        for position in [int(one) for one in positions if int(one) not in chosen][: max(0, lacking)]:
            chosen.add(position)
    return dataset.subset(sorted(chosen))


def _given_config(run: RunFolder, config: Config) -> Config:
    """The settings as resolved before training, which may differ from the network's in what was measured."""
    return parse_stored_config(load_yaml(run.config), source=str(run.config)) if run.config.is_file() else config


def _recognised(
    dataset: Dataset, config: Config, check: TrainingCheck, segmenter: Segmenter, *, progress: bool
) -> dict[str, tuple[HeldOut, tuple[str, ...]]]:
    """How well each class is recognised in held-out images, with the names of those whose tags are contradicted."""
    if config.model.weights == "none":
        raise Tag2MaskError("the network started from random weights, whose features say little")
    chosen = sample(dataset, MOST_RECOGNISED)
    backend = segmenter.backend
    device = backend.device if isinstance(backend, TorchBackend) else torch.device("cpu")
    network = build_network(config, len(dataset.classes)).eval()
    network.backbone = folded(network.backbone)
    pretrained = TorchBackend(network, dataset.classes, config, device=device)
    read = image_reader(config)
    parts, kept = [], []
    with progress_bar("images recognised", len(chosen), shown=progress) as advance, torch.no_grad():
        for position, record in enumerate(chosen.records):
            try:
                image = read(record.path)
            except Tag2MaskError:
                advance()
                continue
            shape = (image.shape[0], image.shape[1])
            size = scaled_size(shape, config.data.image_size, multiple=pretrained.input_multiple)
            features = pretrained.last_features(resize_image(image, size)[None])
            parts.append(adaptive_avg_pool2d(features, _PARTS)[0].flatten(1).T.cpu().numpy())
            kept.append(position)
            advance()
    if not kept:
        raise Tag2MaskError("no image can be read any more")
    names = [chosen.records[position].name for position in kept]
    groups = np.unique([check.group.get(name, name) for name in names], return_inverse=True)[1]
    joined = np.stack(parts)
    results = held_out(joined.mean(axis=1), chosen.tags()[kept], groups, parts=joined)
    return {
        name: (result, tuple(names[position] for position in result.contradicted))
        for name, result in zip(dataset.classes, results, strict=True)
        if result is not None
    }


def _mask_counts(run: RunFolder, dataset: Dataset, missing: list[str]) -> MaskCounts:
    """Counts over the predicted masks; those that people corrected say nothing of the network."""
    unreadable: list[str] = []

    def masks() -> Iterator[tuple[NDArray[np.uint8], frozenset[str]]]:
        for record in sample(dataset, MOST_MASKS).records:
            path = mask_path(run.masks, record.name)
            if record.corrected is not None or not path.is_file():
                continue
            try:
                yield read_mask(path), record.present
            except DataError as error:
                unreadable.append(str(error))

    counts = count_masks(masks(), dataset.classes)
    if unreadable:
        missing.append(f"{len(unreadable)} masks that cannot be read, such as {unreadable[0]}")
    elif counts.masks == 0:
        missing.append("the masks of the training images: none were written")
    return counts


def _class_numbers(
    dataset: Dataset,
    check: TrainingCheck,
    recognised: dict[str, tuple[HeldOut, tuple[str, ...]]],
    counts: MaskCounts,
    scores: dict[str, float],
) -> tuple[ClassNumbers, ...]:
    found = []
    for name, number in dataset.counts().items():
        masks = counts.classes[name]
        one = ClassNumbers(
            name,
            number.present,
            number.absent,
            number.unknown,
            different=_different(name, dataset, check),
            masks=masks.masks,
            without=masks.without,
            whole=masks.whole,
            share=masks.share,
            overlap=masks.overlap,
            iou=scores.get(name),
        )
        if name in recognised:
            held, contradicted = recognised[name]
            one = replace(
                one,
                auc=held.auc,
                auc_deviation=held.deviation,
                everywhere=held.everywhere,
                contradicted=contradicted,
            )
        found.append(one)
    return tuple(found)


def _different(name: str, dataset: Dataset, check: TrainingCheck) -> int | None:
    """Different images tagged with a class; None where not all images were inspected."""
    if check.inspected < len(dataset):
        return None
    return len({check.group[record.name] for record in dataset.records if name in record.present})


def _scores(run: RunFolder) -> dict[str, float]:
    """IoU of each class where `result.json` has scores against ground truth."""
    try:
        score = json.loads(run.result.read_text(encoding="utf-8"))["score"]
        return {} if score is None else {str(name): float(iou) for name, iou in score["IoU"].items() if iou is not None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not there, or not ours: then it is not known
        return {}


def _heads(run: RunFolder) -> float | None:
    review = read_review(run.masks) if (run.masks / TABLE).is_file() else {}
    return float(np.mean([one.heads for one in review.values()])) if review else None


def _thresholds(config: Config, dataset: Dataset, segmenter: Segmenter) -> tuple[float | None, float | None]:
    """The threshold of the evidence if it was set by hand, and what it would be by measurement."""
    given = config.masks.soft_threshold
    if isinstance(given, str) or config.model.contrast_stages or config.paper.background != "soft":
        return None, None
    tags = dataset.tags()
    tagged = dataset.subset(np.flatnonzero((tags == Tag.PRESENT).any(axis=1))).spread(_THRESHOLD_IMAGES)
    read, masks = image_reader(config), config.masks
    samples = []
    for record, row in zip(tagged.records, tagged.tags(), strict=True):
        try:
            image = read(record.path)
        except Tag2MaskError:
            continue
        views = run_views(segmenter.backend, image, side=config.data.image_size, scales=masks.scales, flip=masks.flip)
        size = scaled_size((image.shape[0], image.shape[1]), config.data.image_size / masks.stride)
        samples.append(sample_evidence(views, row, size, segmenter.config))
    rule = masks.model_copy(update={"soft_threshold": "area" if config.model.frozen else "auto"})
    return float(given), measure_evidence(samples, rule).threshold if samples else None


def read_dataset(run: RunFolder) -> Dataset:
    """What a run was trained on.

    Raises:
        OSError: there is no such file.
        ValueError: it is damaged.
    """
    return Dataset.from_dict(json.loads(run.collection.read_text(encoding="utf-8")))
