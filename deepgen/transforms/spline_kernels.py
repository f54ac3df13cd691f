"""Kernels of `deepgen.transforms.Spline` for float32 on a CPU: each direction, and its gradients, in one pass.

They compute what that file's tensor form computes, to rounding. Values are ``[n]``, parameters ``[3 bins - 1, n]``.
Work goes in blocks that stay in cache, by short loops over contiguous rows, which the compiler turns into vector
instructions. Compiled by numba on first use and cached on disk; import this module only where numba may be loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.layers.jit import numba

Array = NDArray[Any]
Float = np.float32
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})  # a b + c in one rounding

BLOCK = 512
_ZERO, _TWO = Float(0), Float(2)
# exp(x) = 2^k exp(r): log2 e; log 2 in two parts, the first short, so that k times it is exact; and a number so large
# that adding it leaves k + 127, the exponent field of 2^k, in the last bits of the sum.
_LOG2E, _LN2_HIGH, _LN2_LOW, _SHIFTER = Float(1.44269504), Float(0.693359375), Float(-2.12194440e-4), Float(12583039)
_ONE, _C2, _C3, _C4, _C5, _C6 = (Float(1 / n) for n in (1, 2, 6, 24, 120, 720))


def form(spline: Any) -> tuple[Any, ...]:
    """What the kernels need to know of a `Spline`: bins, box, smallest share of a bin, limit."""
    return spline.bins, Float(spline.box), Float(spline.smallest), Float(spline.limit)


@_compiled
def _exp_bounded(a: Any, inverse: Any) -> Any:
    """exp(a / (1 + |a| inverse)), where 1 / inverse is at most 80."""
    x = a / (_ONE + abs(a) * inverse)
    shifted = x * _LOG2E + _SHIFTER
    k = shifted - _SHIFTER
    power = np.int32(Float(shifted).view(np.int32) << np.int32(23)).view(Float)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    return (_ONE + r * (_ONE + r * (_C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * _C6)))))) * power


@_compiled
def _exp_row(a: Array, inverse: Any, out: Array, total: Array) -> None:
    for i in range(len(a)):
        out[i] = _exp_bounded(a[i], inverse)
        total[i] += out[i]


@_compiled
def _next_edge(edge: Array, share: Array, scale: Array, low: Any, out: Array) -> None:
    for i in range(len(edge)):
        share[i] *= scale[i]
        out[i] = edge[i] + (share[i] + low)


@_compiled
def _edges(p: Array, first: int, s: int, t: int, form: Any, share: Array, edge: Array, total: Array) -> None:
    """Rows ``first``, ... of ``p`` to sizes less the smallest ``share`` [K, n], and their sums ``edge`` [K + 1, n]."""
    bins, box, smallest, limit = form
    n, low = t - s, _TWO * box * smallest
    scale = _TWO * box * (_ONE - Float(bins) * smallest)
    total, start, end = total[:n], edge[0, :n], edge[bins, :n]
    for i in range(n):
        total[i] = _ZERO
    for k in range(bins):
        _exp_row(p[first + k, s:t], _TWO / limit, share[k, :n], total)
    for i in range(n):
        total[i] = scale / total[i]
        start[i] = -box
    for k in range(bins):
        _next_edge(edge[k, :n], share[k, :n], total, low, edge[k + 1, :n])
    for i in range(n):
        end[i] = box


@_compiled
def _count(value: Array, edge: Array, cell: Array) -> None:
    for i in range(len(value)):
        cell[i] += np.int32(value[i] >= edge[i])


@_compiled
def _find(value: Array, p: Array, s: int, t: int, form: Any, inverse: bool, room: Any) -> None:
    """The bin of each value and what the formulas need of it, in the rows of ``part``."""
    share_x, edge_x, share_y, edge_y, part, cell = room
    bins, n = form[0], t - s
    _edges(p, 0, s, t, form, share_x, edge_x, part[0])
    _edges(p, bins, s, t, form, share_y, edge_y, part[0])
    left, width, bottom, height, a0, a1 = part[0], part[1], part[2], part[3], part[4], part[5]
    cell, edge = cell[:n], edge_y if inverse else edge_x
    for i in range(n):
        cell[i] = np.int32(0)
    for k in range(1, bins):
        _count(value[s:t], edge[k, :n], cell)
    for i in range(n):
        k = cell[i]
        left[i], width[i] = edge_x[k, i], edge_x[k + 1, i] - edge_x[k, i]
        bottom[i], height[i] = edge_y[k, i], edge_y[k + 1, i] - edge_y[k, i]
        a0[i] = p[2 * bins + k - 1, s + i] if k > 0 else _ZERO
        a1[i] = p[2 * bins + k, s + i] if k < bins - 1 else _ZERO


@_compiled
def _room(bins: int) -> Any:
    shape = bins, BLOCK
    return (np.empty(shape, Float), np.empty((bins + 1, BLOCK), Float), np.empty(shape, Float),
            np.empty((bins + 1, BLOCK), Float), np.empty((8, BLOCK), Float), np.empty(BLOCK, np.int32))  # fmt: skip


@_compiled
def _forward(x: Array, part: Array, box: Any, limit: Any, z: Array, slope: Array) -> None:
    left, width, bottom, height, a0, a1 = part[0], part[1], part[2], part[3], part[4], part[5]
    for i in range(len(x)):
        s, d0, d1 = height[i] / width[i], _exp_bounded(a0[i], _ONE / limit), _exp_bounded(a1[i], _ONE / limit)
        a = (x[i] - left[i]) / width[i]
        b = _ONE - a
        aa, ab, bb = a * a, a * b, b * b
        den = s * (aa + bb) + (d0 + d1) * ab
        top, new = bottom[i] + height[i], bottom[i] + height[i] * ((s * aa + d0 * ab) / den)
        new = top if new > top else new  # and NaN stays
        inside = abs(x[i]) <= box
        z[i] = new if inside else x[i]
        slope[i] = s * s * (d1 * aa + _TWO * s * ab + d0 * bb) / (den * den) if inside else _ONE


@_compiled
def _backward(z: Array, part: Array, box: Any, limit: Any, x: Array, slope: Array) -> None:
    left, width, bottom, height, a0, a1 = part[0], part[1], part[2], part[3], part[4], part[5]
    for i in range(len(z)):
        s, d0, d1 = height[i] / width[i], _exp_bounded(a0[i], _ONE / limit), _exp_bounded(a1[i], _ONE / limit)
        h = (z[i] - bottom[i]) / height[i]
        g = _ONE - h
        u = d0 * g - d1 * h
        m = np.sqrt(u * u + Float(4) * s * s * h * g) + abs(u)
        up = u >= _ZERO
        n = _TWO * s * (h if up else g)
        near, far = n / (m + n), m / (m + n)
        a, b = (near if up else far), (far if up else near)
        aa, ab, bb = a * a, a * b, b * b
        den = s * (aa + bb) + (d0 + d1) * ab
        right, new = left[i] + width[i], left[i] + width[i] * a
        new = right if new > right else new
        inside = abs(z[i]) <= box
        x[i] = new if inside else z[i]
        slope[i] = den * den / (s * s * (d1 * aa + _TWO * s * ab + d0 * bb)) if inside else _ONE


@_compiled
def evaluate(value: Array, p: Array, form: Any, inverse: bool, out: Array, slope: Array) -> None:
    """out, slope = the spline and its slope, or those of its inverse."""
    bins, box, _, limit = form
    room = _room(bins)
    for s in range(0, len(value), BLOCK):
        t = min(s + BLOCK, len(value))
        _find(value, p, s, t, form, inverse, room)
        if inverse:
            _backward(value[s:t], room[4], box, limit, out[s:t], slope[s:t])
        else:
            _forward(value[s:t], room[4], box, limit, out[s:t], slope[s:t])


@_compiled
def _partials(x: Array, part: Array, cell: Array, form: Any, inverse: bool, gv: Array, gl: Array, out: Array) -> None:
    """Gradients to the value, in ``out``, and to left, width, bottom, height, a0, a1, over them in ``part``.

    Rows 6 and 7 of ``part`` receive the mean gradient of a share of the width and of the height.
    """
    bins, box, smallest, limit = form
    left, width, bottom, height, a0, a1 = part[0], part[1], part[2], part[3], part[4], part[5]
    low, scale = _TWO * box * smallest, _TWO * box * (_ONE - Float(bins) * smallest)
    for i in range(len(x)):
        w, s = width[i], height[i] / width[i]
        d0, d1 = _exp_bounded(a0[i], _ONE / limit), _exp_bounded(a1[i], _ONE / limit)
        a = (min(max(x[i], -box), box) - left[i]) / w  # finite outside too, where it is multiplied by 0
        b = _ONE - a
        aa, ab, bb, turn = a * a, a * b, b * b, b - a
        den = s * (aa + bb) + (d0 + d1) * ab
        r = (s * aa + d0 * ab) / den
        q = d1 * aa + _TWO * s * ab + d0 * bb
        den_a = turn * (d0 + d1 - _TWO * s)
        q_a = _TWO * (d1 * a + s * turn - d0 * b)
        g, log = gv[i], gl[i]
        # Of the inverse at z = f(x): dx = (dz - df) / f', and its log slope is minus that of f at x.
        back = (g - log * (q_a / q - _TWO * den_a / den) / w) * (den * den / (s * s * q))
        g, log = (-back, -log) if inverse else (g, log)
        to_num = g * height[i] / den
        to_den = -to_num * r - _TWO * log / den
        to_q = log / q
        to_s = _TWO * log / s + to_num * aa + to_den * (aa + bb) + to_q * _TWO * ab
        to_a = to_num * (_TWO * s * a + d0 * turn) + to_den * den_a + to_q * q_a
        inside = abs(x[i]) <= box
        direct = back if inverse else to_a / w
        out[i] = direct if inside else gv[i]
        keep = _ONE if inside else _ZERO
        c0, c1 = _ONE + abs(a0[i]) / limit, _ONE + abs(a1[i]) / limit
        to_left, to_width = -keep * to_a / w, -keep * (to_s * s + to_a * a) / w
        to_bottom, to_height = keep * g, keep * (g * r + to_s / w)
        before = box - Float(cell[i]) * low
        part[6, i] = (to_left * (left[i] + before) + to_width * (w - low)) / scale
        part[7, i] = (to_bottom * (bottom[i] + before) + to_height * (height[i] - low)) / scale
        left[i], width[i], bottom[i], height[i] = to_left, to_width, to_bottom, to_height
        a0[i] = keep * (to_num * ab + to_den * ab + to_q * bb) * d0 / (c0 * c0)
        a1[i] = keep * (to_den * ab + to_q * aa) * d1 / (c1 * c1)


@_compiled
def _size_row(
    a: Array, cell: Array, share: Array, k: int, before: Array, own: Array, mean: Array, inverse: Any, out: Array
) -> None:
    for i in range(len(cell)):
        g = before[i] if k < cell[i] else (own[i] if k == cell[i] else _ZERO)
        c = _ONE + abs(a[i]) * inverse
        out[i] = share[i] * (g - mean[i]) / (c * c)


@_compiled
def _slope_row(cell: Array, k: int, a0: Array, a1: Array, out: Array) -> None:
    for i in range(len(cell)):
        out[i] = a0[i] if cell[i] == k else (a1[i] if cell[i] == k - 1 else _ZERO)


@_compiled
def gradients(x: Array, p: Array, form: Any, inverse: bool, gv: Array, gl: Array, out: Array, to_p: Array) -> None:
    """Gradients ``out`` to the value and ``to_p`` to the parameters, from those of result and log slope.

    x is on the data's side in both directions: the argument of the spline, or the result of its inverse.
    """
    bins, limit, room = form[0], form[3], _room(form[0])
    share_x, _, share_y, _, part, cells = room
    for s in range(0, len(x), BLOCK):
        t = min(s + BLOCK, len(x))
        n = t - s
        _find(x, p, s, t, form, False, room)
        _partials(x[s:t], part, cells, form, inverse, gv[s:t], gl[s:t], out[s:t])
        cell = cells[:n]
        for half in range(2):
            share = share_y if half else share_x
            before, own, mean = part[2 * half, :n], part[2 * half + 1, :n], part[6 + half, :n]
            for k in range(bins):
                j = half * bins + k
                _size_row(p[j, s:t], cell, share[k, :n], k, before, own, mean, _TWO / limit, to_p[j, s:t])
        for k in range(1, bins):
            _slope_row(cell, k, part[4, :n], part[5, :n], to_p[2 * bins + k - 1, s:t])
