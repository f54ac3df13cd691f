"""Diagnostics of chains from running sums: no draw is kept, and memory is a few times that of one state.

Sums of the draws and of their squares over the two halves of every chain give mean, sd, split R-hat (plain, of the
draws themselves) and nested R-hat. ESS and MCSE come from batch means around the mean of all chains, at two lengths:

    V_b = b / (R - 1)  sum over R batches of (mean of batch - mean)^2,      MCSE^2 = (2 V_b - V_(b/2)) / (C N)

The difference takes out what a batch is too short for, to first order (the lugsail of Vats & Flegal 2022). There are
512 batches or sqrt N a chain, whichever makes longer ones. Chains that never meet show in R-hat and not fully in this
MCSE.

Sources: Argon & Andradottir 2006, "Replicated batch means"; Gupta & Vats 2020; Margossian et al. 2024.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ShapeError, check_count
from deepgen.evaluate.chains import check_groups, nested_from

BATCHES = 512
TRIED = "tried "  # before the name of what is counted where it is not NaN


class Sums(NamedTuple):
    """What is kept of the draws so far; ``update`` returns a new one and leaves this as it is.

    Attributes:
        planned, done: draws in all, and so far.
        length: of a half batch.
        centre: ``[*event]``, which all sums are taken around.
        first, second: sums and sums of squares ``[chains, *event]`` of the halves of the chains, and of a middle draw.
        part, before: sums of the half batch that is under way, and of the one before it in the same batch.
        short, long, total: over whole batches: squared sums of half batches, of batches, and their sum, ``[*event]``.
        info: sums of the kernel's Info: fields ``[chains]``; swaps of any shape, and how often they were tried.

    >>> x = torch.randn(200, 8, 3, generator=torch.Generator().manual_seed(0))
    >>> sums = start(x[0], planned=200)
    >>> for row in x:
    ...     sums = sums.update(row)
    >>> columns = sums.columns()
    >>> list(columns), torch.allclose(columns["mean"], x.double().mean((0, 1)))
    (['mean', 'sd', 'mcse', 'ess', 'r_hat'], True)
    """

    planned: int
    length: int
    done: int
    centre: Tensor
    first: tuple[Tensor, ...]
    second: tuple[Tensor, ...]
    part: Tensor
    before: Tensor
    short: Tensor
    long: Tensor
    total: Tensor
    info: dict[str, Tensor]

    @torch.no_grad()
    def update(self, x: Tensor, info: Any = None) -> Sums:
        """Count one draw of every chain, ``x`` ``[chains, *event]``, and the step's Info."""
        if x.shape != self.part.shape:
            raise ShapeError(f"each draw must be {list(self.part.shape)} like the first, got {list(x.shape)}")
        x = x.detach().double() - self.centre
        half = self.planned // 2
        slot = 0 if self.done < half else len(self.first) - 1 if self.done >= self.planned - half else 1
        first, second = list(self.first), list(self.second)
        first[slot], second[slot] = first[slot] + x, torch.addcmul(second[slot], x, x)
        count, part, before = self.done + 1, self.part + x, self.before
        short, long, total = self.short, self.long, self.total
        if count % self.length == 0:
            if count % (2 * self.length) == 0:
                whole = before + part
                short = short + (before.square() + part.square()).sum(0)
                long, total = long + whole.square().sum(0), total + whole.sum(0)
            before, part = part, torch.zeros_like(part)
        counted = dict(self.info)
        for name, value in told(info, len(x)).items():
            value = value.double()
            added = (
                {name: value}
                if value.shape == x.shape[:1]
                else {name: value.nan_to_num(), TRIED + name: 1.0 - value.isnan().double()}
            )
            for key, more in added.items():
                counted[key] = counted[key] + more if key in counted else more
        return Sums(
            self.planned,
            self.length,
            count,
            self.centre,
            tuple(first),
            tuple(second),
            part,
            before,
            short,
            long,
            total,
            counted,
        )

    def columns(self, superchains: int | None = None) -> dict[str, Tensor]:
        """``mean``, ``sd``, ``mcse``, ``ess``, ``r_hat``, with ``superchains`` also ``nested_r_hat``, each
        ``[*event]``.

        NaN where nothing moved, and where too few draws are counted: all of the planned ones for R-hat, at least four.
        """
        chains, n = len(self.part), self.done
        size = chains * n
        all_first, all_second = sum(self.first[1:], self.first[0]), sum(self.second[1:], self.second[0])
        mean = all_first.sum(0) / max(size, 1)
        variance = (all_second.sum(0) - size * mean.square()) / max(size - 1, 1)
        nothing = torch.full_like(mean, torch.nan)
        moved = variance > 0
        error = self._variance_of_mean(size)
        ess = (variance / error).clamp_max(size * math.log10(max(size, 10)))
        columns = {
            "mean": self.centre + mean if n else nothing,
            "sd": variance.clamp_min(0).sqrt() if size > 1 else nothing,
            "mcse": error.sqrt().where(moved, torch.nan),
            "ess": ess.where(moved, torch.nan),
            "r_hat": self._rhat().where(moved, torch.nan),
        }
        if superchains is not None:
            check_groups(superchains, chains)
            means = all_first / max(n, 1)
            spread = (all_second - n * means.square()) / (n - 1) if n > 1 else torch.zeros_like(means)
            columns["nested_r_hat"] = nested_from(means, spread, superchains).where(moved, torch.nan)
        return columns

    def rates(self) -> dict[str, Tensor]:
        """Means of ``info`` over the draws, of swaps over those tried."""
        return {
            name: value / self.info.get(TRIED + name, max(self.done, 1))
            for name, value in self.info.items()
            if not name.startswith(TRIED)
        }

    def _variance_of_mean(self, size: int) -> Tensor:
        batches = len(self.part) * (self.done // (2 * self.length))
        if batches < 2 or self.done < 4:
            return torch.full_like(self.total, torch.nan)
        centred = self.total.square()
        short = (self.short - centred / (2 * batches)) / self.length / (2 * batches - 1)
        long = (self.long - centred / batches) / (2 * self.length) / (batches - 1)
        both = 2 * long - short
        return both.where(both > 0, long) / size

    def _rhat(self) -> Tensor:
        n = self.planned // 2
        if self.done < self.planned or n < 2 or len(self.part) < 2:
            return torch.full_like(self.total, torch.nan)
        sums = torch.cat([self.first[0], self.first[-1]])
        means = sums / n
        within = (torch.cat([self.second[0], self.second[-1]]) - n * means.square()).mean(0) / (n - 1)
        return (means.var(0) / within + (n - 1) / n).sqrt()


def start(x: Tensor, planned: int, *, chains: int | None = None, centre: Tensor | None = None) -> Sums:
    """Empty sums for ``planned`` draws like ``x`` ``[chains, *event]``, which is not counted yet.

    Args:
        x: one draw.
        planned: how many there will be, of which the halves are made.
        chains: of all blocks together, where these chains are one of several.
        centre: ``[*event]``, a point near the draws; the first chain of ``x`` by default.
    """
    check_count(planned=planned)
    if not isinstance(x, Tensor) or x.ndim < 1 or len(x) == 0:
        got = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ShapeError(f"a draw must be a tensor [chains, *event] with at least one chain, got {got}")
    x = x.detach()
    batches = max(2, min(math.isqrt(planned), -(-BATCHES // (chains or len(x)))))
    zero = torch.zeros(x.shape, dtype=torch.float64, device=x.device)
    slots = (zero,) * (2 + planned % 2)
    none = zero[0].clone()
    centre = x[0].double() if centre is None else centre
    return Sums(planned, max(1, planned // batches // 2), 0, centre, slots, slots, zero, zero, none, none, none, {})


def told(info: Any, chains: int) -> dict[str, Tensor]:
    """The fields of an Info that are counted: one number a chain ``[chains]``, and swaps."""
    fields = zip(getattr(info, "_fields", ()), info or (), strict=True)
    return {k: v for k, v in fields if isinstance(v, Tensor) and (v.shape == (chains,) or k.startswith("swap"))}


def join(parts: list[Sums]) -> Sums:
    """The sums of all chains from those of blocks of them, in order and around one centre."""
    if len(parts) == 1:
        return parts[0]
    one = parts[0]

    def together(name: str) -> tuple[Tensor, ...]:
        return tuple(torch.cat(slots) for slots in zip(*(getattr(p, name) for p in parts), strict=True))

    return one._replace(
        first=together("first"),
        second=together("second"),
        part=torch.cat([p.part for p in parts]),
        before=torch.cat([p.before for p in parts]),
        short=torch.stack([p.short for p in parts]).sum(0),
        long=torch.stack([p.long for p in parts]).sum(0),
        total=torch.stack([p.total for p in parts]).sum(0),
        info={name: _info([p.info[name] for p in parts], [len(p.part) for p in parts]) for name in one.info},
    )


def _info(values: list[Tensor], chains: list[int]) -> Tensor:
    """What has the chains on its first axis side by side; of others the sum."""
    if all(value.shape[:1] == (n,) for value, n in zip(values, chains, strict=True)):
        return torch.cat(values)
    return torch.stack(values).sum(0)
