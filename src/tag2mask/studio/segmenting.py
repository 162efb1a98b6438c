"""A loaded network that answers again and again about the same images: what does not change is computed once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import CrfConfig, PredictionConfig
from tag2mask.drawing import heatmap
from tag2mask.images.decode import read_image
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference import Segmenter
from tag2mask.inference.prediction import Prediction
from tag2mask.method.evidence import Evidence
from tag2mask.studio.recent import Recent

_REMEMBERED = 24  # evidence of images
_REMEMBERED_STEPS = 8
_MOST_BYTES = 256 << 20  # of each kind

Drawing = tuple[NDArray[np.uint8], str]
"""A drawing (H, W, 3) uint8 RGB and its caption."""


class OpenImage(NamedTuple):
    """An image that was opened.

    Attributes:
        key: stands for its pixels.
        name: of its file, or in the dataset.
        pixels: (H, W, 3) uint8 RGB.
    """

    key: str
    name: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person has chosen.

    Attributes:
        tags: names of the classes that are present; None: the network decides.
        gate: as `prediction.gate`.
        crf: as `prediction.crf`.
        unknown: beside `tags`, classes of which nothing is known: the network decides on these.
    """

    tags: tuple[str, ...] | None
    gate: float
    crf: CrfConfig
    unknown: tuple[str, ...] = ()


def open_image(path: Path, *, side: int, name: str | None = None) -> OpenImage:
    """Read an image, scaled to a long side of at most `side` pixels.

    Raises:
        DataError: it is no image, damaged or too large.
    """
    pixels = read_image(path)
    shape = (pixels.shape[0], pixels.shape[1])
    if max(shape) > side:
        pixels = resize_image(pixels, scaled_size(shape, side)).copy()  # writable, as every other image
    key = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    return OpenImage(key, name or path.name, pixels)


class Segmenting:
    """A network with the evidence of the images that were asked for last; threads may share it.

    Attributes:
        segmenter: the network.
        classes: names, without background.
    """

    def __init__(self, segmenter: Segmenter):
        self.segmenter = segmenter
        self.classes = segmenter.classes
        self._network = threading.Lock()  # one image at a time: several are no faster, and take more memory
        self._evidence: Recent[tuple[object, ...], Evidence] = Recent(
            _REMEMBERED, most_bytes=_MOST_BYTES, bytes_of=_evidence_bytes
        )
        self._before: Recent[tuple[object, ...], NDArray[np.uint8]] = Recent(
            _REMEMBERED, most_bytes=_MOST_BYTES, bytes_of=lambda mask: mask.nbytes
        )
        self._steps: Recent[tuple[object, ...], tuple[Drawing, ...]] = Recent(
            _REMEMBERED_STEPS,
            most_bytes=_MOST_BYTES,
            bytes_of=lambda steps: sum(drawing.nbytes for drawing, _ in steps),
        )
        self._maps: Recent[tuple[object, ...], NDArray[np.uint8]] = Recent(
            _REMEMBERED, most_bytes=_MOST_BYTES, bytes_of=lambda values: values.nbytes
        )

    def usual(self, tags: tuple[str, ...] | None, unknown: tuple[str, ...] = ()) -> Choice:
        """The choice of the run's own settings."""
        settings = self.segmenter.config.prediction
        return Choice(tags, settings.gate, settings.crf, unknown)

    def predict(self, image: OpenImage, choice: Choice) -> Prediction:
        """What `Segmenter.predict` gives; only the CRF is run every time."""
        settings = self._settings(choice)
        return self.segmenter.finish(image.pixels, self._of(image, choice), choice.tags, settings=settings)

    def without_crf(self, image: OpenImage, choice: Choice) -> NDArray[np.uint8]:
        """The mask (H, W) before the dense CRF."""
        off = self._settings(choice).model_copy(update={"crf": choice.crf.model_copy(update={"enabled": False})})
        return self._before.get_or_compute(
            _key(image, choice),
            lambda: self.segmenter.finish(image.pixels, self._of(image, choice), choice.tags, settings=off).mask,
        )

    def steps(self, image: OpenImage, tags: tuple[str, ...], probs: Mapping[str, float]) -> tuple[Drawing, ...]:
        """Drawings of the class map of each tag, the foreground prior and background.

        Args:
            image: the image.
            tags: names of classes.
            probs: what the tag classifier says of each class, by name, for captions.
        """
        captions = tuple(f"class map: {name} (tag probability {probs[name]:.0%})" for name in tags)
        return self._steps.get_or_compute((image.key, captions), lambda: self._draw_steps(image, tags, captions))

    def class_map(self, image: OpenImage, name: str) -> NDArray[np.uint8]:
        """The class map (H, W) of a class, 0 to 255 for 0 to 1."""

        def compute() -> NDArray[np.uint8]:
            with self._network:
                steps, _ = self.segmenter.steps(image.pixels, (name,))
            values: NDArray[np.uint8] = np.round(steps.maps[0].clip(0, 1) * 255).astype(np.uint8)
            return values

        return self._maps.get_or_compute((image.key, name), compute)

    def tag_probs(self, image: OpenImage, choice: Choice) -> NDArray[np.float32]:
        """What the tag classifier says of each class, (C,) in [0, 1]."""
        return self._of(image, choice).tag_probs

    def _of(self, image: OpenImage, choice: Choice) -> Evidence:
        def compute() -> Evidence:
            with self._network:
                return self.segmenter.evidence(
                    image.pixels, choice.tags, unknown=choice.unknown or None, settings=self._settings(choice)
                )

        return self._evidence.get_or_compute(_key(image, choice), compute)

    def _settings(self, choice: Choice) -> PredictionConfig:
        return self.segmenter.config.prediction.model_copy(update={"gate": choice.gate, "crf": choice.crf})

    def _draw_steps(self, image: OpenImage, tags: tuple[str, ...], captions: tuple[str, ...]) -> tuple[Drawing, ...]:
        with self._network:
            steps, positions = self.segmenter.steps(image.pixels, tags)
        return (
            *(
                (heatmap(image.pixels, values), captions[tags.index(self.classes[position])])
                for values, position in zip(steps.maps, positions, strict=True)
            ),
            (heatmap(image.pixels, steps.prior), "foreground prior"),
            (heatmap(image.pixels, steps.background), "background"),
        )


def _key(image: OpenImage, choice: Choice) -> tuple[object, ...]:
    """What the evidence of an image depends on."""
    return image.key, choice.tags, choice.unknown, choice.gate


def _evidence_bytes(evidence: Evidence) -> int:
    return evidence.pixel_logits.nbytes + (0 if evidence.scores is None else evidence.scores.nbytes)
