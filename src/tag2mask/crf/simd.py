"""Vectors of float32 as values inside Numba kernels.

Numba's own vectoriser works on loops over arrays; the kernels of the mean field keep several vectors in
registers across a loop, which it does not find. A vector type of 1, 2, 4, 8 or 16 lanes maps to LLVM's
vector type, which LLVM turns into what the processor has (AVX-512, AVX2, SSE, NEON).

A kernel learns its width from a tuple argument: `zero = vector((0.0,) * 16)` has 16 lanes, and every
other operation takes its width from a vector it is given.
"""

# Intrinsics are written in the form Numba prescribes: (typing context, argument types) -> code generator.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

_FLOAT = ir.FloatType()
_INT = ir.IntType(32)

LOG2_E = 1.4426950408889634
ROUNDER = 12582912.0
"""1.5 * 2**23: adding it to a float32 rounds to an integer, which then stands in the lowest bits."""
EXP2 = (
    1.0000000716561737,
    0.6931469670603282,
    0.2402211971640251,
    0.05550713277125102,
    0.00967554173933258,
    0.0013276471962991435,
)
"""Polynomial of 2**f for |f| <= 1/2 (least greatest relative error)."""
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
"""Polynomial of log(1 + m) / m for sqrt(1/2) - 1 <= m <= sqrt(2) - 1 (least greatest error)."""
LN_2 = 0.6931471805599453
SQRT_HALF_BITS = 0x3F3504F3
"""The float32 nearest to sqrt(1/2), as an integer."""


def operation(function: Callable[..., Any]) -> Any:
    """Numba's `intrinsic`, of any type to the type checker."""
    return intrinsic(function)


