"""Where the network runs: PyTorch or ONNX Runtime. Both give the same `NetworkOutput`."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import Config
from tag2mask.method.output import Array, NetworkOutput


class Backend(Protocol):
    """A trained network that can be run.

    Attributes:
        classes: names, without background; class index k is `classes[k - 1]`.
        config: of the run that trained it.
        input_multiple: height and width of its input are multiples of this.
        has_contrast: whether it has a contrast head, which compares pixels with the median of their image.
        own_bytes: memory of a process that has loaded it, with its libraries, before it has seen an image; a little
            more than was measured.
    """

    classes: tuple[str, ...]
    config: Config
    input_multiple: int
    has_contrast: bool
    own_bytes: int

    def run(self, images: NDArray[np.uint8], *, median: Array | None = None) -> list[NetworkOutput]:
        """Run the network.

        Args:
            images: (B, H, W, 3) uint8 RGB, H and W multiples of `input_multiple`.
            median: (D,) median of `contrast_features` over the whole image that `images` are tiles of; None: of each
                image itself.

        Returns:
            One output an image.
        """
        ...

    def contrast_features(self, images: NDArray[np.uint8]) -> Array:
        """Features (B, D, h, w) that the contrast head compares, of images (B, H, W, 3) uint8 RGB."""
        ...

    def fingerprint(self) -> str:
        """SHA-256 of the weights and the settings of prediction: masks with the same one come from the same network."""
        ...
