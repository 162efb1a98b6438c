"""From a request to a response: receive the image within limits, queue it, wait for its mask."""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import HTTPException, Request

from tag2mask.core.errors import DataError
from tag2mask.deploy.serving.limits import Limits
from tag2mask.deploy.serving.pace import Pace
from tag2mask.deploy.serving.pool import BoundedPool, OverloadedError
from tag2mask.deploy.serving.responses import MaskRequest, MaskResponse, checked_pixels, respond
from tag2mask.images.decode import TooManyPixelsError
from tag2mask.inference import Segmenter
from tag2mask.inference.memory import memory_bound

_SLOW_BYTES_A_SECOND = 10_000
_YOUNG_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class _Upload:
    timeout: asyncio.Timeout
    started: float = field(default_factory=time.monotonic)
    count: int = 0
    replaced: bool = False

    def rate(self, now: float) -> float:
        """Bytes a second."""
        return self.count / max(1e-3, now - self.started)


class Uploads:
    """What is being received; at most so many at once, so that their files on the disk are bounded."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._open: set[_Upload] = set()

    async def receive(self, request: Request, path: Path) -> None:
        """Write the body of a request to a file as it arrives.

        Raises:
            HTTPException: 408 if it is too slow, 413 if it is too large, 503 if too many others are received.
        """
        most = self._limits.max_bytes
        too_large = HTTPException(413, f"the upload has more than {most:,} bytes")
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > most:
            raise too_large
        async with self._place() as upload:
            with path.open("wb") as file:
                async for chunk in request.stream():
                    upload.count += len(chunk)
                    if upload.count > most:
                        raise too_large
                    file.write(chunk)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[_Upload]:
        """A place among the uploads, for a limited time."""
        if len(self._open) >= self._limits.uploads and not self._end_slowest():
            raise busy("too many images are being received")
        seconds = self._limits.upload_seconds
        upload: _Upload | None = None
        try:
            async with asyncio.timeout(seconds) as timeout:
                upload = _Upload(timeout)
                self._open.add(upload)
                yield upload
        except TimeoutError:
            if upload is not None and upload.replaced:
                raise HTTPException(408, "the upload was too slow while others were waiting") from None
            raise HTTPException(408, f"the upload took more than {seconds:g} seconds") from None
        finally:
            if upload is not None:
                self._open.discard(upload)

    def _end_slowest(self) -> bool:
        """Make place by ending the slowest upload; False if none is slow."""
        now = time.monotonic()
        older = [one for one in self._open if now - one.started >= _YOUNG_SECONDS]
        slowest = min(older, key=lambda one: one.rate(now), default=None)
        if slowest is None or slowest.rate(now) >= _SLOW_BYTES_A_SECOND:
            return False
        slowest.replaced = True
        slowest.timeout.reschedule(asyncio.get_running_loop().time())
        self._open.discard(slowest)
        return True


@dataclass(frozen=True, slots=True)
class Desk:
    """What a server segments uploads with.

    Attributes:
        segmenter: the network.
        limits: of the server.
        pool: of its workers.
        pace: of its workers.
        uploads: what is being received.
        folder: for the files of uploads; None: the system's.
        max_memory: bytes for the network and one image; None: no bound beside that on pixels.
    """

    segmenter: Segmenter
    limits: Limits
    pool: BoundedPool
    pace: Pace
    uploads: Uploads
    folder: Path | None = None
    max_memory: int | None = None

    async def segment(self, request: Request, wanted: MaskRequest) -> MaskResponse:
        """Segment the image in the body of a request.

        Raises:
            HTTPException: with the status of what went wrong.
        """
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if not kind.startswith("image/") and kind != "application/octet-stream":
            raise HTTPException(
                415, f"the content type is '{kind}'; send the bytes of the image as image/jpeg, image/png, ..."
            )
        if self.pool.full:  # before the upload, which would be in vain
            raise self._queue_is_full()
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            upload = Path(folder) / "image"
            await self.uploads.receive(request, upload)
            try:
                pixels = await asyncio.to_thread(checked_pixels, upload, self.limits.max_pixels, self._fits)
                return await self._answer(upload, pixels, wanted)
            except TooManyPixelsError as error:
                raise HTTPException(413, str(error)) from None
            except DataError as error:
                raise HTTPException(422, str(error)) from None

    async def _answer(self, upload: Path, pixels: int, wanted: MaskRequest) -> MaskResponse:
        seconds = self.limits.seconds
        expected = self.pace.seconds_until_done(pixels)
        if expected is not None and expected > seconds:
            reason = f"the images that wait leave no time: an answer would take about {expected:.0f} s of {seconds:g} s"
            raise busy(reason, math.ceil(expected - seconds))
        try:
            future = self.pool.submit(self._timed, upload, pixels, wanted)
        except OverloadedError:
            raise self._queue_is_full() from None
        self.pace.enter(pixels)
        future.add_done_callback(lambda _: self.pace.leave(pixels))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        except TimeoutError:
            raise busy(f"no answer within {seconds:g} seconds", self._after()) from None
        except asyncio.CancelledError:
            if future.cancelled():
                raise busy("the server is closing") from None
            raise

    def _timed(self, upload: Path, pixels: int, wanted: MaskRequest) -> MaskResponse:
        """Segment, and learn from it how long that takes; runs in a worker."""
        started = time.monotonic()
        response = respond(self.segmenter, upload, wanted, max_memory=self.max_memory)
        self.pace.learn(pixels, time.monotonic() - started)
        return response

    def _fits(self, shape: tuple[int, int]) -> None:
        """Refuse an image that `max_memory` cannot hold; raises `DataError`."""
        if self.max_memory is not None:
            bound = memory_bound(self.segmenter.backend, self.segmenter.config.prediction, self.max_memory)
            bound.check(shape, len(self.segmenter.classes) + 1)

    def _after(self) -> int:
        return self.pace.seconds_until_place()

    def _queue_is_full(self) -> HTTPException:
        return busy("too many images are waiting", self._after())


def busy(reason: str, after: int = 1) -> HTTPException:
    """503, with the seconds after which to try again."""
    return HTTPException(503, reason, headers={"Retry-After": str(max(1, after))})
