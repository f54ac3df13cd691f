"""The ladder of trajectory tempering: the last frozen checkpoint phi of a run, draws of it, and what both tell.

All is of hidden layers h, whose marginal under a machine is exp(-F(h)) / Z with F(h) = u(h) - b.h - A_v(a + W.h). The
visible layer is summed out, so that machines overlap more. With l(h) = F_phi(h) - F_theta(h), the log ratio of the
marginals of the model theta and of phi,

- a chain x ~ p_theta takes the place of a draw y ~ p_phi with probability min(1, exp(l(y) - l(x))), which leaves
  p_theta as it is (an independence sampler, as long as x knows nothing of y), and cannot spoil the draws;
- log Z_theta - log Z_phi = D is the log mean of e^l over draws;
- draws of theta are those draws and the chains together, each taken with the weight of Bennett's mixture,

      w(h) = f_theta(h) / (M f_phi(h) / Z_phi + N f_theta(h) / Z_theta)  ~  1 / (M e^-(l - D) + N),

  for M draws and N chains. Weights keep the shares of modes that Gibbs steps do not join. Through the chains come parts
  that no draw has been in.

So a rung costs one pass over the draws, and no chain has to settle. What draws descend from whom is kept (``family``),
and the error of log Z is the spread of what each family has added to it (Chan & Lai 2013, "A general theory of particle
filters"; Lee & Whiteley 2018), over as many rungs as families last.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepgen.explicit.rbm import RBM
from deepgen.random import uniform

FAMILIES = 20  # as many as an error needs: below that all draws begin families of their own


class Rung(NamedTuple):
    """A frozen checkpoint and what is known of it.

    parameters: of the model, in its order; draws: hidden layers ``[draws, hidden]``, in random order; energy: their
    F ``[draws]``; family: whom they descend from ``[draws]``; log_z: 0-d float64; told: what each family has added to
    log_z, float64 ``[draws]``; variance: of log_z, from families that are no more, gap: by how
    much log_z would be less by the bridge between draws and chains, 0-d float64; turn: the part of the
    chains that meets draws next, 0-d on the CPU.
    """

    parameters: tuple[Tensor, ...]
    draws: Tensor
    energy: Tensor
    family: Tensor
    log_z: Tensor
    told: Tensor
    variance: Tensor
    gap: Tensor
    turn: Tensor

    def bridge(self, model: RBM) -> tuple[Tensor, Tensor]:
        """F of the draws in ``model`` and l, float64: ``[draws]`` each."""
        energy = hidden_free_energy(model, self.draws)
        return energy, (self.energy - energy).double()

    def reach(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """log Z of the model whose l at the draws is ``ratio``, and what each family adds up to."""
        weight = ratio.softmax(0)
        told = self.told.scatter_add(0, self.family, weight - 1 / len(weight))
        return self.log_z + (ratio.logsumexp(0) - math.log(len(ratio))).to(self.log_z), told

    def families(self) -> float:
        """How many families there are, in effect: 1 / sum of squared shares."""
        share = torch.bincount(self.family, minlength=len(self.family)).double() / len(self.family)
        return float(1 / share.square().sum())


class Met(NamedTuple):
    """chains, family: of all chains after some met draws; rung: with those draws moved by a Gibbs step; ratio: l at
    them, then at the chains before, float64 ``[2, meeting]``; chance: of each of the chains to jump ``[meeting]``."""

    chains: Tensor
    family: Tensor
    rung: Rung
    ratio: Tensor
    chance: Tensor


def hidden_free_energy(model: RBM, hidden: Tensor, field: Tensor | None = None) -> Tensor:
    """F(h) = u(h) - b.h - A_v(a + W.h) in nats: ``[rows, hidden] -> [rows]``; ``field`` is a + W.h where it is known.

    >>> rbm = RBM(3, 2, generator=0)
    >>> h = torch.tensor([[0.0, 1.0]])
    >>> v = torch.cartesian_prod(*3 * [torch.tensor([0.0, 1.0])])
    >>> torch.allclose(hidden_free_energy(rbm, h), -(-rbm.energy(v, h.expand(8, 2))).logsumexp(0))
    True
    """
    field = model.visible_field(hidden) if field is None else field
    return model.hidden.energy(hidden) - hidden @ model.hidden_bias - model.visible.cumulant(field)


def foreseen(ratio: Tensor) -> Tensor:
    """The chance of a jump to come once the chains have caught up with the model, from l at draws alone, float64.

    Chains ~ p_theta are those draws weighted by e^l. Chains that lag behind the model are still near phi, and jump
    more often than they should.

    >>> foreseen(torch.zeros(5)), foreseen(torch.tensor([0.0, 0.0, 0.0, 50.0]))
    (tensor(1., dtype=torch.float64), tensor(0.2500, dtype=torch.float64))
    """
    rising = ratio.double().sort().values
    rank = torch.arange(1, len(rising) + 1, dtype=rising.dtype, device=rising.device)
    lower = (rising.logcumsumexp(0) - rising).exp()  # of draws no higher than this one, whose chance is below 1
    return ((len(rising) - rank + lower) / len(rising) * rising.softmax(0)).sum()


def jump(chains: Tensor, draws: Tensor, ratio: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Chains, each in the place of its draw or not; which are; and the chances, given l ``[2, chains]`` at both."""
    chance = (ratio[0] - ratio[1]).exp().clamp_max(1.0).nan_to_num(0.0)
    jumped = uniform(chance.shape, generator=generator, dtype=chance.dtype).to(chance.device) < chance
    return torch.where(jumped.unsqueeze(1), draws, chains), jumped, chance


