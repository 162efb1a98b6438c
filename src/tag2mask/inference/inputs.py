"""Images as people have them in Python: files, PIL images, arrays and tensors, as uint8 RGB arrays."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tag2mask.core.errors import DataError
from tag2mask.images.decode import read_image
from tag2mask.images.reading import AS_STORED, Reading

if TYPE_CHECKING:
    from torch import Tensor

    ImageInput = str | PathLike[str] | Image.Image | NDArray[Any] | Tensor
else:
    ImageInput = Any

_EXPECTED = "expected a file, a PIL image, an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or a tensor (C, H, W)"


def as_rgb(image: ImageInput, reading: Reading = AS_STORED) -> NDArray[np.uint8]:
    """An image as uint8 (H, W, 3) RGB.

    Args:
        image: one of

            - a file: decoded as it is displayed, see `tag2mask.images.decode`;
            - a PIL image: its EXIF orientation is applied, transparency is composited on white;
            - an array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA: uint8; uint16 over 0..65535; bool; or float
              over 0..1;
            - a torch tensor (H, W) or (C, H, W) with C of 1, 3 or 4, of the same types.
        reading: of a file, the bands and the range of values.

    Raises:
        DataError: the file cannot be read, or shape, type or range are none of these.
    """
    if isinstance(image, str | PathLike):
        return read_image(Path(image), reading=reading)
    if isinstance(image, Image.Image):
        return _from_pil(image)
    if isinstance(image, np.ndarray):
        return _from_array(image)
    if type(image).__module__.split(".")[0] in ("torch", "torchvision"):
        values = image.detach().cpu().numpy()  # bfloat16 has no NumPy type: torch says so itself
        return _from_array(values.transpose(1, 2, 0) if values.ndim == 3 else values)
    raise DataError(f"this is no image but a {type(image).__name__}; {_EXPECTED}")


def _from_pil(image: Image.Image) -> NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        return _from_array(np.asarray(upright).astype(np.uint16))
    if upright.mode in ("I", "F"):
        raise DataError(f"a PIL image of mode {upright.mode} does not say what white is; convert it to 8 bits first")
    if upright.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in upright.info:
        return _from_array(np.asarray(upright.convert("RGBA")))
    return np.array(upright.convert("RGB"), dtype=np.uint8)


def _from_array(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or 0 in values.shape:
        raise DataError(f"an array of shape {values.shape} is no image; {_EXPECTED}")
    pixels = _to_uint8(values)
    if pixels.shape[2] == 4:
        alpha = pixels[:, :, 3:].astype(np.float32) / 255
        mixed = pixels[:, :, :3] * alpha + 255 * (1 - alpha)
        pixels = np.rint(mixed).astype(np.uint8)
    elif pixels.shape[2] == 1:
        pixels = pixels.repeat(3, axis=2)
    return np.ascontiguousarray(pixels)


def _to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint16:
        return np.asarray(np.rint(values / 257), dtype=np.uint8)
    if values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):  # also where one is not a number
            raise DataError(f"an image of floats holds values from {low:g} to {high:g}; expected 0 to 1")
        return np.asarray(np.rint(values * 255), dtype=np.uint8)
    raise DataError(f"an image of {values.dtype} does not say what white is; expected uint8, uint16, bool or float")
