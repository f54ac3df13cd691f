"""The walks of `deepgen.graphs.walks` in tensor operations, for devices without compiled kernels.

The same law by the same numbers, so the same walks. All walks of a batch move together; those whose proposal was
rejected try again, in ever smaller tensors. Whether t -> x is an edge is one search in the sorted keys t N + x of all
edges, eight bytes each.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.graphs.alias import tables
from deepgen.graphs.rows import Graph
from deepgen.philox import MASK, philox

TRIES = 32  # as in deepgen.graphs.walk_kernels
CELLS = 2**24  # of rows that are summed at once


class Rows:
    """A graph on a device: its rows, their alias tables, and the key t N + x of each edge t -> x.

    >>> import deepgen as dg
    >>> Rows(dg.graphs.graph(["0 1", "1 2"]), "cpu").keys
    tensor([1, 3, 5, 7])
    """

    def __init__(self, graph: Graph, device: torch.device | str) -> None:
        # copied, as torch takes no memory that cannot be written to
        self.indptr, self.indices, self.weights, self.chance, self.other, self.mass = (
            torch.from_numpy(array.copy()).to(device) for array in (graph.indptr, graph.indices, *tables(graph))
        )
        self.nodes, self.directed, self.weighted = len(graph), graph.directed, len(self.weights) > 0
        self.keys = torch.from_numpy(graph.sources()).to(device).long() * self.nodes + self.indices

    def find(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Whether t -> x are edges, and where they stand."""
        key = t * self.nodes + x
        place = torch.searchsorted(self.keys, key).clamp_max_(len(self.keys) - 1)
        return self.keys[place] == key, place

    def weight(self, edge: Tensor) -> Tensor:
        """The weights of edges, float64; 1 where all are alike."""
        return self.weights[edge].double() if self.weighted else torch.ones_like(edge, dtype=torch.float64)


def walk(rows: Rows, starts: Any, numbers: Any, p: float, q: float, length: int, seed: int, epoch: int) -> Tensor:
    """Walks from ``starts`` ``[n]``, with ``numbers`` ``[n]`` among their nodes' walks: int32 ``[n, length]``.

    >>> import numpy as np, deepgen as dg
    >>> path = Rows(dg.graphs.graph(["0 1", "1 2"], directed=True), "cpu")
    >>> walk(path, np.array([1, 0]), np.array([0, 0]), 1.0, 1.0, 4, 0, 0)
    tensor([[ 1,  2, -1, -1],
            [ 0,  1,  2, -1]], dtype=torch.int32)
    """
    at, number = (torch.from_numpy(x.astype("i8")).to(rows.indptr.device) for x in (starts, numbers))
    out = torch.full((len(at), length), -1, dtype=torch.int32, device=at.device)
    out[:, 0] = at
    node, line = at, torch.arange(len(at), device=at.device)
    before, edge, block = torch.full_like(at, -1), torch.full_like(at, -1), torch.zeros_like(at)
    for column in range(1, length):
        on = rows.indptr[at + 1] > rows.indptr[at]
        if not bool(on.all()):
            at, before, edge, node, number, line, block = (x[on] for x in (at, before, edge, node, number, line, block))
        if not len(at):
            break
        x, edge, block = _step(rows, at, before, edge, _Numbers(node, number, seed, epoch), block, p, q)
        out[line, column] = x.int()
        at, before = x, at
    return out


