"""What optimizers do with their arguments: checks in constructors, and the closure of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from deepgen.errors import ArgumentError, check_real


def check_setting(name: str, value: object, least: float = 0.0, below: float | None = None) -> None:
    """Raise `ArgumentError` unless ``value`` is a finite number of at least ``least`` and, where given, ``below`` that.

    >>> check_setting("momentum", 1.0, below=1)
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: momentum must be below 1, got 1.0
    """
    check_real(name, value, least)
    if below is not None and value >= below:  # type: ignore[operator]
        raise ArgumentError(f"{name} must be below {below}, got {value!r}")


def some(things: Iterable[Any], what: str) -> list[Any]:
    """``things`` as a list; an `ArgumentError` if there are none.

    >>> some([], "model.parameters()")
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: there is nothing to train: pass model.parameters() of a model that has some
    """
    found = list(things)
    if not found:
        raise ArgumentError(f"there is nothing to train: pass {what} of a model that has some")
    return found


def evaluated(closure: Callable[[], Any] | None) -> Any:
    """The loss that the ``closure`` of a ``step`` computes, with gradients although a step takes none; None of none.

    >>> with torch.no_grad():
    ...     evaluated(torch.is_grad_enabled), evaluated(None)
    (True, None)
    """
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
