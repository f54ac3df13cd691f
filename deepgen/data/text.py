"""Text as codes of characters: rows of equal length, in the order of the text."""

from __future__ import annotations

import numpy as np

from deepgen.data.files import PathLike, read_text
from deepgen.data.prepare import Raw
from deepgen.data.splits import cuts
from deepgen.errors import ArgumentError, DataError


def characters(path: PathLike, length: int = 64, split: tuple[float, float, float] = (0.9, 0.05, 0.05)) -> Raw:
    """Read a text as rows of ``length`` character codes, cut without overlap; what is left over at the end is dropped.

    The splits are consecutive stretches of the text. Codes number the sorted characters of the whole text, which the
    provenance lists as ``alphabet``.
    """
    if length < 1:
        raise ArgumentError(f"length must be at least 1, got {length}")
    text = read_text(path)
    alphabet = sorted(set(text))
    code = {character: i for i, character in enumerate(alphabet)}
    rows = len(text) // length
    if rows == 0:
        raise DataError(f"{path}: the text has {len(text)} characters, fewer than one row of length={length}")
    codes = np.fromiter((code[c] for c in text[: rows * length]), np.int64, rows * length).reshape(rows, length)
    first, second = cuts(rows, split)
    return Raw(
        splits=(codes[:first], codes[first:second], codes[second:]),
        kind="codes",
        levels=len(alphabet),
        split=f"consecutive stretches, fractions {'/'.join(f'{f:g}' for f in split)} of {rows} rows",
        notes={"alphabet": "".join(alphabet), "characters": len(text)},
    )
