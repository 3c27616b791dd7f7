"""One vector instruction sequence for the CPU kernels: sixteen taps of four channels at once.

Numba has no vector types and leaves LLVM's straight-line vectoriser off, so the warp, which reads
scattered pixels, would compute single numbers (twice as slow). As `cpu_kernels.py`, its only user,
this module imports numba and is itself imported only inside functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from llvmlite import ir
from numba import types  # noqa: TID253  # see the module docstring
from numba.extending import intrinsic  # noqa: TID253  # as the line above

if TYPE_CHECKING:
    from collections.abc import Callable

Foreign: TypeAlias = Any
"""An object of numba or llvmlite, which have no types for it."""

_TAPS: Final = 4
_PIXEL: Final = ir.VectorType(ir.FloatType(), 4)
_LANES: Final = ir.VectorType(ir.IntType(32), 4)
_FLOAT_BYTES: Final = 4


def _signature(  # noqa: PLR0917  # numba passes arguments by position
    _typing: Foreign,
    texture: Foreign,
    tap: Foreign,
    pitch: Foreign,
    weights_x: Foreign,
    weights_y: Foreign,
    samples: Foreign,
    place: Foreign,
) -> Foreign:
    """Return the types of a call and what emits its code."""
    return types.void(texture, tap, pitch, weights_x, weights_y, samples, place), _emit


def _emit(context: Foreign, builder: Foreign, signature: Foreign, arguments: Foreign) -> Foreign:
    """Emit the code of one call."""
    texture, tap, pitch, weights_x, weights_y, samples, place = arguments
    source = context.make_array(signature.args[0])(context, builder, texture).data
    target = context.make_array(signature.args[5])(context, builder, samples).data

    def pixel_at(base: Foreign, offset: Foreign) -> Foreign:
        return builder.bitcast(builder.gep(base, [offset]), _PIXEL.as_pointer())

    def lanes_of(weights: Foreign, index: int) -> Foreign:
        weight = builder.extract_value(weights, index)
        first = ir.Constant(ir.IntType(32), 0)
        lane = builder.insert_element(ir.Constant(_PIXEL, ir.Undefined), weight, first)
        return builder.shuffle_vector(lane, lane, ir.Constant(_LANES, [0] * 4))

    total = ir.Constant(_PIXEL, [0.0] * 4)
    across = [lanes_of(weights_x, i) for i in range(_TAPS)]
    row_start = tap
    for j in range(_TAPS):
        down = lanes_of(weights_y, j)
        for i in range(_TAPS):
            offset = builder.add(row_start, ir.Constant(row_start.type, 4 * i))
            pixel = builder.load(pixel_at(source, offset), align=_FLOAT_BYTES)
            weighted = builder.fmul(builder.fmul(across[i], down), pixel)
            total = builder.fadd(total, weighted)
        row_start = builder.add(row_start, pitch)
    builder.store(total, pixel_at(target, place), align=_FLOAT_BYTES)
    return context.get_dummy_value()


add_up_taps = cast("Callable[..., None]", intrinsic(_signature))
"""`add_up_taps(texture, tap, pitch, weights_x, weights_y, samples, place)`, for jitted code only.

Writes the weighted sum of 4x4 pixels of four floats to `samples[place : place + 4]`, added up row
by row from the upper left, each pixel times the product of its two weights. `texture` and
`samples` are flat float32; the upper left pixel begins at `tap`, the pixel below one `pitch` later;
the weights are two tuples of four float32. Nothing is checked against the sizes of the arrays.
"""
