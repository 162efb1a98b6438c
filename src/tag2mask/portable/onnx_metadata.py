"""What an ONNX file says of itself: classes, preprocessing and settings, as its metadata.

The graph takes `images` (B, 3, H, W) uint8 RGB, H and W multiples of `input_multiple`, and normalises them itself. It
gives `tag_logits` (B, C), `pixel_logits` (B, C + 1, h, w) and `cams` (B, C, h, w); of a network trained on tags also
`energy_0`, `energy_1`, ... (B, 1, h_i, w_i), on frozen backbones `share_logits` (B, C, h, w), and `affinity`
(B, h, w, h * w) where a vision transformer is among them; or, with a contrast head, `contrast_logits` (B, C, h, w),
`contrast_prior` (B, h, w) and `contrast_features` (B, D, h, w). A network with a contrast head has a second input,
`median` (1, D): of the whole image where `images` are its tiles; where it is NaN, each image has its own.

Version 1 of the format had neither `cams` beside a contrast head or without class maps, nor `median`: such files are
read, but not used on images in tiles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.load import parse_stored_config
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError, WeightsError

FORMAT_VERSION = 2
INPUT = "images"
MEDIAN = "median"
CONTRAST_FEATURES = "contrast_features"
AFFINITY = "affinity"
SHARES = "share_logits"

_PREFIX = "tag2mask."
_NAMES = ("format_version", "classes", "preprocessing", "config", "opset", "precision")
_VERSION_1_MULTIPLE = 32


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of one file.

    Attributes:
        classes: names, without background.
        config: the configuration of the run.
        mean, std: of the normalisation `(image / 255 - mean) / std` in the graph.
        input_multiple: height and width of the input are multiples of it.
        opset: version of the ONNX operators.
        precision: 'float32' or 'int8'.
        contrast_channels: D of the input `median`; 0 without it.
    """

    classes: tuple[str, ...]
    config: Config
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_multiple: int
    opset: int
    precision: str = "float32"
    contrast_channels: int = 0

    def median_input(self, median: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """The input `median` (1, D) of the graph; NaN where each image has its own."""
        if median is None:
            return np.full((1, self.contrast_channels), np.nan, dtype=np.float32)
        return median[None].astype(np.float32)

    def to_properties(self) -> dict[str, str]:
        """The metadata as ONNX keeps it: names and texts, here JSON."""
        preprocessing = {
            "input": f"{INPUT}: (B, 3, H, W) uint8, RGB",
            "resize": f"long side to {self.config.data.image_size} times a scale of the prediction, antialiased "
            f"bilinear, both sides rounded to a multiple of {self.input_multiple}",
            "in_graph": "(image / 255 - mean) / std",
            "mean": list(self.mean),
            "std": list(self.std),
            "input_multiple": self.input_multiple,
            "contrast_channels": self.contrast_channels,
        }
        values: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "classes": list(self.classes),
            "preprocessing": preprocessing,
            "prediction": self.config.prediction.model_dump(mode="json"),
            "config": self.config.model_dump(mode="json"),
            "opset": self.opset,
            "precision": self.precision,
        }
        return {_PREFIX + name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], *, source: str) -> Metadata:
        """Read the metadata of the file `source`.

        Raises:
            WeightsError: the file is not from tag2mask, or damaged.
            ConfigError: it is from a newer version.
        """
        if _PREFIX + "format_version" not in properties:
            raise WeightsError(f"{source}: this ONNX file is not from tag2mask; write one with `tag2mask export-model`")
        try:
            values = {name: json.loads(properties[_PREFIX + name]) for name in _NAMES}
            if values["format_version"] not in range(1, FORMAT_VERSION + 1):
                raise ConfigError(
                    f"{source}: format {values['format_version']}, this version reads up to {FORMAT_VERSION}; "
                    "update tag2mask"
                )
            preprocessing = values["preprocessing"]
            return cls(
                classes=tuple(str(name) for name in values["classes"]),
                config=parse_stored_config(values["config"], source=source),
                mean=tuple(float(value) for value in preprocessing["mean"]),
                std=tuple(float(value) for value in preprocessing["std"]),
                input_multiple=int(preprocessing.get("input_multiple", _VERSION_1_MULTIPLE)),
                opset=int(values["opset"]),
                precision=str(values["precision"]),
                contrast_channels=int(preprocessing.get("contrast_channels", 0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"{source}: its metadata is damaged ({error}); export the network again") from None
