"""Graphs, the random walks on them, and what is learnt from those."""

from deepgen.graphs.graph import Graph, graph
from deepgen.graphs.walks import walks

__all__ = ["Graph", "graph", "walks"]
