"""Finding files of data and opening them: whatever is wrong with one becomes a `DataError` that names it."""

from __future__ import annotations

import gzip
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deepgen.errors import DataError, DeepgenError

ENVIRONMENT = "DEEPGEN_DATA"
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


def readable(path: PathLike) -> None:
    """Give a file that ``tempfile.mkstemp`` made, which only its owner can read, the mode of any new file.

    >>> import tempfile
    >>> handle, made = tempfile.mkstemp()
    >>> os.close(handle)
    >>> readable(made)
    >>> beside = made + ".beside"
    >>> Path(beside).touch()
    >>> os.stat(made).st_mode == os.stat(beside).st_mode
    True
    >>> os.remove(made), os.remove(beside)
    (None, None)
    """
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(path, 0o666 & ~umask)


def read_bytes(path: PathLike) -> bytes:
    """Return the content of a file, decompressed where it starts with gzip's magic number; empty is an error."""
    with reading(path, "a gzip file"):
        with open(path, "rb") as stream:
            zipped = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else open(path, "rb") as stream:
            content: bytes = stream.read()
    if not content:
        raise DataError(f"{path}: the file is empty")
    return content


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
