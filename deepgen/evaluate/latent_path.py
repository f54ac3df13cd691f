"""Annealing in the latent space: for every row x of data a path of densities over z, and chains that go along it.

    f_beta(z) = p(z) p(x | z)^beta                                 from the prior;      Z_0 = 1,  Z_1 = p(x)
    f_beta(z) = q(z | x)^(1 - beta) (p(z) p(x | z))^beta           from the posterior q of the model

The chains' axis is rows x chains, so that many rows anneal at once; they move by Hamiltonian trajectories. A pilot on a
few of the rows finds for each temperature the step size that is accepted 65 times in 100, pooled over rows and chains,
and the temperatures, at equal thermodynamic length. Then all is fixed, and every move leaves its density invariant.

Source: Wu, Burda, Salakhutdinov & Grosse 2017, "On the quantitative analysis of decoder-based generative models".
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import constraints

from deepgen.errors import ArgumentError, MissingCapability, check_count, is_whole
from deepgen.evaluate.annealed import Temperatures
from deepgen.evaluate.importance import check_weights
from deepgen.evaluate.latent_rows import at, blocks, drawn, log_likelihood
from deepgen.progress import bar
from deepgen.random import key, streams
from deepgen.rest import at_rest
from deepgen.samplers.annealing import anneal, check_betas, equal_length
from deepgen.samplers.hamiltonian import hmc
from deepgen.samplers.laws import innermost
from deepgen.samplers.target import Target
from deepgen.samplers.tempered_path import TemperedPath
from deepgen.streams import Streams

GROUP = 1000  # chains that run together: bounds the memory
_ACCEPTANCE = 0.65  # aimed at, as in the paper
_ROWS, _CHAINS, _PILOT = 32, 4, 100  # rows, chains a row and temperatures of the pilot
_VARIANCE, _FEWEST, _MOST = 0.5, 100, 10_000  # of the log weights aimed at, and temperatures, when adaptive
_POWER = {"prior": 4.0, "posterior": 1.0}  # most of the way from a prior to a posterior lies at small beta
_FAR = 1e15  # where no chain of any use goes, and networks overflow


class Plan(NamedTuple):
    """How rows are annealed, found by `plan` and then fixed.

    betas: temperatures from 0 to 1, float64; kind: how they were placed; log_steps, power: of `TemperedPath`; leaps: of
    a trajectory; start: ``prior`` or ``posterior``.
    """

    betas: Tensor
    kind: str
    log_steps: Tensor
    power: float
    leaps: int
    start: str


def row_path(model: Any, x: Tensor, context: Tensor | None, chains: int, leaps: int, start: str) -> TemperedPath:
    """The path of ``rows x chains`` chains, those of a row beside each other.

    Raises:
        MissingCapability: z is discrete or bounded: trajectories need all real numbers.

    >>> import deepgen as dg, deepgen.testing
    >>> model = dg.testing.LinearGaussian(5, 2, generator=0)
    >>> path = row_path(model, model.sample(3, generator=0), None, 4, 10, "prior")
    >>> path.init(torch.zeros(12, 2)).log_density.shape
    torch.Size([12])
    """
    view = at(model, None if context is None else context.repeat_interleave(chains, 0))
    x = x.repeat_interleave(chains, 0)
    prior = view.prior()
    if innermost(prior.support) not in (constraints.real, constraints.real_vector):
        raise MissingCapability(
            f"the prior lies on {prior.support}, and Hamiltonian trajectories move over all real numbers: "
            "AIS is for latent variables that are real"
        )

    axes = len(prior.event_shape)

    def log_joint(z: Tensor) -> Tensor:  # laws refuse NaN parameters, which a trajectory that diverges would give
        inside = (z.abs() < _FAR).reshape(len(z), -1).all(1)
        safe = torch.where(inside.reshape(-1, *(1,) * (z.ndim - 1)), z, 0.0)
        return torch.where(inside, log_likelihood(view, safe, x, axes) + prior.log_prob(safe), -torch.inf)

    with torch.no_grad():
        law = prior if start == "prior" else view.posterior(x)
    return TemperedPath(hmc(Target(log_joint, reference=law), 0.1, leaps=leaps))


def starts(model: Any, x: Tensor, context: Tensor | None, chains: int, start: str, stream: torch.Generator) -> Tensor:
    """Exact draws at beta = 0 for every chain ``[rows * chains, *latent]``, those of a row beside each other."""
    found = []
    for block in blocks(model, x, context, stream):
        law = block.view.prior() if start == "prior" else block.view.posterior(block.x)
        z, _ = drawn(law, chains, len(block.x), block.stream)
        found.append(z.transpose(0, 1).flatten(0, 1))
    return torch.cat(found)


def check_annealing(chains: int, temperatures: Temperatures | Plan, leaps: int, start: str) -> None:
    """Raise `ArgumentError` unless these say how to anneal, before anything is computed.

    >>> check_annealing(16, 1, 10, "prior")
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: temperatures must be a number of at least 2, a tensor from 0 to 1, or "adaptive", ...
    """
    check_count(2, chains=chains)
    check_count(leaps=leaps)
    if isinstance(temperatures, Plan):
        return
    if not isinstance(start, str) or start not in _POWER:
        raise ArgumentError(f'start must be "prior" or "posterior", got {start!r}')
    if isinstance(temperatures, Tensor):
        check_betas(temperatures)
    elif not (
        (is_whole(temperatures) and temperatures >= 2) or (isinstance(temperatures, str) and temperatures == "adaptive")
    ):
        raise ArgumentError(
            f'temperatures must be a number of at least 2, a tensor from 0 to 1, or "adaptive", got {temperatures!r}'
        )


@torch.no_grad()
def plan(
    model: Any,
    x: Tensor,
    context: Tensor | None = None,
    *,
    temperatures: Temperatures = "adaptive",
    leaps: int = 10,
    start: str = "prior",
    generator: torch.Generator,
) -> Plan:
    """Step sizes and temperatures from a pilot: 4 chains on each of at most 32 rows, spread evenly over ``x``.

    Args:
        model, x, context: as for `deepgen.evaluate.latent_ais`.
        temperatures: a number of them, placed at equal thermodynamic length; the values themselves, from 0 to 1; or
            ``"adaptive"``, so many that the log weights would have a variance of 0.5 if the chains mixed at once (at
            least 100, at most 10,000).
        leaps: leapfrog steps of a trajectory.
        start: ``prior`` or ``posterior``.
        generator: source of randomness.

    >>> import deepgen as dg, deepgen.testing
    >>> model = dg.testing.LinearGaussian(5, 2, generator=0)
    >>> found = plan(model, model.sample(8, generator=0), temperatures=50, generator=dg.random.generator(0))
    >>> len(found.betas), bool((found.betas.diff() > 0).all())
    (50, True)
    """
    check_annealing(_CHAINS, temperatures, leaps, start)
    pick = torch.linspace(0, len(x) - 1, min(len(x), _ROWS)).round().long().to(x.device)
    rows, beside, power = x[pick], None if context is None else context[pick], _POWER[start]
    stream = streams(key(generator), generator.device)
    position = starts(model, rows, beside, _CHAINS, start, generator)
    with at_rest(model):
        path = row_path(model, rows, beside, _CHAINS, leaps, start)
        path = path.tuned(generator=stream, position=position, acceptance=_ACCEPTANCE, power=power)
    assert path.log_steps is not None
    steps = torch.tensor(path.log_steps, dtype=torch.float64)
    if isinstance(temperatures, Tensor):
        return Plan(check_betas(temperatures), "given", steps, power, leaps, start)
    knots = torch.linspace(0, 1, _PILOT, dtype=torch.float64) ** power
    position = starts(model, rows, beside, _CHAINS, start, generator)
    with at_rest(model):
        spreads = _spread(path, position, knots, stream)
    if is_whole(temperatures):
        count, kind = int(temperatures), "equal thermodynamic length"
    else:
        count = int(min(max(float(spreads.sum()) ** 2 / _VARIANCE, _FEWEST), _MOST))
        kind = "adaptive, equal thermodynamic length"
    return Plan(equal_length(knots, spreads, count), kind, steps, power, leaps, start)


def _spread(path: TemperedPath, position: Tensor, knots: Tensor, stream: torch.Generator) -> Tensor:
    """Standard deviation of each increment of the log weights between the chains of a row: ``[knots - 1]``."""
    state, found = path.init(position), []
    for old, new in pairwise(knots.tolist()):
        state, log_ratio = path.step(state, old, new, generator=stream)
        found.append(log_ratio.view(-1, _CHAINS).var(1).mean().sqrt().cpu())
    return torch.stack(found).nan_to_num(0.0, 0.0, 0.0)


@torch.no_grad()
def run(
    model: Any,
    x: Tensor,
    context: Tensor | None,
    plan: Plan,
    position: Tensor,
    betas: Tensor,
    *,
    name: str,
    generator: torch.Generator,
    progress: bool = False,
) -> Tensor:
    """Log weights ``[rows, chains]``, float64, of chains from ``position`` ``[rows * chains, *latent]`` on.

    Each chain has random numbers of its own, so that they do not depend on which rows run together.
    """
    chains = len(position) // len(x)
    each, seed, found = max(1, GROUP // chains), key(generator), []
    total = -(-len(x) // each) * (len(betas) - 1)
    with at_rest(model), bar(what=name, unit="temperature", show=progress, total=total) as moved:
        for first in range(0, len(x), each):
            rows, beside = x[first : first + each], None if context is None else context[first : first + each]
            path = row_path(model, rows, beside, chains, plan.leaps, plan.start)
            path = TemperedPath(path.kernel, log_steps=plan.log_steps, power=plan.power)
            state = path.init(position[first * chains : (first + each) * chains])
            own = Streams(seed, first=first * chains, device=x.device)
            _, log_weights = anneal(path, state, betas, generator=own, tick=moved.update)
            found.append(log_weights.view(-1, chains))
    return check_weights(torch.cat(found))
