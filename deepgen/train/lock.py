"""One process a run: a lock on a file in its directory, which ends with the process that holds it, however that ends.

The lock is flock's, on ``run.lock``, which also says who holds it. The file stays when the lock is gone and means
nothing by itself. Reading a run takes no lock, so that one in progress, or in a folder that cannot be written to, can
be looked at. Where the system has no such locks (Windows, some network disks), there is none.
"""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deepgen.errors import CheckpointError

LOCK = "run.lock"
_held: set[int] = set()  # descriptors, which a forked worker must not keep open when this process is killed


@contextmanager
def held(directory: str | os.PathLike[str]) -> Iterator[None]:
    """Hold ``directory`` for the block; it is made where it is missing.

    Raises:
        CheckpointError: another process, or another run in this one, holds it; or it cannot be written to.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with held(folder):
    ...     with held(folder):
    ...         pass
    Traceback (most recent call last):
    deepgen.errors.CheckpointError: ... is in use by process ...
    """
    root = Path(directory)
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise CheckpointError(f"cannot write checkpoint {root}: {error.strerror or error}") from error
    _held.add(handle)
    try:
        if not _locked(handle):
            by = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            raise CheckpointError(f"{root} is in use by {by}: wait until that is done, or choose another directory")
        with suppress(OSError):  # a full disk: locked all the same
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {platform.node()}\n".encode())
        yield
    finally:
        if handle in _held:  # not in a forked child, which has let it go
            _held.discard(handle)
            os.close(handle)


def _locked(handle: int) -> bool:
    """Whether the lock was free, and is held by now."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _let_go() -> None:
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
