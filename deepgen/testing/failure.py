"""How a check says no."""

from __future__ import annotations


class CheckFailed(AssertionError):
    """A promise that `deepgen.testing` checked does not hold; the message says which, and by how much.

    >>> try:
    ...     demand(1 + 1 == 3, "1 + 1 is not 3")
    ... except AssertionError as error:
    ...     print(type(error).__name__, error)
    CheckFailed 1 + 1 is not 3
    """


def demand(condition: object, message: str) -> None:
    """Raise `CheckFailed` with ``message`` unless ``condition``; unlike ``assert`` it survives ``python -O``.

    >>> demand(1 + 1 == 2, "arithmetic")
    """
    if not bool(condition):
        raise CheckFailed(message)
