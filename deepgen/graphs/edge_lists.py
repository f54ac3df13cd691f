"""Edge lists in text: a line an edge, two names and perhaps a weight, between them commas, semicolons, tabs or spaces.

    ann bob         ann,bob,0.5         # a line that begins with # or % says nothing

The separator is told from the first edge. Names are taken as whole numbers where all of them are written as such, and
as text otherwise. Lines of numbers alone are read in blocks by numpy; any other file, and whatever is wrong with one,
line by line.
"""

from __future__ import annotations

import csv
import io
import math
import re
import warnings
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.data.files import PathLike, decode, read_bytes
from deepgen.errors import DataError

Array = NDArray[Any]
Edges = tuple[Sequence[Hashable], Array, Array, Array | None]
BLOCK = 2**24  # bytes that are parsed at once
_HEADS = {"source", "src", "from", "u", "node1", "node_1", "head", "i"}  # how first columns of sources are called
_NUMBERS = b"0123456789.+-eE\t,; \r\n"
_UNUSUAL = re.compile(rb"(?:^|[\s,;])(?:\+|-0|0[0-9])")  # 007 is a name and no number


def read_edges(path: PathLike, *, header: bool | None = None) -> Edges:
    """Names of nodes, and sources, targets and weights ``[edges]`` (None if there is no third column) by node number.

    Args:
        path: the file, gzipped or not.
        header: whether the first line names the columns; if None, it does where it has a third column that is no number
            or begins with "source", "src", "from", "u", "node1" or "i" among names of other kinds.

    Raises:
        DataError: with the line: not text, no edge, a line of another width, a weight that is not a finite number of at
            least 0.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "edges.tsv"
    >>> _ = path.write_text("source\\ttarget\\n10\\t30\\n30\\t20\\n")
    >>> read_edges(path)
    ([10, 20, 30], array([0, 2], dtype=int32), array([2, 1], dtype=int32), None)
    """
    content = read_bytes(path)
    quick = None if header else _numeric(content)
    if quick is not None:
        return quick
    return read_lines(decode(content, path).splitlines(), header=header, place=f"{path}, line ")


def read_lines(lines: Iterable[str], *, header: bool | None = None, place: str = "line ") -> Edges:
    """The same of lines; ``place`` is what a message says before the number of a line, from 1.

    >>> read_lines(["ann,bob,2", "bob,cy"])
    Traceback (most recent call last):
    deepgen.errors.DataError: line 2: 2 columns, expected 3 as in line 1
    """
    names: dict[str, int] = {}
    sources: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    separator, width, first = None, 0, 0
    for line, text in enumerate(lines, 1):
        text = text.strip()
        if not text or text[0] in "#%":
            continue
        if not width:
            separator = next((s for s in "\t,;" if s in text), None)
        cells = _cells(text, separator, f"{place}{line}")
        if not width:
            width, first = len(cells), line
            if width not in (2, 3):
                raise DataError(f"{place}{line}: {width} columns, expected 2 (source, target) or 3 (and a weight)")
            if header or (header is None and _is_header(cells)):
                continue
        if len(cells) != width:
            raise DataError(f"{place}{line}: {len(cells)} columns, expected {width} as in line {first}")
        if not cells[0] or not cells[1]:
            raise DataError(f"{place}{line}: a name is empty")
        if width == 3:
            weights.append(_weight(cells[2], f"{place}{line}"))
        sources.append(names.setdefault(cells[0], len(names)))
        targets.append(names.setdefault(cells[1], len(names)))
    if not sources:
        raise DataError(f"{place.removesuffix(', line ').removesuffix('line ') or 'the lines'}: no edge in it")
    ends, found = np.array([sources, targets]), np.array(weights) if weights else None
    if all(_is_whole(name) for name in names):
        whole = np.array([int(name) for name in names], object)
        if abs(whole).max() < 2**63:
            return *_renumber(whole.astype(np.int64)[ends]), found
    return list(names), ends[0], ends[1], found


def _numeric(content: bytes) -> Edges | None:
    """The quick way, a million edges in half a second: None for a file that it cannot vouch for."""
    start = 0
    while content[start : start + 1] in (b"#", b"%"):
        start = content.find(b"\n", start) + 1
        if not start:
            return None
    line = content[start : (content.find(b"\n", start) + 1) or None].strip()
    separator = next((s for s in (b"\t", b",", b";") if s in line), None)
    width = len(line.split(separator))
    if width not in (2, 3):
        return None
    columns = [("source", "i8"), ("target", "i8"), ("weight", "f8")][:width]
    tables = []
    while start < len(content):
        stop = content.find(b"\n", start + BLOCK) + 1 or len(content)
        block = content[start:stop]
        start = stop
        if block.translate(None, _NUMBERS) or _UNUSUAL.search(block):
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of whole numbers written as 1.0, and of blocks without any
                table = np.loadtxt(
                    io.BytesIO(block), np.dtype(columns), None, separator.decode() if separator else None, ndmin=1
                )
        except (ValueError, Warning):
            return None
        if width == 3 and not bool((np.isfinite(table["weight"]) & (table["weight"] >= 0)).all()):
            return None
        tables.append(table)
    ends = np.stack([np.concatenate([table[name] for table in tables]) for name in ("source", "target")])
    weights = np.concatenate([table["weight"] for table in tables]) if width == 3 else None
    del tables  # as large as all that is kept
    return *_renumber(ends), weights


def _renumber(ends: Array) -> tuple[Sequence[Hashable], Array, Array]:
    """The different whole numbers of ``ends`` ``[2, edges]`` in order, and the places of both rows in them."""
    low, high = int(ends.min()), int(ends.max())
    if low < 0 or high > 16 * ends.size + 2**20:  # too wide a range to have a place for each
        numbers, places = np.unique(ends, return_inverse=True)
        places = places.reshape(ends.shape)
    else:
        seen = np.zeros(high + 1, np.bool_)
        seen[ends[0]], seen[ends[1]] = True, True
        numbers = np.flatnonzero(seen)
        places = ends if len(numbers) > high else (np.cumsum(seen) - 1)[ends]
    numbered = numbers[0] == 0 and numbers[-1] == len(numbers) - 1
    if len(numbers) < 2**31:
        places = places.astype(np.int32)
    return range(len(numbers)) if numbered else numbers.tolist(), places[0], places[1]


def _cells(text: str, separator: str | None, place: str) -> list[str]:
    if separator is None:
        return text.split()
    cells = text.split(separator)
    if '"' in text:
        try:
            cells = next(csv.reader([text], delimiter=separator, skipinitialspace=True, strict=True))
        except csv.Error as error:
            raise DataError(f"{place}: {error}") from None
    return [cell.strip() for cell in cells]


def _is_header(cells: list[str]) -> bool:
    try:
        float(cells[-1])
    except ValueError:
        return len(cells) == 3 or cells[0].lower() in _HEADS
    return False


def _weight(cell: str, place: str) -> float:
    try:
        weight = float(cell)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise DataError(f"{place}: a weight must be a finite number of at least 0, got {cell[:40]!r}")
    return weight


def _is_whole(name: str) -> bool:
    try:
        return str(int(name)) == name
    except ValueError:
        return False
