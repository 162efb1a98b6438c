"""SIMD vectors of float32 as values in Numba kernels.

LLVM's loop vectoriser does not keep several vectors in registers across the loops of the mean-field kernels, so
these use an explicit vector type. A vector type of 1, 2, 4, 8 or 16 lanes maps to LLVM's
vector type, which LLVM compiles to the instructions of the processor (AVX-512, AVX2, SSE, NEON).

The type of a tuple argument sets the width of a kernel: `zero = vector((0.0,) * 16)` has 16 lanes, and every
other operation takes its width from a vector argument.
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

FLOAT = ir.FloatType()
INT = ir.IntType(32)


def operation(function: Callable[..., Any]) -> Any:
    """Numba's `intrinsic`, typed as Any."""
    return intrinsic(function)


class Vector(types.Type):
    """Numba type of `width` float32 lanes."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"float32x{width}")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, ir.VectorType(FLOAT, vector.width))


def constant(width: int, value: float) -> ir.Constant:
    """All lanes equal to a number."""
    return ir.Constant(ir.VectorType(FLOAT, width), [value] * width)


def spread(builder: Any, scalar: Any, width: int) -> Any:
    """All lanes equal to an LLVM scalar."""
    undefined = ir.Constant(ir.VectorType(FLOAT, width), ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(INT, 0))
    lanes = ir.Constant(ir.VectorType(INT, width), [0] * width)
    return builder.shuffle_vector(one, undefined, lanes)


def call(builder: Any, name: str, args: list[Any]) -> Any:
    """Call an LLVM intrinsic whose arguments and result are vectors of one type."""
    kind = args[0].type
    signature = ir.FunctionType(kind, [kind] * len(args))
    function = cgutils.get_or_insert_function(builder.module, signature, f"{name}.v{kind.count}f32")
    return builder.call(function, args)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any, width: int) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    pointer = builder.gep(data, [index])
    return builder.bitcast(pointer, ir.PointerType(ir.VectorType(FLOAT, width)))


@operation
def vector(typingctx, lanes):
    """Vector from a tuple of numbers."""
    if not isinstance(lanes, types.UniTuple):
        return None
    width = lanes.count

    def generate(context, builder, signature, args):
        out = ir.Constant(ir.VectorType(FLOAT, width), ir.Undefined)
        for i in range(width):
            lane = builder.extract_value(args[0], i)
            lane = context.cast(builder, lane, lanes.dtype, types.float32)
            out = builder.insert_element(out, lane, ir.Constant(INT, i))
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
        return spread(builder, args[1], like.width)

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
    """`array[index]` of a contiguous one-dimensional array, for an index that is never negative.

    Numba's own indexing tests every index for being negative. An int32 is returned as int64.
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


def _vertex(context: Any, builder: Any, array_type: Any, array: Any, at: Any, corner: Any, width: int) -> Any:
    """Address of the lanes of a vertex: a corner is 4 times its number, so `width * corner` is an offset in bytes."""
    data = context.make_array(array_type)(context, builder, array).data
    start = builder.bitcast(builder.gep(data, [at]), ir.PointerType(ir.IntType(8)))
    pointer = builder.gep(start, [builder.mul(corner, ir.Constant(corner.type, width), flags=("nsw",))])
    return builder.bitcast(pointer, ir.PointerType(ir.VectorType(FLOAT, width)))


@operation
def load_vertex(typingctx, like, array, at, corner):
    """Vector as wide as `like` at the vertex with corner `corner`, where vertex 0 begins at `array[at]`.

    A corner is 4 times the number of the vertex, which saves address arithmetic on most processors.
    """
    if not isinstance(like, Vector) or not isinstance(array, types.Array):
        return None

    def generate(context, builder, signature, args):
        pointer = _vertex(context, builder, array, args[1], args[2], args[3], like.width)
        return builder.load(pointer, align=4)

    return like(like, array, types.intp, types.intp), generate


@operation
def store_vertex(typingctx, array, at, corner, value):
    """Write `value` to the vertex that `load_vertex` reads."""
    if not isinstance(value, Vector) or not isinstance(array, types.Array):
        return None

    def generate(context, builder, signature, args):
        pointer = _vertex(context, builder, array, args[0], args[1], args[2], value.width)
        builder.store(args[3], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, value), generate


@operation
def scaled(typingctx, a, scalar, b):
    """a * scalar + b, where `scalar` is a float32."""
    if not isinstance(a, Vector):
        return None

    def generate(context, builder, signature, args):
        return call(builder, "llvm.fmuladd", [args[0], spread(builder, args[1], a.width), args[2]])

    return a(a, types.float32, b), generate


def _scaled_by_lane(lane: int) -> Any:
    """a * (a lane of four) + b."""

    @operation
    def by_lane(typingctx, a, four, b):
        if not isinstance(a, Vector) or a != b or not isinstance(four, Vector):
            return None

        def generate(context, builder, signature, args):
            lanes = ir.Constant(ir.VectorType(INT, a.width), [lane] * a.width)
            undefined = ir.Constant(ir.VectorType(FLOAT, four.width), ir.Undefined)
            factor = builder.shuffle_vector(args[1], undefined, lanes)
            return call(builder, "llvm.fmuladd", [args[0], factor, args[2]])

        return a(a, four, b), generate

    return by_lane


scaled0, scaled1, scaled2, scaled3 = (_scaled_by_lane(lane) for lane in range(4))
"""`scaled0` is a * four[0] + b, and so on: four factors take one load instead of four."""


@operation
def floor(typingctx, a):
    """Greatest integer not above each lane."""
    if not isinstance(a, Vector):
        return None

    def generate(context, builder, signature, args):
        return call(builder, "llvm.floor", [args[0]])

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
        return call(builder, "llvm.minnum", [args[0], args[1]])

    return a(a, b), generate


@operation
def greatest(typingctx, a, b):
    """Greater of a and b."""
    if not isinstance(a, Vector) or a != b:
        return None

    def generate(context, builder, signature, args):
        return call(builder, "llvm.maxnum", [args[0], args[1]])

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
def select(typingctx, a, b, x, y):
    """x where a < b, else y."""
    if not isinstance(a, Vector) or not a == b == x == y:
        return None

    def generate(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return a(a, b, x, y), generate
