"""What a run of chains leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError
from deepgen.samplers.kernel import Exactness

if TYPE_CHECKING:
    from deepgen.evaluate.summary import Summary
    from deepgen.evaluate.sums import Sums

Name = str | Callable[[Tensor], Mapping[str, Tensor]]  # of a variable, or what makes named ones of the draws
SHORT = 1000  # draws a chain up to which many chains are many short ones
MANY = 64


@dataclass(frozen=True)
class Trace:
    """What a chain left behind.

    Attributes:
        draws: ``[draws, chains, *event]``, the kept positions (or whatever ``keep`` made of the states); none after
            ``store=False``.
        info: the kernel's Info fields that are one number per chain, stacked to ``[draws, chains]``.
        state: the state after the last step; hand it back as ``position=`` to go on.
        exactness: the kernel's.
        warmup, thin: steps thrown away first, and steps per kept draw.
        kernel: the kernel, tuned and frozen if it was one to be tuned.
        generator: where the random numbers stopped; with ``kernel`` and ``state`` the chains go on as if never stopped.
        sums: after ``store=False``, the running sums of what the draws would have been.

    >>> import torch, deepgen as dg
    >>> kernel = dg.RBM(visible=4, hidden=3, generator=0).gibbs()
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(10, 4), draws=5, generator=0)
    >>> trace
    Trace(draws [5, 10, 4], info [nan], exact, warmup=0, thin=1)
    >>> dg.samplers.sample_chain(kernel, trace.state, draws=2, generator=1).draws.shape  # the same chains go on
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
    sums: Sums | None = None

    def __repr__(self) -> str:
        shape, info = list(self.draws.shape), ", ".join(self.info)
        kept = f"draws {shape}, info [{info}]"
        if self.sums is not None:
            kept = f"sums of {self.sums.done} draws {list(self.sums.part.shape)}, info [{', '.join(self.sums.info)}]"
        return f"Trace({kept}, {self.exactness}, warmup={self.warmup}, thin={self.thin})"

    def named(self, name: Name = "x") -> dict[str, Tensor]:
        """The draws by name, each ``[draws, chains, *event]``.

        Args:
            name: of the one variable that they are; or a function that makes of them several with names, such as
                `NetworkPosterior.unflatten` or `deepgen.interop.pyro_program.ProgramTarget.unflatten`.

        >>> import torch, deepgen as dg
        >>> trace = Trace(torch.zeros(5, 2, 3), {}, None, dg.samplers.EXACT, 0, 1)
        >>> {k: v.shape for k, v in trace.named(lambda x: {"mean": x[..., 0], "scale": x[..., 1:].exp()}).items()}
        {'mean': torch.Size([5, 2]), 'scale': torch.Size([5, 2, 2])}
        """
        if isinstance(name, str):
            return {name: self.draws}
        if self.sums is not None:
            raise ArgumentError("named variables are made of draws, and store=False kept only their sums")
        parts = dict(name(self.draws))
        for key, part in parts.items():
            if part.shape[:2] != self.draws.shape[:2]:
                raise ShapeError(
                    f"{key} must be {list(self.draws.shape[:2])} and what it likes, got {list(part.shape)}"
                )
        return parts

    def to_arviz(self, name: Name = "x") -> Any:
        """Return the draws as ArviZ's own container (InferenceData before ArviZ 1.0, DataTree from it on).

        Names are as in `named`. See `deepgen.interop.arviz.from_trace`.
        """
        from deepgen.interop.arviz import from_trace

        return from_trace(self, name)

    @torch.no_grad()
    def summary(self, name: Name = "x", *, superchains: int | None = None) -> Summary:
        """Mean, sd, MCSE, ESS and R-hat of every coordinate, as a table to print; what is wrong is said below it.

        Args:
            name: what the coordinates are called: ``x[0]``; or a function as in `named`, for the coordinates of all its
                variables, one after another.
            superchains: in how many groups the chains were started, for nested R-hat. By default eight where there are
                64 chains or more, with at most 1,000 draws each, and eight divides them; else it is not shown.

        See `deepgen.evaluate.summary.Summary`, and `deepgen.evaluate.chains` for the formulas.
        """
        from deepgen.evaluate.chains import diagnose, nested_rhat
        from deepgen.evaluate.summary import COUNTED, ends, labels, summarise

        label: str | tuple[str, ...]
        if isinstance(name, str):
            kept, label = self.draws, name
        else:
            parts = self.named(name)
            kept = torch.cat([part.reshape(*part.shape[:2], -1) for part in parts.values()], -1)
            label = tuple(row for key, part in parts.items() for row in labels(key, part.shape[2:]))
        info = {key: value.double() for key, value in self.info.items()}
        if self.sums is not None:
            draws, chains = self.sums.done, len(self.sums.part)
            counts = {key: value for key, value in self.sums.info.items() if ends(key, COUNTED)}
            info = {**self.sums.rates(), **counts}
        else:
            if self.draws.ndim < 2:
                raise ShapeError(f"draws must be [draws, chains, *event] for a summary, got {list(self.draws.shape)}")
            draws, chains = self.draws.shape[:2]
            info = {k: v.sum(0) if ends(k, COUNTED) else v.mean(0) for k, v in info.items()}
        if superchains is None and chains >= MANY and draws <= SHORT and chains % 8 == 0:
            superchains = 8
        if self.sums is not None:
            columns = self.sums.columns(superchains)
        else:
            columns = diagnose(kept)
            if superchains is not None:
                columns["nested_r_hat"] = nested_rhat(kept, superchains)
        counted = f"{chains:,} chain{'s' * (chains != 1)} of {draws:,} draw{'s' * (draws != 1)}"
        run = f"{counted} (warmup {self.warmup:,}, thin {self.thin}), {self.exactness}"
        return summarise(columns, info, name=label, run=run, chains=chains)
