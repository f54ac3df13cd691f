"""The user's own data: a table, array or text file, or a folder with one file per split.

    .csv .tsv .data .amat   numbers, one row per line       .npy   [rows, ...]
    .npz                    train, valid, test; or x        .idx, *-ubyte   [rows, ...]
    .txt                    characters                      a folder       train.*, valid.* (or val.*), test.*

Any of them may be gzipped, .npy and .npz apart. What the values are is read off them: all 0 or 1 is binary, bytes are
grey levels, numbers from 0 to 1 are unit, all others real. Where nearly all are 0 or 1, the first that is not is told
by the ``nearly_binary`` of the provenance. Of one or two rows, train has the first and valid none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepgen.data.idx import read_idx
from deepgen.data.packed import Array, read_npy, read_npz
from deepgen.data.prepare import Kind, Raw
from deepgen.data.published import SPLITS, packed_splits
from deepgen.data.single import check_single
from deepgen.data.splits import SPLIT_SEED, split_rows
from deepgen.data.text import characters
from deepgen.data.text_table import read_table
from deepgen.errors import MISSING, ArgumentError, DataError

TABLES = (".csv", ".tsv", ".data", ".dat", ".amat")
Fractions = tuple[float, float, float]


class _Rows(NamedTuple):
    """One array of examples ``[rows, ...]``, the labels that came with it, and what there is to tell."""

    values: Array
    labels: Array | None = None
    notes: dict[str, Any] = {}  # noqa: RUF012  (never changed)


def own(
    path: Path,
    *,
    split: Fractions | None = None,
    label: str | int | None = None,
    header: bool | None = None,
    length: int = 64,
) -> Raw:
    """Read the user's file or folder.

    Args:
        path: the file or folder.
        split: fractions of train, valid and test where the file has no splits: 0.6/0.2/0.2 by a permutation of seed 0
            unless said otherwise; for texts consecutive stretches, 0.9/0.05/0.05.
        label: for tables, a column (name or number) that holds classes.
        header: for tables, whether the first line names the columns; None tells it from the line.
        length: for texts, characters per row.
    """
    if path.is_dir():
        return _folder(path, label, header)
    kind = _format(path)
    fractions = split or (0.6, 0.2, 0.2)
    if kind == "text":
        return characters(path, length, split or (0.9, 0.05, 0.05))
    if label is not None and kind != "table":
        raise ArgumentError(f"label names a column of a table; {path.name} is none")
    if kind == "npz":
        arrays = read_npz(path)
        if "train" in arrays:
            return _split_npz(arrays, path)
        return _whole(path, _single(arrays, path), fractions)
    return _whole(path, _read(path, kind, label, header), fractions)


def _format(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes if s.lower() != ".gz"]
    last = suffixes[-1] if suffixes else ""
    if last in TABLES:
        return "table"
    if last in (".npy", ".npz", ".txt", ".idx"):
        return {".txt": "text"}.get(last, last[1:])
    if "ubyte" in path.name:
        return "idx"
    raise DataError(
        f"{path}: cannot tell the format from the name; known are {', '.join(TABLES)}, .npy, .npz, .txt, .idx, *-ubyte"
    )


def _read(path: Path, kind: str, label: str | int | None, header: bool | None) -> _Rows:
    if kind == "table":
        table = read_table(path, label=label, header=header)
        notes = {"columns": table.columns, "classes": table.classes}
        return _Rows(table.values, table.labels, {k: v for k, v in notes.items() if v})
    return _Rows(read_npy(path) if kind == "npy" else read_idx(path))


def _single(arrays: dict[str, Array], path: Path) -> _Rows:
    numeric = {k: v for k, v in arrays.items() if v.dtype.kind in "biuf" and v.ndim >= 1}
    names = [k for k in numeric if k in ("x", "X", "data", "images")] or [k for k, v in numeric.items() if v.ndim > 1]
    if len(names) != 1:
        raise DataError(f"{path}: expected arrays train, valid and test, or one named x; found {', '.join(arrays)}")
    labels = next((arrays[k] for k in ("y", "Y", "labels") if k in arrays), None)
    if labels is None or labels.dtype.kind in "biuf":
        return _Rows(numeric[names[0]], labels)
    if labels.dtype.kind != "U" or labels.ndim != 1:
        raise DataError(f"{path}: labels must be whole numbers or text, got {labels.dtype} {list(labels.shape)}")
    classes, numbers = np.unique(labels, return_inverse=True)
    return _Rows(numeric[names[0]], numbers, {"classes": classes.tolist()})


def _split_npz(arrays: dict[str, Array], path: Path) -> Raw:
    if "train_nvars" in arrays:
        first, second, third = packed_splits(arrays, path)
        return Raw((first, second, third), "binary", "published", origin="given")
    valid = arrays.get("valid", arrays.get("val"))
    if "test" not in arrays or valid is None:
        raise DataError(
            f"{path}: has train; expected valid and test beside it, found {', '.join(arrays)}: cut them out of train"
        )
    return _three(path, [_Rows(arrays["train"]), _Rows(valid), _Rows(arrays["test"])])


def _folder(path: Path, label: str | int | None, header: bool | None) -> Raw:
    parts = []
    for s in SPLITS:
        stems = (s, "val") if s == "valid" else (s,)
        found = sorted(f for f in path.iterdir() if f.is_file() and f.name.split(".")[0] in stems)
        if len(found) != 1:
            what = ", ".join(f.name for f in found) or "none"
            raise DataError(f"{path}: expected one file {s}.* (csv, tsv, npy, ...), found {what}")
        kind = _format(found[0])
        if kind not in ("table", "npy", "idx"):
            raise DataError(f"{found[0]}: a folder of splits holds tables, .npy or idx files")
        parts.append(_read(found[0], kind, label, header))
    return _three(path, parts)


def _three(path: Path, parts: list[_Rows]) -> Raw:
    arrays = [_checked(path, part.values, s) for part, s in zip(parts, SPLITS, strict=True)]
    if len({x.shape[1:] for x in arrays}) != 1:
        raise DataError(f"{path}: the splits differ in shape: {', '.join(str(list(x.shape)) for x in arrays)}")
    classes = [part.notes.get("classes") for part in parts]
    if any(c != classes[0] for c in classes):
        raise DataError(f"{path}: the splits differ in their classes: {classes}")
    labels = None if parts[0].labels is None else [part.labels for part in parts]
    flat = [x.reshape(len(x), -1) for x in arrays]
    kind = _kind(flat)
    return Raw(
        (flat[0], flat[1], flat[2]),
        kind,
        "as given",
        image_shape=_image(arrays[0]),
        labels=labels,
        origin="given",
        notes={**parts[0].notes, **_nearly_binary(flat, parts[0].notes.get("columns"))},
    )


def _whole(path: Path, rows: _Rows, split: Fractions) -> Raw:
    x = _checked(path, rows.values, None)
    if rows.labels is not None and rows.labels.shape != (len(x),):
        raise DataError(f"{path}: labels are {list(rows.labels.shape)}, expected [{len(x)}]")
    if rows.labels is not None and bool((wrong := ~(rows.labels == np.rint(rows.labels))).any()):  # NaN is wrong, too
        row = int(wrong.argmax())
        raise DataError(
            f"{path}: labels must be whole numbers, got {rows.labels[row]} in row {row}: number the classes from 0 on, "
            "or, where these are no classes, leave the array out or give it another name than y and labels"
        )
    flat = x.reshape(len(x), -1)
    parts = [part.numpy() for part in split_rows(len(x), split)]
    labels = None if rows.labels is None else [rows.labels[part] for part in parts]
    short = [s for s, part, fraction in zip(SPLITS, parts, split, strict=True) if fraction and not len(part)]
    return Raw(
        splits=(flat[parts[0]], flat[parts[1]], flat[parts[2]]),
        kind=_kind([flat]),
        split=f"fractions {'/'.join(f'{f:g}' for f in split)} by a seeded permutation"
        + (f"; too few rows ({len(x)}) for any in {' or '.join(short)}" if short else ""),
        split_seed=SPLIT_SEED,
        image_shape=_image(x),
        labels=labels,
        origin="given",
        notes={**rows.notes, **_nearly_binary([flat], rows.notes.get("columns"))},
    )


def _checked(path: Path, x: Array, part: str | None) -> Array:
    """Examples on the first axis, at least one, all finite."""
    name = f"{path} ({part})" if part else str(path)
    if x.dtype.kind not in "biuf" or x.ndim < 1 or x.size == 0:
        raise DataError(f"{name}: expected numbers [rows, features], got {x.dtype} {list(x.shape)}")
    x = x.reshape(-1, 1) if x.ndim == 1 else x
    flat = x.reshape(len(x), -1)
    with np.errstate(over="ignore"):
        bad = np.argwhere(~np.isfinite(flat.astype(np.float32)))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        what, advice = ("NaN", f": {MISSING}") if np.isnan(flat[row, column]) else ("not a finite float32 number", "")
        raise DataError(
            f"{name}, row {row + 1}, column {column + 1}: {what}; {len(bad)} values in all are not finite{advice}"
        )
    check_single(x.reshape(len(x), -1), name)
    return x


def _kind(arrays: list[Array]) -> Kind:
    if all(bool(((x == 0) | (x == 1)).all()) for x in arrays):
        return "binary"
    if all(x.dtype == np.uint8 for x in arrays):
        return "grey"
    if all(float(x.min()) >= 0 and float(x.max()) <= 1 for x in arrays):
        return "unit"
    return "real"


def _nearly_binary(arrays: list[Array], columns: list[str] | None) -> dict[str, str]:
    """A note on the first value that keeps data from being bits, where at most one in a hundred does."""
    others = [(x != 0) & (x != 1) for x in arrays]
    count, size = sum(int(other.sum()) for other in others), sum(x.size for x in arrays)
    if not 0 < count <= max(1, size // 100):
        return {}
    part = next(i for i, other in enumerate(others) if other.any())
    row, column = (int(i) for i in np.argwhere(others[part])[0])
    split = f" of {SPLITS[part]}" if len(arrays) > 1 else ""
    name = f" ({columns[column]})" if columns else ""
    place = f"row {row + 1}{split}, column {column + 1}{name}"
    return {"nearly_binary": f"{place} is {arrays[part][row, column]:g}; {count} of {size} values are not 0 or 1"}


def _image(x: Array) -> tuple[int, int] | None:
    return (int(x.shape[1]), int(x.shape[2])) if x.ndim == 3 else None
