"""Where the demo's pretrained recognition network is, and how it wants its images."""

from __future__ import annotations

from pathlib import Path

BACKBONE = "test_resnet"
"""timm's name of the network the weights belong to."""

IMAGE_MEAN = (0.5, 0.5, 0.5)
"""Input is `(image / 255 - IMAGE_MEAN) / IMAGE_STD`, RGB; equal to timm's own for `BACKBONE`."""

IMAGE_STD = (0.5, 0.5, 0.5)
"""See `IMAGE_MEAN`."""


def demo_weights() -> Path:
    """Path of the weights: float16 safetensors under timm's names, without the classifier."""
    return Path(__file__).with_name("weights.safetensors")
