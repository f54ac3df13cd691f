"""Negative sampling on a CPU: skip-gram and continuous bag of words, in numba.

Skip-gram, for a centre c, its neighbours n in reach, and k noise tokens r (x: vectors of inputs, y: of outputs):

    loss = - sum_n [ log s(x_n . y_c) + sum_r log s(- x_n . y_r) ]

Continuous bag of words has h, the mean of all x_n, in the place of each:

    loss = - log s(h . y_c) - sum_r log s(- h . y_r),       d loss / d x_n = d loss / d h / number of neighbours

A noise token that is the centre does not count. ``shared`` neighbours that follow one another have their noise tokens
in common; two of them are a block of `deepgen.words.blocks`, which halves the traffic with memory.

Source: Mikolov, Sutskever, Chen, Corrado & Dean 2013, "Distributed representations of words and phrases and their
compositionality"; the direction, in which the neighbour is the input, is that of its authors' program.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepgen.layers.jit import numba
from deepgen.words.blocks import prefetch
from deepgen.words.draws import following, mixed, noise
from deepgen.words.pairs import around, learn, room, sentence

_prefetch: Any = prefetch
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@numba.njit(inline="always")
def _draw(y, outputs, place, count, tables, state):  # type: ignore[no-untyped-def]
    """Write ``count`` noise tokens to ``outputs`` from ``place`` on, and have their rows brought."""
    for t in range(count):
        state = following(state)
        token = noise(mixed(state), tables[0], tables[1])
        outputs[place + t] = token
        _prefetch(y, token)
    return state


@_compiled
def skipgram(batch, first, before, key, keep, tables, window, shared, schedule, x, y, targets):  # type: ignore[no-untyped-def]
    """Learn from the sentences ``batch`` ``[n, width]``, numbered from ``first`` on; how many pairs there were.

    ``before`` tokens came before; ``targets`` is a tuple one longer than the number of noise tokens.
    """
    wide = len(targets)
    tokens, found = np.empty(batch.shape[1], np.int32), np.empty(2 * window + 1, np.int32)
    outputs = np.empty(2 * wide, np.int32)  # of this group and of the next
    one, two, labels, weights = room(wide, x), room(2 * wide, x), room(2 * wide, x), room(2 * wide, x)
    labels[0] = labels[wide] = 1
    single = labels[: len(one)].copy()
    single[1:] = 0
    pairs = 0
    for row in range(len(batch)):
        n, state, rate, before = sentence(batch, row, first, before, key, keep, schedule, tokens)
        for centre in range(n):
            k, state = around(tokens, n, centre, window, state, found)
            pairs += k
            place = 0
            outputs[0] = outputs[wide] = tokens[centre]
            if k > 0:
                state = _draw(y, outputs, 1, wide - 1, tables, state)
            for group in range(0, k, shared):
                end = min(k, group + shared)
                if end < k:
                    state = _draw(y, outputs, wide - place + 1, wide - 1, tables, state)
                for t in range(wide):
                    counts = t == 0 or outputs[place + t] != tokens[centre]
                    weights[t] = weights[wide + t] = counts
                i = group
                while i + 1 < end:
                    learn(x, found, i, y, outputs, place, two, labels, weights, rate, (0, 0), targets)
                    i += 2
                if i < end:
                    learn(x, found, i, y, outputs, place, one, single, weights, rate, (0,), targets)
                place = wide - place
    return pairs


@_compiled
def bag(batch, first, before, key, keep, tables, window, shared, schedule, x, y, targets):  # type: ignore[no-untyped-def]
    """The same for the continuous bag of words, where a pair is a centre with all its neighbours."""
    wide = len(targets)
    tokens, found = np.empty(batch.shape[1], np.int32), np.empty(2 * window + 1, np.int32)
    outputs, only = np.empty(wide, np.int32), np.zeros(1, np.int32)
    scores, labels, weights = room(wide, x), room(wide, x), room(wide, x)
    labels[0] = 1
    mean, moved = np.empty((1, x.shape[1]), x.dtype), np.empty(x.shape[1], x.dtype)
    pairs = 0
    for row in range(len(batch)):
        n, state, rate, before = sentence(batch, row, first, before, key, keep, schedule, tokens)
        for centre in range(n):
            k, state = around(tokens, n, centre, window, state, found)
            if k == 0:
                continue
            pairs += 1
            outputs[0] = tokens[centre]
            state = _draw(y, outputs, 1, wide - 1, tables, state)
            for t in range(wide):
                weights[t] = t == 0 or outputs[t] != tokens[centre]
            average(x, found, k, mean, moved)
            learn(mean, only, 0, y, outputs, 0, scores, labels, weights, rate, (0,), targets)
            spread(x, found, k, mean, moved)
    return pairs


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def average(x, found, k, mean, kept):  # type: ignore[no-untyped-def]
    """The mean of k rows, twice: what is learned moves ``mean`` and not ``kept``."""
    share = x.dtype.type(1) / x.dtype.type(k)
    kept[:] = 0
    for i in range(k):
        row = x[found[i]]
        for d in range(len(kept)):
            kept[d] += row[d]
    for d in range(len(kept)):
        kept[d] *= share
        mean[0, d] = kept[d]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def spread(x, found, k, mean, kept):  # type: ignore[no-untyped-def]
    """Hand how far the mean has moved to its k rows, each a k-th."""
    share = x.dtype.type(1) / x.dtype.type(k)
    for d in range(len(kept)):
        kept[d] = (mean[0, d] - kept[d]) * share
    for i in range(k):
        row = x[found[i]]
        for d in range(len(kept)):
            row[d] += kept[d]