@torch.no_grad()
def meet(
    model: RBM, frozen: RBM, rung: Rung, chains: Tensor, family: Tensor, count: int, *, generator: torch.Generator
) -> Met:
    """``count`` draws take a Gibbs step of ``frozen``, with the rung's parameters, and as many chains meet them.

    Chains have their turns, and the draws they meet are chosen at random: a chain that met the same few again and
    again would in the end take their law for its own.
    """
    turn, device = int(rung.turn), generator.device
    here = slice(count * turn, count * (turn + 1))
    there = torch.randperm(len(rung.draws), generator=generator, device=device)[:count].to(chains.device)
    both = torch.cat([gibbs(frozen, rung.draws[there], generator), chains[here]])
    before = hidden_free_energy(frozen, both)
    ratio = (before - hidden_free_energy(model, both)).double().reshape(2, count)
    after, jumped, chance = jump(both[count:], both[:count], ratio, generator=generator)
    draws, energy, chains, family = rung.draws.clone(), rung.energy.clone(), chains.clone(), family.clone()
    draws[there], energy[there], chains[here] = both[:count], before[:count], after
    family[here] = torch.where(jumped, rung.family[there], family[here])
    rung = rung._replace(draws=draws, energy=energy, turn=torch.tensor((turn + 1) % (len(chains) // count)))
    return Met(chains, family, rung, ratio, chance)


@torch.no_grad()
def carry(
    model: RBM,
    frozen: RBM,
    rung: Rung,
    chains: Tensor,
    family: Tensor,
    *,
    least: float,
    generator: torch.Generator,
) -> tuple[Rung, Tensor] | None:
    """``model`` as the next rung, and the chains' families; None where the foreseen chance is below ``least``."""
    energy, ratio = rung.bridge(model)
    if not float(foreseen(ratio)) >= least:  # NaN is no way either
        return None
    log_z, told = rung.reach(ratio)
    own = hidden_free_energy(model, chains)
    others, kept, count = (hidden_free_energy(frozen, chains) - own).double(), len(ratio), len(own)
    step = log_z - rung.log_z
    gap = (step.to(ratio) - _between(ratio, others)).to(rung.gap) if count else 0.0
    moved = torch.cat([ratio, others]) - step.to(ratio)
    share = moved.new_tensor([kept, count]).log()
    weight = (moved - torch.logaddexp(share[0], share[1] + moved)).softmax(0)
    index = _resample(weight, kept, generator)
    both = torch.cat([rung.family, family])[index]
    after = Rung(
        parameters_of(model), torch.cat([rung.draws, chains])[index], torch.cat([energy, own])[index], both,
        log_z, told, rung.variance, rung.gap + gap, rung.turn,
    )  # fmt: skip
    if after.families() < FAMILIES:
        variance = after.variance + told.square().sum()
        each = torch.arange(kept, device=both.device)
        after = after._replace(family=each, told=torch.zeros_like(told), variance=variance)
        family = each[: len(chains)]
    return after, family


def _between(up: Tensor, down: Tensor) -> Tensor:
    """log Z_theta - log Z_phi from l at draws and at chains, by the geometric bridge (near Bennett's, no search)."""
    return (up / 2).logsumexp(0) - math.log(len(up)) - (-down / 2).logsumexp(0) + math.log(len(down))


def _resample(weight: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Rows by their weights, one in each of ``count`` equal strata, in random order."""
    device = generator.device
    places = torch.arange(count, device=device) + uniform((count,), generator=generator, dtype=torch.float64)
    index = torch.searchsorted(weight.cumsum(0).to(device), places / count).clamp_max(len(weight) - 1)
    return index[torch.randperm(count, generator=generator, device=device)].to(weight.device)


def gibbs(model: RBM, hidden: Tensor, generator: torch.Generator) -> Tensor:
    """One step of hidden layers ``[rows, hidden]``, down and up."""
    visible = model.visible.sample(model.visible_field(hidden), generator=generator)
    return model.hidden.sample(model.hidden_field(visible), generator=generator)


def twin(model: RBM) -> RBM:
    """A copy of a machine that learns nothing."""
    return copy.deepcopy(model).requires_grad_(False)


def parameters_of(model: nn.Module) -> tuple[Tensor, ...]:
    """Copies of the parameters."""
    return tuple(p.detach().clone() for p in model.parameters())


@torch.no_grad()
def put(model: nn.Module, parameters: Sequence[Tensor]) -> None:
    """Write ``parameters`` into a model, in place."""
    for p, value in zip(model.parameters(), parameters, strict=True):
        p.copy_(value)
