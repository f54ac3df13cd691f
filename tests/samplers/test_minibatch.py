"""Posteriors over data, and what minibatches make of them."""

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError
from deepgen.samplers import Minibatches, Posterior
from deepgen.streams import Streams
from tests.samplers.stochastic import check_moments, linear


def test_the_whole_is_prior_and_likelihood():
    posterior, precision, mode = linear()
    law = MultivariateNormal(mode, precision_matrix=precision)
    x = torch.randn(5, 2, generator=dg.random.generator(0))
    apart = posterior.log_density(x) - law.log_prob(x)
    assert torch.allclose(apart, apart[:1].expand(5), atol=1e-3)
    assert torch.allclose(posterior.slope(x)[1], -(x - mode) @ precision, rtol=1e-4, atol=1e-3)
    assert torch.equal(posterior.reference.log_prob(x), posterior.log_prior(x))


@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_estimates_are_unbiased_and_their_covariance_is_known(common, centred, stream):
    posterior, _precision, mode = linear()
    x, n = mode + torch.tensor([0.5, -0.2]), 20_000

    def log_likelihood(x, y):  # not linear in x, so that a control variate leaves something
        return -(y - x.unsqueeze(1)).cosh().log().sum(-1)

    posterior = Posterior(posterior.reference, log_likelihood, posterior.rows)
    batches = posterior.minibatches(4, common=common, centre=mode if centred else None)
    if common:  # many calls of few chains
        gradients = torch.cat([batches.estimate(x.expand(1, 2), generator=stream)[1] for _ in range(2_000)])
        n = 2_000
    else:
        value, gradients = batches.estimate(x.expand(n, 2), generator=dg.random.streams(stream))
        assert abs(value.mean() - posterior.value(x[None])[0]) < 6 * value.std() / n**0.5
    check_moments(gradients, posterior.slope(x[None])[1][0], batches.gradient_noise(x))


def test_the_covariance_of_the_gradient_in_closed_form():
    posterior, _precision, mode = linear()
    inverse = (linear()[1] - torch.eye(2)) / 60
    rows = posterior.rows[0].double()
    expected = 60**2 / 5 * inverse.double() @ rows.mT.cov(correction=0) @ inverse.double()
    for chunk in (7, 4096):
        assert torch.allclose(posterior.minibatches(5).gradient_noise(mode, chunk=chunk), expected, rtol=1e-4)
    assert posterior.minibatches(5, centre=mode).gradient_noise(mode + 1).abs().max() < 1e-6 * expected.max()


def test_each_row_is_drawn_as_often(stream, alpha):
    posterior = Posterior(Normal(0.0, 1.0), lambda x, y: y - x, torch.arange(7))
    (rows,) = posterior.minibatches(3).draw(10_000, generator=dg.random.streams(stream))
    assert rows.shape == (10_000, 3)
    assert dg.testing.chi_square(torch.bincount(rows.flatten()), torch.full((7,), 1 / 7)) > alpha
    (rows,) = posterior.minibatches(30_000, common=True).draw(5, generator=dg.random.streams(stream))
    assert rows.shape == (1, 30_000)
    assert dg.testing.chi_square(torch.bincount(rows.flatten()), torch.full((7,), 1 / 7)) > alpha


@pytest.mark.parametrize("common", [False, True])
def test_a_chain_does_not_depend_on_how_chains_are_split(common, seed):
    batches = linear()[0].minibatches(4, common=common)
    kernel, start = dg.samplers.sgld(batches, 0.01), torch.randn(6, 2, generator=dg.random.generator(seed))
    whole = dg.samplers.sample_chain(kernel, start, draws=5, generator=Streams(3)).draws
    part = dg.samplers.sample_chain(kernel, start[4:], draws=5, generator=Streams(3, first=4)).draws
    assert torch.allclose(whole[:, 4:], part, rtol=1e-5, atol=1e-6)
    plain = dg.samplers.sample_chain(kernel, start, draws=5, generator=Streams(4)).draws
    assert not torch.equal(whole, plain)


def test_common_numbers_are_shared_and_new_at_every_call():
    first, other = Streams(5), Streams(5, first=17)
    a = dg.random.shared(4, generator=first, dtype=torch.float64)
    assert torch.equal(a, dg.random.shared(4, generator=other, dtype=torch.float64))
    assert not torch.equal(a, dg.random.shared(4, generator=first, dtype=torch.float64))
    assert not torch.equal(a.float(), first.uniform((1, 4))[0])


