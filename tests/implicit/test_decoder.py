"""Generators with a stated noise, against probabilistic PCA, which is a linear one."""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

import deepgen as dg
from deepgen.implicit import Decoder
from deepgen.testing import LinearGaussian


@pytest.fixture
def oracle(stream):
    return LinearGaussian(5, 2, sigma=0.5, generator=stream).double().requires_grad_(False)


@pytest.fixture
def model(oracle):
    network = nn.Linear(2, 5).double().requires_grad_(False)
    network.weight.copy_(oracle.weight)
    network.bias.copy_(oracle.bias)
    return Decoder(network, dg.distributions.StandardNormal(2).double(), 0.5)


def test_laws_are_those_of_the_linear_model(model, oracle, stream):
    z = torch.randn(3, 4, 2, generator=stream, dtype=torch.float64)
    x = oracle.sample(4, generator=stream)
    assert torch.allclose(model.likelihood(z).log_prob(x), oracle.likelihood(z).log_prob(x))
    assert torch.allclose(model.prior().log_prob(z), oracle.prior().log_prob(z))
    assert isinstance(model, dg.typing.Joint)
    assert not isinstance(model, dg.typing.Latent)


def test_draws_follow_the_marginal(model, oracle, stream, alpha):
    p = dg.testing.same_law(
        model.sample(5000, generator=stream), oracle.sample(5000, generator=stream), generator=stream
    )
    assert min(p) > alpha / len(p)


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
def test_its_likelihood_is_annealed_by_default(model, oracle, stream, alpha):
    x = oracle.sample(20, generator=stream)
    found = dg.evaluate.log_likelihood(model, x, chains=8, temperatures=80, generator=stream)
    low, high = found.interval(1 - alpha)
    assert found.method == "AIS in z"
    assert low < float(oracle.log_prob(x).mean()) < high + 0.05


def test_images_and_likelihoods_of_two_numbers(stream):
    class Noise(nn.Module):
        numbers = 2

        def forward(self, parameters, event_dims):
            mean, log_sigma = parameters
            return Independent(Normal(mean, log_sigma.exp()), event_dims)

    network = nn.Sequential(nn.Linear(3, 2 * 4 * 4), nn.Unflatten(1, (2, 4, 4)))
    model = Decoder(network, 3, Noise())
    law = model.likelihood(torch.zeros(7, 5, 3))
    assert law.batch_shape == (7, 5)
    assert law.event_shape == (1, 4, 4)
    out = network(torch.zeros(1, 3))[0]
    assert torch.allclose(law.mean[0, 0, 0], out[0])
    assert torch.allclose(law.stddev[0, 0, 0], out[1].exp())
    assert model.sample(6, generator=stream).shape == (6, 1, 4, 4)


def test_what_is_refused():
    with pytest.raises(dg.errors.ArgumentError, match="likelihood"):
        Decoder(nn.Linear(2, 5), 2, -1.0)
    with pytest.raises(dg.errors.ArgumentError, match="numbers"):
        Decoder(nn.Linear(2, 5), 2, nn.Identity())
    with pytest.raises(dg.errors.ArgumentError, match="sigma"):
        Decoder(nn.Linear(2, 5), 2, "normal")
    with pytest.raises(dg.errors.ShapeError, match=r"z must be \[..., 2\]"):
        Decoder(nn.Linear(2, 5), 2, 1.0).likelihood(torch.zeros(3, 4))
