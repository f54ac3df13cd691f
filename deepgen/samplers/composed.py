"""The kernels behind `cycle`, `mixture` and `thin`: see `deepgen.samplers.compose` for what they are."""

from __future__ import annotations

from bisect import bisect_right
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from itertools import accumulate
from operator import and_
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError
from deepgen.random import common
from deepgen.samplers.chain import Tunable
from deepgen.samplers.handover import Composed, counted_anew, entered, put, run, start
from deepgen.samplers.kernel import Exactness, Kernel, after_warmup, require_state
from deepgen.samplers.target import Beta
from deepgen.samplers.temperature import log_ratio, require_temperable

if TYPE_CHECKING:
    from typing_extensions import Self


class Picked(NamedTuple):
    """Of a `Mixture`. which: the kernel that ran, the same for all chains ``[chains]``; acceptance: its own, NaN if it
    has none ``[chains]``; nan, divergent: its own, False if it has none ``[chains]``; info: all that it reports."""

    which: Tensor
    acceptance: Tensor
    nan: Tensor
    divergent: Tensor
    info: Any


@dataclass(frozen=True)
class Several:
    """What `Cycle` and `Mixture` share: ``kernels`` over one target, with the names that their Info goes by."""

    kernels: tuple[Any, ...]
    names: tuple[str, ...]

    @property
    def exactness(self) -> Exactness:
        return weakest(self.kernels)

    def init(self, position: Tensor) -> Composed:
        """The state at ``position`` ``[chains, *event]``."""
        return start(self.kernels, position)

    def enter(self, own: Composed, other: Any) -> Composed:
        """The state after another kernel has moved the chains to ``other.position``."""
        return put(self.kernels, own, other)

    def after_warmup(self, state: Composed) -> Composed:
        """The state with all that its kernels count begun anew."""
        return counted_anew(self.kernels, state)

    def at(self, beta: Beta) -> Self:
        """The same of the same kernels at inverse temperature ``beta``."""
        return replace(self, kernels=_tempered(self.kernels, beta))

    def log_ratio(self, state: Composed, old: Beta, new: Beta) -> Tensor:
        """log f_new - log f_old where the chains are: ``[chains]``."""
        return log_ratio(self.kernels[state.current], state.states[state.current], old, new)


@dataclass(frozen=True)
class Cycle(Several):
    """The kernel of `cycle`: ``kernels`` in turn, with the names that their Info goes by.

    >>> import deepgen as dg
    >>> walk = dg.samplers.metropolis(lambda x: -x.square().sum(-1), dg.samplers.RandomWalk(1.0))
    >>> kernel = Cycle((walk, walk), ("first", "second"))
    >>> state, info = kernel.step(kernel.init(torch.zeros(4, 2)), generator=dg.random.streams(0))
    >>> info.first_acceptance.shape
    torch.Size([4])
    """

    def step(self, state: Composed, *, generator: torch.Generator) -> tuple[Composed, Any]:
        """A step of every kernel; Info has the fields of all, after their names."""
        require_state(state, Composed)
        fields: list[str] = []
        values: list[Any] = []
        for index, name in enumerate(self.names):
            state, info = run(self.kernels, state, index, generator)
            for entry, value in zip(getattr(info, "_fields", ()), info or (), strict=True):
                fields.append(f"{name}_{entry}")
                values.append(value)
        return state, _record(tuple(fields))(*values)


@dataclass(frozen=True)
class Mixture(Several):
    """The kernel of `mixture`: one of ``kernels`` a step, with probability ``weights``.

    >>> import deepgen as dg
    >>> walk = dg.samplers.metropolis(lambda x: -x.square().sum(-1), dg.samplers.RandomWalk(1.0))
    >>> kernel = Mixture((walk, walk), ("first", "second"), (0.9, 0.1))
    >>> state, info = kernel.step(kernel.init(torch.zeros(4, 2)), generator=dg.random.streams(0))
    >>> info.which
    tensor([0, 0, 0, 0])
    """

    weights: tuple[float, ...]

    def step(self, state: Composed, *, generator: torch.Generator) -> tuple[Composed, Picked]:
        """A step of the kernel that the coin picks."""
        require_state(state, Composed)
        edges = list(accumulate(self.weights))
        index = min(bisect_right(edges, common(generator) * edges[-1]), len(edges) - 1)
        state, info = run(self.kernels, state, index, generator)
        x = state.position
        acceptance = getattr(info, "acceptance", None)
        if acceptance is None:
            acceptance = torch.full((len(x),), torch.nan, dtype=x.dtype, device=x.device)
        nan, divergent = (_flag(info, name, x) for name in ("nan", "divergent"))
        return state, Picked(torch.full((len(x),), index, device=x.device), acceptance, nan, divergent, info)


