"""A few input rows against a few output rows in vector registers: what the skip-gram kernels are made of.

    dots:      s[c, t] = x[c] . y[t]
    update:    x[c] += sum_t g[c, t] y[t],    y[t] += sum_c g[c, t] x[c]        both from the rows as they were

numba's loops would go through memory for every pair of rows; here each strip of 16 numbers of the rows is read once
and used for all their products, and the sums over lanes of all pairs are made together, by a tree of shuffles. That
leaves the multiplications as the cost: 3 columns contexts targets. Rows that come twice are read again before they are
written, so that no part of a sum is lost.

Tables are ``[rows, columns]``, float32 or float64, columns a multiple of 16. How many rows take part is known to the
compiler: ``contexts`` and ``targets`` are tuples of that many numbers, whose values do not matter.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

STRIP = 16  # numbers read together: a cache line of float32
_INT = ir.IntType(64)


def _start(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Where an array's memory begins."""
    return context.make_array(kind)(context, builder, array).data


def _rows(context: Any, builder: Any, kinds: Any, values: Any, count: int) -> tuple[Any, list[Any]]:
    """The type of a strip, and where the ``count`` rows begin that an array of row numbers names from a place on."""
    (table, numbers), (array, rows, first) = kinds, values
    made = context.make_array(table)(context, builder, array)
    columns = cgutils.unpack_tuple(builder, made.shape, 2)[1]
    strip = ir.VectorType(context.get_value_type(table.dtype), STRIP)
    places = []
    for i in range(count):
        at = builder.add(first, ir.Constant(_INT, i))
        number = builder.load(builder.gep(_start(context, builder, numbers, rows), [at]))
        number = builder.sext(number, _INT) if number.type != _INT else number
        row = builder.gep(made.data, [builder.mul(number, columns)])
        places.append(builder.bitcast(row, strip.as_pointer()))
    return columns, [strip, *places]


def _operands(context: Any, builder: Any, kinds: Any, values: Any) -> tuple[Any, Any, list[Any], list[Any], Any]:
    """Columns, the type of a strip, and where the rows of inputs, those of outputs and s begin, of the arguments."""
    columns, (strip, *ins) = _rows(context, builder, kinds[:2], values[:3], kinds[7].count)
    _, (_, *outs) = _rows(context, builder, kinds[3:5], values[3:6], kinds[8].count)
    return columns, strip, ins, outs, _start(context, builder, kinds[6], values[6])


def _load(builder: Any, place: Any, strip: Any) -> Any:
    return builder.load(builder.gep(place, [strip]), align=4)


def _store(builder: Any, value: Any, place: Any, strip: Any) -> None:
    builder.store(value, builder.gep(place, [strip]), align=4)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])


def _lane_sums(builder: Any, vectors: list[Any]) -> list[Any]:
    """The sums over lanes of the vectors, 16 of them in a vector, in their order."""
    zero = ir.Constant(vectors[0].type, None)
    level, groups = list(vectors), 1
    level += [zero] * (-len(level) % STRIP)
    mask = ir.VectorType(ir.IntType(32), STRIP)
    while groups < STRIP:
        width = STRIP // groups
        lower = [each * width + i for each in range(2 * groups) for i in range(width // 2)]
        picks = [ir.Constant(mask, [lane + shift for lane in lower]) for shift in (0, width // 2)]
        level = [
            builder.fadd(*(builder.shuffle_vector(level[i], level[i + 1], pick) for pick in picks))
            for i in range(0, len(level), 2)
        ]
        groups *= 2
    return level


@intrinsic
def dots(
    typing: Any, x: Any, inputs: Any, i: Any, y: Any, outputs: Any, j: Any, s: Any, contexts: Any, targets: Any
) -> Any:
    """``s[c * targets + t] = x[inputs[i + c]] . y[outputs[j + t]]``; s has room for a multiple of 16 numbers."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        columns, strip, ins, outs, scores = _operands(context, builder, signature.args, values)
        totals = [cgutils.alloca_once_value(builder, ir.Constant(strip, None)) for _ in ins for _ in outs]
        with cgutils.for_range(builder, builder.udiv(columns, ir.Constant(_INT, STRIP))) as loop:
            y_strips = [_load(builder, place, loop.index) for place in outs]
            for c, place in enumerate(ins):
                x_strip = _load(builder, place, loop.index)
                for t, y_strip in enumerate(y_strips):
                    total = totals[c * len(outs) + t]
                    builder.store(_multiply_add(builder, x_strip, y_strip, builder.load(total)), total)
        sums = _lane_sums(builder, [builder.load(total) for total in totals])
        place = builder.bitcast(scores, strip.as_pointer())
        for n, vector in enumerate(sums):
            _store(builder, vector, place, ir.Constant(_INT, n))
        return context.get_dummy_value()

    return types.void(x, inputs, types.intp, y, outputs, types.intp, s, contexts, targets), generate


@intrinsic
def update(
    typing: Any, x: Any, inputs: Any, i: Any, y: Any, outputs: Any, j: Any, s: Any, contexts: Any, targets: Any
) -> Any:
    """Add to ``x[inputs[i + c]]`` and ``y[outputs[j + t]]`` what the weights ``s[c * targets + t]`` ask for."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        columns, strip, ins, outs, scores = _operands(context, builder, signature.args, values)
        weights = []
        mask = ir.Constant(ir.VectorType(ir.IntType(32), STRIP), [0] * STRIP)
        for n in range(len(ins) * len(outs)):
            one = builder.load(builder.gep(scores, [ir.Constant(_INT, n)]))
            one = builder.insert_element(ir.Constant(strip, ir.Undefined), one, ir.Constant(ir.IntType(32), 0))
            weights.append(builder.shuffle_vector(one, ir.Constant(strip, ir.Undefined), mask))
        with cgutils.for_range(builder, builder.udiv(columns, ir.Constant(_INT, STRIP))) as loop:
            y_strips = [_load(builder, place, loop.index) for place in outs]
            x_strips = [_load(builder, place, loop.index) for place in ins]
            for t, place in enumerate(outs):
                total = y_strips[t] if t == 0 else _load(builder, place, loop.index)
                for c, x_strip in enumerate(x_strips):
                    total = _multiply_add(builder, x_strip, weights[c * len(outs) + t], total)
                _store(builder, total, place, loop.index)
            for c, place in enumerate(ins):
                total = x_strips[c] if c == 0 else _load(builder, place, loop.index)
                for t, y_strip in enumerate(y_strips):
                    total = _multiply_add(builder, y_strip, weights[c * len(outs) + t], total)
                _store(builder, total, place, loop.index)
        return context.get_dummy_value()

    return types.void(x, inputs, types.intp, y, outputs, types.intp, s, contexts, targets), generate


@intrinsic
def prefetch(typing: Any, table: Any, row: Any) -> Any:
    """Have a row of a table brought near, which takes as long as the work on the rows before it."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, values[0])
        columns = cgutils.unpack_tuple(builder, made.shape, 2)[1]
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        start = builder.gep(made.data, [builder.mul(values[1], columns)])
        step = 64 // (signature.args[0].dtype.bitwidth // 8)
        with cgutils.for_range(builder, builder.udiv(columns, ir.Constant(_INT, step))) as loop:
            at = builder.gep(start, [builder.mul(loop.index, ir.Constant(_INT, step))])
            builder.call(call, [builder.bitcast(at, byte), *(ir.Constant(word, n) for n in (1, 3, 1))])
        return context.get_dummy_value()

    return types.void(table, types.intp), generate
