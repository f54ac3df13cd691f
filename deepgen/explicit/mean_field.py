"""Turns of mean field in a deep Boltzmann machine: each level at what the means of its neighbours send.

    f_l = b_l + m_(l-1).W_(l-1) + W_l.m_(l+1),      m_l = E[x_l | f_l],      m_0 = v

A turn sets the odd levels and then the even ones, each of which raises the bound of `deepgen.explicit.dbm` or leaves
it. What the data send to the lowest hidden level stays the same and is computed once. Rows settle on their own: most
after a few turns, and the last of a hundred after two or three times as many, which it takes without the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError
from deepgen.explicit.units import Units, check_support, check_width
from deepgen.share_means import count_rows

if TYPE_CHECKING:
    from deepgen.explicit.coupling import Coupling
    from deepgen.explicit.dbm import DBM


STILL = 0.75  # settled rows are taken out once fewer than this share of the rest is moving


class MeanField(NamedTuple):
    """fields, means: of each hidden level, lowest first ``[rows, width]``; bound: of log sum_h exp(-E(v, h)) in nats
    ``[rows]``; turns: how many it took."""

    fields: list[Tensor]
    means: list[Tensor]
    bound: Tensor
    turns: int


def settle(
    model: DBM, v: Tensor, *, tolerance: float, turns: int, start: Sequence[Tensor] | None = None
) -> tuple[list[Tensor], list[Tensor], int]:
    """Fields and means of every level, visible first (whose field is v itself), and the turns taken.

    Args:
        model: the machine.
        v: rows ``[rows, visible]`` in its dtype.
        tolerance: a row is settled when none of its means moves by more; 0 takes all turns and never waits for a
            device.
        turns: the most.
        start: means of the hidden levels, ``[rows, width]`` or ``[width]``, the same for all rows; None for one way up.
    """
    last = len(model.levels) - 1
    sent = model.biases[1] + model.couplings[0].up(v)
    first = _way_up(model, sent) if start is None else start
    states = [v, *(means.expand(len(v), -1) for means in first)]
    fields, done, settled = [v] * (last + 1), 0, _Settled(len(v), v.device)
    turns = 1 if last == 1 else turns
    waiting = count_rows(len(v)) if tolerance > 0 else 0  # rows of all ranks that are not taken out
    while done < turns:
        done += 1
        moved = []
        for level in (*range(1, last + 1, 2), *range(2, last + 1, 2)):
            if level > 1:
                fields[level] = field(model, level, states)
            else:
                fields[1] = sent if last == 1 else sent + model.couplings[1].down(states[2])
            mean = model.levels[level].mean(fields[level])
            if tolerance > 0 and done < turns:
                moved.append((mean - states[level]).detach().abs().amax(-1))
            states[level] = mean
        if not moved:
            continue
        moving = ~(torch.stack(moved).amax(0) <= tolerance)  # NaN, as of a model that diverged, never settles
        left = count_rows(int(moving.sum()))
        if left == 0:
            break
        if left < STILL * waiting:
            waiting = left
            (sent, *kept) = settled.part([sent, *fields, *states], moving)
            fields, states = kept[: last + 1], kept[last + 1 :]
    _, *every = settled.whole([sent, *fields, *states])
    return every[: last + 1], every[last + 1 :], done


def field(model: DBM, level: int, states: Sequence[Tensor]) -> Tensor:
    """`DBM.field`, which loops call without its checks."""
    found: Tensor = model.biases[level]
    if level > 0:
        found = found + model.couplings[level - 1].up(states[level - 1])
    if level + 1 < len(model.levels):
        found = found + model.couplings[level].down(states[level + 1])
    return found


class _Settled:
    """Rows that have settled and are taken out, so that turns are spent on the few that need many."""

    def __init__(self, rows: int, device: torch.device) -> None:
        self.index, self.parts = torch.arange(rows, device=device), list[tuple[Tensor, list[Tensor]]]()

    def part(self, tensors: Sequence[Tensor], moving: Tensor) -> list[Tensor]:
        """Those rows of ``tensors`` that are ``moving``; the others are put aside."""
        self.parts.append((self.index[~moving], [t[~moving] for t in tensors]))
        self.index = self.index[moving]
        return [t[moving] for t in tensors]

    def whole(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """``tensors`` with the rows that were put aside, in their order."""
        if not self.parts:
            return list(tensors)
        order = torch.cat([*(index for index, _ in self.parts), self.index]).argsort()
        return [torch.cat(rows)[order] for rows in zip(*(part for _, part in self.parts), tensors, strict=True)]


def check_means(levels: Sequence[Units], v: Tensor, start: Sequence[Tensor] | None) -> None:
    """Raise unless ``v`` is finite rows ``[rows, visible]`` and ``start``, if given, finite means of hidden levels."""
    check_width(levels[0], v, "v")
    if v.ndim != 2:
        raise ShapeError(f"v must be [rows, {levels[0].width}], got {list(v.shape)}")
    check_support(v, v.isfinite(), "finite")
    if start is None:
        return
    if len(start) != len(levels) - 1:
        raise ShapeError(f"start must be the means of {len(levels) - 1} hidden levels, lowest first, got {len(start)}")
    for number, (units, means) in enumerate(zip(levels[1:], start, strict=True)):
        check_width(units, means, f"start[{number}]")
        if means.shape[:-1] not in ((), (1,), (len(v),)):
            raise ShapeError(f"start[{number}] must be [{len(v)}, {units.width}], got {list(means.shape)}")
        check_support(means, means.isfinite(), "finite")


def check_neighbours(levels: Sequence[Units], level: int, states: Sequence[Tensor]) -> None:
    """Raise unless there is such a ``level``, and its neighbours among ``states`` are ``[..., width]``."""
    count = len(levels)
    if not 0 <= level < count:
        raise ArgumentError(f"level must be from 0 (visible) to {count - 1}, got {level}")
    if len(states) != count:
        raise ShapeError(f"states must be one tensor for each of {count} levels, visible first, got {len(states)}")
    for near in (level - 1, level + 1):
        if 0 <= near < count:
            check_width(levels[near], states[near], f"level {near}")


def _way_up(model: DBM, sent: Tensor) -> list[Tensor]:
    """One way up, what comes from below counted twice below the top, where nothing comes from above yet."""
    last = len(model.levels) - 1
    states: list[Tensor] = []
    for level in range(1, last + 1):
        below = sent if level == 1 else model.biases[level] + model.couplings[level - 1].up(states[-1])
        states.append(model.levels[level].mean(below if level == last else 2 * below - model.biases[level]))
    return states


def bound(model: DBM, fields: Sequence[Tensor], states: Sequence[Tensor]) -> Tensor:
    """The bound of `deepgen.explicit.dbm`, from fields and means of every level, visible first: ``[rows]``."""
    found = states[0] @ model.biases[0] - model.visible.energy(states[0]) + interaction(model.couplings, states)
    for units, bias, f, m in list(zip(model.levels, model.biases, fields, states, strict=True))[1:]:
        found = found + units.cumulant(f) + ((bias - f) * m).sum(-1)
    return found


def interaction(couplings: Sequence[Coupling], states: Sequence[Tensor]) -> Tensor:
    """sum_l x_l.W_l.x_(l+1) of one tensor for each level: ``[..., width] each -> [...]``."""
    pairs = zip(couplings, states, states[1:], strict=False)
    return sum((coupling.up(x) * y).sum(-1) for coupling, x, y in pairs)  # type: ignore[return-value]