@dataclass(frozen=True)
class Thinned:
    """The kernel of `thin`: ``steps`` steps of ``kernel`` as one.

    >>> import deepgen as dg
    >>> Thinned(dg.RBM(4, 3).gibbs(), 5).exactness
    Exactness(kind='exact', note='')
    """

    kernel: Any
    steps: int

    @property
    def exactness(self) -> Exactness:
        found: Exactness = self.kernel.exactness
        return found

    def init(self, position: Tensor) -> Any:
        """The state at ``position`` ``[chains, *event]``."""
        return self.kernel.init(position)

    def step(self, state: Any, *, generator: torch.Generator) -> tuple[Any, Any]:
        """``steps`` steps; of their Info real numbers are averaged, truths are joined by or, the rest is the last."""
        infos = []
        for _ in range(self.steps):
            state, info = self.kernel.step(state, generator=generator)
            infos.append(info)
        return state, type(infos[-1])(*map(_joined, zip(*infos, strict=True)))

    def after_warmup(self, state: Any) -> Any:
        """The state with all that the kernel counts begun anew."""
        return after_warmup(self.kernel, state)

    def at(self, beta: Beta) -> Thinned:
        """The same at inverse temperature ``beta``."""
        return replace(self, kernel=require_temperable(self.kernel, "another temperature").at(beta))

    def log_ratio(self, state: Any, old: Beta, new: Beta) -> Tensor:
        """log f_new - log f_old where the chains are: ``[chains]``."""
        return log_ratio(self.kernel, state, old, new)


@dataclass(frozen=True)
class Untuned:
    """A composition some of whose parts are yet to be tuned: each has its share of the warm-up, in turn.

    >>> import deepgen as dg
    >>> dg.samplers.cycle(dg.samplers.mala(lambda x: -x.square().sum(-1))).exactness
    Exactness(kind='adaptive', note='')
    """

    kernel: Cycle | Mixture | Thinned

    @property
    def exactness(self) -> Exactness:
        return self.kernel.exactness

    def init(self, position: Tensor) -> Any:
        """The state at ``position`` ``[chains, *event]``."""
        return self.kernel.init(position)

    def step(self, state: Any, *, generator: torch.Generator) -> tuple[Any, Any]:
        """A step of the kernel as it is before it is tuned."""
        return self.kernel.step(state, generator=generator)

    def tune(
        self, position: Any, steps: int, *, generator: torch.Generator, tick: Callable[[], object] | None = None
    ) -> tuple[Kernel, Any]:
        """Run ``steps`` steps from ``position`` (or a state) and return (the frozen kernel, the state)."""
        state: Any = None
        here = position if isinstance(position, Tensor) else position.position
        parts = (self.kernel.kernel,) if isinstance(self.kernel, Thinned) else self.kernel.kernels
        many, whole, frozen, states, last = sum(isinstance(part, Tunable) for part in parts), steps, list(parts), {}, 0
        left = many
        for index, part in enumerate(parts):
            if isinstance(part, Tunable):
                share = steps // left
                try:
                    frozen[index], state = part.tune(here, share, generator=generator, tick=tick)
                except ArgumentError as error:
                    if many == 1:
                        raise
                    message = f"{error}: {many} kernels are tuned in turn in the warm-up of {whole}, so make it longer"
                    raise ArgumentError(message) from error
                here, steps, left, last, states[index] = state.position, steps - share, left - 1, index, state
        if isinstance(self.kernel, Thinned):
            return Thinned(frozen[0], self.kernel.steps), state
        for index, part in enumerate(frozen):
            if index not in states:
                states[index] = part.init(here)
            elif index != last:  # with what it has learnt beside the position
                states[index] = entered(part, states[index], frozen[last], state)
        return replace(self.kernel, kernels=tuple(frozen)), Composed(
            here, tuple(states[index] for index in range(len(parts))), last
        )


def weakest(kernels: Sequence[Kernel]) -> Exactness:
    """The exactness of kernels done one after another."""
    return reduce(and_, (kernel.exactness for kernel in kernels))


def _tempered(kernels: Sequence[Any], beta: Beta) -> tuple[Any, ...]:
    return tuple(require_temperable(kernel, "another temperature").at(beta) for kernel in kernels)


@lru_cache
def _record(fields: tuple[str, ...]) -> Callable[..., Any]:
    return namedtuple("Cycled", fields)  # its fields are known only now


def _flag(info: Any, name: str, x: Tensor) -> Tensor:
    """A field of one truth a chain, False where ``info`` has none."""
    found = getattr(info, name, None)
    return torch.zeros(len(x), dtype=torch.bool, device=x.device) if found is None else found


def _joined(values: tuple[Any, ...]) -> Any:
    first = values[0]
    if not isinstance(first, Tensor) or not (first.is_floating_point() or first.dtype == torch.bool):
        return values[-1]
    stacked = torch.stack(values)
    return stacked.any(0) if first.dtype == torch.bool else stacked.mean(0)
