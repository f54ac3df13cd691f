"""The directory format of checkpoints: tensors in safetensors, everything else in JSON, and one commit point.

    tensors-<hash>.safetensors    every tensor, named after its content, so a new one never overwrites an old one
    manifest.json                 format and library versions, the size and sha256 of that file, the rest of the
                                  content, and as its last entry the sha256 of all its own bytes before that entry

A write is: the new tensors under their new name, the manifest beside the old one, both flushed to the disk, then
`os.replace` of the manifest (the commit), then removal of what no manifest names any more. A process killed anywhere
in between leaves either the old checkpoint or the new one, whole. Truncation, flipped bits and foreign files are
found by the checksums. Nothing is ever unpickled.

Content is a tree of plain values and tensors, which `deepgen.train.pack` turns into JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from stat import S_ISREG
from typing import Any

from torch import Tensor

from deepgen.data.files import sync_folder
from deepgen.errors import CheckpointError, DeepgenError
from deepgen.train.pack import Pool, pack, unpack

MANIFEST = "manifest.json"
FORMAT, VERSION = "deepgen checkpoint", 1
_SEAL = b'"checksum": "'
_SLACK = 2**22  # bytes
_LARGEST = 2**30  # bytes of a manifest, some million epochs


def write(directory: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Store ``content`` in ``directory`` as its one checkpoint, replacing the one before.

    Raises:
        CheckpointError: the content cannot be stored, or the disk refuses; the checkpoint before is still there.
    """
    from safetensors.torch import save

    from deepgen import __version__

    root = Path(directory)
    tensors: Pool = {}
    body = pack(content, tensors)
    bytearray(_SLACK + 3 * sum(tensor.nbytes for _, tensor in tensors.values()))
    # which raises where memory is short; without it safetensors, which fills two more copies, would end the process
    blob = save({name: tensor.cpu().contiguous().clone() for name, tensor in tensors.values()})
    digest = hashlib.sha256(blob).hexdigest()
    target = root / f"tensors-{digest[:16]}.safetensors"
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "deepgen": __version__,
        "files": {target.name: {"bytes": len(blob), "sha256": digest}},
        "content": body,
    }
    try:
        root.mkdir(parents=True, exist_ok=True)
        _put(target, blob)
        _put(root / MANIFEST, seal(manifest))
    except OSError as error:
        _sweep(root)
        raise CheckpointError(
            f"cannot write checkpoint {error.filename or root}: {error.strerror or error}; "
            "the checkpoint before, if any, is still there"
        ) from error
    _sweep(root)


def read(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content stored in ``directory``, every byte of it checked.

    Raises:
        CheckpointError: there is no checkpoint, or a file is truncated, altered, foreign or of a newer format.
    """
    root = Path(directory)
    while True:
        raw = _manifest(root)
        try:
            manifest = _parsed(raw, root / MANIFEST)
            with malformed(root / MANIFEST):
                return _read(root, manifest)
        except CheckpointError:
            if _manifest(root) == raw:
                raise
            # else a run saved anew while its checkpoint before was read, and took those tensors away


def _read(root: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    from safetensors.torch import load

    tensors: dict[str, Tensor] = {}
    for name, facts in manifest["files"].items():
        path = root / name
        if not fnmatchcase(name, "tensors-*.safetensors") or Path(name).name != name:
            raise CheckpointError(f"{root / MANIFEST} names {name!r}, which is no file of a checkpoint")
        size = _size(path)
        if size != facts["bytes"]:
            raise CheckpointError(f"{path} is truncated or foreign: expected {facts['bytes']} bytes, got {size}")
        blob = _get(path)
        if hashlib.sha256(blob).hexdigest() != facts["sha256"]:
            raise CheckpointError(
                f"{path} was altered: its sha256 is not the one in {MANIFEST}; restore it or start anew"
            )
        # cloned, as tensors read in place can sit at addresses where products round differently
        tensors.update({key: tensor.clone() for key, tensor in load(blob).items()})
    content: dict[str, Any] = unpack(manifest["content"], tensors)
    return content


def read_manifest(root: Path) -> dict[str, Any]:
    """Return the checked manifest of ``root`` as it stands in the file, tensors left as names."""
    return _parsed(_manifest(root), root / MANIFEST)


def _manifest(root: Path) -> bytes:
    path = root / MANIFEST
    if not path.exists():
        hint = " (vectors are read by dg.Embeddings.load)" if root.suffix in (".npz", ".bin", ".txt", ".vec") else ""
        raise CheckpointError(f"no checkpoint in {root}: expected a file {path}{hint}")
    size = _size(path)
    if size > _LARGEST:
        raise CheckpointError(f"{path} has {size} bytes, more than the manifest of any run")
    return _get(path)


def _parsed(raw: bytes, path: Path) -> dict[str, Any]:
    with malformed(path):
        manifest = unseal(raw, path)
        made_by, version = manifest["deepgen"], manifest["version"]
    if version != VERSION:
        raise CheckpointError(
            f"{path} has format version {version}, written by deepgen {made_by}; this deepgen reads version {VERSION}"
        )
    return manifest


@contextmanager
def malformed(place: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what goes wrong on whole but senseless content (checksums can be made by anyone) into `CheckpointError`."""
    try:
        yield
    except DeepgenError:
        raise
    except MemoryError as error:
        raise CheckpointError(f"{place} takes more memory than there is") from error
    except Exception as error:  # of content that anyone can have made, any
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{place} does not hold what a checkpoint of this deepgen holds ({reason})") from error


def seal(manifest: dict[str, Any]) -> bytes:
    """Serialise with the sha256 of everything before the seal as the last entry."""
    head = json.dumps(manifest, indent=1, allow_nan=False).encode()[:-2] + b",\n "
    return head + _SEAL + hashlib.sha256(head).hexdigest().encode() + b'"\n}\n'


def unseal(raw: bytes, path: Path) -> dict[str, Any]:
    """Undo `seal`; raise `CheckpointError` unless every byte is as it was written."""
    head, mark, tail = raw.rpartition(_SEAL)
    if not mark or tail != hashlib.sha256(head).hexdigest().encode() + b'"\n}\n':
        raise CheckpointError(f"{path} is truncated, altered or not written by deepgen: its checksum does not fit")
    manifest: dict[str, Any] = json.loads(raw)
    return manifest


def _put(path: Path, blob: bytes) -> None:
    """Make ``path`` hold ``blob``, all at once and on the disk."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        file.write(blob)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_folder(path.parent)


def _size(path: Path) -> int:
    """Bytes of a file; pipes and devices, which may never end, are refused."""
    try:
        facts = path.stat()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if not S_ISREG(facts.st_mode):
        raise CheckpointError(f"cannot read {path}: it is no regular file")
    return facts.st_size


def _get(path: Path) -> bytes:
    """The content of a file that `_size` has looked at."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error


def _sweep(root: Path) -> None:
    """Remove the content files and partial files that the manifest does not name; what stays goes the next time."""
    with suppress(OSError, CheckpointError):  # tidying up must not hide the outcome of the write
        named = read_manifest(root)["files"] if (root / MANIFEST).exists() else {}
        for path in (*root.glob("tensors-*.safetensors*"), *root.glob(f"{MANIFEST}.partial")):
            if path.name not in named:
                path.unlink()
