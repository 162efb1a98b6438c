"""What a person is about to ask for, computed ahead: the network, and what a changed setting needs of an image."""

from __future__ import annotations

import logging
import threading

import numpy as np

from tag2mask.core.errors import Tag2MaskError
from tag2mask.core.machine import give_way
from tag2mask.studio.masks_of import MasksOf, Network, NoNetworkError
from tag2mask.studio.segmenting import OpenImage
from tag2mask.studio.superpixels import superpixels

_NICENESS = 5  # requests that wait are answered first
_SMALL = (32, 48, 3)  # an image that is large enough to compile what is compiled at first use

_log = logging.getLogger(__name__)


class Preparing:
    """Computes in the background, the newest wish first; older ones are forgotten. Threads may share it."""

    def __init__(self, masks: MasksOf):
        self.masks = masks
        self._news = threading.Condition()
        self._wanted: list[str | None] = []
        self._is_closed = self._is_busy = False
        self._is_warm = False
        self._thread: threading.Thread | None = None

    def network(self) -> None:
        """Load the network of the chosen run, if there is one."""
        self._want(None)

    def image(self, name: str) -> None:
        """Compute the evidence of an image, so that after a changed setting only the CRF runs."""
        self._want(name)

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is left to do; whether that is so."""
        with self._news:
            return self._news.wait_for(lambda: not self._wanted and not self._is_busy, seconds)

    def close(self) -> None:
        """End, behind what is in work."""
        with self._news:
            self._is_closed = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join(10)

    def _want(self, name: str | None) -> None:
        with self._news:
            if self._is_closed:
                return
            self._wanted = [name]
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="preparing", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def _work(self) -> None:
        give_way(_NICENESS)
        while True:
            with self._news:
                self._is_busy = False
                self._news.notify_all()
                self._news.wait_for(lambda: self._wanted or self._is_closed)
                if self._is_closed:
                    return
                name = self._wanted.pop()
                self._is_busy = True
            try:
                self._prepare(name)
            except NoNetworkError:
                pass
            except Tag2MaskError as error:  # whoever asks for it hears of it
                _log.debug("not prepared: %s", error)
            except Exception:
                _log.exception("computing ahead failed")

    def _prepare(self, name: str | None) -> None:
        network = self.masks.network()
        if not self._is_warm:
            self._warm(network)
        if name is not None and self.masks.project.find(name) is not None:
            choice = self.masks.usual_choice(name, network)
            network.segmenting.tag_probs(self.masks.image(name), choice)

    def _warm(self, network: Network) -> None:
        """Use everything once, so that the first person does not wait for what is compiled at first use."""
        pixels = np.random.default_rng(0).integers(0, 256, _SMALL).astype(np.uint8)
        network.segmenting.predict(OpenImage("", "", pixels), network.segmenting.usual(None))
        superpixels(pixels, 4)
        self._is_warm = True
