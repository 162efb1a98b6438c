"""Label Studio's run-length encoding of brush strokes: a stream of bits, most significant first.

The stream, of the library rle-pack (https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack):

| bits | meaning |
|---|---|
| 32 | number of values N |
| 5 | bits of a value, minus 1: here 8 bits |
| 4 x 4 | bits of a length in each of four sizes, minus 1: here 3, 4, 8 and 16 bits |
| then, until N values are there | |
| 1 | 1: one value, repeated; 0: that many different values follow (not used here) |
| 2 | which of the four sizes |
| 3, 4, 8 or 16 | length minus 1 |
| 8 | the value |

The values are those of an RGBA image, row by row: 255 in all four channels where the brush was.

Our own, not that of label-studio-sdk (`label_studio_sdk.converter.brush`): the SDK pulls in pandas, nltk, lxml and many
more packages, and encodes bit by bit in Python. The tests compare with its decoder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tag2mask.masks.run_lengths import run_lengths

_SIZES = np.array([3, 4, 8, 16])
_LONGEST = 1 << 16
_HEADER = np.array([7, *(_SIZES - 1)])
_HEADER_BITS = np.array([5, 4, 4, 4, 4])


def brush_rle(region: NDArray[np.bool_]) -> list[int]:
    """Encode a (H, W) region as Label Studio's `rle`: bytes as a list of numbers.

    Raises:
        ValueError: more than 2**30 - 1 pixels, which its 32 bits cannot count.
    """
    if region.size * 4 >= 1 << 32:
        raise ValueError(f"a region of {region.shape} has more pixels than Label Studio's encoding can count")
    lengths = 4 * run_lengths(region.ravel())
    values = 255 * (np.arange(len(lengths)) % 2)
    pieces = -(-lengths // _LONGEST)  # a longer run is written as several; an empty one not at all
    values = np.repeat(values, pieces)
    last = np.cumsum(pieces)[pieces > 0] - 1
    cut = np.full(len(values), _LONGEST)
    cut[last] = (lengths - (pieces - 1) * _LONGEST)[pieces > 0]
    size = np.searchsorted(1 << _SIZES, cut)
    words = (((0b100 | size) << _SIZES[size] | (cut - 1)) << 8) | values
    widths = 3 + _SIZES[size] + 8
    bits = [_bits(np.array([4 * region.size]), np.array([32])), _bits(_HEADER, _HEADER_BITS), _bits(words, widths)]
    encoded: list[int] = np.packbits(np.concatenate(bits)).tolist()
    return encoded


def _bits(words: NDArray[np.int64], widths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The lowest `widths` bits of each word, one after the other, most significant first."""
    ends = np.cumsum(widths)
    shifts = np.repeat(ends, widths) - np.arange(int(ends[-1])) - 1
    return (np.repeat(words, widths) >> shifts & 1).astype(np.uint8)


class BrushError(ValueError):
    """A brush stroke that cannot be decoded; the message says why."""


def brush_region(rle: object, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode Label Studio's `rle` from a sender that need not be trusted.

    Label Studio's page also writes stretches of different values, which `brush_rle` does not.

    Args:
        rle: bytes as a list of numbers.
        size: (H, W) of the image.

    Returns:
        (H, W) bool: true where the brush covers at least half of the pixel (alpha above 127).

    Raises:
        BrushError: this is no such stream, or it is of another size.
    """
    if not isinstance(rle, list) or not all(type(byte) is int and 0 <= byte <= 255 for byte in rle):
        raise BrushError("`rle` is not a list of bytes")
    count = 4 * size[0] * size[1]
    stream = _Bits(bytes(rle))
    total, width = stream.read(32), stream.read(5) + 1
    if total != count:
        raise BrushError(
            f"`rle` holds {total} values instead of {count}, four for each of {size[1]} x {size[0]} pixels"
        )
    if width != 8:
        raise BrushError(f"`rle` has values of {width} bits; expected 8")
    widths = [stream.read(4) + 1 for _ in range(4)]
    values = np.zeros(count, np.uint8)
    done = 0
    while done < count:
        repeated, length = stream.read(1), stream.read(widths[stream.read(2)]) + 1
        if length > count - done:
            raise BrushError("`rle` holds more values than it says")
        if repeated:
            values[done : done + length] = stream.read(8)
        else:
            values[done : done + length] = stream.read_bytes(length)
        done += length
    region: NDArray[np.bool_] = values[3::4].reshape(size) > 127
    return region


class _Bits:
    """Reads numbers of up to 32 bits, most significant bit first."""

    def __init__(self, data: bytes) -> None:
        self._data = data + bytes(8)
        self._end = 8 * len(data)
        self._at = 0

    def read(self, width: int) -> int:
        """The next number.

        Raises:
            BrushError: the stream ends before.
        """
        start = self._at
        self._at += width
        if self._at > self._end:
            raise BrushError("`rle` is cut off")
        byte, bit = divmod(start, 8)
        return int.from_bytes(self._data[byte : byte + 8], "big") >> (64 - bit - width) & ((1 << width) - 1)

    def read_bytes(self, count: int) -> NDArray[np.uint8]:
        """The next `count` numbers of 8 bits, which need not begin with a byte of the stream."""
        byte, bit = divmod(self._at, 8)
        self._at += 8 * count
        if self._at > self._end:
            raise BrushError("`rle` is cut off")
        pair = np.frombuffer(self._data, np.uint8, count + 1, byte).astype(np.uint16)
        return ((pair[:-1] << bit | pair[1:] >> (8 - bit)) & 255).astype(np.uint8)
