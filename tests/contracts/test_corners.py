"""Corner cases that turn into NaN elsewhere: constant columns, huge weights, one row, one unit."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.explicit import RBM
from deepgen.testing import Exact
from tests.contracts.layers import LAYERS, PAIRS, machine


def finite(rbm):
    return all(bool(p.isfinite().all()) for p in rbm.parameters())


def constant_rows(units, n, stream):
    return units.sample(torch.zeros(1, units.width), generator=stream).repeat(n, 1)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.split("-")[1] in ("bernoulli", "mixed")])
@pytest.mark.parametrize("rows", [1, 7])
def test_constant_data_fit(pair, rows, stream):
    """Zero-variance columns, one row, and a batch larger than the data."""
    rbm = RBM(*(LAYERS[kind]() for kind in pair.split("-")), generator=0)
    x = constant_rows(rbm.visible, rows, stream)
    rbm.initialise(x)
    for objective in (dg.objectives.PersistentCD(chains=5), dg.objectives.ContrastiveDivergence()):
        dg.fit(rbm, x, objective, epochs=3, batch_size=100, progress=False)
    assert finite(rbm)
    assert rbm.log_density(x).isfinite().all()
    likelihood = dg.evaluate.log_likelihood(rbm, x, "ais", chains=10, temperatures=20, generator=stream)
    assert math.isfinite(likelihood.value)
    if rows == 1:
        assert math.isnan(likelihood.stderr_data)


@pytest.mark.parametrize("size", [1e2, 1e4])
@pytest.mark.parametrize("pair", [pair for pair in PAIRS if not {"gaussian", "learned", "mixed"} & {*pair.split("-")}])
def test_huge_weights_of_discrete_layers(pair, size, stream):
    rbm = machine(pair, torch.float64)
    with torch.no_grad():
        rbm.weight.mul_(size)
    v = rbm.visible.enumerate(0, rbm.visible.states)
    assert torch.allclose(rbm.log_density(v), Exact(rbm).log_density(v), rtol=1e-12)
    assert rbm.sample(10, steps=3, generator=stream).isfinite().all()
    found = dg.evaluate.log_partition(rbm, "exact").value
    assert found == pytest.approx(Exact(rbm).log_z.item(), rel=1e-12)


@pytest.mark.parametrize("pair", PAIRS)
def test_huge_biases(pair, stream):
    rbm = machine(pair, torch.float64)
    with torch.no_grad():
        rbm.hidden_bias.mul_(1e2)
    v = rbm.sample(10, steps=3, generator=stream)
    assert torch.allclose(rbm.log_density(v), Exact(rbm).log_density(v), rtol=1e-7)
    with torch.no_grad():
        rbm.hidden_bias.mul_(1e2)
    v = rbm.sample(10, steps=3, generator=stream)
    assert v.isfinite().all()
    assert rbm.float().log_density(v).isfinite().all()


@pytest.mark.parametrize("kind", LAYERS)
def test_one_unit_on_either_side(kind, stream):
    for visible, hidden in ((LAYERS[kind](), 1), (1, LAYERS[kind]())):
        rbm = RBM(visible, hidden, generator=stream)
        x = rbm.sample(5, steps=2, generator=stream)
        rbm.check(x)
        assert torch.allclose(rbm.log_density(x).double(), Exact(rbm).log_density(x), atol=1e-4)
        found = dg.evaluate.log_partition(rbm, "exact").value
        assert found == pytest.approx(Exact(rbm).log_z.item(), abs=1e-5)


def test_what_cannot_be_normalised_is_infinite_everywhere():
    rbm = RBM(dg.explicit.Gaussian(1), dg.explicit.Gaussian(1), generator=0)
    with torch.no_grad():
        rbm.weight.fill_(1.5)
    assert Exact(rbm).log_z == math.inf
    assert dg.evaluate.log_partition(rbm, "exact").value == math.inf


def test_units_that_nothing_reaches():
    """A visible and a hidden unit with zero weights: they add their own entropy and nothing else."""
    rbm = machine("bernoulli-bernoulli", torch.float64)
    with torch.no_grad():
        rbm.weight[0], rbm.weight[:, 0], rbm.visible_bias[0], rbm.hidden_bias[0] = 0.0, 0.0, 0.0, 0.0
    small = RBM(2, 2).double()
    with torch.no_grad():
        small.weight.copy_(rbm.weight[1:, 1:])
        small.visible_bias.copy_(rbm.visible_bias[1:])
        small.hidden_bias.copy_(rbm.hidden_bias[1:])
    assert Exact(rbm).log_z.item() == pytest.approx(Exact(small).log_z.item() + 2 * math.log(2), rel=1e-12)
    assert dg.evaluate.log_partition(rbm, "exact").value == pytest.approx(Exact(rbm).log_z.item(), rel=1e-12)
