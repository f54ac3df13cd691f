"""What optimizers do with their arguments: something to train, and the closure of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from deepgen.errors import ArgumentError


def some(things: Iterable[Any], what: str) -> list[Any]:
    """``things`` as a list; an `ArgumentError` if there are none.

    >>> some([], "model.parameters()")
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: there is nothing to train: pass model.parameters() of a model that has some
    """
    if isinstance(things, torch.Tensor):
        raise ArgumentError(f"a list is needed, got one tensor: pass [w], or {what}")
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
