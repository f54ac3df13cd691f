"""Graphs, the random walks on them, and what is learnt from those."""

from deepgen.graphs.graph import Graph, graph
from deepgen.graphs.labelled import LabelledGraph, load
from deepgen.graphs.node2vec import Node2Vec, node2vec
from deepgen.graphs.walks import walks

__all__ = ["Graph", "LabelledGraph", "Node2Vec", "graph", "load", "node2vec", "walks"]
