"""The idx format of MNIST and Fashion-MNIST, gzipped or not.

    bytes 0-1: zero    byte 2: type    byte 3: axes d    4 d bytes: big-endian sizes    then the numbers, big-endian

Source: LeCun, Cortes & Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from deepgen.data.files import PathLike, read_bytes
from deepgen.errors import DataError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: PathLike) -> np.ndarray[Any, Any]:
    """Return the array in an idx file, in native byte order.

    Raises:
        DataError: missing, empty, broken gzip, wrong magic number, or a size that its header does not announce.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))  # one axis of three unsigned bytes
    >>> read_idx(path).tolist()
    [5, 0, 4]
    """
    content = read_bytes(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES or content[3] == 0:
        raise DataError(f"{path}: not an idx file (it starts with {content[:4].hex(' ')}, expected 00 00 type axes)")
    axes = content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise DataError(f"{path}: truncated inside the idx header ({len(content)} bytes)")
    shape = struct.unpack(f">{axes}I", content[4:start])
    dtype = np.dtype(_TYPES[content[2]])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected or math.prod(shape) == 0 or axes > 32:
        raise DataError(
            f"{path}: the idx header announces shape {list(shape)}, {expected} bytes, and the file has {len(content)}"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
