"""Biased walks in compiled loops, some dozens of them side by side.

What a walk waits for is memory: its next node is known only when a row that lies anywhere has been read. So each thread
moves `LANES` walks in step, first all proposals, then all tests of an edge, then all moves, and reads of different
walks overlap: four times as fast as one walk after another. A walk that ends makes room for the next.

The law, the proposal and the counting of random numbers are those of `deepgen.graphs.walks`. Compiled by numba on first
use and cached on disk; import this module only where numba may be loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.layers.jit import numba
from deepgen.stream_kernels import _philox

Array = NDArray[Any]
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
_inlined = numba.njit(inline="always")
_U32, _U64, _I64, _F64 = np.uint32, np.uint64, np.int64, np.float64
_UP, _DROP = _U64(32), _U64(11)

LANES = 32
TRIES = 32  # proposals, and one more for each 8 edges of the row, before the row is summed


@_inlined
def _unit(high, low):  # type: ignore[no-untyped-def]
    """A multiple of 2**-53 in [0, 1) of two words."""
    return _F64(_I64((_U64(high) << _UP | _U64(low)) >> _DROP)) * 2.0**-53


@_compiled
def _draw(words, epoch, key0, key1, first, second, lanes):  # type: ignore[no-untyped-def]
    """Two numbers for each lane: block ``words[0]`` of walk ``words[1]`` from node ``words[2]``."""
    block, walk, node = words[0], words[1], words[2]
    for i in range(lanes):
        a, b, c, d = _philox(block[i], walk[i], node[i], epoch, key0, key1)
        first[i], second[i] = _unit(a, b), _unit(c, d)


@_compiled
def _find(indices, begin, length, node):  # type: ignore[no-untyped-def]
    """The place of ``node`` in a row, or -1."""
    while length > 1:
        half = length >> 1
        begin += half if indices[begin + half] <= node else 0
        length -= half
    return begin if length == 1 and indices[begin] == node else -1


@_compiled
def _scan(indptr, indices, weights, before, at, inverse_p, inverse_q, u):  # type: ignore[no-untyped-def]
    """The edge of the row of ``at`` that ``u`` chooses by the law itself: two passes through it."""
    begin, end = indptr[at], indptr[at + 1]
    start, length = indptr[before], indptr[before + 1] - indptr[before]
    weighted, total, target = len(weights) > 0, 0.0, np.inf
    for sweep in range(2):
        total = 0.0
        for edge in range(begin, end):
            x = indices[edge]
            near = x != before and _find(indices, start, length, x) >= 0
            bias = inverse_p if x == before else 1.0 if near else inverse_q
            total += bias * _F64(weights[edge]) if weighted else bias
            if sweep == 1 and total > target:
                return edge
        target = u * total
    return end - 1


@_compiled
def _test(  # type: ignore[no-untyped-def]
    indptr, indices, directed, before, proposed, waiting, count, place, size, sought
):
    """Where the edge from the node before to the one proposed stands if it is there, for lanes ``waiting[:count]``.

    An undirected one is sought in the shorter of its two rows. All searches halve together.
    """
    longest = 0
    for r in range(count):
        t, x = before[waiting[r]], proposed[waiting[r]]
        row, d, name = indptr[t], indptr[t + 1] - indptr[t], x
        if not directed:
            other = indptr[x + 1] - indptr[x]
            shorter = other < d
            row, d, name = indptr[x] if shorter else row, other if shorter else d, t if shorter else x
        place[r], size[r], sought[r] = row, d, name
        longest = max(longest, d)
    while longest > 1:
        for r in range(count):
            half = size[r] >> 1
            place[r] += half if indices[place[r] + half] <= sought[r] else 0
            size[r] -= half
        longest -= longest >> 1


@_compiled
def walk(
    indptr: Array, indices: Array, weights: Array, chance: Array, other: Array, mass: Array, directed: bool,
    starts: Array, numbers: Array, out: Array, p: float, q: float, epoch: int, key0: int, key1: int,
) -> None:  # fmt: skip
    """Walks into ``out`` ``[n, length]`` from ``starts`` ``[n]`` int32; ``numbers`` ``[n]`` uint32 tell those of a node
    apart.

    The four arrays after the rows are `deepgen.graphs.alias.Tables`; ``key0`` and ``key1`` are the halves of the seed.
    """
    n, width = out.shape
    weighted = len(weights) > 0
    inverse_p, inverse_q = 1.0 / p, 1.0 / q
    most = max(1.0, inverse_q)  # the height of the proposal over the row
    above = max(0.0, inverse_p - most)  # by how much the way back stands out
    every, near, far, back = min(1.0, inverse_q) / most, 1.0 / most, inverse_q / most, inverse_p / most
    whole, real, words = np.zeros((10, LANES), np.int64), np.zeros((5, LANES)), np.zeros((3, LANES), np.uint32)
    at, before, begin, length = whole[0], whole[1], whole[2], whole[3]  # nodes, and the row of the first
    column, line, tried, proposed, taken = whole[4], whole[5], whole[6], whole[7], whole[8]
    first, second, fold, sure, sure_back = real[0], real[1], real[2], real[3], real[4]
    accepted, waiting = np.zeros(LANES, np.bool_), np.zeros(LANES, np.int64)
    place, size, sought = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64), np.zeros(LANES, np.int32)
    block, walk, node = words[0], words[1], words[2]
    time, low, high = _U32(epoch), _U32(key0), _U32(key1)
    lanes, coming = 0, 0
    while True:
        while lanes < LANES and coming < n:
            s = _I64(starts[coming])
            out[coming, 0] = s
            at[lanes], before[lanes], begin[lanes], length[lanes] = s, -1, indptr[s], indptr[s + 1] - indptr[s]
            column[lanes], line[lanes], tried[lanes] = 1, coming, 0
            block[lanes], walk[lanes], node[lanes] = _U32(0), numbers[coming], _U32(s)
            fold[lanes], sure[lanes], sure_back[lanes] = 0.0, np.inf, np.inf  # the first step has no bias
            if width > 1 and length[lanes] > 0:
                lanes += 1
            else:
                out[coming, 1:] = -1
            coming += 1
        if lanes == 0:
            return
        _draw(words, time, low, high, first, second, lanes)
        if weighted:
            for i in range(lanes):
                total, d = most * mass[at[i]], length[i]
                z = first[i] * (total + fold[i]) - fold[i]
                cell = z * (_F64(d) / total)
                k = min(max(_I64(cell), 0), d - 1)
                edge = begin[i] + k
                edge = edge if cell - _F64(k) < chance[edge] else begin[i] + other[edge]
                returns = z < 0.0
                taken[i] = -1 if returns else edge
                proposed[i] = before[i] if returns else _I64(indices[edge])
        else:
            for i in range(lanes):
                z = first[i] * (most * _F64(length[i]) + fold[i]) - fold[i]
                edge = begin[i] + min(max(_I64(z * near), 0), length[i] - 1)
                x = _I64(indices[edge])
                proposed[i] = before[i] if z < 0.0 else x
        count = 0
        for i in range(lanes):
            block[i] += _U32(1)
            returns = proposed[i] == before[i]
            accept = second[i] < (sure_back[i] if returns else sure[i])
            accepted[i] = accept
            waiting[count] = i
            count += 1 if not (accept or returns) else 0
        if count > 0 and every < 1.0:
            _test(indptr, indices, directed, before, proposed, waiting, count, place, size, sought)
            for r in range(count):
                i = waiting[r]
                found = size[r] == 1 and indices[place[r]] == sought[r]
                accepted[i] = second[i] < (near if found else far)
        i = 0
        while i < lanes:
            if not accepted[i]:
                tried[i] += 1
                if tried[i] < TRIES + (length[i] >> 3):
                    i += 1
                    continue
                a, b, _, _ = _philox(block[i], walk[i], node[i], time, low, high)
                block[i] += _U32(1)
                taken[i] = _scan(indptr, indices, weights, before[i], at[i], inverse_p, inverse_q, _unit(a, b))
                proposed[i] = indices[taken[i]]
            x, c = proposed[i], column[i]
            out[line[i], c] = x
            start, end = indptr[x], indptr[x + 1]
            before[i], at[i], begin[i], length[i], column[i], tried[i] = at[i], x, start, end - start, c + 1, 0
            alone = end - start == 1
            sure[i], sure_back[i] = np.inf if alone else every, np.inf if alone else back
            if above > 0.0:
                if directed:
                    found = _find(indices, start, end - start, before[i])
                    fold[i] = 0.0 if found < 0 else above * (_F64(weights[found]) if weighted else 1.0)
                elif not weighted:
                    fold[i] = above
                elif taken[i] >= 0:  # after a way back the weight is what it was
                    fold[i] = above * _F64(weights[taken[i]])
            if c + 1 < width and end > start:
                i += 1
            else:
                out[line[i], c + 1 :] = -1
                lanes -= 1
                whole[:, i], real[:, i], words[:, i] = whole[:, lanes], real[:, lanes], words[:, lanes]
                accepted[i] = accepted[lanes]
