"""A Markov kernel as two pure functions, and the chain that repeats it.

A kernel holds no state and no randomness: ``init(position) -> State``, ``step(state, *, generator) -> (State, Info)``.
State is what the next step needs, Info what the reader needs; both are NamedTuples of tensors with the chains on the
first axis, so thousands of chains advance in one call. No step synchronises with the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from deepgen.errors import MissingCapability, ShapeError, check_count
from deepgen.random import resolve


@dataclass(frozen=True)
class Exactness:
    """What is known of a kernel's stationary law.

    Attributes:
        kind: ``exact`` (leaves the target invariant), ``biased`` (converges to something near it), or ``adaptive``
            (still changing itself, so that it has no stationary law yet).
        note: for a biased kernel the order of its bias, such as ``O(step size)``.

    >>> print(EXACT & Exactness("biased", "O(step size)"))
    biased (O(step size))
    """

    kind: Literal["exact", "biased", "adaptive"] = "exact"
    note: str = ""

    def __and__(self, other: Exactness) -> Exactness:
        """The exactness of doing one kernel after the other: the weaker of the two, with both notes if they tie."""
        rank = ("exact", "biased", "adaptive")
        if self.kind == other.kind:
            notes = dict.fromkeys(note for note in (self.note, other.note) if note)
            return Exactness(self.kind, "; ".join(notes))
        return max(self, other, key=lambda e: rank.index(e.kind))

    def __str__(self) -> str:
        return f"{self.kind} ({self.note})" if self.note else self.kind


EXACT = Exactness("exact")


@runtime_checkable
class Kernel(Protocol):
    """``init(position) -> State`` and ``step(state, *, generator) -> (State, Info)``, with a known `Exactness`.

    ``State`` and ``Info`` are NamedTuples; ``State`` has a field ``position`` ``[chains, *event]``.
    """

    @property
    def exactness(self) -> Exactness: ...

    def init(self, position: Tensor) -> Any: ...

    def step(self, state: Any, *, generator: torch.Generator) -> tuple[Any, Any]: ...


def require_exact(kernel: Kernel, purpose: str) -> None:
    """Raise `MissingCapability` unless ``kernel`` is exact: ``purpose`` completes 'cannot be used for ...'."""
    if kernel.exactness.kind != "exact":
        raise MissingCapability(
            f"{type(kernel).__name__} is {kernel.exactness} and cannot be used for {purpose}, "
            "which is only right with a kernel that leaves its target invariant"
        )


class Accepted(NamedTuple):
    """The outcome of `accept`: the chosen rows, which were accepted, and which proposals had a NaN ratio."""

    value: Any
    accepted: Tensor
    nan: Tensor


def accept(log_ratio: Tensor, new: Any, old: Any, *, generator: torch.Generator) -> Accepted:
    """Metropolis acceptance: take ``new`` with probability ``min(1, exp(log_ratio))``, else keep ``old``, per chain.

    Args:
        log_ratio: ``[chains]``, ``log pi(x') q(x|x') - log pi(x) q(x'|x)``. A NaN is rejected and reported.
        new, old: tensors ``[chains, ...]`` or NamedTuples of them with the same fields.
        generator: source of the one uniform per chain.

    >>> import deepgen as dg
    >>> ratio, stream = torch.tensor([9.0, -torch.inf, torch.nan]), dg.random.generator(0)
    >>> outcome = accept(ratio, torch.ones(3, 2), torch.zeros(3, 2), generator=stream)
    >>> outcome.value[:, 0], outcome.nan
    (tensor([1., 0., 0.]), tensor([False, False,  True]))
    """
    log_u = torch.rand(log_ratio.shape, generator=generator, device=log_ratio.device, dtype=log_ratio.dtype).log()
    accepted = log_u < log_ratio  # False where the ratio is NaN
    return Accepted(_choose(accepted, new, old), accepted, log_ratio.isnan())


def _choose(mask: Tensor, new: Any, old: Any) -> Any:
    if isinstance(new, Tensor):
        return torch.where(mask.reshape(mask.shape + (1,) * (new.ndim - mask.ndim)), new, old)
    return type(new)(*(_choose(mask, a, b) for a, b in zip(new, old, strict=True)))


def advance(kernel: Kernel, state: Any, steps: int, *, generator: torch.Generator) -> Any:
    """Return the state ``steps`` steps of ``kernel`` later, keeping nothing on the way.

    >>> import deepgen as dg
    >>> kernel = dg.RBM(visible=4, hidden=3, generator=0).gibbs()
    >>> advance(kernel, kernel.init(torch.zeros(10, 4)), 5, generator=dg.random.generator(0)).position.shape
    torch.Size([10, 4])
    """
    for _ in range(steps):
        state, _info = kernel.step(state, generator=generator)
    return state


@dataclass(frozen=True)
class Trace:
    """What a chain left behind.

    Attributes:
        draws: ``[draws, chains, *event]``, the kept positions (or whatever ``keep`` made of the states).
        info: the kernel's Info fields that are one number per chain, stacked to ``[draws, chains]``.
        state: the state after the last step; hand it back as ``position=`` to go on.
        exactness: the kernel's.
        warmup, thin: steps thrown away first, and steps per kept draw.
    """

    draws: Tensor
    info: dict[str, Tensor]
    state: Any
    exactness: Exactness
    warmup: int
    thin: int

    def __repr__(self) -> str:
        shape, info = list(self.draws.shape), ", ".join(self.info)
        return f"Trace(draws {shape}, info [{info}], {self.exactness}, warmup={self.warmup}, thin={self.thin})"

    def to_arviz(self, name: str = "x") -> Any:
        """Return the draws as ArviZ's own container (InferenceData before ArviZ 1.0, DataTree from it on)."""
        from deepgen.interop.arviz import from_trace

        return from_trace(self, name)

    def summary(self, name: str = "x") -> Any:
        """Return ArviZ's table of means, MCSE, ESS and R-hat; its ``attrs`` name the kernel's exactness."""
        from deepgen.interop.arviz import summary

        return summary(self, name)


def sample_chain(
    kernel: Kernel,
    position: Any,
    draws: int,
    *,
    warmup: int = 0,
    thin: int = 1,
    keep: Callable[[Any], Tensor] | None = None,
    generator: torch.Generator | int | None = None,
    progress: bool = False,
) -> Trace:
    """Run ``warmup + draws * thin`` steps of ``kernel`` on all chains at once and keep every ``thin``-th state.

    Args:
        kernel: any `Kernel`.
        position: ``[chains, *event]`` starting points, or a State to go on from.
        draws: how many states to keep, at least 1.
        warmup: steps to throw away first.
        thin: steps per kept draw.
        keep: what to keep of a state; its ``position`` by default. ``lambda s: s.position[:8]`` keeps eight chains.
        generator: a generator, a seed, or None for fresh entropy.
        progress: show a bar with the time left.

    Returns:
        A `Trace` of ``draws`` kept states.

    Raises:
        ArgumentError: ``draws`` or ``thin`` below 1, ``warmup`` below 0.
        ShapeError: no chains.

    >>> import deepgen as dg
    >>> rbm = dg.explicit.RBM(visible=4, hidden=3)
    >>> sample_chain(rbm.gibbs(), torch.zeros(10, 4), draws=5, generator=0).draws.shape
    torch.Size([5, 10, 4])
    """
    check_count(draws=draws, thin=thin)
    check_count(0, warmup=warmup)
    state = kernel.init(position) if isinstance(position, Tensor) else position
    if not hasattr(state, "position"):
        raise ShapeError(f"position must be a tensor [chains, *event] or a kernel's State, got {type(state).__name__}")
    if state.position.ndim < 1 or len(state.position) == 0:
        raise ShapeError(f"position must be [chains, *event] with at least one chain, got {list(state.position.shape)}")
    generator = resolve(generator, state.position.device)
    keep = keep or (lambda s: s.position)
    kept: list[Tensor] = []
    records: dict[str, list[Tensor]] = {}
    for index in _steps(warmup + draws * thin, progress):
        state, info = kernel.step(state, generator=generator)
        if index >= warmup and (index - warmup + 1) % thin == 0:
            kept.append(keep(state).clone())
            for name, value in _per_chain(info, len(state.position)).items():
                records.setdefault(name, []).append(value.clone())
    stacked = {name: torch.stack(values) for name, values in records.items()}
    return Trace(torch.stack(kept), stacked, state, kernel.exactness, warmup, thin)


def _per_chain(info: Any, chains: int) -> dict[str, Tensor]:
    fields = zip(getattr(info, "_fields", ()), info or (), strict=True)
    return {k: v for k, v in fields if isinstance(v, Tensor) and v.shape == (chains,)}


def _steps(total: int, progress: bool) -> Any:
    if not progress:
        return range(total)
    from tqdm import trange

    return trange(total, desc="sampling", unit="step")
