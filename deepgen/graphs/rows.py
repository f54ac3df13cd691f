"""A graph in compressed sparse rows: what walks run on.

    out(v) = indices[indptr[v] : indptr[v + 1]],  ascending,        w(v, x) beside them in weights

An undirected edge stands in both rows, a self-loop once. Parallel edges are one edge with the sum of their weights, and
an edge of weight 0 is none. Where all weights are 1, or none were given and no edge comes more often than another, none
are kept: ``weights`` is None.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.errors import ArgumentError, ShapeError, SupportError, UnknownName, did_you_mean
from deepgen.graphs.edges import check_weights

Array = NDArray[Any]
MOST = 2**31 - 1  # nodes are int32
PathLike = str | os.PathLike[str]


class Graph:
    """Nodes 0 to N - 1 with their names, and for each the nodes its edges lead to.

    Args:
        indptr: int64 ``[N + 1]``: where rows begin and end.
        indices: int32 ``[edges]``: the nodes that edges lead to, ascending and different in each row.
        weights: float32 ``[edges]``, positive; None where all are alike.
        nodes: the names, hashable and different; None for the numbers themselves.
        directed: if False, each edge must stand in the rows of both its ends.

    Attributes: the arguments. The arrays are read-only, and may be files mapped into memory (`Graph.open`).

    Raises:
        ArgumentError: two nodes of one name, or names that are not hashable.
        ShapeError: no node or edge; arrays that do not fit one another.
        SupportError: a weight that is NaN, infinite, negative or 0; an edge to no node; rows out of order; an edge that
            stands in one row only though ``directed`` is False.

    >>> g = Graph(np.array([0, 1, 3, 4]), np.array([1, 0, 2, 1]), nodes=["a", "b", "c"])
    >>> g
    Graph(3 nodes, 2 edges, undirected, unweighted)
    >>> [g.nodes[x] for x in g.out(g.index("b"))]
    ['a', 'c']
    """

    def __init__(
        self,
        indptr: Array,
        indices: Array,
        weights: Array | None = None,
        nodes: Sequence[Hashable] | None = None,
        directed: bool = False,
    ) -> None:
        count = len(indptr) - 1
        if count < 1 or len(indices) < 1:
            raise ShapeError(f"a graph needs a node and an edge, got {max(count, 0)} nodes and {len(indices)} edges")
        if count > MOST:
            raise ShapeError(f"a graph has at most 2**31 - 1 nodes, got {count}")
        for name, values in (("weights", weights), ("nodes", nodes)):
            expected = len(indices) if name == "weights" else count
            if values is not None and len(values) != expected:
                raise ShapeError(f"{name} must have length {expected}, got {len(values)}")
        self.indptr, self.indices = _fixed(indptr, np.int64), _fixed(indices, np.int32)
        self.weights = None if weights is None else _fixed(weights, np.float32)
        self.nodes: Sequence[Hashable] = range(count) if nodes is None else nodes
        self.directed = bool(directed)
        self._numbers: dict[Hashable, int] | None = None
        self._tables: Any = None  # of deepgen.graphs.alias, made once
        if not isinstance(indices, np.memmap):  # what was saved was checked, and need not be read to open it
            self._check()

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __repr__(self) -> str:
        kind = "directed" if self.directed else "undirected"
        weighted = "unweighted" if self.weights is None else "weighted"
        return f"Graph({len(self)} nodes, {self.edges} edges, {kind}, {weighted})"

    @property
    def edges(self) -> int:
        """How many edges there are; an undirected one counts once."""
        if self.directed:
            return len(self.indices)
        return (len(self.indices) + int((self.sources() == self.indices).sum())) // 2

    def out(self, v: int) -> Array:
        """The nodes that edges from node number ``v`` lead to, ascending."""
        return self.indices[self.indptr[v] : self.indptr[v + 1]]

    def sources(self) -> Array:
        """Where each edge comes from, beside ``indices``: int32 ``[edges]``."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.indptr))

    def index(self, node: Hashable) -> int:
        """The number of the node of that name.

        Raises:
            UnknownName: there is none, with the name nearest to it.

        >>> import deepgen as dg
        >>> dg.graphs.graph(["a b", "b c"]).index("b")
        1
        """
        if isinstance(self.nodes, range):
            known = isinstance(node, (int, np.integer)) and not isinstance(node, bool) and 0 <= node < len(self)
            if known:
                return int(node)  # type: ignore[call-overload]
        else:
            if self._numbers is None:
                self._numbers = {name: number for number, name in enumerate(self.nodes)}
            if node in self._numbers:
                return self._numbers[node]
        raise UnknownName(f"no node {node!r}{self._nearest(node)}")

    def to_scipy(self) -> Any:
        """The weights as a ``scipy.sparse.csr_array`` ``[N, N]``."""
        from scipy.sparse import csr_array

        weights = np.ones(len(self.indices), np.float32) if self.weights is None else self.weights
        return csr_array((weights, self.indices, self.indptr), shape=(len(self), len(self)))

    def save(self, folder: PathLike) -> None:
        """Write the graph into ``folder``, one .npy an array; see `deepgen.graphs.store`."""
        from deepgen.graphs.store import save

        save(self, folder)

    @classmethod
    def open(cls, folder: PathLike, *, check: bool = True) -> Graph:
        """The graph saved in ``folder``, its arrays mapped into memory.

        They are read through once for their checksums (about a second for a gigabyte) and then as they are needed.
        ``check=False`` leaves that out, for a folder that is known to be whole: walks on a damaged one may end in a
        crash of the process.

        Raises:
            DataError: no graph in it, or one that is broken or of another version.
        """
        from deepgen.graphs.store import load

        return load(folder, check=check)

    def _nearest(self, node: Hashable) -> str:
        if isinstance(self.nodes, range):
            return f": nodes are the numbers 0 to {len(self) - 1}"
        text = {str(name): name for name in self.nodes}
        if str(node) in text:  # 1 for "1"
            return f": did you mean {text[str(node)]!r}?"
        question = did_you_mean(node, text) if len(text) <= 100_000 else ""
        return f": {question}the graph has {len(self)} nodes, the first of them {self.nodes[0]!r}"

    def _check(self) -> None:
        if not isinstance(self.nodes, range):
            _check_names(self.nodes)
        indptr, indices = self.indptr, self.indices
        if indptr[0] != 0 or indptr[-1] != len(indices) or bool((np.diff(indptr) < 0).any()):
            raise ShapeError(f"indptr must ascend from 0 to the {len(indices)} edges")
        if indices.min() < 0 or indices.max() >= len(self):
            raise SupportError(f"edges must lead to nodes 0 to {len(self) - 1}, got {indices.min()} to {indices.max()}")
        falls = np.flatnonzero(np.diff(indices) <= 0) + 1
        if not bool(np.isin(falls, indptr).all()):
            raise SupportError("the indices of each row must ascend, each once: deepgen.graphs.graph sorts and sums")
        if self.weights is not None:
            check_weights(self.weights)
            if not bool(self.weights.all()):
                raise SupportError("an edge has weight 0 (in float32): leave it out")
        if not self.directed:
            _check_symmetric(self.to_scipy())


