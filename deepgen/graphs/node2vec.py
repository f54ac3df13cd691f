"""node2vec: skip-gram on second-order walks, from a graph to one vector a node (Grover & Leskovec 2016, algorithm 1).

Walks are those of `deepgen.graphs.walks`, drawn anew in every epoch and never stored; the trainer is that of words
(`deepgen.words.train_embeddings`). p = q = 1 is DeepWalk with negative sampling. The paper's values are the defaults:
128 numbers, ten walks of 80 nodes from each node, a window of 10, one epoch.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from deepgen.embeddings import Embeddings
from deepgen.errors import ArgumentError, MissingCapability, did_you_mean
from deepgen.graphs.graph import Graph
from deepgen.graphs.graph import graph as as_graph
from deepgen.graphs.walks import walks
from deepgen.words.train import train_embeddings

_OWN = ("batches", "counts", "tokens", "tokens_per_epoch")


def node2vec(
    graph: Any,
    dim: int = 128,
    *,
    p: float = 1.0,
    q: float = 1.0,
    walks_per_node: int = 10,
    walk_length: int = 80,
    window: int = 10,
    epochs: int = 1,
    seed: int = 0,
    threads: int | None = None,
    **options: Any,
) -> Embeddings:
    """One vector for each node of a graph, by its own name: ``emb[node]``.

    Args:
        graph: a NetworkX graph, a scipy.sparse matrix, the path of an edge list, or a `Graph`: see
            `deepgen.graphs.graph`.
        dim: length of the vectors.
        p: return parameter: the larger, the less often a walk goes straight back.
        q: in-out parameter: above 1 a walk stays near where it came from, below 1 it moves away.
        walks_per_node, walk_length: walks from each node in an epoch, and nodes of each.
        window: how far neighbours on a walk are away, at most.
        epochs: each with new walks.
        seed: of walks and of training; the same seed gives the same walks whatever the number of threads.
        threads: of walks and training, as many as there are cores, if None.
        options: those of `deepgen.words.train_embeddings`: negatives, cbow, hierarchical, rate, deterministic, ...

    Returns:
        `Embeddings` in the order of the graph's nodes; ``emb.context`` has the vectors of the other side.

    Raises:
        ArgumentError, DataError, SupportError: see `deepgen.graphs.graph`, `walks` and `train_embeddings`.
        LearningStopped: Ctrl-C; its ``embeddings`` are those until then.

    >>> import networkx as nx
    >>> emb = node2vec(nx.karate_club_graph(), dim=16, epochs=2, deterministic=True, progress=False)
    >>> emb[33].shape, len(emb)
    ((16,), 34)
    """
    _known(options)
    network = as_graph(graph)

    def batches(epoch: int) -> Iterator[npt.NDArray[np.int32]]:
        return walks(
            network, p, q, length=walk_length, per_node=walks_per_node, seed=seed, epoch=epoch, threads=threads
        )

    return train_embeddings(
        batches, visits(network, batches(0)), tokens=network.nodes, dim=dim, window=window, epochs=epochs, seed=seed,
        threads=threads, **options,
    )  # fmt: skip


def visits(graph: Graph, batches: Iterable[npt.NDArray[np.int32]]) -> npt.NDArray[np.int64]:
    """How often walks come to each node ``[nodes]``: what noise and subsampling go by.

    >>> from deepgen.graphs import graph
    >>> visits(graph(np.array([[0, 1], [1, 0]])), [np.array([[0, 1, 0], [1, -1, -1]], dtype=np.int32)])
    array([2, 2])
    """
    found = np.zeros(len(graph), dtype=np.int64)
    for batch in batches:
        found += np.bincount(batch.ravel() + 1, minlength=len(graph) + 1)[1:]  # -1 comes after a walk's end
    return found


class Node2Vec:
    """`node2vec` in scikit-learn's manner: settings first, then ``fit`` and ``transform``.

    Args:
        dim, options: those of `node2vec`.

    Attributes:
        embeddings_: the `Embeddings`, after ``fit``.

    >>> import networkx as nx
    >>> model = Node2Vec(dim=8, walk_length=10, progress=False).fit(nx.path_graph(5))
    >>> model.transform([0, 4]).shape
    (2, 8)
    """

    def __init__(self, dim: int = 128, **options: Any) -> None:
        _known(options)
        self._settings = {"dim": dim, **options}

    def __repr__(self) -> str:
        return f"Node2Vec({', '.join(f'{name}={value!r}' for name, value in self._settings.items())})"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings."""
        return dict(self._settings)

    def set_params(self, **settings: Any) -> Node2Vec:
        """Change settings."""
        _known({name: value for name, value in settings.items() if name != "dim"})
        self._settings.update(settings)
        return self

    def fit(self, graph: Any, y: None = None) -> Node2Vec:
        """Learn from a graph."""
        self.embeddings_ = node2vec(graph, **self._settings)
        return self

    def transform(self, nodes: Iterable[Hashable]) -> npt.NDArray[np.float32]:
        """The vectors of nodes ``[n, dim]``.

        Raises:
            MissingCapability: before ``fit``.
            UnknownName: a node that was not in the graph.
        """
        if not hasattr(self, "embeddings_"):
            raise MissingCapability("Node2Vec has no vectors yet: call fit(graph) first")
        return self.embeddings_[list(nodes)]

    def fit_transform(self, graph: Any, y: None = None) -> npt.NDArray[np.float32]:
        """Learn from a graph, and the vectors of its nodes in their order."""
        return self.fit(graph).embeddings_.vectors


def _known(options: dict[str, Any]) -> None:
    names = [*inspect.signature(node2vec).parameters, *inspect.signature(train_embeddings).parameters]
    names = [name for name in names if name not in (*_OWN, "options", "graph")]
    for name in options:
        if name not in names:
            raise ArgumentError(f"node2vec has no option {name!r}: {did_you_mean(name, names)}see node2vec")
