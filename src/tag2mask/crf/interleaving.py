"""Transposition between class planes and lanes, 16 points at a time, as shuffles of the vectors of `simd`."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from tag2mask.crf.simd import FLOAT, INT, Vector, operation

_POINTS = 16
_LOW = [lane // 2 + _POINTS * (lane % 2) for lane in range(_POINTS)]
_HIGH = [at + _POINTS // 2 for at in _LOW]
_EVEN = list(range(0, 2 * _POINTS, 2))
_ODD = list(range(1, 2 * _POINTS, 2))


@operation
def interleave(typingctx, like, planes, at, stride, out, to):
    """Write 16 points of as many planes as `like` has lanes to `out[to:]`, the lanes of a point side by side.

    Lane k of point p is `planes[at + k * stride + p]`; arrays are float32, contiguous, without bounds checks.
    """
    if not isinstance(like, Vector) or not isinstance(planes, types.Array):
        return None

    def generate(context, builder, signature, args):
        source = context.make_array(planes)(context, builder, args[1]).data
        target = context.make_array(out)(context, builder, args[4]).data
        rows = []
        for k in range(like.width):
            start = builder.add(args[2], builder.mul(args[3], ir.Constant(ir.IntType(64), k)))
            rows.append(builder.load(_pointer(builder, source, start, 0), align=4))
        for i, row in enumerate(_interleaved(builder, rows)):
            builder.store(row, _pointer(builder, target, args[5], i), align=4)
        return context.get_dummy_value()

    return types.void(like, planes, types.intp, types.intp, out, types.intp), generate


@operation
def separate(typingctx, like, lanes, at, planes, to, stride):
    """The inverse of `interleave`: read 16 points from `lanes[at:]`.

    Lane k of point p is written to `planes[to + k * stride + p]`.
    """
    if not isinstance(like, Vector) or not isinstance(planes, types.Array):
        return None

    def generate(context, builder, signature, args):
        source = context.make_array(lanes)(context, builder, args[1]).data
        target = context.make_array(planes)(context, builder, args[3]).data
        rows = [builder.load(_pointer(builder, source, args[2], i), align=4) for i in range(like.width)]
        for k, row in enumerate(_separated(builder, rows)):
            start = builder.add(args[4], builder.mul(args[5], ir.Constant(ir.IntType(64), k)))
            builder.store(row, _pointer(builder, target, start, 0), align=4)
        return context.get_dummy_value()

    return types.void(like, lanes, types.intp, planes, types.intp, types.intp), generate


def _pointer(builder: Any, data: Any, start: Any, row: int) -> Any:
    index = builder.add(start, ir.Constant(ir.IntType(64), _POINTS * row))
    return builder.bitcast(builder.gep(data, [index]), ir.PointerType(ir.VectorType(FLOAT, _POINTS)))


def _shuffled(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT, _POINTS), lanes))


def _interleaved(builder: Any, rows: list[Any]) -> list[Any]:
    """The rows' entries in turn: the first of each row, then the second of each, and so on."""
    if len(rows) == 1:
        return rows
    pairs = zip(_interleaved(builder, rows[::2]), _interleaved(builder, rows[1::2]), strict=True)
    return [_shuffled(builder, a, b, lanes) for a, b in pairs for lanes in (_LOW, _HIGH)]


def _separated(builder: Any, rows: list[Any]) -> list[Any]:
    """The inverse of `_interleaved`."""
    if len(rows) == 1:
        return rows
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    even, odd = ([_shuffled(builder, a, b, lanes) for a, b in pairs] for lanes in (_EVEN, _ODD))
    out: list[Any] = [None] * len(rows)
    out[::2], out[1::2] = _separated(builder, even), _separated(builder, odd)
    return out
