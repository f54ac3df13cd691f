"""networkx graphs as arrays of edges."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from deepgen.errors import SupportError, unknown_name

Array = NDArray[Any]


def bundled(name: str) -> nx.Graph:
    """A weighted graph that comes with networkx: "karate", Zachary's club, or "les-miserables", of who meets whom.

    >>> bundled("les-miserables").number_of_nodes()
    77
    """
    return {"karate": nx.karate_club_graph, "les-miserables": nx.les_miserables_graph}[name]()


def edges(graph: nx.Graph, weight: str = "weight") -> tuple[list[Hashable], Array, Array, Array | None]:
    """The nodes, and sources, targets and weights ``[edges]`` (None where no edge has that attribute) by node number.

    Each edge of an undirected graph comes once, and each of several parallel ones.

    Raises:
        UnknownName: no edge has another attribute than "weight" that is asked for.

    >>> g = nx.MultiDiGraph([("a", "b"), ("a", "b")])
    >>> edges(g)
    (['a', 'b'], array([0, 0], dtype=int32), array([1, 1], dtype=int32), None)
    """
    nodes = list(graph)
    number = {node: i for i, node in enumerate(nodes)}
    count = graph.number_of_edges()
    sources = np.fromiter((number[u] for u, _ in graph.edges()), np.int32, count)
    targets = np.fromiter((number[v] for _, v in graph.edges()), np.int32, count)
    missing = object()
    found = [w for _, _, w in graph.edges(data=weight, default=missing)]
    if all(w is missing for w in found):
        if weight != "weight":
            known = {name for *_, held in graph.edges(data=True) for name in held}
            raise unknown_name("attribute of edges", weight, known)
        return nodes, sources, targets, None
    wrong = [w for w in found if w is not missing and not hasattr(w, "__float__")]
    if wrong:
        raise SupportError(f"edges' {weight!r} must be numbers, got {wrong[0]!r}: name another attribute by weight=")
    return nodes, sources, targets, np.array([1.0 if w is missing else w for w in found], np.float64)
