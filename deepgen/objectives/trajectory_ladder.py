"""The ladder of trajectory tempering: the last frozen checkpoint phi of a run, draws of it, and what both tell.

All is of hidden layers h, whose marginal under a machine is exp(-F(h)) / Z with F(h) = u(h) - b.h - A_v(a + W.h). The
visible layer is summed out, so that machines overlap more. With l(h) = F_phi(h) - F_theta(h), the log ratio of the
marginals of the model theta and of phi, chains and partners change places by the rule of
`deepgen.objectives.trajectory_meeting`, and draws of theta are draws of phi and the chains together, weighted as
`deepgen.objectives.trajectory_weights` says.

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
from deepgen.objectives.trajectory_weights import foreseen, resample, weights

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

    def error(self, told: Tensor) -> float:
        """That of a log Z to which families add ``told``: their spread, and how far draws and chains have parted."""
        return math.hypot(math.sqrt(float(self.variance + told.square().sum())), float(self.gap))

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


def _chosen(kept: Partners, chains: Partners, weight: Tensor, generator: torch.Generator) -> Partners:
    """As many as were ``kept``, of those and the chains by their weights."""
    index = resample(weight, len(kept.draws), generator)
    return Partners(*(torch.cat(parts)[index] for parts in zip(kept, chains, strict=True)))


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
