"""Masks for any other trainer: a PyTorch dataset of images and masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.text import printable
from tag2mask.inference.review import TABLE, read_review
from tag2mask.masks.pairs import MaskedImages

Sample = tuple[Tensor, ...]
"""Image and mask, or image, mask and weight."""


class MaskDataset(Dataset[Sample]):
    """Images and their masks, for a `torch.utils.data.DataLoader` and the loss of any segmentation network.

    A sample is `(image, mask)`, or `(image, mask, weight)` if weights were asked for:

    - image: `tv_tensors.Image` uint8 (3, H, W), RGB, or what `transforms` makes of it;
    - mask: `tv_tensors.Mask` int64 (H, W), class indices, 0 background, 255 undecided: for
      `torch.nn.functional.cross_entropy(..., ignore_index=255)`;
    - weight: float32 (H, W) in [0, 1], how far each pixel is to be trusted; 0 where the mask is undecided.

    Images of several sizes need transforms that bring them to one, before they are put into a batch.

    Example, in a folder with images and masks:
        >>> import torch
        >>> from torchvision.transforms import v2
        >>> same = v2.Compose([v2.RandomCrop(32), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)])
        >>> dataset = MaskDataset("photos", "gt", same, classes=["disc", "square"])
        >>> image, mask = dataset[0]
        >>> image.shape, image.dtype, mask.shape, mask.dtype
        (torch.Size([3, 32, 32]), torch.float32, torch.Size([32, 32]), torch.int64)

    Attributes:
        classes: names without background; class index k is `classes[k - 1]`.
        names: of the images.
    """

    def __init__(
        self,
        images: str | PathLike[str],
        masks: str | PathLike[str],
        transforms: Callable[..., Any] | None = None,
        *,
        confidence: str | PathLike[str] | None = None,
        by_uncertainty: bool = False,
        classes: str | PathLike[str] | Sequence[str] | None = None,
        names: Iterable[str] | None = None,
    ):
        """Find the images and their masks.

        Args:
            images: folder of images.
            masks: folder of masks: those of a run, predicted, corrected or exported ones.
            transforms: of `torchvision.transforms.v2`, called with the image, the mask and, if there is one, the
                weight; what they pad gets their `fill`, so give `{tv_tensors.Mask: 255}` for undecided borders.
            confidence: folder of confidence maps, which become weights of pixels.
            by_uncertainty: weights of pixels are multiplied by 1 - uncertainty of their mask, from `uncertainty.csv` in
                the folder of masks.
            classes: names without background, or a file of them; None: `classes.txt` in the folder of masks.
            names: of the images to take; None: all that have a mask.

        Raises:
            ConfigError: no names of classes.
            DataError: as `tag2mask.masks.pairs.MaskedImages`; or an image has no line in the table of uncertainty.
        """
        self.pairs = MaskedImages(images, masks, classes=classes, confidence=confidence, names=names)
        self.classes, self.names = self.pairs.classes, self.pairs.names
        self.transforms = transforms
        self._weighted = by_uncertainty or confidence is not None
        self._trust = _trust(Path(masks), self.names) if by_uncertainty else [1.0] * len(self.names)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Read a sample and transform it.

        Raises:
            DataError: a file is damaged, sizes differ, or a value is no class.
        """
        _, pixels, values, confidence = self.pairs[index]
        given: list[Tensor] = [
            tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1).contiguous()),
            tv_tensors.Mask(torch.from_numpy(values)),
        ]
        if self._weighted:
            weight = torch.ones(values.shape) if confidence is None else torch.from_numpy(confidence)
            given.append(tv_tensors.Mask(weight * self._trust[index]))
        image, mask, *weights = given if self.transforms is None else self.transforms(*given)
        mask = tv_tensors.Mask(mask.to(torch.int64))
        if not weights:
            return image, mask
        decided = mask.as_subclass(Tensor) != IGNORE_INDEX
        return image, mask, weights[0].as_subclass(Tensor).clamp(0, 1) * decided


def _trust(masks: Path, names: Sequence[str]) -> list[float]:
    """1 - uncertainty of each image's mask."""
    table = read_review(masks)
    missing = [name for name in names if printable(name) not in table]
    if missing:
        raise DataError(
            f"{masks / TABLE}: no line for {printable(missing[0])} ({len(missing)} of {len(names)} are missing); "
            "predict these masks again, or leave `by_uncertainty` out"
        )
    return [1 - table[printable(name)].total for name in names]
