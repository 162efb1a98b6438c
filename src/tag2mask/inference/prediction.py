"""The result for one image."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.extras import require
from tag2mask.drawing import overlay
from tag2mask.masks import write_mask
from tag2mask.masks.formats.regions import object_regions, without_small_parts
from tag2mask.method.uncertainty import Uncertainty

if TYPE_CHECKING:
    from torchvision.tv_tensors import Mask


@dataclass(frozen=True, slots=True)
class Prediction:
    """The mask of one image, and what led to it. In a notebook it shows itself.

    Example, with a network that knows discs and squares:
        >>> from tag2mask import Segmenter
        >>> prediction = Segmenter.from_pretrained("runs/mine").predict("photos/shape_000.png", tags=["disc"])
        >>> prediction.mask.shape, prediction.probs.shape, prediction.found
        ((48, 64), (3, 48, 64), ('disc',))
        >>> prediction.save("shape_000.png")
        >>> prediction.overlay(legend=False).shape
        (48, 64, 3)

    Attributes:
        mask: (H, W) uint8 class indices at the image's size, 0 background; class index k is `classes[k - 1]`.
        probs: (C + 1, H, W) float32 in [0, 1], summing to 1 over the first axis, background first; of an image with
            more than `tag2mask.method.tiling.CRF_PIXELS` pixels on a coarser grid of about so many.
        tag_probs: (C,) float32 in [0, 1], the tag classifier's probability of each class.
        classes: the C names, without background.
        uncertainty: how uncertain the mask is; `uncertainty.total` in [0, 1] ranks masks.
        image: (H, W, 3) uint8 RGB, the image that was segmented.
    """

    mask: NDArray[np.uint8]
    probs: NDArray[np.float32] = field(repr=False)
    tag_probs: NDArray[np.float32]
    classes: tuple[str, ...]
    uncertainty: Uncertainty
    image: NDArray[np.uint8] = field(repr=False)

    @property
    def found(self) -> tuple[str, ...]:
        """Names of the classes that have a pixel in the mask."""
        return tuple(self.classes[index - 1] for index in np.unique(self.mask).tolist() if index)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the mask as a palette PNG of class indices.

        Raises:
            DataError: the file cannot be written.
        """
        write_mask(Path(path), self.mask, classes=len(self.classes))

    def overlay(self, *, alpha: float = 0.5, legend: bool = True) -> NDArray[np.uint8]:
        """The image with the mask laid over it, uint8 (H, W, 3) RGB.

        Args:
            alpha: strength of the colours, in [0, 1].
            legend: add a strip with the names of the classes below, which makes the result higher.
        """
        return overlay(self.image, self.mask, alpha=alpha, classes=self.classes, legend=legend)

    def to_detections(self, *, instances: bool = False, min_area: int = 1) -> Any:
        """The mask as `supervision.Detections`, one for each class that has a pixel, or for each of its parts.

        `mask` (N, H, W) bool, `xyxy` (N, 4), `class_id` the class index (background is 0), `confidence` the mean
        probability of the class over its pixels, `data["class_name"]` its name.

        Args:
            instances: each connected part of a class (8-connected) is a detection of its own.
            min_area: connected parts of fewer pixels are left out.

        Raises:
            MissingExtraError: `supervision` is not installed.
        """
        supervision: Any = require("supervision", "`Prediction.to_detections`")
        kept, _ = without_small_parts(self.mask, len(self.classes), min_area)
        found = list(object_regions(kept, len(self.classes), instances=instances))
        if not found:
            return supervision.Detections.empty()
        indices = np.array([index for index, _ in found], dtype=int)
        masks = np.stack([region for _, region in found])
        occurring = np.unique(indices)
        by_class = dict(zip(occurring.tolist(), self._probs_of(occurring), strict=True))
        probs = [by_class[index] for index in indices.tolist()]
        return supervision.Detections(
            xyxy=supervision.mask_to_xyxy(masks),
            mask=masks,
            class_id=indices,
            confidence=np.array([float(prob[mask].mean()) for prob, mask in zip(probs, masks, strict=True)]),
            data={"class_name": np.array([self.classes[index - 1] for index in indices])},
        )

    def to_tv_tensor(self) -> Mask:
        """The mask as `torchvision.tv_tensors.Mask` (H, W) uint8.

        Raises:
            MissingExtraError: torchvision is not installed.
        """
        require("train", "`Prediction.to_tv_tensor`", "torchvision")
        import torch
        from torchvision.tv_tensors import Mask

        tensor: Mask = Mask(torch.from_numpy(self.mask.copy()))
        return tensor

    def _probs_of(self, indices: NDArray[np.int_]) -> list[NDArray[np.float32]]:
        """Probabilities (H, W) of classes at the image's size."""
        size = (self.mask.shape[1], self.mask.shape[0])
        return [
            np.asarray(Image.fromarray(self.probs[index]).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
            for index in indices
        ]

    def _repr_png_(self) -> bytes:
        """The overlay as PNG, for notebooks."""
        stream = io.BytesIO()
        Image.fromarray(self.overlay()).save(stream, format="PNG")
        return stream.getvalue()
