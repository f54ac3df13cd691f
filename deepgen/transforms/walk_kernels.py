"""Kernels of a whole decoding walk: network (`deepgen.layers.walk`) and map of one variable, for `Scale` and `Spline`.

Codes z, data x and log slopes are ``[features, batch]``. Compiled by numba on first use and cached on disk; import this
module only where numba may be loaded.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.layers.walk import advance, compiled, pack, room
from deepgen.transforms.spline_kernels import evaluate, form

__all__ = ["affine", "form", "pack", "room", "spline"]

Array = NDArray[Any]


@compiled
def affine(net: Any, tile: Any, limit: float, z: Array, x: Array, log_slope: Array) -> None:
    """x = z e^s + b with s = a / (1 + |a| / limit), float32 or float64."""
    order, known, p, one, bound = net[5], tile[0], tile[4], z.dtype.type(1), z.dtype.type(limit)
    for first in range(0, z.shape[1], known.shape[1]):
        columns = min(known.shape[1], z.shape[1] - first)
        for d in range(len(order)):
            advance(net, tile, d, first, columns)
            v, b, a = order[d], p[0], p[1]
            for i in range(columns):
                s = a[i] / (one + abs(a[i]) / bound)
                log_slope[v, first + i] = s
                known[d, i] = z[v, first + i] * math.exp(s) + b[i]
                x[v, first + i] = known[d, i]


@compiled
def spline(net: Any, tile: Any, shape: Any, z: Array, x: Array, log_slope: Array) -> None:
    """x on the rational-quadratic spline of that ``shape`` (`form` of a `Spline`), float32."""
    order, known, p = net[5], tile[0], tile[4]
    row, slope = np.zeros(known.shape[1], np.float32), np.empty(known.shape[1], np.float32)
    for first in range(0, z.shape[1], known.shape[1]):
        columns = min(known.shape[1], z.shape[1] - first)
        for d in range(len(order)):
            advance(net, tile, d, first, columns)
            v = order[d]
            for i in range(columns):
                row[i] = z[v, first + i]
            evaluate(row, p, shape, True, known[d], slope)
            for i in range(columns):
                x[v, first + i] = known[d, i]
                log_slope[v, first + i] = math.log(slope[i])
