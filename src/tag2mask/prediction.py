"""What every predictor shares, without torch: what goes in, what comes out, and the dense CRF at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tag2mask.config import Config, PredictionConfig
from tag2mask.errors import DataError
from tag2mask.machine import usable_cores
from tag2mask.refining import refine, to_mask


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
        probs: (C + 1, H, W) float32, summing to 1 over the first axis.
        tag_probs: (C,) float32, the recognition stream's probability of each class.
    """

    mask: NDArray[np.uint8]
    probs: NDArray[np.float32]
    tag_probs: NDArray[np.float32]


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
        self, request: Request, *, settings: PredictionConfig | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores before the dense CRF: gated pixel probabilities (C + 1, H, W) and tag probabilities (C,)."""

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
        probs, tag_probs = self.score(Request(image, tags, maybe), settings=settings)
        return self._finish(image, probs, tag_probs, settings)

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
                probs, tag_probs = self.score(request, settings=settings)
                pending.append(pool.submit(self._finish, request.image, probs, tag_probs, settings))
                while len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _finish(
        self,
        image: NDArray[np.uint8],
        probs: NDArray[np.float32],
        tag_probs: NDArray[np.float32],
        settings: PredictionConfig,
    ) -> Prediction:
        scale = max(image.shape[:2]) / self.config.data.image_size
        marginals = refine([image], [probs], settings.crf, pixel_scale=scale)[0]
        return Prediction(to_mask(marginals), marginals, tag_probs)


def check_image(image: NDArray[np.uint8]) -> None:
    """Raise a DataError unless `image` is (H, W, 3) uint8."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise DataError(f"an image must be uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}")
