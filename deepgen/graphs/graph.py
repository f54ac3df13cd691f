"""A `deepgen.graphs.Graph` from whatever holds a graph."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError, UnknownName, did_you_mean
from deepgen.graphs.edges import gather
from deepgen.graphs.rows import Graph, PathLike
from deepgen.graphs.store import standing

__all__ = ["Graph", "graph"]


def graph(
    source: Any,
    *,
    directed: bool | None = None,
    weight: str = "weight",
    variable: str | None = None,
    header: bool | None = None,
) -> Graph:
    """The `Graph` of whatever holds one.

    Args:
        source: a networkx graph of any kind; a matrix of ``scipy.sparse`` or numpy, ``[N, N]``, with w(v, x) in row v
            and column x (2 x 2 integers of numpy may as well be two edges, and are refused); the path of an edge list
            (text, gzipped or not: see `deepgen.graphs.edge_lists`) or its lines; the path of a ``.mat`` file; the path
            of a folder of `Graph.save`; or a Graph.
        directed: None takes networkx's word, a matrix for directed if it is not symmetric, and edge lists for
            undirected.
        weight: the attribute of networkx's edges; those without it weigh 1, and another than "weight" one must have.
        variable: which matrix of a ``.mat`` file; None where only one in it is square.
        header: whether an edge list begins with names of columns; None to tell from the line.

    Raises:
        ArgumentError: ``directed`` contradicts the source; ``variable`` or ``header`` of a source that has none; an
            array that may be a matrix or edges.
        DataError: a file that is missing or malformed, with the line.
        MissingCapability: an object that holds no graph.
        ShapeError, SupportError: as `Graph`; a matrix that is not square.
        UnknownName: no such ``variable`` or ``weight``, with the nearest.

    >>> graph(np.array([[0.0, 2.0], [2.0, 1.0]]))
    Graph(2 nodes, 2 edges, undirected, weighted)
    >>> import networkx
    >>> graph(networkx.karate_club_graph())
    Graph(34 nodes, 78 edges, undirected, weighted)
    >>> graph(["a,b,0.5", "b,c,2"], directed=True).weights
    array([0.5, 2. ], dtype=float32)
    """
    lines = isinstance(source, (list, tuple)) and all(isinstance(line, str) for line in source)
    if not isinstance(source, (str, os.PathLike)):
        _check_read(type(source).__name__, variable, None if lines else header)
    if isinstance(source, Graph):
        if directed is not None and directed != source.directed:
            raise ArgumentError(f"directed={directed} contradicts {source!r}")
        return source
    if isinstance(source, (str, os.PathLike)):
        return _from_path(source, directed, variable, header)
    networkx = sys.modules.get("networkx")  # what was not imported made no graph
    if networkx is not None and isinstance(source, networkx.Graph):
        from deepgen.interop.networkx import edges

        if directed not in (None, source.is_directed()):
            raise ArgumentError(f"directed={directed} contradicts the {type(source).__name__}: pass its to_directed() "
                                "or to_undirected()")  # fmt: skip
        return Graph(*gather(*edges(source, weight), directed=source.is_directed()))
    if hasattr(source, "tocoo") or isinstance(source, np.ndarray):
        if isinstance(source, np.ndarray):
            _check_not_edges(source)
        return _from_matrix(source, directed)
    if lines:
        from deepgen.graphs.edge_lists import read_lines

        return Graph(*gather(*read_lines(source, header=header), directed=bool(directed)))
    raise MissingCapability(
        "a graph is taken from networkx, scipy.sparse, a square numpy array, the path of an edge list or .mat file, "
        f"or lines of text, got {type(source).__name__}; pairs of names by networkx.Graph(pairs)"
    )


def _check_not_edges(array: np.ndarray[Any, Any]) -> None:
    """Refuse an array that is, or may be, one edge in each row."""
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != 2:
        return
    edges = "edges go by networkx.Graph(pairs.tolist()), or networkx.DiGraph"
    if len(array) != 2:
        raise ShapeError(f"an adjacency matrix is square, got {list(array.shape)}: {edges}")
    raise ArgumentError(
        f"2 x 2 integers may be the adjacency matrix of two nodes or two edges, got {array.tolist()}: a matrix goes by "
        f"scipy.sparse.coo_array(x), or in floats; {edges}"
    )


def _from_path(path: PathLike, directed: bool | None, variable: str | None, header: bool | None) -> Graph:
    if standing(Path(path)).is_dir():
        _check_read(f"the folder {path}", variable, header)
        return graph(Graph.open(path), directed=directed)
    if os.fspath(path).endswith(".mat"):
        _check_read(f"the file {path}", None, header)
        from deepgen.data.mat import read_mat

        arrays = read_mat(path, sparse=True)
        return _from_matrix(_pick(arrays, variable, path), directed)
    _check_read(f"the edge list {path}", variable, None)
    from deepgen.graphs.edge_lists import read_edges

    return Graph(*gather(*read_edges(path, header=header), directed=bool(directed)))


def _check_read(source: str, variable: str | None, header: bool | None) -> None:
    """Refuse what says how a source is read that is not read so."""
    for name, value, of in (("variable", variable, "a .mat file"), ("header", header, "an edge list")):
        if value is not None:
            raise ArgumentError(f"{name}={value!r} is of {of}, and not of {source}")


def _pick(arrays: dict[str, Any], variable: str | None, path: PathLike) -> Any:
    """The variable of that name, or the one that is square."""
    shapes = {name: "x".join(map(str, found.shape)) for name, found in arrays.items()}
    held = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    if variable is not None:
        if variable not in arrays:
            raise UnknownName(f"{path}: no variable {variable!r}: {did_you_mean(variable, arrays)}It holds {held}")
        return arrays[variable]
    square = [found for found in arrays.values() if found.ndim == 2 and found.shape[0] == found.shape[1] > 1]
    if len(square) != 1:
        raise ArgumentError(f"{path}: {len(square)} square matrices in it: say which with variable=. It holds {held}")
    return square[0]


def _from_matrix(matrix: Any, directed: bool | None) -> Graph:
    from scipy.sparse import coo_array

    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"an adjacency matrix is square, got {list(matrix.shape)}")
    if matrix.dtype.kind not in "biuf":
        raise SupportError(f"weights are real numbers, got {matrix.dtype}")
    entries = coo_array(matrix)
    parts = gather(range(matrix.shape[0]), entries.row, entries.col, entries.data, directed=True)
    found = Graph(*parts)
    if directed is None or not directed:
        try:
            return Graph(*parts[:4], directed=False)
        except SupportError:
            if directed is False:
                raise
    return found
