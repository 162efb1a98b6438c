"""From a request to a response: receive the image within limits, queue it, wait for its mask."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from fastapi import HTTPException, Request

from tag2mask.core.errors import DataError
from tag2mask.deploy.serving.limits import Limits
from tag2mask.deploy.serving.pool import BoundedPool, OverloadedError
from tag2mask.deploy.serving.responses import MaskRequest, MaskResponse, TooLargeError, respond
from tag2mask.inference import Segmenter


async def segment_upload(
    request: Request, wanted: MaskRequest, segmenter: Segmenter, pool: BoundedPool, limits: Limits
) -> MaskResponse:
    """Segment the image in the body of a request.

    Raises:
        HTTPException: with the status of what went wrong.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise HTTPException(
            415, f"the content type is '{kind}'; send the bytes of the image as image/jpeg, image/png, ..."
        )
    if pool.full:  # before the upload, which would be in vain
        raise _busy("too many images are waiting")
    with tempfile.TemporaryDirectory(prefix="tag2mask-") as folder:
        upload = Path(folder) / "image"
        await _receive(request, upload, limits)
        try:
            future = pool.submit(respond, segmenter, upload, wanted, max_pixels=limits.max_pixels)
        except OverloadedError:
            raise _busy("too many images are waiting") from None
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), limits.seconds)
        except TimeoutError:
            raise _busy(f"no answer within {limits.seconds:g} seconds") from None
        except asyncio.CancelledError:
            if future.cancelled():
                raise _busy("the server is closing") from None
            raise
        except TooLargeError as error:
            raise HTTPException(413, str(error)) from None
        except DataError as error:
            raise HTTPException(422, str(error)) from None


async def _receive(request: Request, upload: Path, limits: Limits) -> None:
    """Write the body to a file as it arrives, within the limits."""
    too_large = HTTPException(413, f"the upload has more than {limits.max_bytes:,} bytes")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limits.max_bytes:
        raise too_large
    count = 0
    try:
        async with asyncio.timeout(limits.upload_seconds):
            with upload.open("wb") as file:
                async for chunk in request.stream():
                    count += len(chunk)
                    if count > limits.max_bytes:
                        raise too_large
                    file.write(chunk)
    except TimeoutError:
        raise HTTPException(408, f"the upload took more than {limits.upload_seconds:g} seconds") from None


def _busy(reason: str) -> HTTPException:
    return HTTPException(503, reason, headers={"Retry-After": "1"})
