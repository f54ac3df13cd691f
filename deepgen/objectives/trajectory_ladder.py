"""The ladder of trajectory tempering: frozen checkpoints of a run, draws of the last one, and swaps with them.

A sweep takes every chain of the model theta down to its visible layer x, lets it swap with a draw y of the frozen
checkpoint phi with probability

    min(1, exp D),     D = l(y) - l(x),     l(v) = F_phi(v) - F_theta(v)     (the log ratio of visible marginals),

and takes it up again, its hidden layer drawn given what is there now. A sweep leaves chains ~ p_theta and draws ~
p_phi, all independent, as they are, whatever theta and phi are. Chains and draws are in groups that never meet, so that
groups stay independent and a jackknife over them is an honest error of whatever is made of them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import DivergenceError
from deepgen.evaluate.autocovariance import autocorrelation_time
from deepgen.evaluate.bennett import leave_one_out
from deepgen.explicit.rbm import RBM
from deepgen.random import uniform

FIRST, SETTLED = 20, 10  # sweeps at first; sweeps in autocorrelation times 1 + 2 sum rho (twice the integrated time)


class Rung(NamedTuple):
    """A frozen checkpoint.

    parameters: of the model, in its order; draws ``[depth, chains, visible]``, of its visible layer; energy: their free
    energies in it ``[depth, chains]``; log_z: its log Z, then that without each group, float64 ``[1 + groups]``; time:
    autocorrelation time of the chains in sweeps, 0-d float64.
    """

    parameters: tuple[Tensor, ...]
    draws: Tensor
    energy: Tensor
    log_z: Tensor
    time: Tensor


class Swept(NamedTuple):
    """hidden, visible: of the chains after a sweep; up, down: l at draws of phi and at chains of theta; chance,
    accepted: of the swaps; each ``[chains, ...]``."""

    hidden: Tensor
    visible: Tensor
    up: Tensor
    down: Tensor
    chance: Tensor
    accepted: Tensor


class Reservoir:
    """Draws of a rung, changed in place by swaps: rows ``[depth * chains, visible]`` and their energies."""

    def __init__(self, draws: Tensor, energy: Tensor, groups: int) -> None:
        self.shape, self.groups = draws.shape, groups
        self.rows, self.energy = draws.flatten(0, 1).clone(), energy.flatten().clone()

    def pick(self, generator: torch.Generator) -> Tensor:
        """One row for each chain, of its own group, none twice: ``[chains]``."""
        depth, chains = self.shape[:2]
        order = uniform((self.groups, chains // self.groups), generator=generator).argsort(1)
        column = (order + torch.arange(0, chains, chains // self.groups, device=order.device).unsqueeze(1)).flatten()
        slot = torch.randint(depth, (chains,), generator=generator, device=generator.device)
        return slot * chains + column

    def stacked(self) -> tuple[Tensor, Tensor]:
        """What a state keeps: ``[depth, chains, visible]`` and ``[depth, chains]``."""
        return self.rows.reshape(self.shape), self.energy.reshape(self.shape[:2])


@torch.no_grad()
def sweep(model: RBM, frozen: RBM, hidden: Tensor, reservoir: Reservoir, *, generator: torch.Generator) -> Swept:
    """A swap of every chain with the reservoir, inside one Gibbs step."""
    visible = model.visible.sample(model.visible_field(hidden), generator=generator)
    index = reservoir.pick(generator).to(visible.device)
    other, other_frozen = reservoir.rows[index], reservoir.energy[index]
    field, other_field = model.hidden_field(torch.cat([visible, other])).chunk(2)
    own_frozen = frozen.free_energy(visible)
    down = own_frozen - _free_energy(model, visible, field)
    up = other_frozen - _free_energy(model, other, other_field)
    chance = (up - down).double().exp().clamp_max(1.0).nan_to_num(0.0)
    accepted = uniform(chance.shape, generator=generator, dtype=chance.dtype).to(chance.device) < chance
    row = accepted.unsqueeze(1)
    reservoir.rows[index] = torch.where(row, visible, other)
    reservoir.energy[index] = torch.where(accepted, own_frozen, other_frozen)
    visible, field = torch.where(row, other, visible), torch.where(row, other_field, field)
    return Swept(model.hidden.sample(field, generator=generator), visible, up, down, chance, accepted)


def foreseen(up: Tensor) -> Tensor:
    """The acceptance to come once the chains have caught up with the model, from draws of phi alone, 0-d float64.

    Chains ~ p_theta are those draws weighted by e^l. Chains that lag behind the model are still near phi, and swap with
    it more often than they should.

    >>> foreseen(torch.zeros(5)), foreseen(torch.tensor([0.0, 0.0, 0.0, 50.0]))
    (tensor(1., dtype=torch.float64), tensor(0.2500, dtype=torch.float64))
    """
    up = up.double()
    chance = (up.unsqueeze(1) - up).clamp_max(0).exp()  # of draw i in the place of chain j
    return (chance.mean(0) * up.softmax(0)).sum()


def _free_energy(model: RBM, visible: Tensor, field: Tensor) -> Tensor:
    return model.visible.energy(visible) - visible @ model.visible_bias - model.hidden.cumulant(field)


@torch.no_grad()
def freeze(
    model: RBM,
    frozen: RBM,
    rung: Rung,
    hidden: Tensor,
    *,
    least: float,
    most: int,
    generator: torch.Generator,
) -> tuple[Rung, Tensor] | None:
    """Make ``model`` the next rung: settle its chains, draw as often as they forget, and go on from the log Z before.

    Args:
        model: what is frozen; frozen: a machine with the parameters of ``rung``.
        rung: the last one.
        hidden: the chains ``[chains, hidden]``.
        least: acceptance below which there is no way from ``rung`` to ``model``.
        most: sweeps after which chains that have not settled never will.
        generator: source of randomness.

    Returns:
        The rung and the chains, or None if swaps are accepted too seldom or chains do not settle.
    """
    depth = len(rung.draws)
    groups = len(rung.log_z) - 1
    reservoir = Reservoir(rung.draws, rung.energy, groups)
    accepted: list[Tensor] = []
    time = math.inf
    while len(accepted) < SETTLED * time:
        if len(accepted) >= most:
            return None
        wanted = math.ceil(SETTLED * time) if math.isfinite(time) else FIRST
        for _ in range(min(max(len(accepted), FIRST), wanted - len(accepted))):  # no more than was done already
            swept = sweep(model, frozen, hidden, reservoir, generator=generator)
            hidden = swept.hidden
            accepted.append(swept.accepted)
        late = torch.stack(accepted[len(accepted) // 2 :]).double().mean()
        if float(late) < least:
            return None
        time = level_time(torch.stack(accepted, 1))
    drawn = []
    for _ in range(depth):
        for _ in range(math.ceil(time)):
            swept = sweep(model, frozen, hidden, reservoir, generator=generator)
            hidden = swept.hidden
        drawn.append(swept.visible)
    draws = torch.stack(drawn)
    energy = model.free_energy(draws)
    up, down = rung.energy - model.free_energy(rung.draws), frozen.free_energy(draws) - energy
    log_z = rung.log_z + leave_one_out(grouped(up, groups), grouped(down, groups)).to(rung.log_z)
    return Rung(parameters_of(model), draws, energy, log_z, rung.time.new_tensor(time)), hidden


def level_time(accepted: Tensor) -> float:
    """Autocorrelation time 1 + 2 sum rho, at least 1, of which side of the swaps a chain's origin is on.

    ``accepted`` is ``[chains, sweeps]``. The side is 1 or -1, equally often at equilibrium, so its mean is known.
    Chains that do not swap make the time long.

    >>> flips = torch.rand(200, 400, generator=torch.Generator().manual_seed(0)) < 0.25
    >>> 2.8 < level_time(flips) < 3.2  # rho_t = (1 - 2 / 4)^t
    True
    """
    side = 1.0 - 2.0 * (accepted.cpu().long().cumsum(1) % 2).double()
    sweeps = side.shape[1]
    wave = torch.fft.rfft(side, n=2 * sweeps)
    products = torch.fft.irfft(wave.real.square() + wave.imag.square(), n=2 * sweeps).mean(0)[:sweeps]
    rho = (products / torch.arange(sweeps, 0, -1))[: sweeps // 2 + 1]
    return max(float(autocorrelation_time(rho.unsqueeze(0))), 1.0)


def grouped(values: Tensor, groups: int) -> Tensor:
    """``[depth, chains]`` as one row for each group of chains: ``[groups, depth * chains / groups]``."""
    return values.t().reshape(groups, -1)


@torch.no_grad()
def climb(
    model: RBM,
    offsets: tuple[Tensor, Tensor],
    depth: int,
    chains: int,
    groups: int,
    *,
    least: float,
    most: int,
    generator: torch.Generator,
) -> tuple[Rung, Tensor]:
    """The rung of ``model`` itself and its chains, from a machine without weights, whose draws and log Z are exact.

    The machines between have the share t of the interaction (v - mu).W.(h - lambda) around the ``offsets``, means over
    data. With t W and fixed biases a second mode could come up far from all chains, and be missed.

    Raises:
        DivergenceError: no such ladder leads there.
    """
    a, b = model.visible_bias + model.weight @ offsets[1], model.hidden_bias + offsets[0] @ model.weight
    unjoined = twin(model)
    unjoined.weight.zero_()
    unjoined.visible_bias.copy_(a)
    unjoined.hidden_bias.copy_(b)
    draws = model.visible.sample(a.expand(depth, chains, -1).contiguous(), generator=generator)
    log_z = (model.visible.cumulant(a.double()) + model.hidden.cumulant(b.double())).double()
    log_z = log_z.expand(1 + groups).clone()
    rung = Rung(parameters_of(unjoined), draws, unjoined.free_energy(draws), log_z, log_z.new_ones(()))
    hidden = model.hidden.sample(b.expand(chains, -1).contiguous(), generator=generator)
    found = advance(model, rung, hidden, least=least, most=most, finest=2.0**-20, generator=generator)
    if found is None:
        raise DivergenceError(
            "no ladder leads from the machine without weights to this one: its chains do not mix on the way; "
            "start from smaller weights"
        )
    return found


@torch.no_grad()
def advance(
    model: RBM, rung: Rung, hidden: Tensor, *, least: float, most: int, finest: float, generator: torch.Generator
) -> tuple[Rung, Tensor] | None:
    """`freeze`, by way of machines in between where it must be: their energies are weighted means of both ends'.

    None if a share of ``finest`` of the way is too far.
    """
    moving, frozen = twin(model), twin(model)
    start, goal = rung.parameters, parameters_of(model)
    reached, stride = 0.0, 1.0
    while reached < 1:
        target = min(1.0, reached + stride)
        put(moving, goal if target == 1 else [torch.lerp(p, q, target) for p, q in zip(start, goal, strict=True)])
        put(frozen, rung.parameters)
        found = freeze(moving, frozen, rung, hidden, least=least, most=most, generator=generator)
        if found is not None:
            rung, hidden = found
            reached = target
        elif stride / 2 < finest:
            return None
        else:
            stride /= 2
    return rung, hidden


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