class _Numbers:
    """Two uniform numbers for each walk at each block."""

    def __init__(self, node: Tensor, number: Tensor, seed: int, epoch: int) -> None:
        self.node, self.number, self.epoch, self.key = node, number, epoch, (seed & MASK, seed >> 32)

    def __call__(self, block: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        a, b, c, d = philox((block, self.number[which], self.node[which], self.epoch), self.key)
        return _unit(a, b), _unit(c, d)


def _step(
    rows: Rows, at: Tensor, before: Tensor, edge: Tensor, numbers: _Numbers, block: Tensor, p: float, q: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The next nodes, the edges to them (the last ones where a way back was folded), and the next blocks."""
    inverse_p, inverse_q = 1.0 / p, 1.0 / q
    most = max(1.0, inverse_q)
    above = max(0.0, inverse_p - most)
    every, near, far, back = min(1.0, inverse_q) / most, 1.0 / most, inverse_q / most, inverse_p / most
    begin, long = rows.indptr[at], rows.indptr[at + 1] - rows.indptr[at]
    second_order = before >= 0
    fold = torch.zeros_like(at, dtype=torch.float64)
    if above > 0:
        if rows.directed:
            there, place = rows.find(at, before)
            fold = (there & second_order) * (above * rows.weight(place))
        else:
            fold = second_order * (above * rows.weight(edge.clamp_min(0)))
    total = most * (rows.mass[at] if rows.weighted else long.double())
    free = (long == 1) | ~second_order  # where there is no choice or no bias, any proposal is kept
    limit = TRIES + (long >> 3)
    x, taken, block = before.clone(), edge.clone(), block.clone()
    which, tried = torch.arange(len(at), device=at.device), 0
    while len(which):
        first, second = numbers(block[which], which)
        block[which] += 1
        z = first * (total[which] + fold[which]) - fold[which]
        d = long[which]
        cell = z * (d.double() / total[which]) if rows.weighted else z * near
        k = cell.long().clamp_min_(0).minimum(d - 1)
        e = begin[which] + k
        if rows.weighted:
            e = torch.where(cell - k < rows.chance[e], e, begin[which] + rows.other[e])
        folded = z < 0
        candidate = torch.where(folded, before[which], rows.indices[e].long())
        returns = candidate == before[which]
        height = torch.where(returns, back, every)
        kept = free[which] | (second < height)
        if every < 1:
            near_by, _ = rows.find(before[which], candidate)
            kept = kept | ~returns & (second < torch.where(near_by, near, far))
        done = which[kept]
        x[done] = candidate[kept]
        taken[done] = torch.where(folded, edge[which], e)[kept]
        which, tried = which[~kept], tried + 1
        late = limit[which] <= tried if tried >= TRIES else None
        if late is not None and bool(late.any()):
            tired, which = which[late], which[~late]
            u, _ = numbers(block[tired], tired)
            block[tired] += 1
            taken[tired] = _scan(rows, before[tired], at[tired], inverse_p, inverse_q, u)
            x[tired] = rows.indices[taken[tired]].long()
    return x, taken, block


def _scan(rows: Rows, before: Tensor, at: Tensor, inverse_p: float, inverse_q: float, u: Tensor) -> Tensor:
    """The edges of the rows of ``at`` that ``u`` chooses by the law itself, `CELLS` cells at a time."""
    begin, long = rows.indptr[at], rows.indptr[at + 1] - rows.indptr[at]
    found, width = torch.empty_like(at), int(long.max())
    step = max(1, CELLS // width)
    cells = torch.arange(width, device=at.device)
    for part in torch.arange(len(at), device=at.device).split(step):
        inside = cells < long[part, None]
        edge = torch.where(inside, begin[part, None] + cells, begin[part, None])
        x, t = rows.indices[edge].long(), before[part, None].expand(len(part), width)
        there, _ = rows.find(t, x)
        bias = torch.where(x == t, inverse_p, torch.where(there, 1.0, inverse_q)).double()
        mass = (bias * rows.weight(edge) * inside).cumsum(1)
        above = (mass <= u[part, None] * mass[:, -1:]).sum(1)
        found[part] = begin[part] + above.minimum(long[part] - 1)
    return found


def _unit(high: Tensor, low: Tensor) -> Tensor:
    """Multiples of 2**-53 in [0, 1) of two words of 32 bits: 32 and 21 of them."""
    return (high << 21 | low >> 11).double() * 2.0**-53
