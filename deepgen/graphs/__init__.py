"""Graphs, the random walks on them, and what is learnt from those."""

from deepgen.graphs.graph import Graph, graph
from deepgen.graphs.node2vec import Node2Vec, node2vec
from deepgen.graphs.walks import walks

__all__ = ["Graph", "Node2Vec", "graph", "node2vec", "walks"]
