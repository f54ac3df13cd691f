"""The numba path from end to end, on machines small enough to enumerate. Single steps are in test_annealing.py."""

from statistics import NormalDist

import pytest
import torch

from deepgen.evaluate import Bracket, log_partition
from deepgen.explicit import RBM
from deepgen.samplers import anneal, rbm_path
from deepgen.samplers.binary_path import BinaryPath
from deepgen.samplers.sparse_path import SparsePath
from deepgen.testing import Exact


@pytest.fixture
def always(monkeypatch):
    """Small machines take `SparsePath` too."""
    monkeypatch.setattr("deepgen.explicit.compiled.LARGE", 0)


def machine(scale, bias, stream):
    """A negative bias switches most units off, so that rows are summed; a positive one takes the matrix products."""
    model = RBM(10, 7, generator=stream)
    with torch.no_grad():
        model.weight.normal_(0.0, scale, generator=stream)
        model.visible_bias.normal_(bias, 0.3, generator=stream)
        model.hidden_bias.normal_(bias, 0.3, generator=stream)
    return model


@pytest.mark.parametrize("bias", [-2.5, 2.5])
@pytest.mark.parametrize("temperatures", [40, 300])  # few: large steps, by logarithms; many: by the polynomial
def test_log_z_from_both_sides(bias, temperatures, always, stream, alpha):
    model = machine(1.0, bias, stream)
    assert isinstance(rbm_path(model), SparsePath)
    exact = Exact(model)
    truth, samples = exact.log_z.item(), exact.sample(1000, generator=stream)[0]
    found = log_partition(
        model, "bidirectional", samples=samples, exact_samples=True, chains=1000, temperatures=temperatures,
        generator=stream,
    )  # fmt: skip
    assert isinstance(found, Bracket)
    for one in (found.below, found.above):
        assert one.stderr < 0.08  # a factor of two is 0.69
        low, high = one.interval(1 - alpha)
        assert low - one.stderr < truth < high + one.stderr  # the weights are skewed, and their logarithm is a bound


@pytest.mark.parametrize("bias", [-2.5, 2.5])
@pytest.mark.parametrize("betas", [[0.0, 1.0], [0.0, 0.3, 0.6, 1.0], [0.0, 0.05, 0.1, 0.4, 0.4, 1.0]])
def test_weights_are_unbiased_for_z(bias, betas, always, stream, alpha):
    """E[w] = Z / Z_0 for any temperatures, however few; downwards from exact draws E[w] = Z_0 / Z."""
    model = machine(0.25, bias, stream)
    path, exact, chains = rbm_path(model), Exact(model), 20_000
    truth = exact.log_z.item() - path.log_base
    limit = 1.1 * NormalDist().inv_cdf(1 - alpha / 2)
    for sign, start, order in (
        (1, path.start(chains, generator=stream), betas),
        (-1, exact.sample(chains, generator=stream)[0], betas[::-1]),
    ):
        _, log_weights = anneal(path, path.init(start), torch.tensor(order), generator=stream)
        w = (log_weights - sign * truth).exp()
        error = float(w.std()) / chains**0.5
        assert error < 0.02  # tame weights: a normal limit serves
        assert abs(float(w.mean()) - 1) < limit * error


def test_it_is_chosen_by_size_and_layers(monkeypatch):
    small, real = RBM(4, 3), RBM(4, 3).double()
    assert isinstance(rbm_path(small), BinaryPath)
    monkeypatch.setattr("deepgen.explicit.compiled.LARGE", 0)
    assert isinstance(rbm_path(small), SparsePath)
    assert not isinstance(rbm_path(real), BinaryPath | SparsePath)
    monkeypatch.setattr("deepgen.compiled.THREADS", 0)
    assert isinstance(rbm_path(small), BinaryPath)


def test_units_of_large_fields_side_by_side_do_not_underflow(stream):
    """Without weights AIS is exact; in runs that share the units' total evenly, the left ones would reach e^-120."""
    model = RBM(4, 1000, generator=stream)
    with torch.no_grad():
        model.weight.zero_()
        model.hidden_bias.zero_()[:500] = 24.0
    exact = 4 * torch.tensor(2.0).log() + torch.nn.functional.softplus(model.hidden_bias.double()).sum()
    path = BinaryPath(model, torch.zeros(4))
    state = path.init(path.start(3, generator=stream))
    _, log_weights = anneal(path, state, torch.linspace(0, 1, 101), generator=stream)
    assert torch.allclose(path.log_base + log_weights, exact, rtol=1e-5)