class Vector(types.Type):
    """Numba type of `width` float32 lanes."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"float32x{width}")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, ir.VectorType(_FLOAT, vector.width))


def _constant(width: int, value: float) -> ir.Constant:
    return ir.Constant(ir.VectorType(_FLOAT, width), [value] * width)


def _spread(builder: Any, scalar: Any, width: int) -> Any:
    """All lanes equal to an LLVM scalar."""
    undefined = ir.Constant(ir.VectorType(_FLOAT, width), ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(_INT, 0))
    lanes = ir.Constant(ir.VectorType(_INT, width), [0] * width)
    return builder.shuffle_vector(one, undefined, lanes)


def _call(builder: Any, name: str, args: list[Any]) -> Any:
    kind = args[0].type
    signature = ir.FunctionType(kind, [kind] * len(args))
    function = cgutils.get_or_insert_function(builder.module, signature, f"{name}.v{kind.count}f32")
    return builder.call(function, args)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any, width: int) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    pointer = builder.gep(data, [index])
    return builder.bitcast(pointer, ir.PointerType(ir.VectorType(_FLOAT, width)))


@operation
def vector(typingctx, lanes):
    """Vector from a tuple of numbers."""
    if not isinstance(lanes, types.UniTuple):
        return None
    width = lanes.count

    def generate(context, builder, signature, args):
        out = ir.Constant(ir.VectorType(_FLOAT, width), ir.Undefined)
        for i in range(width):
            lane = builder.extract_value(args[0], i)
            lane = context.cast(builder, lane, lanes.dtype, types.float32)
            out = builder.insert_element(out, lane, ir.Constant(_INT, i))
        return out

    return Vector(width)(lanes), generate


@operation
def width(typingctx, like):
    """Number of lanes, a constant to the compiler."""
    if not isinstance(like, Vector):
        return None

    def generate(context, builder, signature, args):
        return ir.Constant(ir.IntType(64), like.width)

    return types.int64(like), generate


@operation
def splat(typingctx, like, scalar):
    """Vector as wide as `like` with all lanes equal to the float32 `scalar`."""
    if not isinstance(like, Vector):
        return None

    def generate(context, builder, signature, args):
        return _spread(builder, args[1], like.width)

    return like(like, types.float32), generate


@operation
def load(typingctx, like, array, index):
    """Vector as wide as `like` from `array[index:]` (float32, contiguous; no bounds check)."""
    if not isinstance(like, Vector) or not isinstance(array, types.Array):
        return None

    def generate(context, builder, signature, args):
        pointer = _address(context, builder, array, args[1], args[2], like.width)
        return builder.load(pointer, align=4)

    return like(like, array, types.intp), generate


@operation
def store(typingctx, array, index, value):
    """Write `value` to `array[index:]` (float32, contiguous; no bounds check)."""
    if not isinstance(value, Vector) or not isinstance(array, types.Array):
        return None

    def generate(context, builder, signature, args):
        pointer = _address(context, builder, array, args[0], args[1], value.width)
        builder.store(args[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@operation
def get(typingctx, array, index):
    """`array[index]` of a contiguous one-dimensional array for an index known not to be negative.

    Numba's own indexing tests every index for counting from the end. An int32 comes as int64.
    """
    if not isinstance(array, types.Array):
        return None
    result = types.int64 if array.dtype == types.int32 else array.dtype

    def generate(context, builder, signature, args):
        data = context.make_array(array)(context, builder, args[0]).data
        value = builder.load(builder.gep(data, [args[1]]))
        return context.cast(builder, value, array.dtype, result)

    return result(array, types.intp), generate


@operation
def put(typingctx, array, index, value):
    """`array[index] = value`, with an index as in `get`."""
    if not isinstance(array, types.Array):
        return None

    def generate(context, builder, signature, args):
        data = context.make_array(array)(context, builder, args[0]).data
        builder.store(args[2], builder.gep(data, [args[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), generate


@operation
def scaled(typingctx, a, scalar, b):
    """a * scalar + b, where `scalar` is a float32."""
    if not isinstance(a, Vector):
        return None

    def generate(context, builder, signature, args):
        return _call(builder, "llvm.fmuladd", [args[0], _spread(builder, args[1], a.width), args[2]])

    return a(a, types.float32, b), generate


@operation
def floor(typingctx, a):
    """Greatest whole number not above each lane."""
    if not isinstance(a, Vector):
        return None

    def generate(context, builder, signature, args):
        return _call(builder, "llvm.floor", [args[0]])

    return a(a), generate


@operation
def add(typingctx, a, b):
    """a + b."""
    if not isinstance(a, Vector) or a != b:
        return None

    def generate(context, builder, signature, args):
        return builder.fadd(args[0], args[1], flags=("contract",))

    return a(a, b), generate


@operation
def subtract(typingctx, a, b):
    """a - b."""
    if not isinstance(a, Vector) or a != b:
        return None

    def generate(context, builder, signature, args):
        return builder.fsub(args[0], args[1], flags=("contract",))

    return a(a, b), generate


@operation
def multiply(typingctx, a, b):
    """a * b."""
    if not isinstance(a, Vector) or a != b:
        return None

    def generate(context, builder, signature, args):
        return builder.fmul(args[0], args[1], flags=("contract",))

    return a(a, b), generate


@operation
def divide(typingctx, a, b):
    """a / b."""
    if not isinstance(a, Vector) or a != b:
        return None

    def generate(context, builder, signature, args):
        return builder.fdiv(args[0], args[1])

    return a(a, b), generate


@operation
def least(typingctx, a, b):
    """Lesser of a and b."""
    if not isinstance(a, Vector) or a != b:
        return None

    def generate(context, builder, signature, args):
        return _call(builder, "llvm.minnum", [args[0], args[1]])

    return a(a, b), generate


@operation
def greatest(typingctx, a, b):
    """Greater of a and b."""
    if not isinstance(a, Vector) or a != b:
        return None

    def generate(context, builder, signature, args):
        return _call(builder, "llvm.maxnum", [args[0], args[1]])

    return a(a, b), generate


@operation
def below(typingctx, a, b):
    """1 where a < b, else 0."""
    if not isinstance(a, Vector) or a != b:
        return None

    def generate(context, builder, signature, args):
        return builder.uitofp(builder.fcmp_ordered("<", args[0], args[1]), args[0].type)

    return a(a, b), generate


@operation
def total(typingctx, a):
    """Sum of the lanes, added in pairs."""
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
        return _fold(builder, args[0], a.width, lambda x, y: _call(builder, "llvm.maxnum", [x, y]))

    return types.float32(a), generate


def _fold(builder: Any, value: Any, lanes: int, combine: Any) -> Any:
    while lanes > 1:
        lanes //= 2
        low = ir.Constant(ir.VectorType(_INT, lanes), list(range(lanes)))
        high = ir.Constant(ir.VectorType(_INT, lanes), list(range(lanes, 2 * lanes)))
        value = combine(builder.shuffle_vector(value, value, low), builder.shuffle_vector(value, value, high))
    return builder.extract_element(value, ir.Constant(_INT, 0))


@operation
def exp(typingctx, a, limit):
    """e**a, with `a` held between -limit and limit (at most 87), relative error below 2e-6."""
    if not isinstance(a, Vector):
        return None

    def generate(context, builder, signature, args):
        lanes = a.width
        bound = _spread(builder, args[1], lanes)
        x = _call(builder, "llvm.minnum", [args[0], bound])
        x = _call(builder, "llvm.maxnum", [x, builder.fneg(bound)])
        log2_e = _constant(lanes, LOG2_E)
        rounder = _constant(lanes, ROUNDER)
        shifted = _call(builder, "llvm.fmuladd", [x, log2_e, rounder])
        whole = builder.fsub(shifted, rounder)
        fraction = _call(builder, "llvm.fmuladd", [x, log2_e, builder.fneg(whole)])
        power = _constant(lanes, EXP2[-1])
        for coefficient in EXP2[-2::-1]:
            power = _call(builder, "llvm.fmuladd", [power, fraction, _constant(lanes, coefficient)])
        ints = ir.VectorType(_INT, lanes)
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
        ints = ir.VectorType(_INT, lanes)
        x = _call(builder, "llvm.maxnum", [args[0], _spread(builder, args[1], lanes)])
        bits = builder.bitcast(x, ints)
        # exponent such that the mantissa lies in [sqrt(1/2), sqrt(2))
        shifted = builder.sub(bits, ir.Constant(ints, [SQRT_HALF_BITS] * lanes))
        exponent = builder.ashr(shifted, ir.Constant(ints, [23] * lanes))
        mantissa = builder.sub(bits, builder.shl(exponent, ir.Constant(ints, [23] * lanes)))
        m = builder.fsub(builder.bitcast(mantissa, x.type), _constant(lanes, 1.0))
        power = _constant(lanes, LOG[-1])
        for coefficient in LOG[-2::-1]:
            power = _call(builder, "llvm.fmuladd", [power, m, _constant(lanes, coefficient)])
        out = builder.fmul(power, m)
        whole = builder.sitofp(exponent, x.type)
        return _call(builder, "llvm.fmuladd", [whole, _constant(lanes, LN_2), out])

    return a(a, types.float32), generate
