"""NADE's conditionals and their gradients for rows that are mostly zero: work is done only where something changes.

The hidden units h_d = sigmoid(c + sum over i < d of x_i W_i) move only at a variable that is not 0, so of the D hidden
vectors of a row only 1 + (number of ones) differ, and sigmoids and additions are taken for those alone. What remains
are the D readouts V_d . h_d and, backwards, their two outer products, each once.

Rows are taken ``_ROWS`` at a time through blocks of ``_BLOCK`` variables, so that what a block needs of W, V and their
gradients stays in the cache. float32 throughout; sigmoids are those of `deepgen.explicit.binary_draw` (3e-7). Compiled
by numba on first use and cached on disk; import this module only where numba may be loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.explicit.binary_draw import _sigmoid_row
from deepgen.layers.jit import numba

Array = NDArray[Any]
# Sums of a row may go in any order, and a b + c may be rounded once.
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})

_ROWS, _BLOCK = 64, 32
_ONE = np.float32(1)


@_compiled
def _add(out: Array, factor: np.float32, row: Array) -> None:
    for j in range(len(out)):
        out[j] += factor * row[j]


@_compiled
def _read(readout: Array, bias: Array, start: int, stop: int, h: Array, out: Array, r: int) -> None:
    """out[d, r] = bias[d] + readout[d] . h, for ``start <= d < stop``."""
    d = start
    while d + 4 <= stop:
        v0, v1, v2, v3 = readout[d], readout[d + 1], readout[d + 2], readout[d + 3]
        s0, s1, s2, s3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for j in range(len(h)):
            s0 += v0[j] * h[j]
            s1 += v1[j] * h[j]
            s2 += v2[j] * h[j]
            s3 += v3[j] * h[j]
        out[d, r], out[d + 1, r] = bias[d] + s0, bias[d + 1] + s1
        out[d + 2, r], out[d + 3, r] = bias[d + 2] + s2, bias[d + 3] + s3
        d += 4
    while d < stop:
        v0, s0 = readout[d], np.float32(0)
        for j in range(len(h)):
            s0 += v0[j] * h[j]
        out[d, r] = bias[d] + s0
        d += 1


@_compiled
def _pull(readout: Array, slope: Array, start: int, stop: int, h: Array, d_readout: Array, dh: Array, r: int) -> None:
    """dh = sum of slope[d, r] readout[d] and d_readout[d] += slope[d, r] h, for ``start <= d < stop``."""
    dh[:] = 0
    d = start
    while d + 4 <= stop:
        v0, v1, v2, v3 = readout[d], readout[d + 1], readout[d + 2], readout[d + 3]
        s0, s1, s2, s3 = slope[d, r], slope[d + 1, r], slope[d + 2, r], slope[d + 3, r]
        for j in range(len(h)):
            dh[j] += (s0 * v0[j] + s1 * v1[j]) + (s2 * v2[j] + s3 * v3[j])
        d += 4
    while d < stop:
        _add(dh, slope[d, r], readout[d])
        d += 1
    for d in range(start, stop):  # apart from the loop above: with more rows at once LLVM gives up on vectors
        _add(d_readout[d], slope[d, r], h)


@_compiled
def conditionals(x: Array, weight: Array, start: Array, readout: Array, bias: Array, out: Array) -> None:
    """out[d] = bias[d] + readout[d] . sigmoid(start + sum over i < d of x[i] weight[i]), all rows of x.

    x and out are ``[features, batch]``, weight and readout ``[features, hidden]``.
    """
    features, batch = x.shape
    width = len(start)
    sums, hidden = np.empty((_ROWS, width), np.float32), np.empty((_ROWS, width), np.float32)
    rest, power = np.empty(width, np.float32), np.empty(width, np.float32)
    for top in range(0, batch, _ROWS):
        rows = min(_ROWS, batch - top)
        for r in range(rows):
            sums[r] = start
            _sigmoid_row(sums[r], _ONE, rest, power, hidden[r])
        for first in range(0, features, _BLOCK):
            last = min(first + _BLOCK, features)
            for r in range(rows):
                begin, h = first, hidden[r]
                for d in range(first, last):
                    value = x[d, top + r]
                    if value != 0:
                        _read(readout, bias, begin, d + 1, h, out, top + r)
                        _add(sums[r], value, weight[d])
                        _sigmoid_row(sums[r], _ONE, rest, power, h)
                        begin = d + 1
                _read(readout, bias, begin, last, h, out, top + r)


@_compiled
def gradients(
    x: Array, weight: Array, start: Array, readout: Array, slope: Array, d_weight: Array, d_start: Array,
    d_readout: Array,
) -> None:  # fmt: skip
    """Add to the last three the gradients of the sum of slope times `conditionals`; slope is ``[features, batch]``.

    The hidden vectors are computed anew, block by block from the sums at its start, and walked through backwards.
    """
    features, batch = x.shape
    width, blocks = len(start), (features + _BLOCK - 1) // _BLOCK
    begun = np.empty((blocks, _ROWS, width), np.float32)  # the sums at the start of each block
    total = np.empty((_ROWS, width), np.float32)  # gradient of what enters the sigmoids after the current place
    hidden, ends = np.empty((_BLOCK + 1, width), np.float32), np.empty(_BLOCK + 2, np.int64)
    sums, dh = np.empty(width, np.float32), np.empty(width, np.float32)
    rest, power = np.empty(width, np.float32), np.empty(width, np.float32)
    for top in range(0, batch, _ROWS):
        rows = min(_ROWS, batch - top)
        total[:] = 0
        for r in range(rows):
            sums[:] = start
            for block in range(blocks):
                begun[block, r] = sums
                for d in range(block * _BLOCK, min((block + 1) * _BLOCK, features)):
                    if x[d, top + r] != 0:
                        _add(sums, x[d, top + r], weight[d])
        for block in range(blocks - 1, -1, -1):
            first, last = block * _BLOCK, min((block + 1) * _BLOCK, features)
            for r in range(rows):
                sums[:] = begun[block, r]
                k, ends[0] = 0, first
                _sigmoid_row(sums, _ONE, rest, power, hidden[0])
                for d in range(first, last):
                    if x[d, top + r] != 0:
                        k += 1
                        ends[k] = d + 1
                        _add(sums, x[d, top + r], weight[d])
                        _sigmoid_row(sums, _ONE, rest, power, hidden[k])
                ends[k + 1] = last
                while k >= 0:
                    h, all_after = hidden[k], total[r]
                    _pull(readout, slope, ends[k], ends[k + 1], h, d_readout, dh, top + r)
                    for j in range(width):
                        all_after[j] += dh[j] * (h[j] * (_ONE - h[j]))
                    if k > 0:
                        d = ends[k] - 1
                        _add(d_weight[d], x[d, top + r], all_after)
                    k -= 1
        for r in range(rows):
            _add(d_start, _ONE, total[r])
