"""A Markov kernel as two pure functions, what is known of its law, and the Metropolis step that many share.

A kernel holds no state and no randomness: ``init(position) -> State``, ``step(state, *, generator) -> (State, Info)``.
State is what the next step needs, Info what the reader needs; both are NamedTuples of tensors with the chains on the
first axis, so thousands of chains advance in one call. No step synchronises with the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from deepgen.errors import MissingCapability, ShapeError, check_count
from deepgen.random import uniform
from deepgen.typing import Blocked


@dataclass(frozen=True)
class Exactness:
    """What is known of a kernel's stationary law; `EXACT` is the first kind, without a note.

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
"""Of a kernel that leaves its target invariant."""


@runtime_checkable
class Kernel(Protocol):
    """``init(position) -> State`` and ``step(state, *, generator) -> (State, Info)``, with a known `Exactness`.

    ``State`` and ``Info`` are NamedTuples; ``State`` has a field ``position`` ``[chains, *event]``.

    >>> import deepgen as dg
    >>> rbm = dg.RBM(visible=4, hidden=3, generator=0)
    >>> isinstance(rbm.gibbs(), Kernel), isinstance(rbm, Kernel)
    (True, False)
    """

    @property
    def exactness(self) -> Exactness: ...

    def init(self, position: Tensor) -> Any: ...

    def step(self, state: Any, *, generator: torch.Generator) -> tuple[Any, Any]: ...


def after_warmup(kernel: Any, state: Any) -> Any:
    """``state`` as the first step after the warm-up finds it: a kernel that keeps counts in its State begins them anew.

    Such a kernel has ``after_warmup(state) -> State``; the state of any other stays as it is.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.tempering(dg.RBM(visible=4, hidden=3).gibbs(), [0.5, 1.0])
    >>> state = advance(kernel, kernel.init(torch.zeros(2, 4)), 5, generator=dg.random.generator(0))
    >>> state.clock, after_warmup(kernel, state).clock
    (tensor([5, 5]), tensor([0, 0]))
    """
    own = getattr(kernel, "after_warmup", None)
    return state if own is None else own(state)


def require_kernel(kernel: object) -> Kernel:
    """Return ``kernel`` if it is one, or raise `MissingCapability` with what to write instead.

    >>> import deepgen as dg
    >>> require_kernel(dg.RBM(visible=4, hidden=3))
    Traceback (most recent call last):
    deepgen.errors.MissingCapability: a model is not a kernel, and RBM is a model: pass model.gibbs()
    """
    if isinstance(kernel, Kernel) and not isinstance(kernel, type):
        return kernel
    name = kernel.__name__ if isinstance(kernel, type) else type(kernel).__name__
    if isinstance(kernel, type):
        raise MissingCapability(f"{name} is a class, not a kernel: pass an instance, {name}(...)")
    if isinstance(kernel, Blocked):
        raise MissingCapability(f"a model is not a kernel, and {name} is a model: pass model.gibbs()")
    called = f"; was it to be called, {kernel.__name__}()?" if callable(kernel) and hasattr(kernel, "__name__") else ""
    raise MissingCapability(
        f"expected a kernel, with init(position), step(state, *, generator) and exactness, got {name}{called}"
    )


def require_exact(kernel: Kernel, purpose: str) -> None:
    """Raise `MissingCapability` unless ``kernel`` is exact: ``purpose`` completes 'cannot be used for ...'.

    >>> import deepgen as dg
    >>> require_exact(dg.RBM(visible=4, hidden=3).gibbs(), "annealed importance sampling")
    """
    if require_kernel(kernel).exactness.kind != "exact":
        raise MissingCapability(
            f"{type(kernel).__name__} is {kernel.exactness} and cannot be used for {purpose}, "
            "which is only right with a kernel that leaves its target invariant"
        )


def require_state(state: object, kind: type) -> None:
    """Raise `ShapeError` unless ``state``, handed to a step, is of ``kind``, the State that ``init`` makes."""
    if not isinstance(state, kind):
        raise ShapeError(
            f"a step takes the {kind.__name__} that init or the last step returned, got {type(state).__name__}: "
            "state, info = kernel.step(kernel.init(position), generator=generator)"
        )


class Accepted(NamedTuple):
    """The outcome of `accept`: the chosen rows; which were accepted; which had a NaN ratio; the chance of each."""

    value: Any
    accepted: Tensor
    nan: Tensor
    acceptance: Tensor


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
    chance = log_ratio.exp().clamp_max(1.0).nan_to_num(0.0)
    accepted = uniform(log_ratio.shape, generator=generator, dtype=log_ratio.dtype) < chance
    return Accepted(_choose(accepted, new, old), accepted, log_ratio.isnan(), chance)


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
    check_count(0, steps=steps)
    for _ in range(steps):
        state, _info = kernel.step(state, generator=generator)
    return state
