"""Augmentation of training samples: random scale, crop, horizontal flip and colour; hide-and-seek."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

from tag2mask.config.schema import DataConfig
from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.images.resize import scaled_size
from tag2mask.models.backbone import Preprocessing


class TrainTransform:
    """Random scale, crop, horizontal flip and colour of an image and its mask together.

    Randomness comes from torch's global generator: seed it for the same sample again.
    """

    def __init__(self, config: DataConfig, preprocessing: Preprocessing):
        self.config = config
        fill: dict[Any, Any] = {
            tv_tensors.Image: [round(255 * value) for value in preprocessing.mean],
            tv_tensors.Mask: IGNORE_INDEX,
        }
        steps: list[Any] = [v2.RandomCrop(config.crop_size, pad_if_needed=True, fill=fill)]
        if config.flip:
            steps.append(v2.RandomHorizontalFlip())
        if config.colour_jitter:
            strength = config.colour_jitter
            steps.append(v2.ColorJitter(brightness=strength, contrast=strength, saturation=strength))
        self.steps = v2.Compose(steps)

    def __call__(self, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Transform an image (H, W, 3) uint8 and its mask (H, W) uint8.

        Args:
            image: RGB.
            mask: class indices, or None for a mask of zeros.

        Returns:
            Image (3, S, S) uint8, mask (S, S) uint8, 255 where the crop exceeds the image, and (S, S) bool, true there.
        """
        low, high = self.config.scale
        factor = low * (high / low) ** float(torch.rand(()))  # even in the logarithm of the scale
        size = scaled_size((image.shape[0], image.shape[1]), self.config.image_size * factor)
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        scaled = tv_tensors.Image(tvf.resize(pixels, list(size), antialias=True))
        if mask is None:
            paired = tv_tensors.Mask(torch.zeros(size, dtype=torch.uint8))
        else:
            target = torch.from_numpy(np.ascontiguousarray(mask))[None]
            nearest = tvf.InterpolationMode.NEAREST_EXACT
            paired = tv_tensors.Mask(tvf.resize(target, list(size), interpolation=nearest)[0])
        inside = tv_tensors.Mask(torch.zeros(size, dtype=torch.uint8))
        scaled, paired, inside = self.steps(scaled, paired, inside)
        return scaled.as_subclass(Tensor), paired.as_subclass(Tensor), inside.as_subclass(Tensor) == IGNORE_INDEX


def hide_and_seek(
    images: Tensor, *, grid: int, probability: float, image_probability: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Hide random cells of each image (Singh and Lee, ICCV 2017, arXiv:1704.04232).

    Args:
        images: (B, 3, H, W) normalised; hidden cells become 0, the mean colour.
        grid: cells per side.
        probability: chance that a cell is hidden.
        image_probability: chance that an image has cells hidden at all.

    Returns:
        The images (B, 3, H, W), a new tensor, and (B, H, W) bool: what is hidden.
    """
    count, _, height, width = images.shape
    hidden = torch.rand(count, grid, grid) < probability
    hidden &= torch.rand(count, 1, 1) < image_probability
    hidden = hidden.to(images.device)
    rows = torch.arange(height, device=images.device) * grid // height
    columns = torch.arange(width, device=images.device) * grid // width
    cells = hidden[:, rows][:, :, columns]
    return images.masked_fill(cells[:, None], 0.0), cells
