"""Draws of Bernoulli layers from their fields, as rows or as the lists of `deepgen.explicit.binary`.

The uniforms are 24-bit numbers, as torch's are, two from each output of SplitMix64 started at a key (Steele, Lea &
Flood 2014), so they depend on the key, the row and the column alone. Sigmoids are right to 3e-7 of their value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deepgen.explicit.binary import Lists, _list_row
from deepgen.layers.jit import numba
from deepgen.random import key as random_key
from deepgen.share import offset

Array = NDArray[Any]
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
_contracted = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})  # a b + c in one rounding

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

# exp(x) = 2^k exp(r): log2 e; log 2 in two parts, the first short, so that k times it is exact; and a number so large
# that adding it leaves k + 127, the exponent field of 2^k, in the last bits of the sum.
_LOG2E, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_SHIFTER, _LARGEST = np.float32(1.5 * 2**23 + 127), np.float32(87)
_ONE, _C2, _C3, _C4, _C5, _C6 = (np.float32(1 / n) for n in (1, 2, 6, 24, 120, 720))


def key(generator: torch.Generator, rows: int, width: int) -> int:
    """A key drawn from ``generator``, at which the numbers of this rank's ``rows`` of ``width`` begin among all ranks'.

    >>> key(torch.Generator().manual_seed(0), 5, 4) == random_key(torch.Generator().manual_seed(0))  # of one rank
    True
    """
    drawn = random_key(generator) + offset(rows) * ((width + 1) // 2) * int(_GOLDEN) & 2**64 - 1
    return drawn - 2**64 if drawn >= 2**63 else drawn  # an int64 with these bits, for which kernels are compiled


@_compiled
def _uniform_row(key: np.uint64, r: int, uniform: Array) -> None:
    half = len(uniform) // 2
    state = key + np.uint64(r * half) * _GOLDEN
    for i in range(half):
        state += _GOLDEN
        z = (state ^ (state >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        z ^= z >> np.uint64(31)
        uniform[2 * i] = np.float32(np.int32(z >> np.uint64(40))) * np.float32(2.0**-24)
        uniform[2 * i + 1] = np.float32(np.int32(z & np.uint64(0xFFFFFF))) * np.float32(2.0**-24)


@_contracted
def _sigmoid_row(field: Array, scale: np.float32, rest: Array, power: Array, out: Array) -> None:
    """out = sigmoid(scale field); ``rest`` and ``power`` are room. Fields beyond 87 count as 87."""
    bits = power.view(np.int32)
    for j in range(len(field)):
        x = -scale * field[j]
        x = _LARGEST if x > _LARGEST else x  # and NaN stays
        x = -_LARGEST if x < -_LARGEST else x
        shifted = x * _LOG2E + _SHIFTER
        k = shifted - _SHIFTER
        power[j] = shifted
        rest[j] = (x - k * _LN2_HIGH) - k * _LN2_LOW
    for j in range(len(field)):
        bits[j] = bits[j] << 23
    for j in range(len(field)):
        r = rest[j]
        e = _ONE + r * (_ONE + r * (_C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * _C6)))))
        out[j] = _ONE / (_ONE + e * power[j])


@_compiled
def sigmoid(field: Array, out: Array) -> None:
    """out = sigmoid(field), which may be the same ``[rows, width]``."""
    rest, power = np.empty(field.shape[1], np.float32), np.empty(field.shape[1], np.float32)
    for r in range(len(field)):
        _sigmoid_row(field[r], np.float32(1), rest, power, out[r])


@_compiled
def sample(probability: Array, key: int, out: Array) -> None:
    """Draw out ~ Bernoulli(probability), both ``[rows, width]``."""
    rows, width = probability.shape
    uniform = np.empty(width + width % 2, np.float32)
    for r in range(rows):
        _uniform_row(np.uint64(key), r, uniform)
        p, row = probability[r], out[r]
        for j in range(width):
            row[j] = np.float32(1) if uniform[j] < p[j] else np.float32(0)


@_compiled
def sample_field(field: Array, key: int, out: Array) -> None:
    """Draw out ~ Bernoulli(sigmoid(field)), two arrays ``[rows, width]``."""
    rows, width = field.shape
    uniform, rest = np.empty(width + width % 2, np.float32), np.empty(width, np.float32)
    power, p = np.empty(width, np.float32), np.empty(width, np.float32)
    for r in range(rows):
        _sigmoid_row(field[r], np.float32(1), rest, power, p)
        _uniform_row(np.uint64(key), r, uniform)
        row = out[r]
        for j in range(width):
            row[j] = np.float32(1) if uniform[j] < p[j] else np.float32(0)


@_compiled
def sample_lists(field: Array, key: int, start: int, lists: Lists) -> None:
    """Draw Bernoulli(sigmoid(field)) as the lists of rows ``start``, ``start + 1``, ..."""
    rows, width = field.shape
    uniform, row, p = np.empty(width + width % 2, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for r in range(rows):
        _sigmoid_row(field[r], np.float32(1), uniform, row, p)
        _uniform_row(np.uint64(key), r, uniform)
        for j in range(width):
            row[j] = np.float32(1) if uniform[j] < p[j] else np.float32(0)
        _list_row(row, start + r, lists)


@_compiled
def sample_rows(field: Array, scale: float, key: int, probability: Array, out: Array, lists: Lists, most: int) -> int:
    """Draw out ~ Bernoulli(sigmoid(scale field)), and write its lists too if it has at most ``most`` ones.

    ``probability`` receives the means, and may be ``field`` itself. Returns the number of ones.
    """
    rows, width = field.shape
    uniform, rest = np.empty(width + width % 2, np.float32), np.empty(width, np.float32)
    ones = 0
    for r in range(rows):
        p, row, count = probability[r], out[r], 0
        _sigmoid_row(field[r], np.float32(scale), rest, row, p)
        _uniform_row(np.uint64(key), r, uniform)
        for j in range(width):
            on = uniform[j] < p[j]
            row[j] = np.float32(1) if on else np.float32(0)
            count += int(on)
        ones += count
    if ones <= most:
        for r in range(rows):
            _list_row(out[r], r, lists)
    return ones
