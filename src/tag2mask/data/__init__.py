"""Items of a collection as tensors: decoding, paired transforms, hide-and-seek, loaders."""

from tag2mask.data.cache import ImageCache, image_reader
from tag2mask.data.dataset import Batch, EpochSampler, TrainDataset, make_loader
from tag2mask.data.transforms import (
    TrainTransform,
    denormalise,
    hide_and_seek,
    network_input,
    normalise,
    resize,
    to_tensor,
)
from tag2mask.images import scaled_size
from tag2mask.machine import usable_cores

__all__ = [
    "Batch",
    "EpochSampler",
    "ImageCache",
    "TrainDataset",
    "TrainTransform",
    "denormalise",
    "hide_and_seek",
    "image_reader",
    "make_loader",
    "network_input",
    "normalise",
    "resize",
    "scaled_size",
    "to_tensor",
    "usable_cores",
]
