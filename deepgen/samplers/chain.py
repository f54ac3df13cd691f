"""Chains: a kernel repeated, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.progress import bar
from deepgen.random import streams
from deepgen.samplers.kernel import Exactness, Kernel, require_kernel


@dataclass(frozen=True)
class Trace:
    """What a chain left behind.

    Attributes:
        draws: ``[draws, chains, *event]``, the kept positions (or whatever ``keep`` made of the states).
        info: the kernel's Info fields that are one number per chain, stacked to ``[draws, chains]``.
        state: the state after the last step; hand it back as ``position=`` to go on.
        exactness: the kernel's.
        warmup, thin: steps thrown away first, and steps per kept draw.
        kernel: the kernel, tuned and frozen if it was one to be tuned.
        generator: where the random numbers stopped; with ``kernel`` and ``state`` the chains go on as if never stopped.

    >>> import deepgen as dg
    >>> kernel = dg.RBM(visible=4, hidden=3, generator=0).gibbs()
    >>> trace = sample_chain(kernel, torch.zeros(10, 4), draws=5, generator=0)
    >>> trace
    Trace(draws [5, 10, 4], info [nan], exact, warmup=0, thin=1)
    >>> sample_chain(kernel, trace.state, draws=2, generator=1).draws.shape  # the same chains, from where they stopped
    torch.Size([2, 10, 4])
    """

    draws: Tensor
    info: dict[str, Tensor]
    state: Any
    exactness: Exactness
    warmup: int
    thin: int
    kernel: Any = None
    generator: Any = None

    def __repr__(self) -> str:
        shape, info = list(self.draws.shape), ", ".join(self.info)
        return f"Trace(draws {shape}, info [{info}], {self.exactness}, warmup={self.warmup}, thin={self.thin})"

    def to_arviz(self, name: str = "x") -> Any:
        """Return the draws as ArviZ's own container (InferenceData before ArviZ 1.0, DataTree from it on).

        See `deepgen.interop.arviz.from_trace`.
        """
        from deepgen.interop.arviz import from_trace

        return from_trace(self, name)

    def summary(self, name: str = "x") -> Any:
        """Return ArviZ's table of means, MCSE, ESS and R-hat; its ``attrs`` name the kernel's exactness.

        See `deepgen.interop.arviz.summary`.
        """
        from deepgen.interop.arviz import summary

        return summary(self, name)


@runtime_checkable
class Tunable(Protocol):
    """A kernel that learns in its warm-up: ``tune(position, steps, *, generator, tick) -> (frozen kernel, state)``."""

    def tune(
        self, position: Any, steps: int, *, generator: torch.Generator, tick: Callable[[], object] | None = None
    ) -> tuple[Kernel, Any]: ...


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
        warmup: steps to throw away first, in which a kernel without a step size is tuned.
        thin: steps per kept draw.
        keep: what to keep of a state; its ``position`` by default. ``lambda s: s.position[:8]`` keeps eight chains.
        generator: a generator, a seed, or None for fresh entropy: the source of one stream a chain
            (`deepgen.random.Streams`), so that the numbers of a chain do not depend on those beside it. To go on as if
            never stopped, hand back the ``generator`` of the trace.
        progress: show a bar with the time left.

    Returns:
        A `Trace` of ``draws`` kept states.

    Raises:
        ArgumentError: ``draws`` or ``thin`` below 1, ``warmup`` below 0, or none for a kernel that is tuned in it.
        ShapeError: no chains, or ``keep`` returns no tensor.
        MissingCapability: ``kernel`` is none, but a model, say.

    >>> import deepgen as dg
    >>> rbm = dg.explicit.RBM(visible=4, hidden=3)
    >>> sample_chain(rbm.gibbs(), torch.zeros(10, 4), draws=5, generator=0).draws.shape
    torch.Size([5, 10, 4])
    """
    require_kernel(kernel)
    check_count(draws=draws, thin=thin)
    check_count(0, warmup=warmup)
    state = kernel.init(position) if isinstance(position, Tensor) else position
    if not hasattr(state, "position"):
        raise ShapeError(f"position must be a tensor [chains, *event] or a kernel's State, got {type(state).__name__}")
    if state.position.ndim < 1 or len(state.position) == 0:
        raise ShapeError(f"position must be [chains, *event] with at least one chain, got {list(state.position.shape)}")
    stream = streams(generator, state.position.device)
    keep = keep or (lambda s: s.position)
    kept: list[Tensor] = []
    records: dict[str, list[Tensor]] = {}
    steps = iter(bar(range(warmup + draws * thin), what="sampling", unit="step", show=progress))
    if isinstance(kernel, Tunable):
        if warmup == 0:
            raise ArgumentError("this kernel is tuned in its warm-up: give warmup=, some hundred steps, or a step_size")
        kernel, state = kernel.tune(state, warmup, generator=stream, tick=lambda: next(steps))
    else:
        for _ in islice(steps, warmup):
            state, _info = kernel.step(state, generator=stream)
    for index in steps:
        state, info = kernel.step(state, generator=stream)
        if (index - warmup + 1) % thin == 0:
            kept.append(_tensor(keep(state)).clone())
            for name, value in _per_chain(info, len(state.position)).items():
                records.setdefault(name, []).append(value.clone())
    stacked = {name: torch.stack(values) for name, values in records.items()}
    return Trace(torch.stack(kept), stacked, state, kernel.exactness, warmup, thin, kernel, stream)


def _per_chain(info: Any, chains: int) -> dict[str, Tensor]:
    fields = zip(getattr(info, "_fields", ()), info or (), strict=True)
    return {k: v for k, v in fields if isinstance(v, Tensor) and v.shape == (chains,)}


def _tensor(kept: object) -> Tensor:
    if not isinstance(kept, Tensor):
        raise ShapeError(f"keep must make a tensor of a state, such as state.position, got {type(kept).__name__}")
    return kept
