"""What all kernels of words share: a sentence, the neighbours of a centre, and a step of gradient descent on a block.

    loss = - sum_ct w_t [l_t log s(x_c . y_t) + (1 - l_t) log s(- x_c . y_t)],      s(z) = 1 / (1 + e^-z)
    x_c += rate sum_t g_ct y_t,     y_t += rate sum_c g_ct x_c,     g_ct = w_t (l_t - s(x_c . y_t))

l_t is 1 for what was seen and 0 for what was not, w_t is 1, or 0 where a target does not count. s is 1/2 and an odd
rational function, our own fit, good to 2e-7 in float32; below -16 and above 16 it stays at its value there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepgen.layers.jit import numba
from deepgen.words.blocks import STRIP, dots, update
from deepgen.words.draws import below, following, kept_tokens, mixed, start

_dots: Any = dots  # numba's types take them for functions of Python
_update: Any = update
_F32 = np.float32
_LAST = _F32(16)
_P0, _P1, _P2 = _F32(0.24999999249658764), _F32(0.008398870753662873), _F32(5.56899779916939e-05)
_P3, _P4 = _F32(8.505190281717432e-08), _F32(1.4708856449362364e-11)
_Q0, _Q1, _Q2 = _F32(1), _F32(0.11692878495721737), _F32(0.0016335015647219893)
_Q3, _Q4 = _F32(5.311224142128833e-06), _F32(3.3022209398521057e-09)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def errors(s, labels, weights, rate):  # type: ignore[no-untyped-def]
    """Turn the scores ``s`` into steps ``rate g``, in place; NaN stays NaN."""
    for k in range(len(s)):
        z = s[k]
        z = _LAST if z > _LAST else (-_LAST if z < -_LAST else z)
        q = z * z
        top = _P0 + q * (_P1 + q * (_P2 + q * (_P3 + q * _P4)))
        under = _Q0 + q * (_Q1 + q * (_Q2 + q * (_Q3 + q * _Q4)))
        s[k] = (labels[k] - _F32(0.5) - z * top / under) * (weights[k] * rate)


@numba.njit(inline="always")
def learn(x, inputs, i, y, outputs, j, s, labels, weights, rate, contexts, targets):  # type: ignore[no-untyped-def]
    """One step on the rows of ``inputs`` from i on and of ``outputs`` from j on, as many as the two tuples are long."""
    _dots(x, inputs, i, y, outputs, j, s, contexts, targets)
    errors(s, labels, weights, rate)
    _update(x, inputs, i, y, outputs, j, s, contexts, targets)


@numba.njit(inline="always")
def room(numbers, x):  # type: ignore[no-untyped-def]
    """Zeros of the type of ``x``, a whole number of strips."""
    return np.zeros((numbers + STRIP - 1) // STRIP * STRIP, x.dtype)


@numba.njit(inline="always")
def neighbours(tokens, n, centre, reach, found):  # type: ignore[no-untyped-def]
    """Write the tokens around a centre, at most ``reach`` away, to ``found``; how many they are."""
    k = 0
    for j in range(max(0, centre - reach), min(n, centre + reach + 1)):
        if j != centre:
            found[k] = tokens[j]
            k += 1
    return k


@numba.njit(inline="always")
def sentence(batch, row, first, before, key, keep, schedule, tokens):  # type: ignore[no-untyped-def]
    """Write the tokens that stay of a sentence to ``tokens``: how many, the state of its stream, its rate, and how many
    tokens came by its end."""
    n, came, state = kept_tokens(batch[row], keep, start(key, first + row), tokens)
    return n, state, rate_at(before, schedule), before + came


@numba.njit(inline="always")
def around(tokens, n, centre, window, state, found):  # type: ignore[no-untyped-def]
    """Draw how far a centre reaches and write its neighbours to ``found``: how many, and the state of the stream."""
    state = following(state)
    return neighbours(tokens, n, centre, 1 + below(mixed(state), window), found), state


@numba.njit(inline="always")
def rate_at(came, schedule):  # type: ignore[no-untyped-def]
    """The rate after ``came`` tokens: from the first to the last along a line, ``schedule = (first, last, total)``."""
    first, last, total = schedule
    return _F32(first + (last - first) * min(1.0, came / total))
