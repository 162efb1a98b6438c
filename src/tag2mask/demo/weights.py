"""The demo's pretrained backbone: its weights file and its input normalisation."""

from __future__ import annotations

from pathlib import Path

BACKBONE = "test_resnet"
"""Name in timm of the network that the weights belong to."""

IMAGE_MEAN = (0.5, 0.5, 0.5)
"""The network's input is `(image / 255 - IMAGE_MEAN) / IMAGE_STD`, RGB, as timm defines it for `BACKBONE`."""

IMAGE_STD = (0.5, 0.5, 0.5)
"""See `IMAGE_MEAN`."""


def demo_weights() -> Path:
    """Path of the weights: float16, safetensors format, timm's parameter names, without the classifier."""
    return Path(__file__).with_name("weights.safetensors")
