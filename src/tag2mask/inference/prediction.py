"""What every predictor shares, without torch: what goes in, what comes out, and the dense CRF at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import Config, PredictionConfig
from tag2mask.core.errors import DataError
from tag2mask.core.machine import usable_cores
from tag2mask.images.decode import scaled_size
from tag2mask.method.blocks import crf_size, mask_at
from tag2mask.method.refine import refine
from tag2mask.method.uncertainty import NO_DOUBT, Doubt, tag_doubt, with_missing


class Request(NamedTuple):
    """A photograph to segment.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        tags: names of the classes that are present; None lets the recognition stream decide on all.
        maybe: beside `tags`, names of which nothing is known; the recognition stream decides.
    """

    image: NDArray[np.uint8]
    tags: Iterable[str] | None = None
    maybe: Iterable[str] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result for one photograph.

    Attributes:
        mask: (H, W) uint8 class indices at the photograph's size, 0 background.
        probs: (C + 1, H, W) float32, summing to 1 over the first axis; of a photograph with more than
            `tag2mask.method.blocks.CRF_PIXELS` on a coarser grid (h, w) of about so many.
        tag_probs: (C,) float32, the recognition stream's probability of each class.
        doubt: how uncertain the mask is.
    """

    mask: NDArray[np.uint8]
    probs: NDArray[np.float32]
    tag_probs: NDArray[np.float32]
    doubt: Doubt = NO_DOUBT


class Scores(NamedTuple):
    """What comes before the dense CRF.

    Attributes:
        probs: gated pixel probabilities (C + 1, H, W), summing to 1 over the first axis.
        tag_probs: (C,) probability of each class.
        doubt: how uncertain they are.
    """

    probs: NDArray[np.float32]
    tag_probs: NDArray[np.float32]
    doubt: Doubt = NO_DOUBT


class MaskMaker(ABC):
    """What turns photographs into masks: the trained network, on torch or on ONNX Runtime.

    Attributes:
        classes: names, without background; class index k is `classes[k - 1]`.
        config: the configuration of its run.
    """

    classes: tuple[str, ...]
    config: Config

    @abstractmethod
    def score(
        self, request: Request, *, settings: PredictionConfig | None = None, size: tuple[int, int] | None = None
    ) -> Scores:
        """Scores before the dense CRF.

        Args:
            request: the photograph.
            settings: None takes those of the run.
            size: (H, W) of the result; None: the photograph's.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Digest of weights and settings: masks with the same one come from the same network."""

    def predict(
        self,
        image: NDArray[np.uint8],
        tags: Iterable[str] | None = None,
        *,
        maybe: Iterable[str] = (),
        settings: PredictionConfig | None = None,
    ) -> Prediction:
        """Segment one photograph.

        Args:
            image: (H, W, 3) uint8 RGB.
            tags: names of the classes that are present; None lets the recognition stream decide.
            maybe: beside `tags`, names of which nothing is known.
            settings: gate, scales and CRF; None takes those of the run.

        Raises:
            DataError: unknown tag, or no RGB image.
        """
        settings = settings or self.config.prediction
        return self._begin(Request(image, tags, maybe), settings)()

    def predict_many(
        self,
        requests: Iterable[Request],
        *,
        settings: PredictionConfig | None = None,
        threads: int | None = None,
    ) -> Iterator[Prediction]:
        """Segment many photographs in order; the CRF of one runs beside the network of the next."""
        settings = settings or self.config.prediction
        threads = threads or min(8, usable_cores())
        with ThreadPoolExecutor(threads) as pool:
            pending: deque[Future[Prediction]] = deque()
            for request in requests:
                pending.append(pool.submit(self._begin(request, settings)))
                while len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _begin(self, request: Request, settings: PredictionConfig) -> Callable[[], Prediction]:
        """Run the network; what is left, the CRF above all, is for any thread."""
        check_image(request.image)
        size = crf_size(request.image.shape[:2], self._seen(request.image, settings)) if settings.tile else None
        return partial(self._finish, request, self.score(request, settings=settings, size=size), settings)

    def _seen(self, image: NDArray[np.uint8], settings: PredictionConfig) -> tuple[int, int]:
        """Size (H, W) at which the network sees an image at scale 1."""
        shape = (image.shape[0], image.shape[1])
        return scaled_size(shape, seen_side(shape, settings, self.config))

    def _finish(self, request: Request, scores: Scores, settings: PredictionConfig) -> Prediction:
        image = request.image
        shape = (image.shape[0], image.shape[1])
        size = (scores.probs.shape[1], scores.probs.shape[2])
        if size != shape:
            image = np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
        scale = max(size) / seen_side(shape, settings, self.config)
        marginals = refine([image], [scores.probs], settings.crf, pixel_scale=scale)[0]
        mask = mask_at(marginals, shape)
        return Prediction(mask, marginals, scores.tag_probs, self._with_missing(scores.doubt, mask, request))

    def _with_missing(self, doubt: Doubt, mask: NDArray[np.uint8], request: Request) -> Doubt:
        return with_missing(doubt, mask, [self.classes.index(name) + 1 for name in request.tags or ()])

    def _tag_doubt(self, tag_probs: NDArray[np.float32], request: Request) -> float:
        """How much the recognition stream contradicts a request's tags."""
        present = None if request.tags is None else self._which(request.tags)
        return tag_doubt(tag_probs, present, self._which(request.maybe))

    def _which(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """Which classes are named, (C,)."""
        named = np.zeros(len(self.classes), dtype=bool)
        for name in names:
            if name not in self.classes:
                raise DataError(f"unknown class '{name}'; this network knows: {', '.join(self.classes)}")
            named[self.classes.index(name)] = True
        return named


def seen_side(shape: tuple[int, int], settings: PredictionConfig, config: Config) -> int:
    """Long side, in pixels, at which the network sees an image (H, W) at scale 1."""
    if settings.image_size is None:
        return config.data.image_size
    return settings.image_size or max(shape)


def check_image(image: NDArray[np.uint8]) -> None:
    """Raise a DataError unless `image` is (H, W, 3) uint8."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise DataError(f"an image must be uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}")
