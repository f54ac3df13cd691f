"""networkx graphs as arrays: every kind of graph, each edge once."""

import networkx as nx
import numpy as np
import pytest

from deepgen.errors import SupportError
from deepgen.interop.networkx import edges


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph])
def test_each_edge_comes_once(kind, seed):
    rng = np.random.default_rng(seed)
    g = kind()
    g.add_nodes_from("abcdefgh")
    for u, v in rng.choice(list("abcdefgh"), (30, 2)):
        g.add_edge(str(u), str(v), cost=float(rng.random()))
    nodes, sources, targets, weights = edges(g, "cost")
    assert nodes == list("abcdefgh")
    assert [(nodes[u], nodes[v], w) for u, v, w in zip(sources, targets, weights, strict=True)] == list(
        g.edges(data="cost")
    )
    assert edges(g)[3] is None


def test_edges_without_a_weight_weigh_one():
    g = nx.Graph([("a", "b", {"weight": 3}), ("b", "c")])
    assert edges(g)[3].tolist() == [3.0, 1.0]
    for wrong in ("heavy", None):
        g.edges["a", "b"]["weight"] = wrong
        with pytest.raises(SupportError, match=f"'weight' must be numbers, got {wrong!r}: name another"):
            edges(g)
