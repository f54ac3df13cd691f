"""A step that ranks take together: each its rows of the very batch that one process would see, and its chains.

    gradient = sum over ranks of  w  (gradient over the rank's own rows),        w: its share of the rows

is summed when the objective lets its optimizer step, in one message, whatever the objective did to find it. Every rank
then takes the same step, so weights and the optimizer's moments are the same on all, to the bit, and so are metrics
and running means, which are averaged after the step. Chains stay where they are: fields that a state's ``per_chain()``
names have a row for each chain, and a rank holds its own. In a checkpoint they are together again, so that it is that
of one process and goes on with any number of ranks.

What an objective must be is a mean over rows, less `deepgen.share_means.balance` times a mean over chains.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import MissingCapability
from deepgen.share import Part, part
from deepgen.shared_draws import SharedDraws
from deepgen.train.ranks import Ranks
from deepgen.typing import Update


class SharedUpdate:
    """``update``, taken by all ranks together: of a whole batch and a rank's part of the state.

    Raises:
        MissingCapability: the objective's chains cannot be split, or the optimizer's step is no function of gradients.
    """

    def __init__(
        self, update: Update, ranks: Ranks, state: Any, objective: Any, model: nn.Module, optimizer: Any
    ) -> None:
        self.update, self.ranks, self.model, self.optimizer = update, ranks, model, optimizer
        self.chains = chains(state, ranks)
        self.checked = False
        if ranks.world > 1:
            _check(objective, optimizer, state)

    def __call__(self, state: Any, batch: Any, *, generator: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
        if self.ranks.world == 1:
            return self.update(state, batch, generator=generator)
        rows = self._rows(batch)
        with (
            SharedDraws(self.ranks, rows, self.chains) as draws,
            _Averaged(self.optimizer, self.ranks, draws, rows.weight),
        ):
            state, metrics = self.update(state, _cut(batch, rows), generator=generator)
        state, metrics = self._agreed(state, metrics, rows.weight)
        if not self.checked:
            self.checked = True
            check_together(self.model, self.ranks)
        return state, metrics

    def _rows(self, batch: Any) -> Part:
        count = len(batch if isinstance(batch, Tensor) else batch[0])
        return part(count, self.ranks.rank, self.ranks.world, self.chains.total if self.chains else 0)

    def _agreed(self, state: Any, metrics: dict[str, Tensor], weight: float) -> tuple[Any, dict[str, Tensor]]:
        """Metrics and what of the state is no chain's, averaged over ranks in one message."""
        found = [value.detach() for value in metrics.values()]
        kept: list[Tensor] = []
        _rest(state, kept.append)
        every = [*found, *kept]
        if not every:
            return state, metrics
        flat = torch.cat([x.detach().double().reshape(-1) for x in every]).mul_(weight)
        parts = self.ranks.sum(flat).split([x.numel() for x in every])
        means = [mean.view_as(x).to(x.dtype) for mean, x in zip(parts, every, strict=True)]
        rest = iter(means[len(found) :])
        return _rest(state, lambda _: next(rest)), dict(zip(metrics, means, strict=False))


