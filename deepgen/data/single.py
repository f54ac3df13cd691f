"""Rounding to float32, in which all data are kept: told where it would change what a column says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepgen.errors import DataError

Array = np.ndarray[Any, Any]
MOVED = 1e-3  # standard deviations of a column that rounding may move a value by
NOISE = 1e-14  # spread over size of a column that float64 itself cannot tell from none


def check_single(x: Array, where: object, columns: Sequence[str] | None = None) -> None:
    """Raise `DataError` if float32 moves a value of ``x`` [rows, columns] by more than 1e-3 of its column's deviation.

    A value near m is rounded to steps of about 1.2e-7 m, so columns of small spread about a large offset lose it.
    Columns of one value have no spread to lose.

    >>> check_single(np.array([[1.0], [2.0]]) / 3, "a.csv")
    >>> check_single(np.array([[1.7e9], [1.7e9 + 100]]), "a.csv", ["time"])
    Traceback (most recent call last):
    deepgen.errors.DataError: a.csv, column 1 (time): mean 1700000050 and standard deviation 50 ...
    """
    if x.dtype in (np.bool_, np.uint8, np.int8, np.int16, np.uint16, np.float16, np.float32):
        return  # rounded nowhere
    values = x.astype(np.float64, copy=False)
    moved = np.abs(values.astype(np.float32) - values).max(0)
    deviation, size = values.std(0), np.abs(values).max(0)
    lost = np.flatnonzero((moved > MOVED * deviation) & (deviation > NOISE * size))
    if not len(lost):
        return
    column = int(lost[0])
    name = f" ({columns[column]})" if columns else ""
    more = f"; {len(lost)} such columns in all" if len(lost) > 1 else ""
    raise DataError(
        f"{where}, column {column + 1}{name}: mean {values[:, column].mean():.10g} and standard deviation "
        f"{deviation[column]:.4g} do not fit into float32, which moves its values by up to {moved[column]:.2g}: "
        f"subtract an offset, such as the mean, before{more}"
    )
