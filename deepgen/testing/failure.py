"""How a check says no."""

from __future__ import annotations


class CheckFailed(AssertionError):
    """A promise that `deepgen.testing` checked does not hold; the message says which, and by how much."""


def demand(condition: object, message: str) -> None:
    """Raise `CheckFailed` with ``message`` unless ``condition``; unlike ``assert`` it survives ``python -O``.

    >>> demand(1 + 1 == 2, "arithmetic")
    """
    if not bool(condition):
        raise CheckFailed(message)