def test_exact_kernels_refuse_minibatches():
    batches = linear()[0].minibatches(4)
    for make in (dg.samplers.mala, dg.samplers.ula, dg.samplers.hmc):
        with pytest.raises(MissingCapability, match=r"without \.minibatches"):
            make(batches, 0.1)
    with pytest.raises(MissingCapability, match="minibatches only estimate"):
        dg.samplers.metropolis(batches, dg.samplers.RandomWalk(0.1))


def test_exact_kernels_take_the_whole(stream, alpha):
    posterior, precision, mode = linear()
    law = MultivariateNormal(mode, precision_matrix=precision)
    kernel = dg.samplers.mala(posterior, 0.02)
    draw = lambda n, generator: dg.random.draw(law, (n,), generator=generator)  # noqa: E731
    dg.testing.check_kernel(kernel, draw, steps=5, n=1024, alpha=alpha, generator=stream)


def test_what_is_refused():
    with pytest.raises(ShapeError, match="one number of rows"):
        Posterior(Normal(0.0, 1.0), lambda x, y, z: y, (torch.ones(3), torch.ones(4)))
    with pytest.raises(ShapeError, match="at least 1"):
        Posterior(Normal(0.0, 1.0), lambda x, y: y, torch.ones(0, 2))
    with pytest.raises(MissingCapability, match="prior must be"):
        Posterior(3.0, lambda x, y: y, torch.ones(3))
    with pytest.raises(ShapeError, match=r"must be \[2, 3\], one number a row, got \[2\]"):
        Posterior(Normal(0.0, 1.0), lambda x, y: x[:, 0], torch.ones(3)).log_density(torch.ones(2, 1))
    with pytest.raises(ArgumentError, match="size must be"):
        linear()[0].minibatches(0)
    with pytest.raises(ShapeError, match="one number a row"):
        dg.samplers.sgld(Minibatches(Posterior(Normal(0.0, 1.0), lambda x, y: x, torch.ones(3)), 2), 0.1).init(
            torch.zeros(4, 2)
        )
    with pytest.raises(MissingCapability, match="discrete"):
        dg.samplers.sgld(dg.explicit.MADE(4, hidden=[8]), 0.1)


def test_a_chain_that_ran_away_is_nan_and_not_an_error(stream):
    posterior, _precision, mode = linear()
    lost = torch.stack([mode, torch.full((2,), torch.nan), mode])
    assert posterior.value(lost).isnan().tolist() == [False, True, False]
    _state, info = dg.samplers.sgld(posterior.minibatches(4), 0.01).step(
        dg.samplers.sgld(posterior.minibatches(4), 0.01).init(lost), generator=stream
    )
    assert info.nan.tolist() == [False, True, False]
    assert posterior.reference._validate_args is not False  # the caller's own Distribution is as it was
    with pytest.raises(ValueError, match="within the support"):
        posterior.reference.log_prob(lost)


def test_data_and_centres_of_the_wrong_kind_are_refused():
    posterior, _, mode = linear()
    for wrong in ([1.0, 2.0], torch.ones(3).numpy()):
        with pytest.raises(ShapeError, match=r"data must be a tensor .* got (float|ndarray): "):
            Posterior(Normal(0.0, 1.0), lambda m, x: -(x - m).square() / 2, wrong)
    for wrong in (torch.zeros(3), torch.zeros(1, 2), 0.0):
        with pytest.raises(ShapeError, match=r"centre must be one event, \[2\]"):
            posterior.minibatches(5, centre=wrong)
    with pytest.raises(SupportError, match="centre must be finite"):
        posterior.minibatches(5, centre=mode * torch.nan)
    own = Posterior(lambda x: -x.square().sum(1), posterior.log_likelihood, posterior.rows)  # of no known event
    with pytest.raises(ShapeError, match=r"centre must be one event, \[1, 2\], got \[2\]"):
        dg.samplers.sgld(own.minibatches(5, centre=mode), 0.1).init(torch.zeros(4, 1, 2))
    with pytest.raises(ArgumentError, match="chunk must be"):
        posterior.minibatches(5).gradient_noise(mode, chunk=0)
