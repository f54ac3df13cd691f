"""Kernels of `deepgen.layers.rectified`: what follows a matrix product, in one pass over its result.

float32 memory is passed by address (`deepgen.layers.memory`). Compiled by numba on first use and cached on disk; import
this module only where numba may be loaded.
"""

from __future__ import annotations

import numpy as np

from deepgen.layers.jit import numba
from deepgen.layers.memory import matrix, vector

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})  # sums in any order
_ZERO = np.float32(0)


@_compiled
def rectify(values: int, biases: int, units: int, batch: int) -> None:
    """h = max(h + bias, 0) in place, ``[units, batch]`` and ``[units]``."""
    h, bias = matrix(values, units, batch), vector(biases, units)
    for j in range(units):
        row, b = h[j], bias[j]
        for i in range(batch):
            v = row[i] + b
            row[i] = _ZERO if v < _ZERO else v  # NaN stays


@_compiled
def gate(gradients: int, values: int, totals: int, units: int, batch: int) -> None:
    """g = 0 in place where h, a result of `rectify`, is 0; what is left is summed over the batch, ``[units]``."""
    g, h, total = matrix(gradients, units, batch), matrix(values, units, batch), vector(totals, units)
    for j in range(units):
        row, own, s = g[j], h[j], _ZERO
        for i in range(batch):
            v = _ZERO if own[i] <= _ZERO else row[i]
            row[i] = v
            s += v
        total[j] = s
