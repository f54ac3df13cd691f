"""Targets with a known answer: their answers against quadrature, their draws against their densities."""

import math

import pytest
import torch

from deepgen.samplers import RandomWalk, as_target, metropolis
from deepgen.samplers.target import slope_of
from deepgen.streams import Streams
from deepgen.testing import check_kernel, ks, targets

PLANE = [
    (targets.ring, 6.0, 1001),
    (targets.ring5, 7.0, 2001),
    (targets.mog2, 10.0, 1001),
    (targets.mog6, 10.0, 1001),
    (targets.unequal_mixture, 15.0, 2001),
    (targets.banana, 16.0, 1601),
]
ALL = [make for make, _, _ in PLANE] + [targets.ill_conditioned, targets.correlated, targets.rough_well]


@pytest.mark.parametrize(("make", "reach", "points"), PLANE)
def test_moments_and_log_z_against_quadrature(make, reach, points):
    target = make()
    line = torch.linspace(-reach, reach, points, dtype=torch.float64)
    x = torch.cartesian_prod(line, line)
    log_f = target.log_density(x)
    log_z = float(log_f.logsumexp(0)) + 2 * math.log(2 * reach / (points - 1))
    assert log_z == pytest.approx(target.log_z, abs=1e-4)
    weight, y = log_f.softmax(0).unsqueeze(1), target.statistic(x)
    mean = (weight * y).sum(0)
    torch.testing.assert_close(mean, target.mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close((weight * (y - mean).square()).sum(0), target.variance, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("make", [targets.ill_conditioned, targets.correlated])
def test_gaussians_against_torch(make):
    target = make()
    x = target.sample(50, generator=0).double()
    covariance = torch.linalg.inv(-torch.autograd.functional.hessian(lambda v: target.log_density(v[None])[0], x[0]))
    law = torch.distributions.MultivariateNormal(0 * x[0], covariance)
    torch.testing.assert_close(target.log_density(x) - target.log_z, law.log_prob(x))
    torch.testing.assert_close(target.variance, law.variance)


def test_the_rough_well_against_its_bessel_series():
    eta, target = 0.5, targets.rough_well(1, eta=0.5)  # exp(-eta cos t) = I_0(eta) + 2 sum_k (-1)^k I_k(eta) cos k t
    from scipy.special import iv

    terms = [(1 if k == 0 else 2) * (-1) ** k * iv(k, eta) * math.exp(-((k / eta) ** 2) / 2) for k in range(20)]
    slopes = [term * (1 - (k / eta) ** 2) for k, term in enumerate(terms)]
    assert target.log_z == pytest.approx(math.log(math.sqrt(2 * math.pi) * sum(terms)), abs=1e-8)
    assert float(target.variance) == pytest.approx(sum(slopes) / sum(terms), abs=1e-6)


@pytest.mark.parametrize("make", ALL)
def test_draws_have_the_moments(make, stream):
    target, n = make(), 20_000
    y = target.statistic(target.sample(n, generator=stream)).double()
    error = (target.variance / n).sqrt()
    assert bool(((y.mean(0) - target.mean).abs() < 6 * error).all())
    square = (y - target.mean).square()
    assert bool(((square.mean(0) - target.variance).abs() < 6 * square.std(0) / n**0.5).all())


@pytest.mark.parametrize("make", ALL)
def test_draws_stay_under_an_exact_kernel(make, seed, alpha):
    target = make()
    size = {"ill-conditioned Gaussian": 0.06, "correlated Gaussian": 0.2, "rough well": 1.0}.get(target.name, 0.5)
    kernel = metropolis(target, RandomWalk(size))
    check_kernel(
        kernel,
        lambda n, generator: target.sample(n, generator=generator),
        steps=20,
        n=2048,
        alpha=alpha,
        generator=seed,
    )


@pytest.mark.parametrize("make", ALL)
def test_gradients_by_hand_are_those_of_autograd(make):
    target = make()
    x = target.sample(20, generator=1).double()
    value, gradient = target.slope(x)
    expected, by_autograd = slope_of(target.log_density, x)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, by_autograd)


def test_a_row_has_its_own_stream():
    whole = targets.mog6().sample(10, generator=Streams(3))
    assert torch.equal(whole[4:], targets.mog6().sample(6, generator=Streams(3, first=4)))
    assert as_target(targets.ring()).log_density is not None


def test_effective_size_of_an_autoregressive_chain(stream):
    a, steps, chains = 0.8, 4000, 40
    target = targets.mixture("one", [[1.0]], [2.0])
    x, path = torch.randn(chains, 1, generator=stream), []
    for _ in range(steps):
        x = a * x + (1 - a * a) ** 0.5 * torch.randn(chains, 1, generator=stream)
        path.append(1 + 2 * x)
    lags = int(math.log(0.05) / math.log(a))  # those with a^s > 0.05
    expected = steps / (1 + 2 * sum(a**s for s in range(1, lags + 1)))
    assert float(target.effective(torch.stack(path))) == pytest.approx(expected, rel=0.1)


def test_a_chain_in_one_mode_has_no_effective_draws(stream):
    stuck = 5 + 0.5 * torch.randn(500, 4, 2, generator=stream)
    assert float(targets.mog2().effective(stuck)[0]) < 2


def test_the_table_draws_what_it_says(stream, alpha):
    r = targets.ring().sample(5000, generator=stream).norm(dim=1)
    at = torch.linspace(1e-6, 6, 60_001, dtype=torch.float64)
    mass = (at.log() - ((at - 2) / 0.4).square()).softmax(0).cumsum(0)
    assert ks(r, lambda v: mass[torch.searchsorted(at, v).clamp_max(len(at) - 1)]) > alpha
