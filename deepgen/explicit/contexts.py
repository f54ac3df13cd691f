"""What all models that take a context agree about: how it is given, and what is said where it is missing or wrong.

    vectors    [rows, width], one for each row;  or one for all, [1, width] or [width]
    labels     integers from 0 on, [rows];       or one for all, [1], [] or a plain int
    tokens     rows of several lengths, [rows, S]; or one for all, [1, S] or [S]         (`token_rows`)

It comes after the rows or their number, ``log_prob(x, context)`` and ``sample(n, context)``, or before,
``model(context)``; beside data as a pair. One for all serves where a number of draws is asked for.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.compiled import followed
from deepgen.errors import ArgumentError, ShapeError, SupportError, is_whole
from deepgen.explicit.units import check_support

_HOW = (
    "sample(n, context), with one for each row or one for all, or model(context); beside rows of data, (rows, context)"
)


def check_context(context: Any, width: int, rows: int | None, *, labels: bool = False) -> None:
    """Raise unless ``context`` is ``[rows, width]`` (``[*batch, width]`` if ``rows`` is None), None for a width of 0.

    With ``labels`` it is ``[rows]`` integers from 0 to ``width`` - 1 (any shape if ``rows`` is None).

    Raises:
        ArgumentError: it is missing or uncalled for, or labels are no integers.
        ShapeError: no tensor, or one of another shape.
        SupportError: a label out of range.

    >>> check_context(torch.zeros(5, 3), 3, 5), check_context(torch.tensor(2), 3, None, labels=True)
    (None, None)
    """
    lead = "batch" if rows is None else rows
    if (context is None) != (width == 0):
        wanted = "no context" if not width else f"a context [batch, {width}]" if not labels else (
            f"labels as its context, integers [batch] from 0 to {width - 1}"
        )  # fmt: skip
        got = "none" if context is None else _told(context)
        how = f": {_HOW}" if width else ""
        raise ArgumentError(f"this model takes {wanted}, got {got}{how}")
    if context is None:
        return
    if labels:
        check_labels(context, width)
        if rows is not None and context.shape != (rows,):
            raise ShapeError(f"labels must be [{rows}], got {list(context.shape)}")
        return
    if not isinstance(context, Tensor):
        raise ShapeError(f"context must be a tensor [{lead}, {width}], got {_told(context)}; torch.as_tensor makes one")
    if context.shape[-1:] != (width,) or (rows is not None and context.shape != (rows, width)):
        raise ShapeError(f"context must be [{lead}, {width}], got {list(context.shape)}")


def check_pair(context: Any, width: int, rows: int, *, labels: bool = False) -> None:
    """`check_context` for a model's ``check``, which looks at values: vectors must be finite, too.

    >>> check_pair(torch.tensor([[0.0, torch.nan]]), 2, 1)
    Traceback (most recent call last):
    deepgen.errors.SupportError: ...
    """
    check_context(context, width, rows, labels=labels)
    if context is not None:
        check_support(context, context.isfinite(), "finite in a context")


def each_context(context: Any, width: int, rows: int, *, labels: bool = False) -> Tensor | None:
    """The context of each of ``rows`` draws, ``[rows, width]`` or labels ``[rows]``: one for all is repeated.

    Raises:
        ArgumentError, ShapeError, SupportError: as of `check_context`; vectors that are not finite.

    >>> each_context(2, 3, 4, labels=True), each_context(torch.zeros(3), 3, 4).shape
    (tensor([2, 2, 2, 2]), torch.Size([4, 3]))
    """
    context = as_label(context) if labels else context
    event = () if labels else (width,)
    if labels or not isinstance(context, Tensor) or width == 0:
        check_context(context, width, None, labels=labels)
        if context is None:
            return None
    given: Tensor = context.unsqueeze(0) if context.shape == event else context
    if given.shape not in ((1, *event), (rows, *event)):
        name, shape = ("labels", f"[{rows}]") if labels else ("context", f"[{rows}, {width}]")
        raise ShapeError(f"{name} must be {shape}, one for each row, or one for all, got {list(context.shape)}")
    check_support(given, given.isfinite(), "finite in a context")
    return given.expand(rows, *event)


def check_beside(context: Any, width: int, rows: int, *, labels: bool = False) -> None:
    """`check_context` of a network within a model: labels on another device than the CPU are not waited for, and their
    values not looked at where something follows each operation (`torch.compile`, `torch.func`).

    >>> check_beside(torch.tensor([-1]), 3, 1, labels=True)
    Traceback (most recent call last):
    deepgen.errors.SupportError: labels must be from 0 to 2, got -1 to -1
    """
    if labels and isinstance(context, Tensor) and (context.device.type != "cpu" or followed()):
        as_integers(context, width)
        if context.shape != (rows,):
            raise ShapeError(f"labels must be [{rows}], got {list(context.shape)}")
        return
    check_context(context, width, rows, labels=labels)


def as_label(context: Any) -> Any:
    """A plain integer as a tensor; whatever else as it is.

    >>> as_label(3)
    tensor(3)
    """
    return torch.tensor(int(context)) if is_whole(context) else context


def check_labels(labels: Any, classes: int) -> None:
    """Raise unless ``labels`` is a tensor of integers from 0 to ``classes`` - 1.

    >>> check_labels(torch.tensor([0.5]), 3)
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: labels must be integers from 0 to 2, got torch.float32: ...
    """
    as_integers(labels, classes)
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise SupportError(f"labels must be from 0 to {classes - 1}, got {int(labels.min())} to {int(labels.max())}")


def as_integers(labels: Any, classes: int) -> Tensor:
    """Labels as int64, without a look at their values, which would wait for the device; 0.5 is no label.

    >>> as_integers(torch.tensor([1, 0], dtype=torch.uint8), 3)
    tensor([1, 0])
    """
    wanted = f"integers from 0 to {classes - 1}"
    if not isinstance(labels, Tensor):
        raise ShapeError(f"labels must be a tensor of {wanted}, got {_told(labels)}; torch.as_tensor makes one")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ArgumentError(f"labels must be {wanted}, got {labels.dtype}: whole numbers become so by labels.long()")
    return labels.long()


def _told(context: Any) -> str:
    return str(list(context.shape)) if isinstance(context, Tensor) else f"{type(context).__name__}"
