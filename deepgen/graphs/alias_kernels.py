"""The pass that makes alias tables (`deepgen.graphs.alias`), compiled; import this only where numba may be loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.layers.jit import numba

Array = NDArray[Any]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def fill_alias(indptr: Array, weights: Array, chance: Array, other: Array, mass: Array) -> None:
    """The tables of all rows, and the sums of their weights, into the last three."""
    widest = 0
    for v in range(len(indptr) - 1):
        widest = max(widest, indptr[v + 1] - indptr[v])
    share, stack = np.empty(widest), np.empty(widest, np.int64)
    for v in range(len(indptr) - 1):
        begin, d = indptr[v], indptr[v + 1] - indptr[v]
        total = 0.0
        for i in range(d):
            total += weights[begin + i]
        mass[v] = total
        small, large = 0, d  # a stack from either end
        for i in range(d):
            share[i] = weights[begin + i] * d / total
            if share[i] < 1.0:
                stack[small] = i
                small += 1
            else:
                large -= 1
                stack[large] = i
        while small > 0 and large < d:
            small -= 1
            low, high = stack[small], stack[large]
            chance[begin + low], other[begin + low] = share[low], high
            share[high] -= 1.0 - share[low]
            if share[high] < 1.0:
                large += 1
                stack[small] = high
                small += 1
        while large < d:
            i = stack[large]
            chance[begin + i], other[begin + i] = 1.0, i
            large += 1
        while small > 0:  # rounding has left it alone
            small -= 1
            i = stack[small]
            chance[begin + i], other[begin + i] = 1.0, i
