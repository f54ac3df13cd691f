"""Kernels of `deepgen.evaluate.ranks`: a radix sort that returns places, four times as fast as torch's; and scores.

Least digit first, 11 bits a digit; a digit that is the same in all keys costs nothing. Compiled by numba on first use
and cached on disk; import this module only where numba may be loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.layers.jit import numba

_compiled = numba.njit(cache=True, nogil=True)
BITS = 11


@_compiled
def argsort(keys: NDArray[Any], out: NDArray[np.int32]) -> None:
    """Stable order of each row of unsigned ``keys`` ``[rows, n]``: places ``out`` ``[rows, n]``; keys are lost."""
    rows, n = keys.shape
    digits = (8 * keys.itemsize + BITS - 1) // BITS
    mask = keys.dtype.type((1 << BITS) - 1)
    counts = np.empty((digits, 1 << BITS), np.int64)
    other, places = np.empty_like(keys[0]), np.empty(n, np.int32)
    for r in range(rows):
        counts[:] = 0
        for i in range(n):
            key = keys[r, i]
            for d in range(digits):
                counts[d, (key >> keys.dtype.type(BITS * d)) & mask] += 1
        a, b, pa, pb = keys[r], other, out[r], places
        for i in range(n):
            pa[i] = i
        swapped = False
        for d in range(digits):
            shift, count = keys.dtype.type(BITS * d), counts[d]
            if count[(a[0] >> shift) & mask] == n:
                continue
            total = 0
            for bucket in range(1 << BITS):
                total, count[bucket] = total + count[bucket], total
            for i in range(n):
                bucket = (a[i] >> shift) & mask
                at = count[bucket]
                count[bucket] = at + 1
                b[at], pb[at] = a[i], pa[i]
            a, b, pa, pb, swapped = b, a, pb, pa, not swapped
        if swapped:
            out[r] = pa


@_compiled
def scores(x: NDArray[Any], places: NDArray[np.int32], table: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """``table`` at twice the rank of each ``x`` ``[rows, n]`` in its row, whose order is ``places``; ties share one."""
    rows, n = x.shape
    for r in range(rows):
        first = 0
        while first < n:
            last, value = first, x[r, places[r, first]]
            while last + 1 < n and x[r, places[r, last + 1]] == value:
                last += 1
            score = table[first + last + 2]
            for i in range(first, last + 1):
                out[r, places[r, i]] = score
            first = last + 1
