"""How chains of a model meet partners from the last frozen machine, and how draws of that machine are refreshed.

A chain x ~ p_theta and a partner y ~ p_phi change places with probability min(1, exp(l(y) - l(x))), l being
log f_theta - log f_phi, which leaves both laws as they are. A chain that took a copy instead would leave y behind while
training, which pushes the model away from its chains, makes y less and less probable.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from deepgen.explicit.rbm import RBM
from deepgen.objectives.trajectory_ladder import Partners, Rung, gibbs, hidden_free_energy
from deepgen.random import uniform


class Met(NamedTuple):
    """chains, family: of all chains after some met partners; rung: with its partners after that; ratio: l at partners,
    then at the chains before, float64 ``[2, meeting]``; chance: of each pair to change places ``[meeting]``; probe: the
    chains that met, after that ``[meeting, hidden]``; level: their F in the model ``[meeting]``."""

    chains: Tensor
    family: Tensor
    rung: Rung
    ratio: Tensor
    chance: Tensor
    probe: Tensor
    level: Tensor


def swaps(ratio: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which pairs change places, and the chances, given l ``[2, pairs]`` at draws and at chains."""
    chance = (ratio[0] - ratio[1]).exp().clamp_max(1.0).nan_to_num(0.0)
    return uniform(chance.shape, generator=generator, dtype=chance.dtype).to(chance.device) < chance, chance


def _exchange(swapped: Tensor, mine: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    chosen = swapped.unsqueeze(1) if mine.ndim > 1 else swapped
    return torch.where(chosen, other, mine), torch.where(chosen, mine, other)


@torch.no_grad()
def meet(
    model: RBM,
    frozen: RBM,
    rung: Rung,
    chains: Tensor,
    family: Tensor,
    count: int,
    *,
    moves: int = 0,
    generator: torch.Generator,
) -> Met:
    """``moves`` Gibbs steps of ``frozen``, with the rung's parameters, one a draw in turn; then ``count`` chains meet
    as many partners.

    Chains have their turns, and the partners they meet are chosen at random: a chain that met the same few again and
    again would in the end take their law for its own.
    """
    rung = refreshed(frozen, rung, moves, generator=generator)
    turn, device = int(rung.turn), generator.device
    here = slice(count * turn, count * (turn + 1))
    there = torch.randperm(len(rung.partners.draws), generator=generator, device=device)[:count].to(chains.device)
    drawn, mine = rung.partners.draws[there], chains[here]
    before = torch.stack([rung.partners.energy[there], hidden_free_energy(frozen, mine)])
    level = hidden_free_energy(model, torch.cat([drawn, mine])).reshape(2, count)
    ratio = (before - level).double()
    swapped, chance = swaps(ratio, generator=generator)
    draws, energy, parents, chains, family = (part.clone() for part in (*rung.partners, chains, family))
    draws[there], probe = _exchange(swapped, drawn, mine)
    energy[there], _ = _exchange(swapped, *before)
    parents[there], family[here] = _exchange(swapped, parents[there], family[here])
    chains[here] = probe
    turn = (turn + 1) % (len(chains) // count)
    rung = rung._replace(partners=Partners(draws, energy, parents), turn=torch.tensor(turn))
    return Met(chains, family, rung, ratio, chance, probe, _exchange(swapped, *level)[1])


@torch.no_grad()
def refreshed(frozen: RBM, rung: Rung, moves: int, *, generator: torch.Generator) -> Rung:
    """The rung after so many Gibbs steps of its machine ``frozen``: of all draws as often as that allows, then of some
    chosen at random."""
    draws, energy, count = rung.draws, rung.energy, len(rung.draws)
    for _ in range(moves // count):
        draws = gibbs(frozen, draws, generator)
    if moves >= count:
        energy = hidden_free_energy(frozen, draws)
    if rest := moves % count:
        some = torch.randperm(count, generator=generator, device=generator.device)[:rest].to(draws.device)
        moved = gibbs(frozen, draws[some], generator)
        draws = draws.index_copy(0, some, moved)
        energy = energy.index_copy(0, some, hidden_free_energy(frozen, moved))
    return rung._replace(draws=draws, energy=energy)
