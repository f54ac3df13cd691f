"""A stream of random numbers for every chain, whatever chains run beside it.

    words(chain, call, block) = Philox4x32-10(counter = (block, chain, call), key = seed),      four words of 32 bits

A number depends on the seed, its chain, how many calls came before it and its place in the chain, and on nothing else:
chains may be split over batches, devices and machines, and a run that is stopped goes on from two integers. Source:
Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"; the constants and test vectors are
those of their Random123.

`Streams` is a `torch.Generator`, so it can be handed in wherever one is asked for. Code that asks it through
`deepgen.random.uniform` and `deepgen.random.normal` gets one stream a chain; torch's own functions draw from one common
stream, as from any generator, and then numbers depend on how many rows are drawn together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from deepgen.compiled import kernels
from deepgen.errors import ArgumentError, ShapeError, is_whole
from deepgen.philox import MASK, philox, unit, words
from deepgen.share import offset

AHEAD = 2**20  # numbers that are made at once for calls to come, on devices where each operation is a launch
PLACES = 8  # how many kinds of draws have numbers waiting


class Streams(torch.Generator):
    """One stream of random numbers a chain; the chains are on the first axis of what is drawn.

    Args:
        seed: 0 to 2**64 - 1, the key of all streams.
        first: the number of the first chain, 0 to 2**32 - 1: chain i of a draw is chain ``first + i`` of all.
        calls: how many draws came before.
        device: where the numbers are made.

    >>> import deepgen as dg
    >>> everyone = dg.random.normal((10, 3), generator=Streams(7))
    >>> torch.equal(everyone[4:], dg.random.normal((6, 3), generator=Streams(7, first=4)))
    True
    """

    seed_key: int
    first: int
    calls: int

    def __new__(cls, seed: int, *, first: int = 0, calls: int = 0, device: torch.device | str = "cpu") -> Streams:
        return super().__new__(cls, device=device)  # type: ignore[call-arg]  # of torch's own __new__

    def __init__(self, seed: int, *, first: int = 0, calls: int = 0, device: torch.device | str = "cpu") -> None:
        given: dict[str, tuple[object, int]] = {"seed": (seed, 64), "first": (first, 32), "calls": (calls, 64)}
        for name, (value, bits) in given.items():
            if not is_whole(value) or not 0 <= value < 2**bits:
                raise ArgumentError(f"{name} must be an integer in [0, 2**{bits}), got {value!r}")
        self.seed_key, self.first, self.calls = seed, first, calls = int(seed), int(first), int(calls)
        self._ahead = 0 if self.device.type == "cpu" else AHEAD
        self._waiting: dict[tuple[int, int, int, bool], tuple[int, Tensor]] = {}
        self.manual_seed(philox((0, first, calls >> 32 ^ calls & MASK, MASK), (seed & MASK, seed >> 32))[0])

    def part(self, start: int) -> Streams:
        """The streams of the chains from ``start`` on, at the same call."""
        return Streams(self.seed_key, first=self.first + start, calls=self.calls, device=self.device)

    def copy(self) -> Streams:
        """The same streams, the common one of torch's own functions among them, which go on by themselves."""
        found = self.part(0)
        found.set_state(self.get_state())
        return found

    def __deepcopy__(self, memo: object) -> Streams:
        """As `copy`; torch's own would be a generator and no streams."""
        return self.copy()

    @contextmanager
    def rows(self, each: int) -> Iterator[Streams]:
        """For the length of a ``with`` block ``each`` streams a chain: those of chain i are on rows i * each and on.

        >>> everyone, last = Streams(7), Streams(7, first=2)
        >>> with everyone.rows(3), last.rows(3):
        ...     torch.equal(everyone.uniform((9, 2))[6:], last.uniform((3, 2)))
        True
        """
        self.first *= each
        try:
            yield self
        finally:
            self.first //= each

    def uniform(self, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
        """Numbers in (0, 1), one stream for each index of the first axis: ``[chains, ...]``.

        They are the middles of 2**24 equal intervals in float32 (2**53 in float64): never 0 and never 1.
        """
        chains, width = _chains(shape)
        return self._unit(chains, width, dtype).reshape(*shape)

    def normal(self, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal numbers by Box and Muller, one stream for each index of the first axis: ``[chains, ...]``."""
        chains, width = _chains(shape)
        half = -(-width // 2)
        single = dtype == torch.float32 and self.device.type == "cpu"
        compiled = kernels("deepgen.stream_kernels") if single else None
        if compiled is not None and width < compiled.NARROW:
            return self._filled(compiled.normal_narrow, chains, width, dtype).reshape(*shape)
        u = self._unit(chains, 2 * half, dtype)
        if compiled is not None:
            drawn = torch.empty(chains, width)
            compiled.to_normal(u.numpy(), u.view(torch.int32).numpy(), drawn.numpy())
            return drawn.reshape(*shape)
        radius = u[:, :half].log().mul_(-2).sqrt_()
        angle = u[:, half:] * (2 * math.pi)
        both = torch.empty(chains, 2, half, dtype=u.dtype, device=u.device)
        torch.mul(radius, angle.cos(), out=both[:, 0])
        torch.mul(radius, angle.sin_(), out=both[:, 1])
        return both.view(chains, 2 * half)[:, :width].reshape(*shape)

    def common(self) -> float:
        """A number in (0, 1) that all chains share, made on the host: a coin for what they do together."""
        return (self._word(0) + 0.5) / 2**32

    def sequential(self) -> torch.Generator:
        """An ordinary generator for what the chains from the first on draw together, and another for other chains."""
        return torch.Generator(self.device).manual_seed(self._word(self.first))

    def shared(self, count: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """``count`` numbers in (0, 1) that all chains share, on the device: `common` for those that go on there."""
        return self._unit(1, count, dtype, MASK)[0]

    def _word(self, place: int) -> int:
        """32 bits that chains share if they agree on ``place``, made on the host."""
        call = self._next()
        word: int = philox((place, MASK, call & MASK, call >> 32), (self.seed_key & MASK, self.seed_key >> 32))[0]
        return word

    def _next(self) -> int:
        self.calls += 1
        return self.calls - 1

    def _unit(self, chains: int, width: int, dtype: torch.dtype, first: int | None = None) -> Tensor:
        """``[chains, width]`` numbers of the streams from ``first`` on; the last, MASK, belongs to all chains."""
        double = dtype == torch.float64
        compiled = kernels("deepgen.stream_kernels") if self.device.type == "cpu" else None
        if compiled is not None:
            fill = compiled.fill_double if double else compiled.fill_float
            return self._filled(fill, chains, width, torch.float64 if double else torch.float32, first).to(dtype)
        first, call = self._claim(chains, first)
        if not chains * width:
            return torch.empty(chains, width, dtype=dtype, device=self.device)
        return self._by_tensors(first, chains, width, call, double)[:, :width].to(dtype, copy=True)

    def _filled(
        self,
        fill: Callable[..., None],
        chains: int,
        width: int,
        dtype: torch.dtype,
        first: int | None = None,
    ) -> Tensor:
        """``[chains, width]`` numbers of the next call, by a compiled kernel."""
        first, call = self._claim(chains, first)
        filled = torch.empty(chains, width, dtype=dtype)
        if chains * width:
            fill(filled.numpy(), first, call & MASK, call >> 32, self.seed_key & MASK, self.seed_key >> 32)
        return filled

    def _claim(self, chains: int, first: int | None) -> tuple[int, int]:
        """The first stream, this object's own unless another is named, and the number of the next call."""
        if first is None:
            first = self.first + offset(chains)
            if first + chains > MASK:
                raise ArgumentError(f"there are 2**32 - 1 streams, and chain {first + chains} is beyond them")
        return first, self._next()

    def _by_tensors(self, first: int, chains: int, width: int, call: int, double: bool) -> Tensor:
        """``[chains, width or more]`` numbers; on accelerators those of the next calls with them, if they are few."""
        place = (self.seed_key, first, chains, double)
        start, waiting = self._waiting.get(place, (0, None))
        if waiting is not None and start <= call < start + len(waiting) and width <= waiting.shape[2]:
            return waiting[call - start]
        blocks = -(-width // (2 if double else 4))
        if waiting is not None:
            blocks = max(blocks, waiting.shape[2] // (2 if double else 4))
        calls = min(max(1, self._ahead // max(1, 4 * chains * blocks)), 2**32 - (call & MASK))
        made = unit(words(self.seed_key, first, chains, blocks, call, calls, self.device), double)
        if calls > 1:
            if place not in self._waiting and len(self._waiting) == PLACES:
                self._waiting.clear()
            self._waiting[place] = call, made
        return made[0]


def _chains(shape: Sequence[int]) -> tuple[int, int]:
    """How many chains, and how many numbers for each."""
    if not shape:
        raise ShapeError("Streams draw numbers [chains, ...], one a chain on the first axis, got []")
    return shape[0], math.prod(shape[1:])
