"""MATLAB files of format 5 to 7.2: their real, numeric arrays, full and sparse.

    128 bytes: text, version, byte order "IM" or "MI"      then elements: type, size, data, padded to 8 bytes
    an array is an element of type 14: flags and class, sizes, name, numbers column by column; type 15 is a zlib stream
    of one element; data of at most 4 bytes may sit inside the 8 bytes of type and size
    a sparse array has the rows of its numbers and where each column begins among them before its numbers

Source: MathWorks, "MAT-File Format", chapter 1 (level 5). scipy.io.loadmat reads more, but can crash the interpreter on
a damaged file that is not compressed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from deepgen.data.files import PathLike, inflated, read_bytes, reading
from deepgen.errors import DataError

_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_MATRIX, _COMPRESSED, _SPARSE, _COMPLEX = 14, 15, 5, 0x0800


def read_mat(path: PathLike, *, sparse: bool = False) -> dict[str, Any]:
    """Return all real, full, numeric arrays in a MATLAB file by name; text, cells and structures are left.

    Args:
        path: the file.
        sparse: whether to return sparse arrays too, as ``scipy.sparse.csc_array``; otherwise they are left as well.

    Raises:
        DataError: missing, empty, damaged, not a MATLAB file, of format 4 or 7.3, or without a numeric array.

    >>> import tempfile, pathlib, scipy.io
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "data.mat"
    >>> scipy.io.savemat(path, {"x": np.eye(2)})
    >>> read_mat(path)["x"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    >>> scipy.io.savemat(path, {"x": scipy.sparse.csc_array(np.eye(2))})
    >>> read_mat(path, sparse=True)["x"].nnz
    2
    """
    content = read_bytes(path)
    if content[:10] == b"MATLAB 7.3" or content[:4] == b"\x89HDF":
        raise DataError(f"{path}: a MATLAB file of format 7.3 (HDF5), which is not read here: save it with -v7")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise DataError(f"{path}: not a MATLAB file of format 5 to 7.2 (it starts with {content[:8].hex(' ')})")
    arrays = {}
    with reading(path, "a MATLAB file of format 5 to 7.2"):
        for kind, data in _elements(memoryview(content)[128:], order):
            if kind == _COMPRESSED:
                ((kind, data),) = _elements(memoryview(inflated(data, path)), order)
            found = _array(data, order, sparse) if kind == _MATRIX else None
            if found is not None:
                arrays[found[0]] = found[1]
    if not arrays:
        raise DataError(f"{path}: the .mat file holds no numeric array")
    return arrays


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield (type, data) of the elements that fill ``content``."""
    place = 0
    while place < len(content):
        if len(content) - place < 8:
            raise ValueError("truncated between two elements")
        kind, size = (int(word) for word in np.frombuffer(content, order + "u4", 2, place))
        start, small = place + 8, kind >> 16
        if small:  # size and type share the first word, the data follow in the second
            kind, size, start = kind & 0xFFFF, small, place + 4
        end = start + size
        if end > len(content) or small > 4:
            raise ValueError(f"truncated: an element of {size} bytes where {len(content) - start} are left")
        yield kind, content[start:end]
        place = place + 8 if small else end if kind == _COMPRESSED else end + -size % 8


def _array(content: memoryview, order: str, sparse: bool) -> tuple[str, Any] | None:
    """Return (name, array) of an array element; None of another kind than real and numeric."""
    parts = list(_elements(content, order))
    if len(parts) < 3 or (parts[0][0], len(parts[0][1])) != (6, 8) or parts[1][0] != 5 or parts[2][0] != 1:
        raise ValueError("an array without flags, sizes and name")
    flags = int(np.frombuffer(parts[0][1], order + "u4", 1)[0])
    shape = tuple(int(n) for n in np.frombuffer(parts[1][1], order + "i4"))
    name = bytes(parts[2][1]).decode("ascii")
    if flags & 0xFF == _SPARSE and sparse and not flags & _COMPLEX:
        return name, _columns(name, shape, parts[3:], order)
    target = _CLASSES.get(flags & 0xFF)
    if target is None or flags & _COMPLEX:
        return None
    if len(parts) != 4 or parts[3][0] not in _STORED or len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"the array {name!r} has no numbers of a known type")
    numbers = np.frombuffer(parts[3][1], order + _STORED[parts[3][0]])
    if len(numbers) != math.prod(shape):
        raise ValueError(f"the array {name!r} announces shape {list(shape)} and has {len(numbers)} numbers")
    return name, numbers.astype(target).reshape(shape, order="F")


def _columns(name: str, shape: tuple[int, ...], parts: list[tuple[int, memoryview]], order: str) -> Any:
    """The sparse array of rows, where columns begin, and numbers."""
    from scipy.sparse import csc_array

    if len(parts) != 3 or len(shape) != 2 or any(kind not in _STORED for kind, _ in parts):
        raise ValueError(f"the sparse array {name!r} has no rows, columns and numbers of known types")
    rows, starts, numbers = (np.frombuffer(data, order + _STORED[kind]) for kind, data in parts)
    count = int(starts[-1]) if len(starts) == shape[1] + 1 else -1
    if not 0 <= count <= min(len(rows), len(numbers)):
        raise ValueError(f"the sparse array {name!r} announces shape {list(shape)} and has {len(numbers)} numbers")
    native = rows[:count].astype(np.int64), starts.astype(np.int64)
    array = csc_array((numbers[:count].astype("f8"), *native), shape=shape)
    array.check_format(full_check=True)
    return array
