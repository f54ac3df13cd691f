"""Small graphs with what walks stumble over: hubs, triangles, dead ends, self-loops, lone nodes, parallel edges."""

import networkx as nx
import numpy as np

from deepgen.graphs import Graph, graph

BIASES = (0.01, 0.25, 1.0, 4.0, 100.0)


def hub(weights: bool) -> Graph:
    """30 leaves around node 0, some of them joined in triangles, one with a tail; self-loops at the hub and a leaf."""
    g = nx.star_graph(30)
    g.add_edges_from([(1, 2), (2, 3), (1, 3), (4, 5), (6, 31), (31, 32), (32, 33), (0, 0), (7, 7)])
    g.add_node(34)
    rng = np.random.default_rng(0)
    if weights:
        nx.set_edge_attributes(g, {e: float(rng.gamma(0.5)) + 0.02 for e in g.edges}, "weight")
    return graph(g)


def web(weights: bool) -> Graph:
    """A dozen nodes and edges one way, among them there and back, triangles both ways round, loops and dead ends."""
    rng = np.random.default_rng(1)
    matrix = rng.random((12, 12)) < 0.25
    matrix[:3, :3], matrix[0, 3:9] = True, True
    matrix[10:] = False  # dead ends
    matrix[4, 10:], matrix[11, :], matrix[:, 9], matrix[9] = True, False, False, False  # node 9 stands alone
    return graph(matrix * (rng.gamma(0.5, size=matrix.shape) + 0.02 if weights else 1.0), directed=True)


def parallel() -> Graph:
    """Parallel edges, some weighted, and a clique in which every step but the way back has distance 1."""
    g = nx.MultiGraph(nx.complete_graph(6))
    g.add_edges_from([(0, 1), (0, 1), (5, 6), (5, 6), (6, 7)])
    g.add_edge(0, 2, weight=2.5)
    return graph(g)


ZOO = {
    "hub": lambda: hub(False),
    "weighted hub": lambda: hub(True),
    "web": lambda: web(False),
    "weighted web": lambda: web(True),
    "parallel": parallel,
}
