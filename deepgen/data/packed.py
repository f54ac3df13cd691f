"""Arrays in numpy's .npy and .npz files, and bits packed eight to a byte.

Nothing is ever unpickled: ``allow_pickle`` is off, and object arrays are refused.
"""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import numpy as np

from deepgen.data.files import PathLike, check_regular, check_unpacked, reading
from deepgen.errors import DataError

Array = np.ndarray[Any, Any]


def read_npy(path: PathLike) -> Array:
    """Return the array in a .npy file.

    Raises:
        DataError: missing, empty, damaged, not a .npy file, or not of numbers.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.npy"
    >>> np.save(path, np.arange(3))
    >>> read_npy(path).tolist()
    [0, 1, 2]
    """
    _check_magic(path, b"\x93NUMPY", ".npy")
    with reading(path, "a .npy file"), open(path, "rb") as stream:  # opened here: numpy leaves a broken file open
        return _numbers(path, Path(path).stem, whole_array(stream))


def write_npy(file: BinaryIO, array: Array) -> None:
    """Write ``array`` as .npy, by way of ``file`` itself.

    numpy hands an open file to C, which does not say that a disk is full: what was left of the array looked written.

    >>> stream = io.BytesIO()
    >>> write_npy(stream, np.arange(3))
    >>> np.load(io.BytesIO(stream.getvalue())).tolist()
    [0, 1, 2]
    """
    np.save(cast(BinaryIO, SimpleNamespace(write=file.write)), array)


def read_npz(path: PathLike) -> dict[str, Array]:
    """Return all arrays in a .npz file by name.

    Raises:
        DataError: missing, empty, damaged, not a .npz file, or without an array.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.npz"
    >>> np.savez(path, train=np.ones(2), test=np.zeros(1))
    >>> sorted(read_npz(path))
    ['test', 'train']
    """
    _check_magic(path, b"PK", ".npz")
    found = {}
    with reading(path, "a .npz file"), zipfile.ZipFile(path) as archive:
        check_unpacked(sum(entry.file_size for entry in archive.infolist()), os.path.getsize(path), path)
        for entry in archive.infolist():
            # read to its end first, as only there its checksum is looked at
            found[entry.filename.removesuffix(".npy")] = whole_array(io.BytesIO(archive.read(entry)))
    if not found:
        raise DataError(f"{path}: the .npz file holds no array")
    return found


def whole_array(stream: BinaryIO) -> Array:
    """The one array in the .npy ``stream``, which must end with it; ValueError if not.

    >>> stream = io.BytesIO()
    >>> np.save(stream, np.arange(3)), stream.write(b"and more"), stream.seek(0)
    (None, 8, 0)
    >>> whole_array(stream)
    Traceback (most recent call last):
    ValueError: there is more in it than the array of shape [3] that its header announces
    """
    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    if stream.read(1):
        raise ValueError(f"there is more in it than the array of shape {list(array.shape)} that its header announces")
    return array


def member(found: dict[str, Array], key: str, path: PathLike, ndim: int, kinds: str = "biuf") -> Array:
    """Return ``found[key]``, checked to be there, to have ``ndim`` axes, entries, and a dtype of ``kinds``."""
    if key not in found:
        raise DataError(f"{path}: no array {key!r} in it; it holds {', '.join(sorted(found)) or 'nothing'}")
    array = found[key]
    if array.dtype.kind not in kinds or array.ndim != ndim or (ndim and array.size == 0):
        raise DataError(f"{path}: {key!r} is {array.dtype} {list(array.shape)}, expected numbers with {ndim} axes")
    return array


def unpack(array: Array, count: int, path: PathLike, key: str) -> Array:
    """Return bits ``[rows, count]`` from bytes ``[rows, ceil(count / 8)]``, the most significant bit first.

    Raises:
        DataError: other bytes than ``count`` bits need; it names ``path`` and ``key``, where they came from.

    >>> unpack(np.array([[0b10100000]], np.uint8), 3, "x.npz", "train").tolist()
    [[1, 0, 1]]
    """
    if array.dtype != np.uint8 or array.ndim != 2 or count < 1 or array.shape[1] != -(-count // 8):
        raise DataError(
            f"{path}: {key!r} is {array.dtype} {list(array.shape)}, expected {count} bits a row packed in "
            f"uint8 [rows, {-(-count // 8)}]"
        )
    return np.unpackbits(array, axis=1, count=count)


def _check_magic(path: PathLike, magic: bytes, suffix: str) -> None:
    start = _magic(path, len(magic))
    if start != magic:
        raise DataError(f"{path}: not a {suffix} file (it starts with {start.hex(' ')}, expected {magic.hex(' ')})")


def _magic(path: PathLike, length: int) -> bytes:
    check_regular(path)
    with reading(path, "a file"), open(path, "rb") as stream:
        start = stream.read(max(1, length))
    if not start:
        raise DataError(f"{path}: the file is empty")
    return start


def _numbers(path: PathLike, key: str, array: Array) -> Array:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{path}: {key!r} is {array.dtype} {list(array.shape)}, expected an array of numbers")
    return array
