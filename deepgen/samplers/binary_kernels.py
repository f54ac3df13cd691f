"""Kernels of `deepgen.samplers.sparse_path.SparsePath`, on top of those of `deepgen.explicit.binary`.

Compiled by numba on first use and cached on disk; import this module only where numba may be loaded.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.explicit.binary import gather, list_rows, new_lists, pair_sums
from deepgen.explicit.binary_draw import sample_rows
from deepgen.layers.jit import numba

__all__ = ["gather", "list_rows", "log_ratio", "new_lists", "pair_sums", "sample_rows"]

Array = NDArray[Any]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def log_ratio(field: Array, probability: Array, change: float, terms: int, run: int, out: Array) -> None:
    """out[r] = -sum_j log(1 + p_j expm1(x_j)) with x = change field, expm1 by ``terms`` terms of its Taylor series.

    The product over ``run`` units, in whichever order is fastest, is taken before the logarithm, and in float64 from
    1 + p expm1 on: see `deepgen.samplers.binary_path`.
    """
    rows, width = field.shape
    one, scale = field.dtype.type(1), field.dtype.type(change)
    factor = np.empty(width, field.dtype)
    for r in range(rows):
        y, p = field[r], probability[r]
        for j in range(width):
            factor[j] = one
        for k in range(terms, 1, -1):  # Horner: expm1(x) = x (1 + x/2 (1 + x/3 (...)))
            share = scale / field.dtype.type(k)
            for j in range(width):
                factor[j] = one + share * y[j] * factor[j]
        for j in range(width):
            factor[j] *= p[j] * (scale * y[j])
        total = 0.0
        for first in range(0, width, run):
            product = 1.0
            for j in range(first, min(first + run, width)):
                product *= 1.0 + np.float64(factor[j])
            total -= math.log(product)
        out[r] = total
