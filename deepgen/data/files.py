"""Finding files of data, opening them and writing them: whatever is wrong with one becomes a `DataError` that names it.

What is packed may unpack to a thousand times its size: beyond `LARGE` bytes it must be less than `RATIO` times.
"""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from deepgen.errors import DataError, DeepgenError

ENVIRONMENT = "DEEPGEN_DATA"
LARGE, RATIO = 2**28, 200  # a text of bits packs to a thirtieth, zeros to a thousandth
PathLike = str | os.PathLike[str]


@contextmanager
def reading(path: PathLike, format: str) -> Iterator[None]:
    """Turn whatever goes wrong inside the block into a `DataError` that names the file and the format expected."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a parser's doubts about a broken file end in its error or in our checks
            yield
    except DeepgenError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        if error.errno is not None:  # the operating system's, not a decoder's
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        raise _broken(path, format, error) from error
    except Exception as error:  # a parser of bytes from outside may raise anything: zlib, struct, syntax, memory ...
        raise _broken(path, format, error) from error


def _broken(path: PathLike, format: str, error: Exception) -> DataError:
    what = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(f"{path}: broken, or not {format} ({what})")


def read_bytes(path: PathLike) -> bytes:
    """Return the content of a file, decompressed where it starts with gzip's magic number; empty is an error."""
    with reading(path, "a gzip file"):
        check_regular(path)
        with open(path, "rb") as stream:
            zipped = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else open(path, "rb") as stream:
            content = bounded(stream, path) if zipped else stream.read()
    if not content:
        raise DataError(f"{path}: the file is empty")
    return content


def bounded(stream: io.IOBase | BinaryIO, path: PathLike) -> bytes:
    """All that ``stream`` unpacks from the file ``path``, as long as it is no bomb."""
    packed, parts, size = os.path.getsize(path), list[bytes](), 0
    while part := stream.read(2**24):
        parts.append(part)
        size += len(part)
        check_unpacked(size, packed, path)
    return b"".join(parts)


def inflated(data: bytes | memoryview, path: PathLike) -> bytes:
    """The content of a whole zlib stream, as long as it is no bomb.

    >>> inflated(zlib.compress(b"to be"), "x.mat")
    b'to be'
    """
    stream = zlib.decompressobj()
    content = stream.decompress(data, max(LARGE, RATIO * len(data)) + 1)
    check_unpacked(len(content), len(data), path)
    if not stream.eof:
        raise zlib.error("incomplete or truncated stream")
    return content


def check_unpacked(size: int, packed: int, path: PathLike) -> None:
    """Raise `DataError` where ``size`` bytes are more than any data are that were packed into ``packed``.

    >>> check_unpacked(2**40, 2**20, "x.npz")
    Traceback (most recent call last):
    deepgen.errors.DataError: x.npz: its 1048576 bytes unpack to 1099511627776 or more, ...
    """
    if size > LARGE and size > RATIO * packed:
        raise DataError(
            f"{path}: its {packed} bytes unpack to {size} or more, over {RATIO} times as many, which no data do: where "
            "they are meant, unpack the file and load that"
        )


def check_regular(path: PathLike) -> None:
    """Raise `DataError` for what opens and never ends: pipes and devices."""
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise DataError(f"{path}: cannot be read (no file but a pipe or a device)")


def sync_folder(folder: Path) -> None:
    """Let a rename in ``folder`` reach the disk before the next one relies on it; not every system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def replacing(path: PathLike, error: type[DeepgenError] = DataError) -> Iterator[BinaryIO]:
    """A file to write to, which takes the name ``path`` when the block ends, all at once.

    If anything goes wrong, ``path`` is what it was and nothing is left beside it.

    Raises:
        DataError: the disk refuses; or what ``error`` names instead.

    >>> place = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with replacing(place) as file:
    ...     _ = file.write(b"to be")
    >>> place.read_bytes(), len(list(place.parent.iterdir()))
    (b'to be', 1)
    """
    beside = None
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{Path(path).name[:100]}.", suffix=".partial", dir=Path(path).parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(beside, 0o666 & ~umask)  # mkstemp makes files that only their owner can read
        os.replace(beside, path)
        sync_folder(Path(path).parent)
    except BaseException as reason:
        if beside is not None:
            Path(beside).unlink(missing_ok=True)
        if isinstance(reason, OSError):
            raise error(unwritten(path, reason)) from reason
        raise


def unwritten(path: PathLike, reason: OSError) -> str:
    """What to say where the disk refuses ``path``, which keeps what it held."""
    why = reason.strerror or "only a part of it was taken"  # which is all that numpy says of a full disk
    return f"cannot write {path}: {why}; what was there before, if anything, is unharmed"


def read_text(path: PathLike) -> str:
    """Return the content of a UTF-8 text file, gzipped or not.

    Raises:
        DataError: missing, empty, or not UTF-8; with the line.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "verse.txt"
    >>> _ = path.write_bytes(gzip.compress("To be".encode()))
    >>> read_text(path)
    'To be'
    """
    return decode(read_bytes(path), path)


def decode(content: bytes, path: PathLike) -> str:
    """The text of ``content``, without a byte-order mark."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: not a text file (line {line} is not UTF-8)") from None


def find(root: PathLike | None, name: str, folders: Sequence[str], files: Sequence[str]) -> list[Path] | None:
    """Return the paths of all ``files`` in one folder: a sub-folder of ``root`` or it; None unless all are there.

    A file may also be gzipped (``.gz`` added) or not (``.gz`` left out).
    """
    base = folder_of(root, name)
    for folder in (*(base / sub for sub in folders), base):
        found = [_variant(folder / file) for file in files]
        if all(path is not None for path in found):
            return [path for path in found if path is not None]
    return None


def needed(
    root: PathLike | None, name: str, folders: Sequence[str], files: Sequence[str], otherwise: str | None = None
) -> list[Path]:
    """`find`, or a `DataError` that says what was looked for and where; ``otherwise`` names what would do as well."""
    found = find(root, name, folders, files)
    if found is None:
        wanted = ", ".join(files) + (f" (or {otherwise})" if otherwise else "")
        raise DataError(f"{name}: expected {wanted} in {folder_of(root, name)} or its folder {folders[0]}")
    return found


def folder_of(root: PathLike | None, name: str) -> Path:
    """Return the folder data are read from: ``root``, else the environment variable DEEPGEN_DATA."""
    place = root or os.environ.get(ENVIRONMENT)
    if not place:
        raise DataError(
            f"the data set {name!r} is read from files: pass root= (--root) or set the environment variable "
            f"{ENVIRONMENT} to the folder that holds them"
        )
    base = Path(place).expanduser()
    if not base.is_dir():
        raise DataError(f"{base}: no such folder (for the data set {name!r})")
    return base


def _variant(path: Path) -> Path | None:
    other = path.with_name(path.name[:-3]) if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    return next((p for p in (path, other) if p.is_file()), None)
