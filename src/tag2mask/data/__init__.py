"""Items of a collection as tensors: decoding, paired transforms, hide-and-seek, loaders."""

from tag2mask.data.dataset import Batch, EpochSampler, TrainDataset, make_loader
from tag2mask.data.transforms import (
    TrainTransform,
    denormalise,
    hide_and_seek,
    normalise,
    resize,
    to_tensor,
)
from tag2mask.images import scaled_size
from tag2mask.machine import usable_cores

__all__ = [
    "Batch",
    "EpochSampler",
    "TrainDataset",
    "TrainTransform",
    "denormalise",
    "hide_and_seek",
    "make_loader",
    "normalise",
    "resize",
    "scaled_size",
    "to_tensor",
    "usable_cores",
]
