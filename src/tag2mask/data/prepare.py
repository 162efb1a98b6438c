"""What is done to a dataset before training on it."""

from __future__ import annotations

import logging
from dataclasses import replace

from tag2mask.data.classes import check_classes
from tag2mask.data.dataset import Dataset
from tag2mask.data.load import decodable
from tag2mask.data.problem import log_problems
from tag2mask.data.readers.layout_words import same_split

_LOG = logging.getLogger(__name__)


def training_split(dataset: Dataset) -> Dataset:
    """The split that is trained on: `train`, also written `Train` or `training`; without one, the whole dataset."""
    named = {split for split in dataset.splits() if same_split(split, "train")}
    if not named:
        return dataset
    return dataset.subset([k for k, record in enumerate(dataset.records) if record.split in named])


def prepare_for_training(
    dataset: Dataset, *, limit: int | None = None, strict: bool = False, verify: bool = True
) -> Dataset:
    """Choose what is trained on, decode every image of it once, and log what was wrong with it.

    Of a dataset with several splits, one of them `train` (or `Train`, `training`), that split is kept; a dataset of one
    split stays whole.

    Args:
        dataset: what was loaded.
        limit: keep the first so many after a shuffle with seed 0.
        strict: raise an error instead of leaving out an image.
        verify: decode every image; False where the dataset was loaded with `verify=True`.

    Returns:
        The dataset to train on. Its problems include the classes with few images.

    Raises:
        DataError: nothing can be decoded, a class has fewer than two images, or `strict=True` and something is wrong.
    """
    whole, dataset = dataset, training_split(dataset)
    if len(dataset) < len(whole):
        named = " and ".join(map(repr, dataset.splits()))
        _LOG.info("this dataset has splits; training on %s (`split` chooses another)", named)
    if verify:
        dataset = decodable(dataset, strict=strict)
    if limit is not None:
        dataset = dataset.subset(first=limit)
    few = check_classes(dataset)  # not logged: `train` says it with the other findings, and with the remedy
    log_problems(dataset.problems)
    return replace(dataset, problems=(*dataset.problems, *few))
