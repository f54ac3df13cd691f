"""Kernels of the affine map z = (x - b) e^{-s}, s = a / (1 + |a| / L), float32, with its gradients.

Parameters are ``[2 features, batch]``, b above a, to which biases ``[2 features]`` are added first. Memory is passed by
address (`deepgen.layers.memory`). Compiled by numba on first use and cached on disk; import this module only where
numba may be loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.layers.jit import numba
from deepgen.layers.memory import matrix, vector
from deepgen.transforms.spline_kernels import _exp_bounded

Array = NDArray[Any]
Float = np.float32
# Sums over the batch may go in any order, and a b + c may be rounded once.
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
_ONE, _ZERO = Float(1), Float(0)


@_compiled
def _forward(x: Array, b: Array, a: Array, b0: Any, a0: Any, inverse: Any, z: Array, log_slope: Array) -> None:
    for i in range(len(x)):
        c = a[i] + a0
        z[i] = (x[i] - (b[i] + b0)) * _exp_bounded(-c, inverse)
        log_slope[i] = -c / (_ONE + abs(c) * inverse)


@_compiled
def _add(row: Array, total: Array) -> None:
    for i in range(len(row)):
        total[i] += row[i]


@_compiled
def forward(
    data: int, parameters: int, biases: int, limit: float, codes: int, totals: int, features: int, batch: int
) -> None:
    """z ``[features, batch]`` and its log slopes summed over the features, ``[batch]``."""
    x, z, p = matrix(data, features, batch), matrix(codes, features, batch), matrix(parameters, 2 * features, batch)
    bias, total = vector(biases, 2 * features), vector(totals, batch)
    log_slope, inverse = np.empty_like(total), Float(1 / limit)
    total[:] = _ZERO
    for d in range(features):
        e = features + d
        _forward(x[d], p[d], p[e], bias[d], bias[e], inverse, z[d], log_slope)
        _add(log_slope, total)


@_compiled
def _backward(z: Array, a: Array, a0: Any, inverse: Any, gz: Array, gl: Array, gx: Array, gb: Array, ga: Array) -> Any:
    to_b, to_a = _ZERO, _ZERO
    for i in range(len(z)):
        c = a[i] + a0
        root = _ONE + abs(c) * inverse
        g, h = gz[i] * _exp_bounded(-c, inverse), -(gl[i] + gz[i] * z[i]) / (root * root)
        gx[i], gb[i], ga[i] = g, -g, h
        to_b -= g
        to_a += h
    return to_b, to_a


@_compiled
def backward(
    codes: int, parameters: int, biases: int, limit: float, to_codes: int, to_totals: int, to_data: int,
    to_parameters: int, to_biases: int, features: int, batch: int,
) -> None:  # fmt: skip
    """Gradients to data, parameters and biases, from those to z and to the sum of its log slopes."""
    z, p = matrix(codes, features, batch), matrix(parameters, 2 * features, batch)
    bias, to_bias = vector(biases, 2 * features), vector(to_biases, 2 * features)
    gz, gl = matrix(to_codes, features, batch), vector(to_totals, batch)
    gx, gp = matrix(to_data, features, batch), matrix(to_parameters, 2 * features, batch)
    inverse = Float(1 / limit)
    for d in range(features):
        e = features + d
        to_bias[d], to_bias[e] = _backward(z[d], p[e], bias[e], inverse, gz[d], gl, gx[d], gp[d], gp[e])
