"""log Z of an energy model: by listing all states of few binary variables, or along the path from its base.

    log Z = log sum_x exp f(x) r(x)            (at most 2^20 states)
    f_beta(x) = exp(beta f(x)) r(x)            Z_0 = 1, as the base r is normalised and drawn from exactly

AIS moves by Hamiltonian steps in the scale of the base, or for binary rows by ten moves of `dmala` at each temperature;
their size is tuned on other chains beforehand. So every move is exact, and the log Z that AIS states lies below the
true one in expectation.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, MissingCapability
from deepgen.evaluate.annealed import Schedule, Temperatures, schedule
from deepgen.evaluate.estimate import Estimate
from deepgen.explicit.energy import EnergyModel
from deepgen.random import resolve
from deepgen.samplers.compose import thin
from deepgen.samplers.tempered_path import TemperedPath

MAX_BITS = 20
_LEAPS, _MOVES, _ROWS = 5, 10, 2**14


def energy_path(model: EnergyModel, *, generator: torch.Generator) -> TemperedPath:
    """The annealing path of ``model``, its moves tuned.

    Raises:
        MissingCapability: it has no base, and so nowhere to start.

    >>> import deepgen as dg
    >>> base = dg.distributions.MultivariateNormal(2)
    >>> model = dg.explicit.EnergyModel(dg.layers.ScalarMLP(2, generator=0), base=base)
    >>> energy_path(model, generator=dg.random.generator(0)).log_base
    0.0
    """
    if model.base is None:
        raise MissingCapability(
            "this EnergyModel has no base, so nothing to anneal from, and perhaps no finite log Z: make it with base=, "
            "such as EnergyModel(net, base=deepgen.distributions.MultivariateNormal(features))"
        )
    # without the jumps of a proposal, which are the model's at one temperature only
    if model.discrete:
        moves = thin(model.local_kernel("dmala", step_size=0.3), _MOVES)
    else:
        moves = model.local_kernel("hmc", step_size=0.3, leaps=_LEAPS)
    return TemperedPath(moves).tuned(generator=generator)


def prepare(
    model: EnergyModel, base: Tensor | None, temperatures: Temperatures, generator: torch.Generator | int | None
) -> tuple[TemperedPath, Schedule, dict[str, Any], torch.Generator]:
    """Path, temperatures, settings and generator of an annealed estimate.

    >>> import deepgen as dg
    >>> base = dg.distributions.MultivariateNormal(2)
    >>> model = dg.explicit.EnergyModel(dg.layers.ScalarMLP(2, generator=0), base=base)
    >>> prepare(model, None, 10, 0)[2]
    {'base': 'its own MultivariateNormal'}
    """
    if base is not None:
        raise ArgumentError("the path of an EnergyModel starts at its own base: leave base= out")
    stream = resolve(generator, model.rows(torch.empty(0)).device)
    path = energy_path(model, generator=stream)
    plan = schedule(path, temperatures, generator=stream)
    return path, plan, {"base": f"its own {type(model.base).__name__}"}, stream


def enumerable(model: EnergyModel) -> bool:
    """Whether all states can be listed: binary rows of at most 20 variables.

    >>> import deepgen as dg
    >>> enumerable(dg.explicit.EnergyModel(dg.layers.ScalarMLP(8), event_shape=8, support="binary"))
    True
    """
    return model.discrete and model.event_shape is not None and model.event_shape.numel() <= MAX_BITS


@torch.no_grad()
def enumerate_log_partition(model: EnergyModel) -> Estimate:
    """log Z by summing over all binary rows, in float64 of the network's own numbers.

    Raises:
        ArgumentError: real rows, or more than 20 variables.

    >>> import deepgen as dg
    >>> model = dg.explicit.EnergyModel(
    ...     dg.layers.ScalarMLP(8, generator=0), support="binary", base=dg.distributions.IndependentBernoulli(8)
    ... )
    >>> print(enumerate_log_partition(model) + 1.0)  # the network starts near zero
    1.00 nats (exact; enumeration of 8 binary variables)
    """
    if not enumerable(model):
        raise ArgumentError(
            f"exact enumeration is for binary rows of at most {MAX_BITS} variables; "
            'use method="ais" or method="bidirectional"'
        )
    shape: Any = model.event_shape
    width = shape.numel()
    total, powers = torch.tensor(-math.inf, dtype=torch.float64), 2 ** torch.arange(width)
    for numbers in torch.arange(2**width).split(_ROWS):
        x = (numbers.unsqueeze(1) & powers).bool().reshape(-1, *shape)
        total = torch.logaddexp(total, model.log_density(model.rows(x)).double().logsumexp(0).cpu())
    return Estimate(float(total), 0.0, "exact", f"enumeration of {width} binary variables")
