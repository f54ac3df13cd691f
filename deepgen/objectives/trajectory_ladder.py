"""The ladder of trajectory tempering: the last frozen checkpoint phi of a run, draws of it, and what both tell.

All is of hidden layers h, whose marginal under a machine is exp(-F(h)) / Z with F(h) = u(h) - b.h - A_v(a + W.h). The
visible layer is summed out, so that machines overlap more. With l(h) = F_phi(h) - F_theta(h), the log ratio of the
marginals of the model theta and of phi,

- a chain x ~ p_theta and a partner y ~ p_phi change places with probability min(1, exp(l(y) - l(x))), which leaves
  both laws as they are. A chain that took a copy instead would leave y behind while training, which pushes the model
  away from its chains, makes y less and less probable;
- draws of theta are draws of phi and the chains together, each taken with the weight

      w(h) = f_theta(h) / (M f_phi(h) / Z_phi + N c(h)),        log Z_theta = log sum w,

  for M draws and N chains of law c (Veach & Guibas 1995; with c = p_theta it is Bennett's). Weights keep the shares of
  modes that Gibbs steps do not join. Through the chains come parts that no draw has been in.

Chains lag behind a model that moves: c is taken as half p_theta and half p_s ~ f_phi^(1-s) f_theta^s, with the s at
which l has the mean that chains show, from 0 (still at phi) to 1. The first half keeps every w below 2 Z_theta / N.
Were all chains taken for draws of theta, what is new in it would get too little weight at every rung.

Chains that lag are not ~ p_theta, and leave that lag in what they change places with: log Z from that fell behind by a
tenth of a nat at every rung. So there are two sets, each carried on with the chains: partners, which chains meet, and
draws, which they do not, which take Gibbs steps of phi, and whose weights are log Z.

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

_HALVINGS = 25  # of s between 0 and 1
FAMILIES = 20  # as many as an error needs: below that all draws begin families of their own


class Partners(NamedTuple):
    """What chains change places with: hidden layers ``[partners, hidden]``, their F and families ``[partners]``."""

    draws: Tensor
    energy: Tensor
    family: Tensor


class Rung(NamedTuple):
    """A frozen checkpoint and what is known of it.

    parameters: of the model, in its order; draws: hidden layers ``[draws, hidden]``, in random order; energy: their
    F ``[draws]``; family: whom they descend from ``[draws]``; partners: as many for the chains; log_z: 0-d float64;
    told: what each family has added to log_z, float64; variance: of log_z, from families that are no more; gap: by how
    much log_z and that of the draws alone parted, added up over rungs; raised: by how much log_z was raised to a lower
    bound so far, 0-d float64; turn: the part of the chains that meets partners next, 0-d on the CPU.
    """

    parameters: tuple[Tensor, ...]
    draws: Tensor
    energy: Tensor
    family: Tensor
    partners: Partners
    log_z: Tensor
    told: Tensor
    variance: Tensor
    gap: Tensor
    raised: Tensor
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

    def lifted(self, bound: Tensor) -> Rung:
        """The rung with log Z no less than a lower ``bound`` of it; the distance goes into the error."""
        short = (bound.to(self.log_z) - self.log_z).clamp_min(0)
        return self._replace(
            log_z=self.log_z + short, variance=self.variance + short.square(), raised=self.raised + short
        )

    def families(self) -> float:
        """How many families there are, in effect: 1 / sum of squared shares."""
        share = torch.bincount(self.family, minlength=len(self.family)).double() / len(self.family)
        return float(1 / share.square().sum())


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
    own = hidden_free_energy(model, chains)
    others, kept = (hidden_free_energy(frozen, chains) - own).double(), len(ratio)
    log_weight = weights(ratio, others)
    step, weight = log_weight.logsumexp(0), log_weight.softmax(0)
    gap = ratio.logsumexp(0) - math.log(kept) - step
    told = rung.told
    for members, part in ((rung.family, weight[:kept]), (family, weight[kept:])):
        told = told.scatter_add(0, members, part - part.mean() if len(part) else part)
    mine = Partners(chains, own, family)
    draws = _chosen(Partners(rung.draws, energy, rung.family), mine, weight, generator)
    partners = rung.partners
    if len(partners.draws):
        theirs = hidden_free_energy(model, partners.draws)
        share = weights((partners.energy - theirs).double(), others).softmax(0)
        partners = _chosen(partners._replace(energy=theirs), mine, share, generator)
    after = Rung(
        parameters_of(model), *draws, partners, rung.log_z + step.to(rung.log_z), told, rung.variance,
        rung.gap + gap.abs().to(rung.gap), rung.raised, rung.turn,
    )  # fmt: skip
    if after.families() < FAMILIES:
        variance = after.variance + told.square().sum()
        each = torch.arange(kept, device=told.device)
        partners = partners._replace(family=each[: len(partners.draws)])
        after = after._replace(family=each, partners=partners, told=torch.zeros_like(told), variance=variance)
        family = each[: len(chains)]
    return after, family


def least_log_z(energies: Tensor, rows: Tensor) -> Tensor:
    """A lower bound of log Z, sum over distinct ``rows`` ``[rows, units]`` of e^-F with F ``[rows]``, float64 0-d.

    It is proven where the units have states that can be counted: the sum leaves out all other states.

    >>> float(least_log_z(torch.zeros(3), torch.tensor([[0.0], [1.0], [1.0]])).exp())
    2.0
    """
    distinct, index = torch.unique(rows, dim=0, return_inverse=True)
    first = torch.full((len(distinct),), -torch.inf, dtype=torch.float64, device=rows.device)
    return first.scatter_reduce(0, index, -energies.double(), "amax").logsumexp(0)


def weights(up: Tensor, down: Tensor) -> Tensor:
    """log w / Z_phi of draws and chains from l at each, float64: ``[draws], [chains] -> [draws + chains]``.

    >>> weights(torch.zeros(2).double(), torch.zeros(2).double()).exp()
    tensor([0.2500, 0.2500, 0.2500, 0.2500], dtype=torch.float64)
    """
    draws, every = math.log(len(up)), torch.cat([up, down])
    if not len(down):
        return every - draws
    s = caught_up(up, down)
    here, there = (s * every - (s * up).logsumexp(0) + draws, every - up.logsumexp(0) + draws)
    law = torch.logaddexp(here, there) - math.log(2)
    return every - torch.logaddexp(torch.full_like(every, draws), math.log(len(down)) + law)


def caught_up(up: Tensor, down: Tensor) -> Tensor:
    """The s from 0 to 1 at which draws weighted by e^(s l) have the chains' mean of l, which rises with s, 0-d.

    >>> l = torch.linspace(-3, 3, 1000).double()
    >>> round(float(caught_up(l, l[l > 0])), 2), float(caught_up(l, l[l < 0])) < 1e-6
    (0.6, True)
    """
    low, high, wanted = up.new_zeros(()), up.new_ones(()), down.mean()
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        short = (middle * up).softmax(0) @ up < wanted
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return (low + high) / 2


def _chosen(kept: Partners, chains: Partners, weight: Tensor, generator: torch.Generator) -> Partners:
    """As many as were ``kept``, of those and the chains by their weights."""
    index = _resample(weight, len(kept.draws), generator)
    return Partners(*(torch.cat(parts)[index] for parts in zip(kept, chains, strict=True)))


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
