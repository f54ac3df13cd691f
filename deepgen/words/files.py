"""Embeddings in files: npz and safetensors, and the text and binary forms of the word2vec program.

    text        "tokens dim\n", then for each token its name, a space, and ``dim`` numbers with spaces between
    binary      "tokens dim\n", then for each token its name, a space, and ``dim`` float32, little end first, and "\n"

npz and safetensors hold the arrays and the names as JSON; nothing is pickled and no pickle is read. The word2vec forms
hold names as text without white space; both of its habits are read, with and without the "\n" after a binary row, and
names with spaces from text (gensim writes them there, and reads them no more).
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from deepgen.data.files import check_unpacked, reading, replacing, unwritten
from deepgen.data.packed import read_npz
from deepgen.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from deepgen.embeddings import Embeddings

_ENDS = {".npz": "npz", ".safetensors": "safetensors", ".txt": "text", ".vec": "text", ".bin": "binary"}
_FORMATS = sorted(set(_ENDS.values()))
_LONGEST = 2**16  # bytes of a token; what is longer is broken


def check(tokens: Sequence[Hashable], path: str | os.PathLike[str], format: str | None = None) -> None:
    """Raise what `write` would say of these names and that path, before hours are spent on vectors."""
    _names(tokens, _format(Path(path), format))


def write(emb: Embeddings, path: str | os.PathLike[str], format: str | None) -> None:
    """Write beside the file and rename into place; missing folders are made."""
    path, form = Path(path), _format(Path(path), format)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(unwritten(path, error)) from error
    held = {"vectors": emb.vectors, "context": emb.context, "counts": emb.counts}
    arrays: dict[str, Any] = {name: value for name, value in held.items() if value is not None}
    names = _names(emb.tokens, form)
    with replacing(path) as raw:
        file = cast(BinaryIO, gzip.open(raw, "wb") if path.suffix == ".gz" else raw)  # noqa: SIM115 (closed below)
        if form == "npz":
            listed = np.frombuffer(json.dumps(names).encode(), np.uint8)
            np.savez(file, tokens=listed, **arrays)
        elif form == "safetensors":
            from safetensors.numpy import save

            file.write(save(arrays, metadata={"tokens": json.dumps(names)}))
        else:
            file.write(f"{len(names)} {emb.dim}\n".encode())
            for name, row in zip(names, emb.vectors, strict=True):
                tail = row.astype("<f4").tobytes() if form == "binary" else " ".join(map(repr, row.tolist())).encode()
                file.write(name.encode() + b" " + tail + b"\n")
        if file is not raw:
            file.close()


def read(path: str | os.PathLike[str], format: str | None) -> dict[str, Any]:
    """The arguments of `deepgen.embeddings.Embeddings` that a file holds."""
    path, form = Path(path), _format(Path(path), format)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with reading(path, f"a file of embeddings ({form})"):
        if form == "npz":
            held: dict[str, Any] = read_npz(path)
            held["tokens"] = _hashable(json.loads(_named(held, "tokens").tobytes()))
            return _whole(path, held)
        if form == "safetensors":
            from safetensors import safe_open

            with safe_open(path, "np") as tensors:
                held = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 (no mapping)
                held["tokens"] = _hashable(json.loads(_named(tensors.metadata() or {}, "tokens")))
            return _whole(path, held)
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as stream:
            return (_read_text if form == "text" else _read_binary)(path, cast(BinaryIO, stream))


def _named(held: Any, name: str) -> Any:
    if name not in held:
        raise ValueError(f"it has no {name!r}, so it is no file of embeddings")
    return held[name]


def _read_text(path: Path, file: BinaryIO) -> dict[str, Any]:
    rows, dim = _header(path, file)
    names, vectors = [], np.empty((rows, dim), np.float32)
    for i in range(rows):
        line = file.readline(_LONGEST + 64 * dim).decode().rstrip("\n")
        parts = line.rstrip(" \r").rsplit(" ", dim)
        if len(parts) != dim + 1:
            got = f"{len(line.split()) - 1} numbers" if line else "the end of the file"
            raise DataError(f"{path}, line {i + 2}: expected a token and {dim} numbers, got {got}")
        names.append(parts[0])
        try:
            vectors[i] = [float(part) for part in parts[1:]]
        except ValueError as error:
            raise DataError(f"{path}, line {i + 2}: {error}") from error
    if file.read(1024).strip():
        raise DataError(f"{path}, line {rows + 2}: there is more than the {rows} rows that line 1 promises")
    return {"tokens": names, "vectors": vectors}


def _read_binary(path: Path, file: BinaryIO) -> dict[str, Any]:
    rows, dim = _header(path, file)
    names, vectors = [], np.empty((rows, dim), np.float32)
    for i in range(rows):
        name = bytearray()
        while (letter := file.read(1)) != b" ":
            if not letter:
                raise DataError(f"{path}: ends after {i} of {rows} tokens")
            if letter != b"\n" or name:  # the end of the row before, which some programs leave out
                name += letter
            if len(name) > _LONGEST:
                raise DataError(f"{path}: token {i + 1} of {rows} does not end")
        try:
            names.append(name.decode())
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: token {i + 1} of {rows} is no text in UTF-8, after {names[-1:]}: a name that has a space in "
                "it ends there, and what follows is taken for numbers; the text form can hold such names"
            ) from error
        row = file.read(4 * dim)
        if len(row) < 4 * dim:
            raise DataError(f"{path}: ends within token {i + 1} of {rows}, {names[-1]!r}")
        vectors[i] = np.frombuffer(row, "<f4")
    if file.read(1024).strip():
        raise DataError(f"{path}: there is more than the {rows} rows that its first line promises")
    return {"tokens": names, "vectors": vectors}


def _header(path: Path, file: BinaryIO) -> tuple[int, int]:
    """How many rows of how many numbers; refuses more than the file can hold."""
    line = file.readline(1024)
    parts = line.split()
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise DataError(f"{path}, line 1: expected the numbers of tokens and of dimensions, got {line[:40]!r}")
    rows, dim = map(int, parts)
    least = 2 * rows * dim  # bytes: a digit and a space for each number
    held = path.stat().st_size
    if path.suffix == ".gz":
        check_unpacked(least, held, path)
    if not rows or not dim or (path.suffix != ".gz" and least > held):
        raise DataError(f"{path}, line 1: promises {rows} rows of {dim} numbers, which the file does not hold")
    return rows, dim


def _format(path: Path, format: str | None) -> str:
    if format is None:
        end = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
        format = _ENDS.get(end)
        if path.suffix == ".gz" and format not in ("text", "binary"):
            format = None
    if format not in _FORMATS:
        ends = ", ".join(_ENDS)
        raise ArgumentError(
            f"{path}: the name must end in {ends} (the last three also .gz), or format be one of {_FORMATS}"
        )
    return format


def _names(tokens: Sequence[Hashable], form: str) -> list[Any]:
    """The tokens as a file of that form holds them."""
    return _texts(tokens) if form in ("text", "binary") else [_plain(token) for token in tokens]


def _plain(token: Hashable) -> Any:
    """A token as JSON; a tuple becomes a list."""
    if isinstance(token, tuple):
        return [_plain(part) for part in token]
    if isinstance(token, np.generic):
        token = token.item()
    if token is None or isinstance(token, str | int | float | bool):
        return token
    kind = type(token).__name__
    raise ArgumentError(
        f"files hold tokens that are strings, numbers or tuples of them, got {token!r}, a {kind}: name it by one"
    )


def _hashable(listed: Any) -> list[Hashable]:
    def one(token: Any) -> Hashable:
        return tuple(map(one, token)) if isinstance(token, list) else token

    if not isinstance(listed, list):
        raise ValueError("its tokens are no list")
    return [one(token) for token in listed]


def _texts(tokens: Sequence[Hashable]) -> list[str]:
    """The tokens' text, which must tell them apart and have no white space (of ASCII: others end no name)."""
    texts = [str(token) for token in tokens]
    for token, text in zip(tokens, texts, strict=True):
        try:
            raw = text.encode()
        except UnicodeEncodeError as error:
            raise ArgumentError(f"word2vec's forms hold names in UTF-8, got {token!r}: {error.reason}") from error
        if raw.split() != [raw]:
            raise ArgumentError(
                f"word2vec's forms hold tokens without white space, got {token!r}: save as .npz instead"
            )
    if len(set(texts)) < len(texts):
        raise ArgumentError(
            "word2vec's forms hold tokens as text, and two of these read the same: save as .npz instead"
        )
    return texts


def _whole(path: Path, held: dict[str, Any]) -> dict[str, Any]:
    """What an `Embeddings` takes, and no more than that."""
    odd = set(held) - {"tokens", "vectors", "context", "counts"}
    if odd or "vectors" not in held:
        raise DataError(f"{path}: expected vectors and tokens, got {sorted(held)}, so it is no file of embeddings")
    if len(held["vectors"]) != len(held["tokens"]):
        raise DataError(f"{path}: has {len(held['tokens'])} tokens for {len(held['vectors'])} vectors")
    return held
