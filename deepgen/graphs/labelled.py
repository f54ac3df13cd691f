"""Published graphs whose nodes have labels, several each: what methods of embedding are judged by.

    blogcatalog    10,312 bloggers, 333,983 friendships, 39 groups (Tang & Liu 2009). blogcatalog.mat: ``network`` and
                   ``group``, sparse
    wikipedia      4,777 words, 92,517 links, 40 parts of speech. wikipedia.ungraph: a link a line; wikipedia.cmty: a
                   label a line, the nodes that have it. This copy has no weights. The graph of Grover & Leskovec 2016
                   has (how often words stand together), so that its figures are not figures of this one.

Nothing is fetched: the files are read from a folder of yours.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepgen.data.files import PathLike, needed, read_text
from deepgen.data.mat import read_mat
from deepgen.errors import DataError, DeepgenError, unknown_name
from deepgen.graphs.graph import Graph, graph


class LabelledGraph(NamedTuple):
    """``graph``, and ``labels`` bool ``[nodes, labels]`` in the order of its nodes; a node may have none."""

    graph: Graph
    labels: npt.NDArray[np.bool_]


def load(name: str, *, root: PathLike | None = None) -> LabelledGraph:
    """A published graph and its nodes' labels.

    Args:
        name: ``blogcatalog`` or ``wikipedia``.
        root: the folder with its files, directly or in ``graph_NAME`` or ``NAME``; the environment variable
            DEEPGEN_DATA by default.

    Raises:
        UnknownName: no such graph.
        DataError: files that are missing, broken, or do not fit one another.

    >>> import tempfile, pathlib
    >>> place = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (place / "wikipedia.ungraph").write_text("0 1\\n1 2\\n")
    >>> _ = (place / "wikipedia.cmty").write_text("0 2\\n2\\n")
    >>> load("wikipedia", root=place).labels.astype(int).tolist()
    [[1, 0], [0, 0], [1, 1]]
    """
    if name not in _READERS:
        raise unknown_name("labelled graph", name, _READERS)
    files, read = _READERS[name]
    return read(*needed(root, name, (f"graph_{name}", name), files))


def _blogcatalog(path: Path) -> LabelledGraph:
    arrays = read_mat(path, sparse=True)
    for variable in ("network", "group"):
        if variable not in arrays:
            raise DataError(f"{path}: expected the sparse variables network and group, got {', '.join(arrays)}")
    try:
        found = graph(arrays["network"], directed=False)
    except DeepgenError as error:
        raise DataError(f"{path}: network is no undirected graph: {error}") from error
    group = arrays["group"]
    table = np.asarray(group.todense() if hasattr(group, "todense") else group)
    if table.ndim != 2 or len(table) != len(found) or not bool(((table == 0) | (table == 1)).all()):
        raise DataError(f"{path}: group must be [{len(found)}, labels] of 0 and 1, got {list(table.shape)}")
    return LabelledGraph(found, table.astype(bool))


def _wikipedia(edges: Path, members: Path) -> LabelledGraph:
    found = graph(edges)
    number = {str(node): row for row, node in enumerate(found.nodes)}
    lines = read_text(members).splitlines()
    labels = np.zeros((len(found), len(lines)), dtype=bool)
    for column, line in enumerate(lines):
        nodes = line.split()
        unknown = next((node for node in nodes if node not in number), None)
        if unknown is not None or not nodes:
            got = "no node" if unknown is None else f"{unknown[:40]!r}, which is no node of {edges.name}"
            raise DataError(f"{members}, line {column + 1}: a line holds the nodes of a label, got {got}")
        labels[[number[node] for node in nodes], column] = True
    return LabelledGraph(found, labels)


_READERS: dict[str, tuple[tuple[str, ...], Callable[..., LabelledGraph]]] = {
    "blogcatalog": (("blogcatalog.mat",), _blogcatalog),
    "wikipedia": (("wikipedia.ungraph", "wikipedia.cmty"), _wikipedia),
}
