"""The oracle of latent-variable models against itself: integrals over z, moments of draws, Bayes."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.testing import LinearGaussian


@pytest.fixture
def model(stream):
    return LinearGaussian(6, 3, sigma=0.7, generator=stream).double()


def test_prior_times_likelihood_is_posterior_times_evidence(model, stream):
    x = model.sample(5, generator=stream)
    z = torch.randn(7, 5, 3, generator=stream, dtype=torch.float64)
    joint = model.prior().log_prob(z) + model.likelihood(z).log_prob(x)
    assert torch.allclose(joint, model.exact_posterior(x).log_prob(z) + model.log_prob(x), atol=1e-9)


def test_log_prob_is_the_integral_over_z(stream):
    model = LinearGaussian(2, 1, sigma=0.5, generator=stream).double()
    x = model.sample(4, generator=stream)
    z = torch.linspace(-12, 12, 40_001, dtype=torch.float64).view(-1, 1, 1)
    joint = model.prior().log_prob(z) + model.likelihood(z.expand(-1, 4, 1)).log_prob(x)
    assert torch.allclose(joint.logsumexp(0) + math.log(24 / 40_000), model.log_prob(x), atol=1e-8)


def test_draws_follow_the_marginal(model, stream, alpha):
    x, other = model.sample(20_000, generator=stream), dg.random.draw(model.marginal(), (20_000,), generator=stream)
    p = dg.testing.same_law(x, other.detach(), generator=stream)
    assert min(p) > alpha / len(p)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.3, 1.0), (0.0, 1.4), (-0.2, 0.6)])
def test_the_gap_is_the_divergence_of_torch(stream, shift, scale):
    model = LinearGaussian(6, 3, sigma=0.7, shift=shift, scale=scale, generator=stream).double()
    x = model.sample(4, generator=stream)
    known = torch.distributions.kl_divergence(model.posterior(x), model.exact_posterior(x))
    assert torch.allclose(known, torch.full_like(known, model.gap), atol=1e-9)


def test_it_has_the_protocols_and_keeps_the_contract(model, stream):
    assert isinstance(model, dg.typing.Latent)
    assert dg.testing.check_model(model, model.sample(4, generator=stream), generator=stream)[:2] == [
        "LogProb",
        "Samples",
    ]


def test_wrong_arguments_and_rows_are_refused(model):
    with pytest.raises(dg.errors.ArgumentError, match="sigma"):
        LinearGaussian(3, 2, sigma=0.0)
    with pytest.raises(dg.errors.ShapeError, match=r"\[rows, 6\]"):
        model.log_prob(torch.zeros(2, 5))
    with pytest.raises(dg.errors.SupportError, match="NaN"):
        model.log_prob(torch.full((2, 6), math.nan))
