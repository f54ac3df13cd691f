"""The error of a mean, and how a value with an error is written."""

from __future__ import annotations

import math

from torch import Tensor

from deepgen.errors import ArgumentError

_MOST_DECIMALS = 9  # smaller errors are rounding


def standard_error(rows: Tensor) -> float:
    """Of the mean of ``rows`` ``[rows]`` over other such rows; NaN of a single one.

    >>> import torch
    >>> round(standard_error(torch.tensor([0.0, 2.0])), 6), standard_error(torch.ones(1))
    (1.0, nan)
    """
    return float(rows.std()) / math.sqrt(len(rows)) if len(rows) > 1 else math.nan


def error_of_share(seen: Tensor) -> float:
    """Of the mean of whole numbers ``[rows]``, rows independent; where all agree, as if one more differed by 1.

    >>> import torch
    >>> round(error_of_share(torch.tensor([0.0, 1.0])), 6), error_of_share(torch.ones(9))
    (0.5, 0.1)
    """
    return standard_error(seen) if bool((seen != seen[0]).any()) else 1 / (len(seen) + 1)


def plus_minus(value: float | Tensor, error: float, *, signed: bool = False) -> str:
    """Return ``value ± error``: the error to two significant digits, the value to as many decimals, at least two.

    Args:
        value: any float, or a tensor of one; NaN and infinities are written as ``nan`` and ``inf``.
        error: its standard error, at least 0. NaN, an error that nobody knows, is written ``?``.
        signed: write a plus before positive values, for differences.

    >>> plus_minus(218.4, 0.1)
    '218.40 ± 0.10'
    >>> plus_minus(-90.12345, 0.00312)
    '-90.1235 ± 0.0031'
    >>> plus_minus(1.5, 0.0), plus_minus(1.5, math.nan), plus_minus(1.5, 0.25, signed=True)
    ('1.50 ± 0', '1.50 ± ?', '+1.50 ± 0.25')
    """
    if error < 0:
        raise ArgumentError(f"error must be at least 0, got {error}")
    if math.isnan(error):
        return f"{decimal(value, 2, signed=signed)} ± ?"
    if error == 0 or math.isinf(error):
        return f"{decimal(value, 2, signed=signed)} ± {error:.0f}"
    exponent = int(f"{error:.1e}".partition("e")[2])  # of the rounded error: 0.0996 counts as 0.10
    decimals = min(max(2, 1 - exponent), _MOST_DECIMALS)
    small = f"{error:.{decimals}f}" if 1 - exponent <= _MOST_DECIMALS else f"{error:.1e}"
    return f"{decimal(value, decimals, signed=signed)} ± {small}"


def decimal(value: float | Tensor, decimals: int = 2, *, signed: bool = False) -> str:
    """``value`` with so many decimals; what rounds to zero has no minus.

    >>> decimal(-0.004), decimal(-0.006), decimal(0.0, 1, signed=True)
    ('0.00', '-0.01', '+0.0')
    """
    number = float(value.detach() if isinstance(value, Tensor) else value)
    return f"{round(number, decimals) + 0.0:{'+' if signed else ''}.{decimals}f}"
