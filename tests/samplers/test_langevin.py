"""Langevin kernels: MALA's ratio against densities written out, ULA against its own law and the slope of its bias."""

import pytest
import torch
from torch.distributions import Bernoulli, Gamma, MultivariateNormal, Normal

import deepgen as dg
from deepgen.errors import MissingCapability
from deepgen.samplers import Langevin, Target, mala, metropolis, sample_chain, ula
from deepgen.testing import check_kernel, ks
from tests.samplers.targets import COVARIANCE, FACTOR, draw_image, draw_normal, image, normal, normal_law
from tests.testing.mutants import banana, draw_banana


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize("covariance", [None, torch.tensor([2.0, 0.5]), torch.tensor([[2.0, 0.6], [0.6, 0.5]])])
def test_the_ratio_is_that_of_two_normal_densities(covariance, beta, stream, float64):
    """q(x' | x) = N(x + h/2 S beta g, h S), evaluated by torch."""
    target, h = Target(banana), 0.7
    s = torch.eye(2) if covariance is None else covariance.double()
    s = s.diag() if s.ndim == 1 else s
    kernel = mala(target, h, covariance=None if covariance is None else covariance.double())
    state = kernel.init(draw_banana(50, generator=stream))
    new, log_q = kernel.proposal.propose(target, state, beta, generator=stream)

    def log_density(to, start):
        return MultivariateNormal(start.position + h / 2 * beta * start.gradient @ s, h * s).log_prob(to.position)

    assert torch.allclose(log_q, log_density(state, new) - log_density(new, state), atol=1e-10)
    assert torch.allclose(new.gradient, target.slope(new.position)[1])


def own_law(h, s=1.0):
    """A draw and p-values of N(0, s^2 / (1 - h / (4 s^2))) in two dimensions."""
    sd = s / (1 - h / (4 * s**2)) ** 0.5

    def draw(n, generator):
        return sd * torch.randn(n, 2, generator=generator)

    def law(x):
        return [ks(column.double() / sd, torch.special.ndtr) for column in x.T]

    return draw, law


@pytest.mark.parametrize(("h", "s"), [(1.0, 1.0), (0.2, 1.0), (2.0, 1.5)])
def test_ula_keeps_its_own_law(h, s, stream, alpha):
    draw, law = own_law(h, s)
    kernel = ula(lambda x: -(x / s).square().sum(-1) / 2, h)
    check_kernel(kernel, draw, p_values=law, reversible=True, alpha=alpha, generator=stream)
    assert str(kernel.exactness) == "biased (O(step size))"


def test_ula_with_a_covariance_is_ula_in_round_coordinates(stream, alpha):
    """In z = L^-1 x the target is N(0, 1), so x has 1 / (1 - h/4) times its covariance."""
    kernel, wider = ula(normal, 1.0, covariance=COVARIANCE), (4 / 3) ** 0.5
    check_kernel(
        kernel,
        lambda n, generator: wider * draw_normal(n, generator=generator),
        p_values=lambda x: normal_law(x / wider),
        alpha=alpha,
        generator=stream,
    )


def test_ula_of_images_at_a_temperature(stream, alpha):
    """image is N(0, 1/4); at beta 1/2 it is N(0, 1/2), of which ULA's own law is wider."""
    wider = (2 / (1 - 0.2 / (4 * 0.5))) ** 0.5

    def draw(n, generator):
        return wider * draw_image(n, generator=generator)

    check_kernel(ula(image, 0.2).at(0.5), draw, alpha=alpha, generator=stream)


def test_the_bias_of_ula_grows_in_proportion_to_the_step(stream, alpha):
    """E x^2 - 1 = h / (4 - h): at h and h/2, started at the own law so that no warm-up is in it."""
    found = {}
    for h in (0.4, 0.2):
        start = own_law(h)[0](100_000, stream)
        trace = sample_chain(ula(lambda x: -x.square().sum(-1) / 2, h), start, draws=1, thin=40, generator=stream)
        square = trace.draws[0].double().square().mean(1)
        bias, error = square.mean() - 1, square.std() / len(square) ** 0.5
        assert torch.special.erfc((bias - h / (4 - h)).abs() / error / 2**0.5) > alpha
        found[h] = float(bias), float(error)
    slope = (found[0.4][0] - found[0.2][0]) / 0.2
    error = (found[0.4][1] ** 2 + found[0.2][1] ** 2) ** 0.5 / 0.2
    assert abs(slope - (0.4 / 3.6 - 0.2 / 3.8) / 0.2) < 6 * error
    assert error < 0.05  # so that twice the slope would not pass


def test_a_gradient_is_computed_once_a_step(stream):
    calls = []

    def counted(x):
        calls.append(len(x))
        return banana(x)

    kernel = mala(counted, 0.5)
    state = kernel.init(draw_banana(7, generator=stream))
    before = len(calls)
    for _ in range(5):
        state, _ = kernel.step(state, generator=stream)
    assert len(calls) - before == 5


def test_an_exact_gradient_takes_the_place_of_autograd(stream):
    plain = mala(banana, 0.5)

    def both(x):
        y = (x[:, 1] - x[:, 0].square() / 2) / 0.49
        return banana(x), torch.stack([-x[:, 0] + y * x[:, 0], -y], 1)

    given = mala(Target(banana, both), 0.5)
    start = draw_banana(20, generator=stream)
    a, b = (sample_chain(k, start, draws=5, generator=3).draws for k in (plain, given))
    assert torch.allclose(a, b, atol=1e-4)


def test_nan_densities_are_reported_by_ula(stream):
    """Below 0 log x is NaN, and its gradient 1 / x is a number."""
    kernel = ula(lambda x: x.log().sum(-1) - x.sum(-1), 0.1)
    state, info = kernel.step(kernel.init(torch.tensor([[3.0], [-3.0]])), generator=stream)
    state, info = kernel.step(state, generator=stream)
    assert info.nan.tolist() == [False, True]


def test_targets_that_have_no_gradient_moves_are_refused():
    for make in (lambda t: mala(t, 0.1), lambda t: ula(t, 0.1), dg.samplers.hmc):
        with pytest.raises(MissingCapability, match="moves over real numbers, and this target is discrete"):
            make(Bernoulli(0.3))
        with pytest.raises(MissingCapability, match=r"Gamma lies on .*, and kernels move over all real numbers"):
            make(Gamma(2.0, 1.0))


def test_distributions_and_models_are_targets(stream, alpha):
    kernel = metropolis(Normal(0.0, 1.0), Langevin(3.0))
    check_kernel(kernel, lambda n, generator: torch.randn(n, generator=generator), alpha=alpha, generator=stream)
    flow = dg.explicit.RealNVP(2, hidden=[8], generator=0)

    def draw(n, generator):
        return flow.sample(n, generator=generator).detach()

    check_kernel(mala(flow, 1.5), draw, acceptance=None, alpha=alpha, generator=stream)
    assert all(p.grad is None for p in flow.parameters())


def test_a_scale_is_the_factor_of_the_covariance():
    kernel = mala(normal, 0.5, covariance=COVARIANCE.double())
    assert torch.allclose(kernel.proposal.scale, FACTOR)
