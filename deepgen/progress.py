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


class Shown:
    """A bar of so many steps, which says so while kernels are compiled.

    Args:
        total: steps in all; None shows no time left.
        show: whether there is a bar; a function is called with the share that is done instead.
        what, unit, options: as `bar`; ``initial`` steps are done already.

    >>> told = []
    >>> with Shown(8, told.append, what="moving", unit="step") as moved:
    ...     moved.advance(2)
    >>> told
    [0.25]
    """

    def __init__(
        self, total: float | None, show: bool | Callable[[float], object], *, what: str, unit: str, **options: Any
    ) -> None:
        self.what, self.total, self.done = what, total, options.get("initial", 0)
        self.tell = None if isinstance(show, bool) else show
        options = {"total": None if total is None else round(total), "unit_scale": True, **options}
        self.bar = bar(what=what, unit=unit, show=show is True, **options)
        self.compiling = False

    def __enter__(self) -> Shown:
        self.stop = on_compiling(self.say)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.bar.close()

    def say(self) -> None:
        """Say that kernels are compiled, until the next step."""
        if not self.compiling and hasattr(self.bar, "set_description"):
            self.compiling = True
            self.bar.set_description(COMPILING)

    def advance(self, steps: int) -> None:
        """So many steps are done."""
        if self.compiling:
            self.compiling = False
            self.bar.set_description(self.what, refresh=False)
        self.bar.update(steps)
        self.done += steps
        if self.tell is not None and self.total is not None:
            self.tell(min(1.0, self.done / self.total))


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