def _check_names(nodes: Sequence[Hashable]) -> None:
    try:
        alike = len(set(nodes)) < len(nodes)
    except TypeError as error:
        raise ArgumentError(f"names of nodes must be hashable, as text, numbers and tuples are: {error}") from error
    if alike:
        twice = next(name for name, times in Counter(nodes).items() if times > 1)
        raise ArgumentError(f"names of nodes must be different, and {twice!r} is that of several")


def _check_symmetric(matrix: Any) -> None:
    other = matrix.T.tocsr()
    other.sort_indices()
    same = np.array_equal(matrix.indptr, other.indptr) and np.array_equal(matrix.indices, other.indices)
    if not same or not np.allclose(matrix.data, other.data, rtol=1e-6, atol=0):
        raise SupportError(
            "the edges of an undirected graph stand in both rows with one weight, and here some do not: pass "
            "directed=True, or A.maximum(A.T) where A holds each edge once"
        )


def _fixed(values: Array, dtype: Any) -> Array:
    """The same numbers as a contiguous array that cannot be written to, of its own but for mapped files."""
    if isinstance(values, np.memmap):
        fixed = np.ascontiguousarray(values, dtype=dtype).view(np.ndarray)
    else:  # a copy: compiled walks trust what was checked, whatever the caller writes to theirs
        fixed = np.array(values, dtype=dtype, order="C")
    fixed.flags.writeable = False
    return fixed
