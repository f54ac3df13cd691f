"""The check of a real option of an objective."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from deepgen.errors import ArgumentError


def check_real(name: str, value: Any, least: float = -math.inf, most: float = math.inf) -> None:
    """Raise `ArgumentError` unless ``value`` is a finite number from ``least`` to ``most``.

    >>> check_real("sliding", 0.01, 0, 1)
    >>> check_real("weight_decay", float("nan"), 0)
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: weight_decay must be a finite number of at least 0, got nan
    """
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or not least <= value <= most:
        bounds = f" from {least} to {most}" if most < math.inf else f" of at least {least}" if least > -math.inf else ""
        raise ArgumentError(f"{name} must be a finite number{bounds}, got {value!r}")
