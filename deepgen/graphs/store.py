"""Graphs in folders: one .npy an array, mapped into memory when opened, so that a graph need not fit into it.

    graph.json   what kind of graph, what kind of names, and size and CRC-32 of each file
    indptr.npy  indices.npy  weights.npy (unless all are alike)  nodes.npy (whole numbers) or nodes.json (text)

A folder is written beside its place and renamed, so that one of that name is a whole graph. A graph whose place another
takes is renamed to ``NAME.PID.old`` before, and is read from there where a process was killed between the two.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepgen.data.files import PathLike, reading, sync_folder, unwritten
from deepgen.data.packed import read_npy, write_npy
from deepgen.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from deepgen.graphs.rows import Graph

FACTS, VERSION = "graph.json", 1


def save(graph: Graph, folder: PathLike) -> None:
    """Write ``graph`` into ``folder``, in place of a graph that is there.

    Raises:
        ArgumentError: names that are neither text nor whole numbers; a folder that holds something else.
        DataError: the disk refuses; the graph that was there is unharmed.

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
    stood = standing(place)
    partial, old = (place.with_name(f"{place.name}.{os.getpid()}.{end}") for end in ("partial", "old"))
    try:
        partial.mkdir(parents=True)
        files: dict[str, dict[str, int]] = {}
        for name in ("indptr", "indices", "weights"):
            array = getattr(graph, name)
            if array is not None:
                files |= _put(partial / f"{name}.npy", array)
        if kind == "integers":
            files |= _put(partial / "nodes.npy", np.array(graph.nodes, np.int64))
        elif kind == "text":
            files |= _put(partial / "nodes.json", json.dumps(list(graph.nodes)).encode())
        facts = {"version": VERSION, "nodes": kind, "directed": graph.directed, "weighted": graph.weights is not None}
        facts["files"] = files
        _put(partial / FACTS, json.dumps(facts | {"crc32": _sum(facts)}).encode())
        sync_folder(partial)
        if place.exists():  # a folder cannot be renamed onto a full one
            os.replace(place, old)
        os.replace(partial, place)
        sync_folder(place.parent)  # before the old one goes
    except OSError as error:
        if old.exists() and not place.exists():
            with suppress(OSError):  # it is read from there, too
                os.replace(old, place)
        raise DataError(unwritten(place, error)) from error
    finally:
        for left in (partial, old, stood):
            if left is partial or (left != place and place.exists()):
                shutil.rmtree(left, ignore_errors=True)


def standing(place: Path) -> Path:
    """Where the graph ``place`` is: there, or under its old name if a process was killed while it put another there."""
    if place.exists():
        return place
    return next(iter(sorted(place.parent.glob(f"{escape(place.name)}.*.old"))), place)


def _put(path: Path, content: Any) -> dict[str, dict[str, int]]:
    """Write bytes or an array; return the size and checksum."""
    with open(path, "wb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            write_npy(file, content)
        file.flush()
        os.fsync(file.fileno())
    return {path.name: _facts(path)}


def _facts(path: Path) -> dict[str, int]:
    size, crc = 0, 0
    with open(path, "rb") as file:
        while part := file.read(2**24):
            size, crc = size + len(part), zlib.crc32(part, crc)
    return {"bytes": size, "crc32": crc}


def _sum(facts: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode())


def load(folder: PathLike, *, check: bool = True) -> Graph:
    """The graph in ``folder``; without ``check`` its arrays are taken as they are.

    Raises:
        DataError: no graph in it, or one that is broken or of another version.
    """
    from deepgen.graphs.rows import Graph

    place = standing(Path(folder))
    with reading(place / FACTS, "a graph of deepgen"):
        facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
        if facts["version"] != VERSION:
            raise DataError(f"{place}: a graph of version {facts['version']}, and this deepgen reads {VERSION}")
        if facts.pop("crc32", None) != (_sum(facts) if "files" in facts else None):
            raise ValueError("its checksum does not fit")
    with reading(place, "a graph of deepgen"):
        if check:
            for name, expected in facts.get("files", {}).items():
                if _facts(place / Path(name).name) != expected:
                    raise DataError(f"{place / Path(name).name}: altered or truncated: its checksum does not fit")
        weights = _mapped(place, "weights", "f4") if facts["weighted"] else None
        nodes: Any = None
        if facts["nodes"] == "integers":
            nodes = read_npy(place / "nodes.npy").tolist()
        elif facts["nodes"] == "text":
            nodes = json.loads((place / "nodes.json").read_text(encoding="utf-8"))
        indptr, indices = _mapped(place, "indptr", "i8"), _mapped(place, "indices", "i4")
        if indptr[-1] != len(indices):
            raise DataError(f"{place}: rows end at edge {indptr[-1]} of {len(indices)}")
        if check:  # a walk trusts these numbers, and beyond the arrays it would read other memory
            ascending = indptr[0] == 0 and bool((indptr[:-1] <= indptr[1:]).all())
            if not ascending or indices.min() < 0 or indices.max() >= len(indptr) - 1:
                raise DataError(f"{place}: rows or edges lead out of the graph")
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
