"""What an ONNX file says of itself: classes, preprocessing and settings, as its metadata.

The graph takes `images` (B, 3, H, W) uint8 RGB, H and W multiples of `MULTIPLE`, and normalises them
itself. It gives `tag_logits` (B, C) and `pixel_logits` (B, C + 1, h, w), and for the stack of class
maps either `cams` (B, C, h, w) with `energy_0`, `energy_1`, ... (B, 1, h_i, w_i), or `contrast_logits`
(B, C, h, w) with `contrast_prior` (B, h, w); neither from a network trained on human masks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tag2mask.config.schema import Config, parse_config
from tag2mask.core.errors import ConfigError, WeightsError

FORMAT_VERSION = 1
INPUT = "images"
MULTIPLE = 32
_PREFIX = "tag2mask."


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of one file.

    Attributes:
        classes: names, without background.
        config: the configuration of the run.
        mean, std: of the normalisation `(image / 255 - mean) / std` in the graph.
        opset: version of the ONNX operators.
        precision: 'float32' or 'int8'.
    """

    classes: tuple[str, ...]
    config: Config
    mean: tuple[float, ...]
    std: tuple[float, ...]
    opset: int
    precision: str = "float32"

    def to_properties(self) -> dict[str, str]:
        """The metadata as ONNX keeps it: names and texts, here JSON."""
        preprocessing = {
            "input": f"{INPUT}: (B, 3, H, W) uint8, RGB",
            "resize": f"long side to {self.config.data.image_size} times a scale of the prediction, antialiased "
            f"bilinear, both sides rounded to a multiple of {MULTIPLE}",
            "in_graph": "(image / 255 - mean) / std",
            "mean": list(self.mean),
            "std": list(self.std),
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
            WeightsError: the file is not from `tag2mask export-model`, or damaged.
            ConfigError: it is from a newer version.
        """
        if _PREFIX + "format_version" not in properties:
            raise WeightsError(f"{source}: this ONNX file is not from tag2mask; write one with `tag2mask export-model`")
        try:
            values = {name: json.loads(properties[_PREFIX + name]) for name in _names()}
            if values["format_version"] != FORMAT_VERSION:
                raise ConfigError(
                    f"{source}: format {values['format_version']}, this version reads {FORMAT_VERSION}; update tag2mask"
                )
            preprocessing = values["preprocessing"]
            return cls(
                classes=tuple(str(name) for name in values["classes"]),
                config=parse_config(values["config"], source=source),
                mean=tuple(float(value) for value in preprocessing["mean"]),
                std=tuple(float(value) for value in preprocessing["std"]),
                opset=int(values["opset"]),
                precision=str(values["precision"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"{source}: its metadata is damaged ({error}); export the network again") from None


def _names() -> tuple[str, ...]:
    return ("format_version", "classes", "preprocessing", "config", "opset", "precision")