class _Averaged:
    """The block in which every step of ``optimizer`` begins with the gradients' weighted sum over ranks."""

    def __init__(self, optimizer: torch.optim.Optimizer, ranks: Ranks, draws: SharedDraws, weight: float) -> None:
        self.optimizer, self.ranks, self.draws, self.weight = optimizer, ranks, draws, weight

    def __enter__(self) -> None:
        self.hooks = [
            self.optimizer.register_step_pre_hook(self._before),
            self.optimizer.register_step_post_hook(self._after),
        ]
        # before those of the caller, such as clipping, which are for the whole gradient
        before: Any = self.optimizer._optimizer_step_pre_hooks
        before.move_to_end(self.hooks[0].id, last=False)

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    @torch.no_grad()
    def _before(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self.draws.paused = True
        given = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for dtype in dict.fromkeys(gradient.dtype for gradient in given):
            some = [gradient for gradient in given if gradient.dtype == dtype]
            flat = torch.cat([gradient.reshape(-1) for gradient in some]).mul_(self.weight)
            for gradient, mean in zip(some, self.ranks.sum(flat).split([g.numel() for g in some]), strict=True):
                gradient.copy_(mean.view_as(gradient))

    def _after(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self.draws.paused = False


def chains(state: Any, ranks: Ranks) -> Part | None:
    """This rank's part of the chains that the whole ``state`` has, None if it has none."""
    found: list[int] = []
    _chains(state, lambda x: found.append(len(x)))
    if not found or not max(found):
        return None
    return part(max(found), ranks.rank, ranks.world)


def own_chains(state: Any, ranks: Ranks) -> Any:
    """The state with this rank's chains alone, of one that has all."""
    mine = chains(state, ranks)
    if mine is None or not mine.cut:
        return state
    return _chains(state, lambda x: x[mine.start : mine.stop].clone() if len(x) == mine.total else x)


def all_chains(state: Any, ranks: Ranks, mine: Part | None) -> Any:
    """The state with the chains of all ranks, of one that has this rank's, which are ``mine``."""
    if mine is None or not mine.cut:
        return state
    return _chains(state, lambda x: ranks.gather(x, mine) if len(x) == mine.size else x)


def check_together(model: nn.Module, ranks: Ranks) -> None:
    """Raise `MissingCapability` unless the weights are the same on all ranks, to the bit."""
    if ranks.world == 1:
        return
    sums = [
        zlib.crc32(p.detach().reshape(-1).cpu().contiguous().view(torch.uint8).numpy().data)
        for p in model.state_dict().values()
    ]
    if not ranks.same(sums):
        raise MissingCapability(
            f"the ranks have different weights of the {type(model).__name__}: a step of this objective or a callback "
            "sets weights by other means than gradients that its optimizer takes, and cannot be shared by ranks"
        )


def _check(objective: Any, optimizer: torch.optim.Optimizer, state: Any) -> None:
    from deepgen.optim import KFAC

    if isinstance(optimizer, KFAC):
        raise MissingCapability("KFAC estimates curvature from a rank's own rows: choose another optimizer for ranks")
    found: list[Tensor] = []
    _chains(state, found.append)
    inner = getattr(objective, "objective", objective)  # of rows with gaps, or of each machine of a stack
    if not found and getattr(inner, "chains", None):
        raise MissingCapability(
            f"the chains of {type(inner).__name__} meet one another and cannot be split over ranks: train in one "
            "process, or by deepgen.objectives.PersistentCD"
        )


def _cut(batch: Any, rows: Part) -> Any:
    if isinstance(batch, Tensor):
        return batch[rows.start : rows.stop]
    return type(batch)(x[rows.start : rows.stop] for x in batch)


def _changed(state: Any, change: Callable[[Tensor, bool], Any], chain: bool = False) -> Any:
    """``state`` with ``change(tensor, has a row for each chain)`` of every tensor; a None leaves it."""
    if isinstance(state, Tensor):
        return state if (new := change(state, chain)) is None else new
    if not isinstance(state, tuple):
        return state
    names = state.per_chain() if hasattr(state, "per_chain") else ()
    fields = getattr(state, "_fields", (None,) * len(state))
    items = [_changed(item, change, chain or name in names) for name, item in zip(fields, state, strict=True)]
    return type(state)(*items) if hasattr(state, "_fields") else tuple(items)


def _chains(state: Any, change: Callable[[Tensor], Any]) -> Any:
    """``state`` with ``change`` of every tensor that has a row for each chain."""
    return _changed(state, lambda x, chain: change(x) if chain else None)


def _rest(state: Any, change: Callable[[Tensor], Any]) -> Any:
    """``state`` with ``change`` of every floating tensor that is no chain's."""
    return _changed(state, lambda x, chain: change(x) if x.is_floating_point() and not chain else None)
