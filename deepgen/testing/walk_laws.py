"""Second-order random walks against their law, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deepgen.errors import ShapeError
from deepgen.graphs.graph import Graph, graph
from deepgen.random import resolve
from deepgen.testing.failure import demand
from deepgen.testing.goodness import chi_square
from deepgen.testing.sequential import Evidence, sequential

Array = NDArray[Any]
Sampler = Callable[[int, int], Any]


def check_walks(
    sampler: Sampler,
    source: Any,
    p: float,
    q: float,
    *,
    n: int = 1000,
    alpha: float = 1e-5,
    generator: torch.Generator | int | None = None,
) -> Evidence:
    """Check that walks follow the law of `walk_row`, and take every step along an edge.

    The steps after each pair (t, v), and the first ones from each node, are independent draws from one row of
    probabilities, and each row has its chi-square. Long walks test too that no step is disturbed by those before.

    Args:
        sampler: ``sampler(per_node, seed)`` gives walks as rows of node numbers ``[walks, length]``, in one array or
            several or in lists, -1 after a walk's end; about ``per_node`` from each node that has an edge. Different
            seeds must give independent walks.
        source: the graph, as `deepgen.graphs.graph` takes it; small, so that its pairs of edges come often.
        p, q: the parameters that the sampler was given.
        n: ``per_node`` of the first stage.
        alpha: the greatest chance that a correct sampler fails.
        generator: source of the seeds.

    Raises:
        CheckFailed: naming the row that is furthest from its law, a step along no edge, or a walk that ends where it
            could go on.

    >>> import deepgen as dg
    >>> g = dg.graphs.graph(["0 1", "1 2", "0 2", "1 3", "1 4"])
    >>> def sampler(per_node, seed, p=0.5):
    ...     return dg.graphs.walks(g, p, 2.0, length=5, per_node=per_node, seed=seed)
    >>> check_walks(sampler, g, 0.5, 2.0, generator=0).n
    1000
    >>> check_walks(lambda *each: sampler(*each, p=2.0), g, 0.5, 2.0, generator=0)
    Traceback (most recent call last):
    deepgen.testing.failure.CheckFailed: ... after (..., ...) ...
    """
    found = graph(source)
    worst = ""

    def p_values(per_node: int, stream: torch.Generator) -> list[float]:
        nonlocal worst
        seed = int(torch.randint(2**62, (), generator=stream))
        rows = _rows_seen(found, _whole(sampler(per_node, seed)))
        values, texts = [], []
        for t, v, seen in rows:
            expected = walk_row(found, t, v, p, q)
            values.append(chi_square(torch.from_numpy(seen), torch.from_numpy(expected)))
            texts.append((t, v, seen, expected))
        t, v, seen, expected = texts[int(np.argmin(values))]
        where = f"the first step from {v}" if t is None else f"the step after ({t}, {v})"
        likely = np.argsort(-np.abs(seen / seen.sum() - expected))[:3]
        shares = ", ".join(f"{found.out(v)[i]}: {seen[i] / seen.sum():.4f} for {expected[i]:.4f}" for i in likely)
        worst = f"{where} of {seen.sum()}: {shares}"
        return values

    class What:  # the message is made when the check has failed, and by then it is known which row is worst
        def __str__(self) -> str:
            return f"walks with p = {p:g} and q = {q:g} do not follow their law ({worst})"

    return sequential(p_values, what=What(), n=n, alpha=alpha, generator=resolve(generator))  # type: ignore[arg-type]


def walk_row(source: Any, t: int | None, v: int, p: float, q: float) -> Array:
    """The probabilities of the next nodes ``graph.out(v)`` after a step from t to v; of the first step if t is None.

    By enumeration: w(v, x) times 1/p for x = t, 1 if t -> x is an edge, 1/q otherwise, divided by their sum.

    >>> walk_row(["0 1", "1 2", "0 2", "1 3", "1 4"], 0, 1, 4.0, 0.25) * 37
    array([ 1.,  4., 16., 16.])
    """
    found = graph(source)
    row = slice(*found.indptr[v : v + 2])
    mass = np.ones(row.stop - row.start) if found.weights is None else found.weights[row].astype(np.float64)
    if t is not None:
        x = found.indices[row]
        mass = mass * np.where(x == t, 1 / p, np.where(np.isin(x, found.out(t)), 1.0, 1 / q))
    return np.asarray(mass / mass.sum())


def _whole(walks: Any) -> Array:
    """All walks in one array ``[walks, length]``, padded with -1."""
    parts: Iterable[Any] = [walks] if isinstance(walks, (np.ndarray, torch.Tensor)) else walks
    blocks: list[Array] = []
    single: list[Any] = []
    for part in parts:
        if getattr(part, "ndim", 1) == 2:
            blocks.append(np.asarray(part, np.int64))
        else:
            single.append(part)
    if single:
        wide = np.full((len(single), max(map(len, single))), -1, np.int64)
        for row, walk in zip(wide, single, strict=True):
            row[: len(walk)] = walk
        blocks.append(wide)
    if not blocks:
        raise ShapeError("the sampler gave no walks")
    width = max(block.shape[1] for block in blocks)
    whole = np.full((sum(map(len, blocks)), width), -1)
    for block, end in zip(blocks, np.cumsum([len(block) for block in blocks]), strict=True):
        whole[end - len(block) : end, : block.shape[1]] = block
    return whole


def _rows_seen(found: Graph, walks: Array) -> list[tuple[int | None, int, Array]]:
    """(t, v, how often each of out(v) came next), t None for first steps; after checking that all steps are edges."""
    nodes, edges = len(found), len(found.indices)
    inside = (walks >= -1) & (walks < nodes)
    demand(inside.all() and (walks[:, 0] >= 0).all(), f"walks are rows of numbers 0 to {nodes - 1}, then -1")
    here, there = walks[:, :-1], walks[:, 1:]
    moved = there >= 0
    demand((here[moved] >= 0).all(), "a walk goes on after a -1")
    stopped = here[(here >= 0) & ~moved]
    alive = stopped[np.diff(found.indptr)[stopped] > 0]
    demand(not len(alive), f"a walk ends at node {alive[0] if len(alive) else ''}, from where edges lead on")
    keys = found.sources().astype(np.int64) * nodes + found.indices
    key = here * nodes + there
    place = np.minimum(np.searchsorted(keys, key), edges - 1)
    wrong = np.argwhere(moved & (keys[place] != key))
    if len(wrong):
        i, j = wrong[0]
        demand(False, f"a walk steps from {here[i, j]} to {there[i, j]}, where there is no edge")
    demand(moved.any(), "no walk has taken a step")
    seen: list[tuple[int | None, int, Array]] = []
    sources, begin = found.sources(), found.indptr
    # A pair of steps is a number (edge before, edge taken); first steps have edge number `edges` before them.
    before = np.concatenate([np.full((len(walks), 1), edges), place[:, :-1]], 1)
    pairs, counts = np.unique((before * (edges + 1) + place)[moved], return_counts=True)
    before, after = pairs // (edges + 1), pairs % (edges + 1)
    group = np.where(before < edges, before, edges + sources[after])
    for block in np.split(np.arange(len(group)), np.flatnonzero(np.diff(group)) + 1):
        v = int(sources[after[block[0]]])
        row = np.zeros(int(begin[v + 1] - begin[v]), np.int64)
        row[after[block] - begin[v]] = counts[block]
        t = int(sources[before[block[0]]]) if before[block[0]] < edges else None
        seen.append((t, v, row))
    return seen
