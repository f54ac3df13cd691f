"""From edges in any order to sorted rows: parallel edges summed, undirected ones mirrored."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.errors import ShapeError, SupportError

Array = NDArray[Any]
Parts = tuple[Array, Array, Array | None, Sequence[Hashable], bool]


def gather(
    nodes: Sequence[Hashable], sources: Array, targets: Array, weights: Array | None, *, directed: bool
) -> Parts:
    """The arguments of a `deepgen.graphs.Graph` of edges ``[edges]`` in any order.

    Args:
        nodes: the names of the nodes.
        sources, targets: numbers of nodes ``[edges]``; an undirected edge comes once, either way round.
        weights: ``[edges]``, or None.
        directed: whether edges lead one way only.

    >>> indptr, indices, weights, *_ = gather("abc", np.array([0, 1, 1]), np.array([1, 2, 0]), None, directed=False)
    >>> indptr.tolist(), indices.tolist(), weights.tolist()
    ([0, 1, 3, 4], [1, 0, 2, 1], [2.0, 2.0, 1.0, 1.0])
    """
    from scipy.sparse import coo_array

    count = len(nodes)
    if count < 1 or len(sources) < 1:
        raise ShapeError(f"a graph needs a node and an edge, got {count} nodes and {len(sources)} edges")
    given = weights is not None
    values = np.ones(len(sources), np.float32) if weights is None else np.asarray(weights, np.float64)
    check_weights(values)
    place = np.int32 if count + 2 * len(sources) < 2**31 else np.int64  # half the memory, where it suffices
    sources, targets = sources.astype(place, copy=False), targets.astype(place, copy=False)
    if not directed:
        across = sources != targets
        sources, targets = np.concatenate([sources, targets[across]]), np.concatenate([targets, sources[across]])
        values = np.concatenate([values, values[across]])
    rows = coo_array((values, (sources, targets)), shape=(count, count)).tocsr()
    del sources, targets, values
    rows.sum_duplicates()
    rows.eliminate_zeros()
    rows.sort_indices()
    if not rows.nnz:
        raise ShapeError("a graph needs an edge, and all weights are 0")
    with np.errstate(over="ignore", under="ignore"):
        single = rows.data.astype(np.float32)
    if not bool(np.isfinite(single).all()) or not bool(single.all()):
        low, high = rows.data.min(), rows.data.max()
        raise SupportError(f"weights from {low:g} to {high:g} do not fit float32 (1e-45 to 3e38): scale them")
    first = single[0]
    alike = bool((single == first).all()) and (first == 1 or not given)
    return rows.indptr.astype(np.int64), rows.indices.astype(np.int32), None if alike else single, nodes, directed


def check_weights(weights: Array) -> None:
    """Raise `SupportError` for weights that are NaN, infinite or negative.

    >>> check_weights(np.array([1.0, -2.0]))
    Traceback (most recent call last):
    deepgen.errors.SupportError: weights must be finite and at least 0, got -2.0 (edge 1 of 2, from 0)
    """
    faults = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(faults):
        where = f"edge {faults[0]} of {len(weights)}, from 0"
        raise SupportError(f"weights must be finite and at least 0, got {float(weights[faults[0]])} ({where})")
