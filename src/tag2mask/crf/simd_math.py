"""Exponential, logarithm, and sums and maxima over lanes of the vectors of `simd`."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from tag2mask.crf.simd import INT, Vector, call, constant, operation, spread

LOG2_E = 1.4426950408889634
ROUNDER = 12582912.0
"""1.5 * 2**23: adding it to a float32 rounds to an integer, which is then in the lowest bits."""
EXP2 = (
    1.0000000716561737,
    0.6931469670603282,
    0.2402211971640251,
    0.05550713277125102,
    0.00967554173933258,
    0.0013276471962991435,
)
"""Coefficients of a polynomial for 2**f, |f| <= 1/2 (minimax in the relative error)."""
LOG = (
    1.000000000666289,
    -0.4999998832411634,
    0.3333330239631331,
    -0.2500157097472131,
    0.20003206705660143,
    -0.1661034192265629,
    0.1416072037596694,
    -0.13212263579289188,
    0.1301915813017932,
    -0.07830821774732137,
)
"""Coefficients of a polynomial for log(1 + m) / m, sqrt(1/2) - 1 <= m <= sqrt(2) - 1 (minimax)."""
LN_2 = 0.6931471805599453
SQRT_HALF_BITS = 0x3F3504F3
"""The float32 nearest to sqrt(1/2), as an integer."""


@operation
def total(typingctx, a):
    """Sum of the lanes, by pairwise summation."""
    if not isinstance(a, Vector):
        return None

    def generate(context, builder, signature, args):
        return _fold(builder, args[0], a.width, builder.fadd)

    return types.float32(a), generate


@operation
def largest(typingctx, a):
    """Greatest lane."""
    if not isinstance(a, Vector):
        return None

    def generate(context, builder, signature, args):
        return _fold(builder, args[0], a.width, lambda x, y: call(builder, "llvm.maxnum", [x, y]))

    return types.float32(a), generate


@operation
def group_total(typingctx, like, a):
    """Split the lanes into groups as wide as `like`; every lane becomes the sum of its group."""
    if not isinstance(a, Vector) or not isinstance(like, Vector) or a.width % like.width:
        return None

    def generate(context, builder, signature, args):
        return _butterfly(builder, args[1], like.width, a.width, builder.fadd)

    return a(like, a), generate


@operation
def group_largest(typingctx, like, a):
    """Split the lanes into groups as wide as `like`; every lane becomes the greatest of its group."""
    if not isinstance(a, Vector) or not isinstance(like, Vector) or a.width % like.width:
        return None

    def generate(context, builder, signature, args):
        return _butterfly(builder, args[1], like.width, a.width, lambda x, y: call(builder, "llvm.maxnum", [x, y]))

    return a(like, a), generate


def _butterfly(builder: Any, value: Any, run: int, lanes: int, combine: Any) -> Any:
    step = run // 2
    while step > 0:
        other = ir.Constant(ir.VectorType(INT, lanes), [lane ^ step for lane in range(lanes)])
        value = combine(value, builder.shuffle_vector(value, value, other))
        step //= 2
    return value


def _fold(builder: Any, value: Any, lanes: int, combine: Any) -> Any:
    while lanes > 1:
        lanes //= 2
        low = ir.Constant(ir.VectorType(INT, lanes), list(range(lanes)))
        high = ir.Constant(ir.VectorType(INT, lanes), list(range(lanes, 2 * lanes)))
        value = combine(builder.shuffle_vector(value, value, low), builder.shuffle_vector(value, value, high))
    return builder.extract_element(value, ir.Constant(INT, 0))


@operation
def exp(typingctx, a, limit):
    """e**a with `a` clipped to [-limit, limit] (limit at most 87); relative error below 2e-6."""
    if not isinstance(a, Vector):
        return None

    def generate(context, builder, signature, args):
        lanes = a.width
        bound = spread(builder, args[1], lanes)
        x = call(builder, "llvm.minnum", [args[0], bound])
        x = call(builder, "llvm.maxnum", [x, builder.fneg(bound)])
        log2_e = constant(lanes, LOG2_E)
        rounder = constant(lanes, ROUNDER)
        shifted = call(builder, "llvm.fmuladd", [x, log2_e, rounder])
        whole = builder.fsub(shifted, rounder)
        fraction = call(builder, "llvm.fmuladd", [x, log2_e, builder.fneg(whole)])
        power = constant(lanes, EXP2[-1])
        for coefficient in EXP2[-2::-1]:
            power = call(builder, "llvm.fmuladd", [power, fraction, constant(lanes, coefficient)])
        ints = ir.VectorType(INT, lanes)
        exponent = builder.shl(builder.bitcast(shifted, ints), ir.Constant(ints, [23] * lanes))
        return builder.bitcast(builder.add(builder.bitcast(power, ints), exponent), power.type)

    return a(a, types.float32), generate


@operation
def log(typingctx, a, floor):
    """Natural logarithm of the greater of `a` and `floor` (a positive normal number)."""
    if not isinstance(a, Vector):
        return None

    def generate(context, builder, signature, args):
        lanes = a.width
        ints = ir.VectorType(INT, lanes)
        x = call(builder, "llvm.maxnum", [args[0], spread(builder, args[1], lanes)])
        bits = builder.bitcast(x, ints)
        # exponent such that the mantissa lies in [sqrt(1/2), sqrt(2))
        shifted = builder.sub(bits, ir.Constant(ints, [SQRT_HALF_BITS] * lanes))
        exponent = builder.ashr(shifted, ir.Constant(ints, [23] * lanes))
        mantissa = builder.sub(bits, builder.shl(exponent, ir.Constant(ints, [23] * lanes)))
        m = builder.fsub(builder.bitcast(mantissa, x.type), constant(lanes, 1.0))
        power = constant(lanes, LOG[-1])
        for coefficient in LOG[-2::-1]:
            power = call(builder, "llvm.fmuladd", [power, m, constant(lanes, coefficient)])
        out = builder.fmul(power, m)
        whole = builder.sitofp(exponent, x.type)
        return call(builder, "llvm.fmuladd", [whole, constant(lanes, LN_2), out])

    return a(a, types.float32), generate
