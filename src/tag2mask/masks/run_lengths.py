"""The run-length codec of masks: COCO's counts, runs of class indices, and the lengths other encodings start from.

Our own NumPy, not pycocotools, for these reasons (pycocotools 2.0.11; the tests compare with it):

- It is not faster.
- It encodes to compressed text only. Files, tables and answers here hold lists of numbers, which every reader knows.
- It trusts its input. Text that is cut off is read beyond its end, and counts that cover too few pixels leave
  uninitialised memory in the mask. Checking them takes the lengths, and with these the mask is one `np.repeat`.
- Its `decode` raises a DeprecationWarning with NumPy 2.
- It counts column by column only; CVAT, Label Studio and the studio's brush count row by row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LONGEST_COUNT = 7
"""Characters of a compressed count: 5 bits each, for 32 bits and a sign."""


class RunLengthError(ValueError):
    """Run lengths that do not describe a mask; the message says why."""


def run_lengths(values: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Lengths of the runs of equal values.

    Args:
        values: (N,) bool, N > 0.

    Returns:
        int64, false first: where the first value is true, the first length is 0. They sum to N.

    >>> run_lengths(np.array([True, True, False])).tolist()
    [0, 2, 1]
    """
    starts = _run_starts(values)
    lengths = np.diff(starts, append=values.size)
    return np.concatenate([[0], lengths]) if values[0] else lengths


def coco_counts(region: NDArray[np.bool_]) -> list[int]:
    """Uncompressed `counts` of COCO: lengths of runs column by column, false first.

    Args:
        region: (H, W) bool, H, W > 0.
    """
    counts: list[int] = run_lengths(region.ravel(order="F")).tolist()
    return counts


def coco_region(counts: object, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode `counts` of COCO, a list of numbers or compressed text, from a file that need not be trusted.

    Args:
        counts: lengths of runs column by column, false first.
        size: (H, W) of the image.

    Returns:
        (H, W) bool.

    Raises:
        RunLengthError: the counts are damaged, or do not cover the image exactly.
    """
    pixels = size[0] * size[1]
    if isinstance(counts, str):
        lengths = _uncompressed(counts)
    elif isinstance(counts, list) and all(type(count) is int and 0 <= count <= pixels for count in counts):
        lengths = np.array(counts, dtype=np.int64)
    else:
        raise RunLengthError(f"run lengths that are not whole numbers from 0 to {pixels}, the pixels of the image")
    if lengths.size and not (lengths.min() >= 0 and lengths.max() <= pixels):
        raise RunLengthError(f"run lengths that are not from 0 to {pixels}, the pixels of the image")
    if (total := int(lengths.sum())) != pixels:
        raise RunLengthError(f"run lengths that add up to {total} pixels instead of {pixels}")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size, order="F")


def bounding_box(region: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the true pixels of a (H, W) region, which has at least one."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def class_regions(mask: NDArray[np.uint8], count: int) -> list[tuple[int, NDArray[Any]]]:
    """The classes that occur in a mask, in order of index, each with its (H, W) bool region.

    Background and `IGNORE_INDEX` are left out.

    Args:
        mask: uint8 (H, W) class indices.
        count: number of classes without background.
    """
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[1 : count + 1]) + 1
    return [(int(index), mask == index) for index in present]


def _run_starts(values: NDArray[Any]) -> NDArray[np.int64]:
    """Positions in (N,) values, N > 0, at which a run of equal values begins."""
    return np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])


def _uncompressed(text: str) -> NDArray[np.int64]:
    """Lengths of COCO's compressed counts, not yet compared with the image.

    A count is written in characters of 6 bits from code 48 on: 5 bits of the number, the lowest first, and whether more
    follow; the highest bit of the last one is the sign. From the fourth on, a count is written as the difference from
    the one before the last (`rleToString` in https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c).
    """
    try:
        codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        codes = np.array([-1])
    if codes.size == 0:
        return codes
    if codes.min() < 0 or codes.max() > 63:
        raise RunLengthError("compressed run lengths with characters that do not belong there")
    ends = np.flatnonzero(codes < 32)
    if codes[-1] >= 32:
        raise RunLengthError("compressed run lengths that are cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    if sizes.max() > _LONGEST_COUNT:
        raise RunLengthError("compressed run lengths with a number of more than 32 bits")
    places = np.arange(codes.size) - np.repeat(starts, sizes)
    counts = np.add.reduceat((codes & 31) << (5 * places), starts)
    counts -= np.where(codes[ends] & 16, 1 << (5 * sizes), 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts
