"""The pseudo-likelihood against conditionals of the enumerated joint law."""

import math
from statistics import NormalDist

import pytest
import torch

from deepgen.errors import ArgumentError, MissingCapability
from deepgen.evaluate import log_likelihood, pseudo_likelihood
from deepgen.evaluate.softplus_sums import digit_tables
from deepgen.explicit import DBM, DBN, MAF, RBM, Bernoulli, Gaussian
from tests.evaluate.machines import PAIRS, exact_samples, machine

DISCRETE = [pair for pair in PAIRS if not pair.startswith(("gaussian", "product-bernoulli"))]


@torch.no_grad()
def by_conditionals(model, x):
    """sum_i log p(x) - log sum over the values of unit i, from the joint law of all visible states."""
    states = model.visible.enumerate(0, model.visible.states)
    log_p = model.log_density(states).log_softmax(0)
    total = 0.0
    for row in x.double():
        here = float(log_p[(states == row).all(1)])
        for table in digit_tables(model.visible):
            columns = (table != 0).any(0)
            same = (states[:, ~columns] == row[~columns]).all(1)
            total += here - float(log_p[same].logsumexp(0))
    return total / len(x)


@pytest.mark.parametrize("pair", DISCRETE)
def test_full_agrees_with_the_joint_law(pair, stream):
    model = machine(pair, 1.0, stream).double()
    x = exact_samples(model, 8, stream)
    found = pseudo_likelihood(model, x)
    assert found.value == pytest.approx(by_conditionals(model, x), rel=1e-9)
    assert found.side == "undetermined"
    assert found.stderr == 0.0


@pytest.mark.parametrize("pair", ["bernoulli-bernoulli", "softmax-spin"])
@pytest.mark.parametrize("units", [1, 2])
def test_stochastic_version_is_unbiased(pair, units, stream, alpha):
    model = machine(pair, 1.0, stream)
    x = exact_samples(model, 5000, stream)
    full, some = pseudo_likelihood(model, x), pseudo_likelihood(model, x, units=units, generator=stream)
    assert abs(some.value - full.value) < NormalDist().inv_cdf(1 - alpha / 2) * some.stderr
    assert some.stderr < 0.1 * abs(full.value)  # half the units, or twice the scale, would be five errors away or more


def test_huge_weights_stay_finite(stream):
    model = machine((Bernoulli(6), Bernoulli(4)), 500.0, stream).double()
    x = exact_samples(model, 4, stream)
    found = pseudo_likelihood(model, x).value
    assert math.isfinite(found)
    assert found == pytest.approx(by_conditionals(model, x), rel=1e-9, abs=1e-9)


def test_refusals(stream):
    model = RBM(4, 3)
    for wrong in (5, 0, -1, 1.5, "2", True):
        with pytest.raises(ArgumentError, match="units must be"):
            pseudo_likelihood(model, torch.zeros(2, 4), units=wrong)
    with pytest.raises(MissingCapability, match="discrete"):
        pseudo_likelihood(RBM(Gaussian(4), 3), torch.zeros(2, 4))
    assert log_likelihood(model, torch.zeros(2, 4), "pseudo").method == "pseudo-likelihood"


@pytest.mark.parametrize("model", [DBM(4, [3, 2], generator=0), DBN(4, [3, 2], generator=0), MAF(4, generator=0)])
def test_it_is_of_machines_with_two_layers(model):
    with pytest.raises(MissingCapability, match="of an RBM"):
        pseudo_likelihood(model, torch.zeros(2, 4))
