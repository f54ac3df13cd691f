"""Progress bars on stderr, the same everywhere: what is done, how much of how much, and the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

COMPILING = "compiling kernels, once per machine"
_LISTENERS: list[Callable[[], None]] = []


def on_compiling(say: Callable[[], None]) -> Callable[[], None]:
    """Have ``say()`` called whenever a kernel begins to be compiled, which takes seconds; call what comes back to stop.

    >>> told = []
    >>> stop = on_compiling(lambda: told.append(COMPILING))
    >>> compiles()
    >>> stop()
    >>> compiles()
    >>> told
    ['compiling kernels, once per machine']
    """
    _LISTENERS.append(say)
    return lambda: _LISTENERS.remove(say)


def compiles() -> None:
    """Tell all who want to know that a kernel is about to be compiled (`deepgen.layers.jit` does)."""
    for say in tuple(_LISTENERS):
        say()


def bar(items: Iterable[Any] | None = None, *, what: str, unit: str, show: bool = True, **options: Any) -> Any:
    """Return a tqdm bar to loop over, or to move by hand with ``update(n)`` inside ``with``; close() ends it.

    Args:
        items: what to loop over.
        what: the words before the bar.
        unit: what one of them is called.
        show: if False, all of this works and nothing is shown.
        options: tqdm's own, above all ``total`` and ``initial`` for a bar moved by hand.

    >>> sum(bar(range(4), what="adding", unit="number", show=False))
    6
    >>> with bar(what="moving", unit="step", show=False, total=2) as moved:
    ...     moved.update(1)
    """
    if not show:  # tqdm(disable=True) would start a thread and make a lock all the same
        return _Hidden(items)
    from tqdm import tqdm

    return tqdm(items, desc=what, unit=unit, dynamic_ncols=True, **options)


class _Hidden:
    """The bar that is not shown."""

    def __init__(self, items: Iterable[Any] | None) -> None:
        self.items = items or ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __enter__(self) -> _Hidden:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, n: int = 1) -> None:
        """Nothing to move."""

    def close(self) -> None:
        """Nothing to close."""
