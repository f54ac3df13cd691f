"""Tempering of finite discrete targets: log Z at beta = 0 is the log of the number of states, at 1 by enumeration."""

import math

import pytest
import torch
from torch.distributions import constraints

import deepgen as dg
from deepgen.distributions import OneHotGroups
from deepgen.errors import MissingCapability
from deepgen.explicit import Gaussian
from deepgen.explicit.units import digits
from deepgen.samplers import Target, dmala, flips, gibbs_with_gradients, ladder, sample_chain, tempering
from deepgen.samplers.swaps import _log_base
from tests.grids import ising, potts

BETAS = [0.0, 0.4, 1.0]
MAKE = {
    "gibbs": lambda model: model.gibbs(),
    "flips": flips,
    "gibbs with gradients": gibbs_with_gradients,
    "dmala": lambda model: dmala(model, 2.0),
    "two of them": lambda model: dg.samplers.cycle(flips(model), gibbs_with_gradients(model)),
}


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("model", [ising((2, 3)), potts((2, 3))], ids=["ising", "potts"])
def test_log_z_of_a_grid_is_that_of_the_transfer_matrix(make, model, stream):
    start = model.sample(200, generator=stream)
    trace = sample_chain(tempering(MAKE[make](model), BETAS), start, draws=100, warmup=20, generator=stream)
    found = ladder(trace).log_partition()
    assert found.stderr < 0.1
    assert abs(found.value - model.log_partition().item()) < 5 * found.stderr


def test_log_z_of_one_hot_groups_and_of_integers(stream):
    weights = torch.tensor([0.3, -0.5, 1.0, 0.2, 0.1, -0.8])
    for support, states in (
        (OneHotGroups(3), torch.eye(3)[digits(0, 9, 3, 2)].flatten(1)),
        (constraints.integer_interval(-1, 2), digits(0, 64, 4, 3).float() - 1),
    ):

        def log_density(x):
            return x @ weights[: x.shape[1]]

        kernel = tempering(flips(log_density, support=support), BETAS)
        start = states[:1].float().expand(200, -1)
        found = ladder(sample_chain(kernel, start, draws=200, warmup=50, generator=stream)).log_partition()
        assert abs(found.value - float(log_density(states.float()).logsumexp(0))) < 5 * found.stderr


def test_it_is_not_known_off_zero_or_where_values_are_endless(stream):
    kernel = tempering(flips(ising((2, 3))), [0.1, 1.0])
    trace = sample_chain(kernel, torch.ones(5, 2, 3), draws=10, generator=stream)
    with pytest.raises(MissingCapability, match=r"log Z is not known at beta = 0\.1"):
        ladder(trace).log_partition()
    target = Target(lambda x: -x.sum(-1), support=constraints.nonnegative_integer)
    assert dg.samplers.alphabet.log_states(target, torch.zeros(2, 3)) is None
    bits = Target(lambda x: -x.sum(-1), support=constraints.boolean)
    assert dg.samplers.alphabet.log_states(bits, torch.zeros(2, 3)) == pytest.approx(3 * math.log(2))


def test_log_z_at_zero_is_computed_where_the_machine_is(monkeypatch):
    """The numbers of a Gaussian layer, lambda, are there too."""
    seen = []

    def cumulant(self, field):
        seen.append(field.device.type)
        return torch.zeros(())

    monkeypatch.setattr(Gaussian, "cumulant", cumulant)
    machine = dg.RBM(Gaussian(3), 2).to("meta")
    kernel = tempering(machine.gibbs(), [0.0, 1.0])
    monkeypatch.setattr(type(machine.hidden), "cumulant", lambda self, field: torch.zeros(()))
    assert _log_base(kernel, None) == 0.0
    assert seen == ["meta"]
