"""Annealed chains in groups that fit into memory, split over the ranks of `deepgen.share.splitting` where there are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from deepgen.errors import ArgumentError
from deepgen.progress import bar
from deepgen.samplers.annealing import Path, anneal
from deepgen.share import Gathering, part, split_over
from deepgen.shared_draws import SharedDraws

GROUP = 1000  # chains that run together: bounds the memory


@torch.no_grad()
def grouped(
    path: Path, start: Tensor, betas: Tensor, name: str, generator: torch.Generator, progress: bool
) -> tuple[Tensor, Tensor]:
    """`anneal` from every row of ``start``, in groups: (positions, log weights), those of all ranks on each.

    Raises:
        ArgumentError: the ranks have different generators.

    >>> import deepgen as dg
    >>> g = dg.random.generator(0)
    >>> path = dg.samplers.rbm_path(dg.RBM(visible=6, hidden=4, generator=0))
    >>> [x.shape for x in grouped(path, torch.zeros(5, 6), torch.linspace(0, 1, 3), "AIS", g, False)]
    [torch.Size([5, 6]), torch.Size([5])]
    """
    groups, ranks = start.split(GROUP), split_over()
    if ranks is not None and not ranks.same(generator.get_state().tolist()):
        raise ArgumentError("the ranks have different generators: give all the same seed")
    shown = progress and (ranks is None or ranks.rank == 0)
    with bar(what=name, unit="temperature", show=shown, total=len(groups) * (len(betas) - 1)) as moved:

        def run(rows: Tensor) -> tuple[Tensor, Tensor]:
            state, log_weights = anneal(path, path.init(rows), betas, generator=generator, tick=moved.update)
            return state.position.clone(), log_weights

        found = [run(group) if ranks is None else _shared(run, group, ranks) for group in groups]
    ends, weights = zip(*found, strict=True)
    return torch.cat(ends), torch.cat(weights)


def _shared(run: Callable[[Tensor], tuple[Tensor, Tensor]], group: Tensor, ranks: Gathering) -> tuple[Tensor, Tensor]:
    """Each rank runs its stretch of the group, and gets what the others found."""
    own = part(len(group), ranks.rank, ranks.world)
    with SharedDraws(ranks, own):
        end, weights = run(group[own.start : own.stop])
    return ranks.gather(end, own), ranks.gather(weights, own)
