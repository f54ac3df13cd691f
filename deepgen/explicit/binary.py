"""Products with sparse binary rows as sums over the rows' ones: the fast path of Bernoulli machines on a CPU.

With a share d of ones, v.W costs d as many additions as the dense product has multiply-adds, and so does v'p. Ones of
images come side by side, so columns are taken in pairs (2i, 2i + 1): where both are on, ``gather`` adds the row
W[2i] + W[2i + 1], summed once for all rows, and ``outer`` sums the rows that the two columns share once for both. A
layer of binary rows is held as lists: per row the columns that are on without their partner (``single``) and the pairs
that are on (``pair``), and the same lists by column.

Every sum is a float32 sum of the same numbers as the dense product's, in another order: results agree to float32
rounding, and bit for bit where the sums are exact (integer weights, say). Compiled by numba on first use and cached on
disk; import this module only where numba may be loaded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepgen.layers.jit import numba

Array = NDArray[Any]
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


class Lists(NamedTuple):
    """Where binary rows ``[rows, width]`` are on; entries of an index beyond its count are meaningless.

    Attributes:
        single: columns on without their partner ``[rows, width + 1]``, ``singles`` their number ``[rows]``.
        pair: pairs on ``[rows, width // 2 + 1]``, ``pairs`` their number.
    """

    single: Array
    singles: Array
    pair: Array
    pairs: Array


def new_lists(rows: int, width: int) -> Lists:
    """Room for the lists of ``rows`` rows."""
    integers = np.uint32  # unsigned: numba then need not look for negative indices
    return Lists(
        np.empty((rows, width + 1), integers),
        np.zeros(rows, integers),
        np.empty((rows, width // 2 + 1), integers),
        np.zeros(rows, integers),
    )


@_compiled
def _list_row(row: Array, r: int, lists: Lists) -> None:
    single, pair = lists.single[r], lists.pair[r]
    singles, pairs = np.uint32(0), np.uint32(0)
    for i in range(len(row) // 2):
        # Written always and counted only when on: no branch for the processor to guess wrong.
        left, right = np.uint32(row[2 * i] != 0), np.uint32(row[2 * i + 1] != 0)  # 0 or 1 whatever came
        single[singles] = np.uint32(2 * i) + right
        singles += left ^ right
        pair[pairs] = i
        pairs += left & right
    if len(row) % 2:
        single[singles] = len(row) - 1
        singles += np.uint32(row[len(row) - 1] != 0)
    lists.singles[r] = singles
    lists.pairs[r] = pairs


@_compiled
def list_rows(x: Array, start: int, lists: Lists) -> None:
    """Write the lists of binary ``x`` ``[rows, width]`` as those of rows ``start``, ``start + 1``, ..."""
    for r in range(len(x)):
        _list_row(x[r], start + r, lists)


@_compiled
def list_columns(lists: Lists, rows: int, columns: Lists) -> None:
    """Write the lists of the transpose: per column (per pair) the rows that have it on alone (both on)."""
    columns.singles[:] = 0
    columns.pairs[:] = 0
    for r in range(rows):
        single, pair = lists.single[r], lists.pair[r]
        for t in range(lists.singles[r]):
            j = single[t]
            columns.single[j, columns.singles[j]] = r
            columns.singles[j] += np.uint32(1)
        for t in range(lists.pairs[r]):
            j = pair[t]
            columns.pair[j, columns.pairs[j]] = r
            columns.pairs[j] += np.uint32(1)


def new_columns(rows: int, width: int) -> Lists:
    """Room for the lists of the transpose of ``rows`` rows."""
    integers = np.uint32
    return Lists(
        np.empty((width, rows), integers),
        np.zeros(width, integers),
        np.empty((width // 2, rows), integers),
        np.zeros(width // 2, integers),
    )


@_compiled
def _add_rows(index: Array, count: int, table: Array, out: Array) -> None:
    """Add rows ``index[:count]`` of ``table`` to ``out``, several in one pass over it."""
    width, t = len(out), 0
    while t + 8 <= count:
        a, b, c, d = table[index[t]], table[index[t + 1]], table[index[t + 2]], table[index[t + 3]]
        e, f, g, h = table[index[t + 4]], table[index[t + 5]], table[index[t + 6]], table[index[t + 7]]
        for j in range(width):
            out[j] += ((a[j] + b[j]) + (c[j] + d[j])) + ((e[j] + f[j]) + (g[j] + h[j]))
        t += 8
    if t + 4 <= count:
        a, b, c, d = table[index[t]], table[index[t + 1]], table[index[t + 2]], table[index[t + 3]]
        for j in range(width):
            out[j] += (a[j] + b[j]) + (c[j] + d[j])
        t += 4
    if t + 2 <= count:
        a, b = table[index[t]], table[index[t + 1]]
        for j in range(width):
            out[j] += a[j] + b[j]
        t += 2
    if t < count:
        a = table[index[t]]
        for j in range(width):
            out[j] += a[j]


@_compiled
def pair_sums(table: Array, out: Array) -> None:
    """out[i] = table[2 i] + table[2 i + 1], ``[rows // 2, columns]``: once for all rows that are gathered from it."""
    for i in range(len(out)):
        for j in range(table.shape[1]):
            out[i, j] = table[2 * i, j] + table[2 * i + 1, j]


@_compiled
def gather(lists: Lists, start: int, stop: int, table: Array, paired: Array, bias: Array, out: Array) -> None:
    """out[r] = bias + the sum of the rows of ``table`` that row r has on, for ``start <= r < stop``.

    ``paired`` holds the `pair_sums` of ``table``.
    """
    for r in range(start, stop):
        row = out[r]
        for j in range(len(bias)):
            row[j] = bias[j]
        _add_rows(lists.single[r], lists.singles[r], table, row)
        _add_rows(lists.pair[r], lists.pairs[r], paired, row)


@_compiled
def outer(
    columns: Lists, hidden: Array, extra_visible: Array, extra_hidden: Array, alpha: float, beta: float, out: Array
) -> None:
    """out = beta out + alpha (x' hidden + extra_visible' extra_hidden), x being the binary rows behind ``columns``.

    The two extra rows are dense: ``[2, visible]`` and ``[2, hidden]``.
    """
    width, pairs = hidden.shape[1], len(columns.pairs)
    both, row = np.zeros(width, hidden.dtype), np.empty(width, hidden.dtype)
    scale, keep = hidden.dtype.type(alpha), hidden.dtype.type(beta)
    first, second = extra_hidden[0], extra_hidden[1]
    for i in range(len(out)):
        if i % 2 == 0:
            both[:] = 0
            if i // 2 < pairs:
                _add_rows(columns.pair[i // 2], columns.pairs[i // 2], hidden, both)
        x, y = extra_visible[0, i], extra_visible[1, i]
        for j in range(width):
            row[j] = both[j] + (x * first[j] + y * second[j])
        _add_rows(columns.single[i], columns.singles[i], hidden, row)
        target = out[i]
        if keep == 0:  # what was in ``out`` may be anything, NaN included
            for j in range(width):
                target[j] = scale * row[j]
        else:
            for j in range(width):
                target[j] = keep * target[j] + scale * row[j]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})  # sums of a row may go in any order
def moments(
    lists: Lists,
    count: int,
    hidden: Array,
    extra_visible: Array,
    extra_hidden: Array,
    visible_mean: Array,
    hidden_mean: Array,
    visible_bias: Array,
    hidden_bias: Array,
) -> None:
    """Everything of the centred gradient but dW, from the lists of data rows (the first ``count``) and chain rows.

    With s = 1/count for data rows and -1/chains for the others, dv = sum s v and dh = sum s h, dW is
    sum s v h' - mu dh' - dv lambda'. The extra rows hold (mu, dv) and (dh, lambda), of which mu and lambda are given.
    Written are dv, dh, the data's means, and minus the bias gradients, dW lambda - dv and dW' mu - dh. Rows of
    ``hidden`` are multiplied by -s, so that `outer` gives minus dW.
    """
    rows = len(hidden)
    mu, dv, dh, offset = extra_visible[0], extra_visible[1], extra_hidden[0], extra_hidden[1]
    for vector in (dv, visible_mean, visible_bias, dh, hidden_mean, hidden_bias):
        vector[:] = 0
    one = hidden.dtype.type(1)
    for r in range(rows):
        h, single, pair = hidden[r], lists.single[r], lists.pair[r]
        share = one / count if r < count else -one / (rows - count)
        of_data = share if r < count else one * 0
        response, along = one * 0, one * 0  # h . lambda and v . mu
        for j in range(len(h)):
            response += h[j] * offset[j]
        pull = share * response
        for t in range(lists.singles[r]):
            j = single[t]
            along += mu[j]
            dv[j] += share
            visible_mean[j] += of_data
            visible_bias[j] += pull
        for t in range(lists.pairs[r]):
            for j in (2 * pair[t], 2 * pair[t] + 1):
                along += mu[j]
                dv[j] += share
                visible_mean[j] += of_data
                visible_bias[j] += pull
        push = share * along
        for j in range(len(h)):
            dh[j] += share * h[j]
            hidden_mean[j] += of_data * h[j]
            hidden_bias[j] += push * h[j]
            h[j] *= -share
    dh_offset, offset_offset = (dh * offset).sum(), (offset * offset).sum()
    dv_mu, mu_mu = (dv * mu).sum(), (mu * mu).sum()
    for j in range(len(mu)):
        visible_bias[j] -= mu[j] * dh_offset + dv[j] * (offset_offset + one)
    for j in range(len(offset)):
        hidden_bias[j] -= offset[j] * dv_mu + dh[j] * (mu_mu + one)


@_compiled
def descend(
    lists: Lists,
    columns: Lists,
    count: int,
    hidden: Array,
    extra_visible: Array,
    extra_hidden: Array,
    visible_mean: Array,
    hidden_mean: Array,
    visible_bias: Array,
    hidden_bias: Array,
    alpha: float,
    beta: float,
    out: Array,
) -> None:
    """`moments`, `list_columns` and `outer` in one call: out = beta out + alpha times minus dW."""
    moments(lists, count, hidden, extra_visible, extra_hidden, visible_mean, hidden_mean, visible_bias, hidden_bias)
    list_columns(lists, len(hidden), columns)
    outer(columns, hidden, extra_visible, extra_hidden, alpha, beta, out)
