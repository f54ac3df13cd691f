"""What a layer asks of the shape of its input: compared in words, before torch would fail on it in its own."""

from __future__ import annotations

from torch import Tensor

from deepgen.errors import ShapeError


def check_shape(what: str, x: Tensor, *sizes: int | str, empty: bool = True) -> None:
    """Raise `ShapeError` unless ``x`` has these axes: a number is a size, a word the name of any size.

    Args:
        what: the name of ``x`` in the message.
        x: compared by its shape alone, so that compilers and ``torch.func`` see no values.
        sizes: one for each axis.
        empty: whether axes with a name, other than the first, may be of size 0.

    >>> check_shape("maps", __import__("torch").zeros(5, 3, 7, 7), "rows", 3, "height", "width")
    >>> check_shape("maps", __import__("torch").zeros(5, 2, 7, 7), "rows", 3, "height", "width")
    Traceback (most recent call last):
    deepgen.errors.ShapeError: maps must be [rows, 3, height, width], got [5, 2, 7, 7]
    """
    shape = x.shape
    if len(shape) == len(sizes):
        for there, wanted in zip(shape, sizes, strict=True):
            if there != wanted and isinstance(wanted, int):
                break
        else:
            if empty or 0 not in shape[1:]:
                return
    least = "" if empty else " and none of them empty"
    raise ShapeError(f"{what} must be [{', '.join(map(str, sizes))}]{least}, got {list(shape)}")
