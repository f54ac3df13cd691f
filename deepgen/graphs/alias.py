"""Alias tables: a neighbour by weight in one look, however long the row.

The d cells of a row have equal mass. Cell i keeps the share ``chance[i]`` for its own edge and gives the rest to the
edge ``other[i]`` of the row, such that each edge gets w / W, W the sum of the row:

    i = floor(d u),    edge = i if d u - i < chance[i] else other[i],        u uniform in [0, 1).

Eight bytes an edge, built in one pass. Sources: Walker 1977, "An efficient method for generating discrete random
variables with general distributions"; Vose 1991 for the pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from deepgen.graphs.rows import Graph

Array = NDArray[Any]


class Tables(NamedTuple):
    """What a weighted draw needs: all empty where the weights are alike, else float32 and int32 ``[edges]`` by edge,
    and float64 ``[N]`` by node.

    >>> Tables(*(np.empty(0, np.float32) for _ in range(4))).mass.size
    0
    """

    weights: Array
    chance: Array
    other: Array
    mass: Array


def tables(graph: Graph) -> Tables:
    """The tables of a graph, made once; `mass` is the sum of weights of each row.

    >>> import deepgen as dg
    >>> made = tables(dg.graphs.graph(["a b 1", "a c 3"], directed=True))
    >>> made.chance.tolist(), made.other.tolist(), made.mass.tolist()
    ([0.5, 1.0], [1, 1], [4.0, 0.0, 0.0])
    """
    if graph._tables is None:
        made: Tables
        weights = graph.weights
        if weights is None or weights.min() == weights.max():
            made = Tables(np.empty(0, "f4"), np.empty(0, "f4"), np.empty(0, "i4"), np.empty(0, "f8"))
        else:
            from deepgen.graphs.alias_kernels import fill_alias

            made = Tables(weights, np.empty(len(weights), "f4"), np.empty(len(weights), "i4"), np.empty(len(graph)))
            fill_alias(graph.indptr, *made)
        for array in made:
            array.flags.writeable = False  # one type for the kernels, as of a file that is mapped
        graph._tables = made
    tables: Tables = graph._tables
    return tables
