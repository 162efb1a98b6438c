"""A dataset as training samples, in an order and with augmentations fixed by seed and epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import data as torch_data
from torch.utils.data import DataLoader, Sampler

from tag2mask.core.errors import DataError
from tag2mask.core.machine import usable_cores
from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset
from tag2mask.images.decode import image_size, read_image
from tag2mask.masks import read_mask
from tag2mask.masks.interpret import interpret_mask
from tag2mask.training.augment import TrainTransform


class Batch(TypedDict):
    """B training samples.

    image: (B, 3, S, S) uint8; mask: (B, S, S) uint8, classes of ground truth or pseudo masks or zeros, 255
    outside the image; outside: (B, S, S) bool, true there; corrected: (B,) bool, whether a person
    has corrected the mask; tags: (B, C) int8 `Tag` values; index: (B,) int64 positions in the dataset.
    """

    image: Tensor
    mask: Tensor
    outside: Tensor
    corrected: Tensor
    tags: Tensor
    index: Tensor


def read_ground_truth(record: ImageRecord, classes: Sequence[str], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The ground truth (H, W) uint8 of an image of this size.

    Raises:
        DataError: there is none, or it has another size.
    """
    if record.gt_mask is None:
        raise DataError(
            f"{record.name}: no ground truth to train the fully supervised upper bound on; load the dataset "
            "with `masks`"
        )
    mask, _ = interpret_mask(record.gt_mask, tuple(classes))
    if mask.shape != size:
        raise DataError(
            f"{record.gt_mask}: the mask is {mask.shape[0]} x {mask.shape[1]}, its image {size[0]} x {size[1]}"
        )
    return mask


class TrainDataset(torch_data.Dataset[Batch]):
    """Samples of a dataset; the key is `epoch * len(dataset) + index`.

    The same key gives the same sample on every run, in any order and in any loader process.
    """

    def __init__(
        self,
        dataset: Dataset,
        transform: TrainTransform,
        *,
        seed: int,
        with_gt_masks: bool = False,
        pseudo_masks: Callable[[int], Path] | None = None,
        read: Callable[[Path], NDArray[np.uint8]] = read_image,
    ):
        self.records = dataset.records
        self.classes = dataset.classes
        self.tags: NDArray[np.int8] = dataset.tags()
        self.transform = transform
        self.seed = seed
        self.with_gt_masks = with_gt_masks
        self.pseudo_masks = pseudo_masks
        self.read = read

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int) -> Batch:
        index = key % len(self.records)
        record = self.records[index]
        image = self.read(record.path)
        mask = None
        if self.with_gt_masks:
            size = (image.shape[0], image.shape[1]) if self.read is read_image else image_size(record.path)
            mask = read_ground_truth(record, self.classes, size)
        elif record.corrected is not None:
            mask, _ = interpret_mask(record.corrected, self.classes)
        elif self.pseudo_masks is not None and (path := self.pseudo_masks(index)).is_file():
            mask = read_mask(path)
        with torch.random.fork_rng(devices=[]):
            # Of this processor alone: `torch.manual_seed` writes down the stack for each other device, once a sample.
            torch.default_generator.manual_seed(_mix(self.seed, key))
            pixels, target, outside = self.transform(image, mask)
        return {
            "image": pixels,
            "mask": target,
            "outside": outside,
            "corrected": torch.tensor(record.corrected is not None),
            "tags": torch.from_numpy(self.tags[index]),
            "index": torch.tensor(index),
        }


class EpochSampler(Sampler[int]):
    """Keys for `TrainDataset`: each image once an epoch over all ranks, shuffled by seed and epoch.

    The epoch's order is that of one process, dealt out batch by batch, so that all ranks take the same number of
    steps on together the same images. Of a last batch with fewer images than ranks, the ranks that would have none
    see one of its images again.
    """

    def __init__(self, length: int, *, seed: int, rank: int = 0, ranks: int = 1, batch_size: int = 1):
        self.length, self.seed, self.rank, self.ranks = length, seed, rank, ranks
        self.step = batch_size * ranks  # images that all ranks together see at once
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration stands for."""
        self.epoch = epoch

    def __len__(self) -> int:
        full, rest = divmod(self.length, self.step)
        return full * (self.step // self.ranks) + (max(1, len(range(self.rank, rest, self.ranks))) if rest else 0)

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        for start in range(0, self.length, self.step):
            together = order[start : start + self.step]
            mine = together[self.rank :: self.ranks]
            for index in mine if len(mine) else together[:1]:
                yield self.epoch * self.length + int(index)


def make_loader(
    dataset: TrainDataset, sampler: EpochSampler, *, batch_size: int, workers: int | None, processes: int = 1
) -> DataLoader[Batch]:
    """Build the training loader; the last, smaller batch of an epoch is kept.

    Args:
        dataset: the samples.
        sampler: their order.
        batch_size: samples a batch.
        workers: loader processes; None: one a core up to 8, none for tiny datasets.
        processes: that share the cores of this machine.
    """
    if workers is None:
        workers = 0 if len(dataset) < 64 else min(8, usable_cores(processes))
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
    )


def _mix(seed: int, key: int) -> int:
    return int(np.random.SeedSequence((seed, key)).generate_state(1, np.uint64)[0] >> np.uint64(1))
