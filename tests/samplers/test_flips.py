"""Single flips on every discrete support: from one start to the enumerated law. Proposals keep to their supports."""

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, constraints

import deepgen as dg
from deepgen.distributions import OneHotGroups, spin
from deepgen.errors import MissingCapability, SupportError
from deepgen.explicit.units import digits
from deepgen.samplers import (
    Flip,
    Hamiltonian,
    Involution,
    Langevin,
    RandomWalk,
    Reversible,
    Target,
    advance,
    flips,
    metropolis,
    thin,
    velocity_couplings,
)
from deepgen.testing import check_kernel, integrate
from tests.grids import draws_of, fit_of, ising, potts

pytestmark = pytest.mark.filterwarnings("ignore:.*passed at a mean acceptance")
PULL = torch.tensor([0.4, -0.7, 1.1, 0.2, -0.3, 0.6])

CASES = {  # support, states, their width
    "bits": (constraints.boolean, digits(0, 16, 2, 4)),
    "spins": (spin, digits(0, 16, 2, 4) * 2 - 1),
    "integers": (constraints.integer_interval(-1, 2), digits(0, 64, 4, 3) - 1),
    "one-hot": (OneHotGroups(3), torch.eye(3)[digits(0, 9, 3, 2)].flatten(1)),
}


def law_of(function, states):
    return integrate(lambda z: -function(z.float()).double(), states.double(), [])


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_every_state_is_reached_from_one_start(name, flat, stream):
    support, states = CASES[name]

    def function(x):
        return 0 * x.sum(-1) if flat else x @ PULL[: x.shape[1]] + 0.5 * x[:, 0] * x[:, 1]

    kernel = thin(flips(function, support=support), 2)  # every other state: single flips would keep the parity
    state = kernel.init(states[:1].float().expand(8000, -1))
    ends = advance(kernel, state, 40, generator=dg.random.streams(stream)).position
    assert min(law_of(function, states).p_values(ends)) > 1e-6


@pytest.mark.parametrize("model", [ising((2, 3)), potts((2, 3))], ids=["ising", "potts"])
def test_grids_keep_their_law_at_any_temperature(model, stream, alpha):
    check_kernel(
        flips(model), draws_of(model), p_values=fit_of(model), steps=20, reversible=True, alpha=alpha, generator=stream
    )
    hot = flips(model).at(0.5)
    check_kernel(
        hot, draws_of(model, 0.5), p_values=fit_of(model, 0.5), steps=20, reversible=True, alpha=alpha, generator=stream
    )


def test_a_reference_takes_the_other_share(stream, alpha):
    support, states = CASES["bits"]
    logits = torch.tensor([1.0, -1.0, 0.5, 2.0])
    target = Target(lambda x: x @ PULL[:4], support=support, reference=Independent(Bernoulli(logits=logits), 1))
    law = law_of(lambda x: 0.3 * (x @ PULL[:4]) + 0.7 * (x @ logits), states)
    kernel = flips(target).at(0.3)
    draw = lambda n, generator: law.sample(n, generator=generator).float()  # noqa: E731
    check_kernel(kernel, draw, p_values=law.p_values, steps=20, reversible=True, alpha=alpha, generator=stream)


def test_at_most_one_variable_moves(stream):
    state = flips(potts((2, 3))).init(torch.zeros(2000, 2, 3))
    moved, _ = flips(potts((2, 3))).step(state, generator=stream)
    assert set((moved.position != 0).sum((1, 2)).tolist()) == {0, 1}
    assert set(moved.position.unique().tolist()) == {0.0, 1.0, 2.0}


def test_chains_of_single_numbers_flip(stream):
    kernel = flips(lambda x: 2 * x)
    ends = advance(kernel, kernel.init(torch.zeros(8000)), 40, generator=dg.random.streams(stream)).position
    up = float(torch.tensor(2.0).sigmoid())
    assert abs(float(ends.mean()) - up) < 4.9 * (up * (1 - up) / 8000) ** 0.5


def test_what_flips_refuse():
    def total(x):
        return x.sum(-1)

    with pytest.raises(SupportError, match="chain 1 has others"):
        flips(total).init(torch.tensor([[0.0, 1.0], [0.3, 1.0]]))
    with pytest.raises(SupportError, match="Spin"):
        flips(ising((2, 2))).init(torch.zeros(1, 2, 2))
    for real in (Target(total), Normal(0.0, 1.0)):
        with pytest.raises(MissingCapability, match="flips the values of a discrete target, and the support is Real"):
            flips(real)
    with pytest.raises(MissingCapability, match="the support is Real"):
        metropolis(total, Flip()).init(torch.zeros(1, 2))
    with pytest.raises(SupportError, match="two values or more"):
        flips(total, support=constraints.integer_interval(2, 2))


@pytest.mark.parametrize(
    "proposal",
    [
        RandomWalk(1.0),
        Langevin(0.5),
        Hamiltonian(0.5),
        Reversible(velocity_couplings(4, dg.transforms.Shift, hidden=[8], generator=0)),
        Involution(dg.explicit.RealNVP(4, hidden=[8], generator=0)),
    ],
    ids=lambda proposal: type(proposal).__name__,
)
def test_proposals_over_real_numbers_refuse_discrete_targets(proposal):
    name = type(proposal).__name__
    with pytest.raises(MissingCapability, match=f"{name} moves over real numbers, and this target is discrete"):
        metropolis(dg.explicit.MADE(4, hidden=[4]), proposal).init(torch.ones(2, 4))
