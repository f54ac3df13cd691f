"""Hierarchical softmax on a CPU: skip-gram and continuous bag of words, in numba.

    log p(c | n) = sum_j log s(sign_j x_n . y_j)        j: the inner nodes on the way from the root to the leaf c

sign is 1 where the way turns left (code 0) and -1 where it turns right, so the probabilities of all leaves sum to 1.
Ways are cut into pieces of four nodes (`deepgen.words.huffman.Ways`), and a step is taken piece by piece: the
gradient of log p up to the second power of the rate.

Sources: Morin & Bengio 2005, "Hierarchical probabilistic neural network language model"; Mikolov, Chen, Corrado & Dean
2013, "Efficient estimation of word representations in vector space".
"""

from __future__ import annotations

import numpy as np

from deepgen.layers.jit import numba
from deepgen.words.huffman import PIECE
from deepgen.words.negative_kernels import average, spread
from deepgen.words.pairs import around, learn, room, sentence

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")

_TARGETS = (0,) * PIECE


@_compiled
def skipgram(batch, first, before, key, keep, ways, window, schedule, x, y):  # type: ignore[no-untyped-def]
    """Learn from the sentences ``batch`` ``[n, width]``, numbered from ``first`` on; how many pairs there were.

    ``ways`` is (starts, nodes, labels, weights) of `deepgen.words.huffman.Ways`, ``before`` tokens came before.
    """
    starts, nodes, signs, present = ways
    tokens, found = np.empty(batch.shape[1], np.int32), np.empty(2 * window + 1, np.int32)
    scores, labels, weights = room(2 * PIECE, x), room(2 * PIECE, x), room(2 * PIECE, x)
    pairs = 0
    for row in range(len(batch)):
        n, state, rate, before = sentence(batch, row, first, before, key, keep, schedule, tokens)
        for centre in range(n):
            k, state = around(tokens, n, centre, window, state, found)
            pairs += k
            for j in range(starts[tokens[centre]], starts[tokens[centre] + 1], PIECE):
                for t in range(PIECE):
                    labels[t] = labels[PIECE + t] = signs[j + t]
                    weights[t] = weights[PIECE + t] = present[j + t]
                for i in range(0, k - 1, 2):
                    learn(x, found, i, y, nodes, j, scores, labels, weights, rate, (0, 0), _TARGETS)
                if k % 2:
                    learn(x, found, k - 1, y, nodes, j, scores, labels, weights, rate, (0,), _TARGETS)
    return pairs


@_compiled
def bag(batch, first, before, key, keep, ways, window, schedule, x, y):  # type: ignore[no-untyped-def]
    """The same for the continuous bag of words, where a pair is a centre with all its neighbours."""
    starts, nodes, signs, present = ways
    tokens, found = np.empty(batch.shape[1], np.int32), np.empty(2 * window + 1, np.int32)
    scores, labels, weights, only = room(PIECE, x), room(PIECE, x), room(PIECE, x), np.zeros(1, np.int32)
    mean, moved = np.empty((1, x.shape[1]), x.dtype), np.empty(x.shape[1], x.dtype)
    pairs = 0
    for row in range(len(batch)):
        n, state, rate, before = sentence(batch, row, first, before, key, keep, schedule, tokens)
        for centre in range(n):
            k, state = around(tokens, n, centre, window, state, found)
            if k == 0:
                continue
            pairs += 1
            average(x, found, k, mean, moved)
            for j in range(starts[tokens[centre]], starts[tokens[centre] + 1], PIECE):
                for t in range(PIECE):
                    labels[t], weights[t] = signs[j + t], present[j + t]
                learn(mean, only, 0, y, nodes, j, scores, labels, weights, rate, (0,), _TARGETS)
            spread(x, found, k, mean, moved)
    return pairs
