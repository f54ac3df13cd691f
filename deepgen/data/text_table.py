"""Tables of numbers in text: CSV, TSV, and the space-separated .amat files of fixed binarised MNIST, gzipped or not.

Every fault is reported with its line (from 1, as an editor counts) and column.
"""

from __future__ import annotations

import csv
import io
import math
from typing import Any, NamedTuple

import numpy as np

from deepgen.data.files import PathLike, decode, read_bytes, reading
from deepgen.data.single import check_single
from deepgen.errors import MISSING, ArgumentError, DataError

Array = np.ndarray[Any, Any]
_MISSING = ("", "nan", "na", "n/a", "null", "none", "?", "-", ".")  # how files say that there is no number
_FIRST = ": a first line that names the columns has no number in it (header=True takes it for one all the same)"


class Table(NamedTuple):
    """values: ``[rows, columns]`` float32, or uint8 where all are 0 or 1; columns: their names, if the file has them;
    labels: the column set apart, as class numbers, and classes: its values in the order of these numbers.

    >>> Table(np.eye(2), columns=["a", "b"]).columns
    ['a', 'b']
    """

    values: Array
    columns: list[str] | None = None
    labels: Array | None = None
    classes: list[str] | None = None


def read_amat(path: PathLike) -> Array:
    """Return the numbers of an .amat file: rows on lines, separated by spaces.

    Raises:
        DataError: as `read_table`.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "bits.amat"
    >>> _ = path.write_text("0 1 1\\n1 0 0\\n")
    >>> read_amat(path).tolist()
    [[0, 1, 1], [1, 0, 0]]
    """
    return read_table(path).values


def read_table(path: PathLike, *, label: str | int | None = None, header: bool | None = None) -> Table:
    """Read a table of numbers, whose separator (tab, comma, semicolon or spaces) is told from its first line.

    Args:
        path: the file.
        label: name or number (from 0; negative from the end) of a column to set apart as class labels.
        header: whether the first line names the columns; if None, it does when there is text in it and no number.

    Raises:
        DataError: with the line, and the column where there is one: not text, no rows, lines of different width, a cell
            that is empty, not a number, NaN or infinite; and a column that float32 cannot hold (`check_single`).
        ArgumentError: ``label`` is not a column.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "table.csv"
    >>> _ = path.write_text("height,kind\\n1.5,b\\n2.5,a\\n")
    >>> table = read_table(path, label="kind")
    >>> table.values.tolist(), table.labels.tolist(), table.classes
    ([[1.5], [2.5]], [1, 0], ['a', 'b'])
    """
    content = read_bytes(path)
    bits = None if label is not None or header else _bits(content)
    if bits is not None:
        return Table(bits)
    text = decode(content, path)
    with reading(path, "a table of numbers"):
        return _parse(path, text, label, header)


def _bits(content: bytes) -> Array | None:
    """The fast way for files of single digits 0 and 1, fifty times that of parsing numbers; None if it is not one."""
    first = content.split(b"\n", 1)[0]
    separator = next((s for s in (b"\t", b",", b";", b" ") if s in first), None)
    if separator is None or first.strip().translate(None, b"01" + separator):
        return None
    rows, width = [], (len(first.strip()) + 1) // 2
    for line in content.splitlines():
        line = line.strip()
        if line:
            if len(line) != 2 * width - 1:
                return None
            rows.append(line)
    table = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), 2 * width - 1)
    values = table[:, ::2] - np.uint8(ord("0"))
    return values if bool((table[:, 1::2] == ord(separator)).all() and (values <= 1).all()) else None


def _parse(path: PathLike, text: str, label: str | int | None, header: bool | None) -> Table:
    separator = _separator(text)
    lines: list[tuple[int, list[str]]] = []
    if separator is None:
        lines = [(n, line.split()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    else:
        reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True, strict=True)
        try:
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}") from None
    columns = None
    if lines and (header or (header is None and _names(lines[0][1]))):
        columns = [cell.strip() for cell in lines.pop(0)[1]]
    if not lines:
        raise DataError(f"{path}: no rows of numbers in it")
    width = len(columns) if columns else len(lines[0][1])
    for number, cells in lines:
        if len(cells) != width:
            raise DataError(f"{path}, line {number}: {len(cells)} columns, expected {width} as in the first line")
    labels = None
    if label is not None:
        index = _column(path, label, columns, width)
        labels = [cells.pop(index).strip() for _, cells in lines]
        columns = columns[:index] + columns[index + 1 :] if columns else None
        if width == 1:
            raise DataError(f"{path}: no column is left beside the label")
    values = _numbers(path, lines, columns)
    if labels is None:
        return Table(values, columns)
    classes = sorted(set(labels), key=lambda value: (float(value) if _is_number(value) else math.inf, value))
    numbers = {value: i for i, value in enumerate(classes)}
    return Table(values, columns, np.array([numbers[value] for value in labels], np.int64), classes)


def _numbers(path: PathLike, lines: list[tuple[int, list[str]]], columns: list[str] | None) -> Array:
    try:
        values = np.array([cells for _, cells in lines], dtype=np.float64)
    except ValueError:
        values = np.array([[_number(cell) for cell in cells] for _, cells in lines])
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    faults = np.argwhere(~np.isfinite(single))
    if len(faults):
        row, column = (int(i) for i in faults[0])
        number, cells = lines[row]
        cell = cells[column].strip()
        what = "the cell is empty" if not cell else f"{cell[:40]!r} is not a finite number"
        name = f" ({columns[column]})" if columns else ""
        more = f"; {len(faults)} such cells in all" if len(faults) > 1 else ""
        advice = f": {MISSING}" if _is_missing(cell) else _FIRST if row == 0 and columns is None else ""
        raise DataError(f"{path}, line {number}, column {column + 1}{name}: {what}{more}{advice}")
    check_single(values, path, columns)
    return single


def _names(cells: list[str]) -> bool:
    """Whether a line names columns: no cell is a number, and not all say that there is none."""
    return not any(map(_is_number, cells)) and not all(map(_is_missing, cells))


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in _MISSING


def _number(cell: str) -> float:
    return float(cell) if _is_number(cell) else math.nan


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _separator(text: str) -> str | None:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return next((s for s in "\t,;" if s in first), None)


def _column(path: PathLike, label: str | int, columns: list[str] | None, width: int) -> int:
    if isinstance(label, str) and columns and label in columns:
        return columns.index(label)
    if isinstance(label, int) and -width <= label < width:
        return label % width
    known = f"columns {', '.join(columns)}" if columns else f"{width} columns without names"
    raise ArgumentError(f"label {label!r} is no column of {path}, which has {known}")
