"""Graphs in folders: one .npy an array, mapped into memory when opened, so that a graph need not fit into it.

    graph.json   what kind of graph, and what kind of names
    indptr.npy  indices.npy  weights.npy (unless all are alike)  nodes.npy (whole numbers) or nodes.json (text)

A folder is written beside its place and renamed, so that one of that name is a whole graph.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepgen.data.files import PathLike, reading
from deepgen.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from deepgen.graphs.rows import Graph

FACTS, VERSION = "graph.json", 1


def save(graph: Graph, folder: PathLike) -> None:
    """Write ``graph`` into ``folder``, in place of a graph that is there.

    Raises:
        ArgumentError: names that are neither text nor whole numbers; a folder that holds something else.

    >>> import tempfile, deepgen as dg
    >>> place = Path(tempfile.mkdtemp()) / "letters"
    >>> dg.graphs.graph(["a b", "b c"]).save(place)
    >>> dg.graphs.Graph.open(place).nodes
    ['a', 'b', 'c']
    """
    place = Path(folder)
    if place.exists() and not (place / FACTS).is_file():
        raise ArgumentError(f"{place} is there already and holds no graph: name a new folder")
    kind = _kind(graph.nodes)
    partial = place.with_name(f"{place.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        for name in ("indptr", "indices", "weights"):
            array = getattr(graph, name)
            if array is not None:
                np.save(partial / f"{name}.npy", array)
        if kind == "integers":
            np.save(partial / "nodes.npy", np.array(graph.nodes, np.int64))
        elif kind == "text":
            (partial / "nodes.json").write_text(json.dumps(list(graph.nodes)), encoding="utf-8")
        facts = {"version": VERSION, "nodes": kind, "directed": graph.directed, "weighted": graph.weights is not None}
        (partial / FACTS).write_text(json.dumps(facts), encoding="utf-8")
        if place.exists():  # a folder cannot be renamed onto a full one
            old = place.with_name(f"{place.name}.{os.getpid()}.old")
            os.replace(place, old)
            os.replace(partial, place)
            shutil.rmtree(old)
        else:
            os.replace(partial, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load(folder: PathLike) -> Graph:
    """The graph in ``folder``.

    Raises:
        DataError: no graph in it, or one that is broken or of another version.
    """
    from deepgen.graphs.rows import Graph

    place = Path(folder)
    with reading(place / FACTS, "a graph of deepgen"):
        facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
        if facts["version"] != VERSION:
            raise DataError(f"{place}: a graph of version {facts['version']}, and this deepgen reads {VERSION}")
    with reading(place, "a graph of deepgen"):
        weights = _mapped(place, "weights", "f4") if facts["weighted"] else None
        nodes: Any = None
        if facts["nodes"] == "integers":
            nodes = np.load(place / "nodes.npy").tolist()
        elif facts["nodes"] == "text":
            nodes = json.loads((place / "nodes.json").read_text(encoding="utf-8"))
        indptr, indices = _mapped(place, "indptr", "i8"), _mapped(place, "indices", "i4")
        if indptr[-1] != len(indices):
            raise DataError(f"{place}: rows end at edge {indptr[-1]} of {len(indices)}")
        return Graph(indptr, indices, weights, nodes, facts["directed"])


def _mapped(place: Path, name: str, dtype: str) -> Any:
    array = np.load(place / f"{name}.npy", mmap_mode="r")
    if array.dtype != np.dtype(dtype) or array.ndim != 1:
        raise DataError(f"{place / name}.npy: {array.dtype} {list(array.shape)}, expected {dtype} with one axis")
    return array


def _kind(nodes: Any) -> str:
    if isinstance(nodes, range):
        return "numbered"
    if all(type(node) is str for node in nodes):
        return "text"
    if all(isinstance(node, (int, np.integer)) and not isinstance(node, bool) for node in nodes):
        return "integers"
    types = ", ".join(sorted({type(node).__name__ for node in nodes}))
    raise ArgumentError(f"names are saved if all are text or all whole numbers, got {types}: rename the nodes first")
