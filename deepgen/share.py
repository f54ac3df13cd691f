"""What this process does of a step that several take together: its rows and its chains, and sums over those of all.

A step that is taken by R processes, the ranks, has N rows and C chains in all, of which a rank has a stretch each, n
and c of them, that lie beside those of the ranks before it. With w = n / N the weight of its rows,

    mean over all rows   = sum over ranks of  w  (mean over own rows)
    mean over all chains = sum over ranks of  w  balance  (mean over own chains),      balance = (c / C) / w

so that an objective that is a mean over rows minus the balance times a mean over chains has gradients whose sum over
ranks, each times w, is that of the one process. The balance is 1 where rows and chains are cut alike, and where nothing
is cut. What there is less of than there are ranks is not cut: every rank has all of it, with the weight 1 / R.

The means and sums are in `deepgen.share_means`, the random numbers in `deepgen.shared_draws`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from deepgen.errors import ArgumentError


class Part(NamedTuple):
    """Items ``start`` to ``stop - 1`` of ``total``; weight: of their mean in the mean over all ranks."""

    start: int
    stop: int
    total: int
    weight: float

    @property
    def size(self) -> int:
        """How many there are here."""
        return self.stop - self.start

    def times(self, each: int) -> Part:
        """Of ``each`` times as many, those of one item together."""
        return Part(self.start * each, self.stop * each, self.total * each, self.weight)

    @property
    def cut(self) -> bool:
        """Whether other ranks have others."""
        return self.size < self.total


def part(total: int, rank: int, ranks: int, unlike: int = 0) -> Part:
    """The stretch of ``total`` items that belongs to ``rank``; stretches differ by one item at most.

    Draws tell rows from chains by their number. Where a rank would have as many rows as it has of ``unlike`` chains,
    and not as many are in all, some rows go to a neighbour.

    >>> [part(5, rank, 2)[:3] for rank in range(2)]
    [(0, 3, 5), (3, 5, 5)]
    >>> [part(49, rank, 2, unlike=50)[:3] for rank in range(2)]  # of the chains both have 25
    [(0, 26, 49), (26, 49, 49)]
    >>> part(1, 1, 2)
    Part(start=0, stop=1, total=1, weight=0.5)
    """
    if total < ranks:
        return Part(0, total, total, 1 / ranks)
    sizes, others = _even(total, ranks), _even(unlike, ranks)
    if total != unlike and any(a == b for a, b in zip(sizes, others, strict=True)):
        sizes = _apart(total, others) or sizes
    start = sum(sizes[:rank])
    return Part(start, start + sizes[rank], total, sizes[rank] / total)


def _even(total: int, ranks: int) -> list[int]:
    return [total // ranks + (rank < total % ranks) for rank in range(ranks)]


def _apart(total: int, others: list[int]) -> list[int] | None:
    """Sizes that sum to ``total``, none of which is that of ``others`` at its place; None where there are none."""
    for first in (-1, 1, -2, 2):
        steps = [first * (-1) ** place for place in range(len(others) - 1)]
        sizes = [size + step for size, step in zip(others, steps, strict=False)]
        last = total - sum(sizes)
        if min(*sizes, last) > 0 and last != others[-1]:
            return [*sizes, last]
    return None


class Group(Protocol):
    """The ranks: ``sum(x)`` adds up a tensor over all of them, in place."""

    def sum(self, x: Tensor) -> Tensor: ...


class Gathering(Group, Protocol):
    """Ranks that chains are split over: what `deepgen.train.Ranks` has."""

    rank: int
    world: int

    def gather(self, own: Tensor, part: Part) -> Tensor: ...

    def same(self, thing: Any) -> bool: ...


_over: list[Gathering | None] = []


@contextmanager
def splitting(ranks: Gathering | None) -> Iterator[None]:
    """The block in which code that runs many chains to their end splits them over ``ranks``.

    >>> with splitting(None):
    ...     split_over() is None
    True
    """
    _over.append(ranks)
    try:
        yield
    finally:
        _over.pop()


def split_over() -> Gathering | None:
    """The ranks that chains are to be split over, None where this process runs them all."""
    return _over[-1] if _over else None


class Share:
    """The block in which a step is this rank's part of one: its ``rows`` and its ``chains``, if there are any.

    >>> offset(25)
    0
    """

    def __init__(self, group: Group, rows: Part, chains: Part | None = None) -> None:
        self.group, self.rows, self.chains = group, rows, chains
        self.axis = 0  # see `rows_on`
        self.each: int | None = None  # see `some_each`
        self.tiles = 1  # see `tiled`

    def __enter__(self) -> Share:
        _open.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _open.remove(self)

    def of(self, count: int) -> Part | None:
        """The part that has ``count`` items, None for any other number."""
        return self._alone([each for each in self._parts() if each.size == count], count)

    def among(self, count: int) -> Part | None:
        """The same of ``count`` items that are some for each row or chain, those of one together."""
        exact = self.of(count) if self.each is None else None
        if exact is not None or count == 0:
            return exact
        found = [own for own in self._parts() if count % own.size == 0 and self.each in (None, count // own.size)]
        return self._alone([own.times(count // own.size) for own in found], count)

    def _parts(self) -> list[Part]:
        return [each for each in (self.rows, self.chains) if each is not None]

    def _alone(self, found: list[Part], count: int) -> Part | None:
        if len(found) > 1 and found[0][:3] != found[1][:3]:
            raise ArgumentError(
                f"a rank cannot tell whether {count} random numbers are for its rows, {self.rows.size} of "
                f"{self.rows.total}, or for its chains: choose another number of chains or of rows"
            )
        return found[0] if found else None


_open: list[Share] = []


def current() -> Share | None:
    """The share of the step in progress, None in a step that this process takes alone."""
    return _open[-1] if _open else None


@contextmanager
def _said(**how: Any) -> Iterator[None]:
    here = current()
    before = {name: getattr(here, name) for name in how} if here is not None else {}
    try:
        if here is not None:
            vars(here).update(how)
        yield
    finally:
        if here is not None:
            vars(here).update(before)


def rows_on(axis: int) -> AbstractContextManager[None]:
    """The block in which numbers are drawn with the rows on ``axis``, such as 1 behind several draws a row.

    >>> import torch
    >>> with rows_on(1):
    ...     z = torch.randn(5, 100, 2, generator=torch.Generator().manual_seed(0))
    """
    return _said(axis=axis)


def some_each(number: int) -> AbstractContextManager[None]:
    """The block in which ``number`` rows are drawn for each row or chain, those of one together.

    >>> import torch
    >>> with some_each(10):
    ...     u = torch.rand(100 * 10, 2, generator=torch.Generator().manual_seed(0))
    """
    return _said(each=number)


def tiled(times: int) -> AbstractContextManager[None]:
    """The block in which the first axis is that of all rows, as many ``times``, one after the other.

    >>> import torch
    >>> with tiled(5):
    ...     u = torch.rand(5 * 100, 2, generator=torch.Generator().manual_seed(0))
    """
    return _said(tiles=times)


def offset(count: int) -> int:
    """The place among all of the first of ``count`` rows or chains, or of some multiple of them, each one's together.

    >>> with Share(_Alone(), part(10, 1, 2)):
    ...     offset(5), offset(15), offset(7)
    (5, 15, 0)
    """
    here = current()
    own = None if here is None else here.among(count)
    return 0 if own is None else own.start


def places(count: int) -> tuple[int, int]:
    """(number of the first, number of all) of ``count`` rows: their places in the whole batch."""
    here = current()
    own = None if here is None else here.of(count)
    return (0, count) if own is None else (own.start, own.total)


class _Alone:
    """The group of one rank."""

    def sum(self, x: Tensor) -> Tensor:
        return x
