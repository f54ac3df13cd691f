"""Alias tables of all rows of a graph (`deepgen.graphs.alias`), compiled; import it only where numba may be loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.alias_kernels import fill_row
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
        begin, end = indptr[v], indptr[v + 1]
        total = 0.0
        for i in range(begin, end):
            total += weights[i]
        mass[v] = total
        for i in range(begin, end):
            share[i - begin] = weights[i] * (end - begin) / total
        fill_row(share, chance[begin:end], other[begin:end], stack)
