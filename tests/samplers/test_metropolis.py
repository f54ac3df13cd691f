"""Metropolis with every proposal of the core: exact starts on targets whose law is known, at any temperature."""

from functools import partial

import pytest
import torch
from torch.distributions import Independent, Normal

from deepgen.errors import ArgumentError, MissingCapability, ShapeError
from deepgen.samplers import Hamiltonian, Langevin, Metropolis, RandomWalk, Target, hmc, mala, metropolis, sample_chain
from deepgen.streams import Streams
from deepgen.testing import check_kernel, check_random, ks
from tests.samplers.targets import COVARIANCE, FACTOR, draw_image, draw_normal, image, normal, normal_law
from tests.testing.mutants import banana, banana_law, draw_banana, draw_gamma2, gamma2, gamma2_law

SIZES = {"walk": (RandomWalk, 1.0), "langevin": (Langevin, 0.9), "hamiltonian": (partial(Hamiltonian, leaps=4), 0.8)}
PROPOSALS = pytest.mark.parametrize("proposal", SIZES)


def made(proposal, factor=1.0, scale=None):
    kind, size = SIZES[proposal]
    return kind(size * factor, scale=scale)


@PROPOSALS
def test_the_banana_is_kept_and_balanced_in_detail(proposal, stream, alpha):
    kernel = metropolis(banana, made(proposal))
    check_kernel(kernel, draw_banana, p_values=banana_law, reversible=True, alpha=alpha, generator=stream)


@PROPOSALS
@pytest.mark.parametrize("scale", ["none", "diagonal", "dense"])
def test_a_correlated_normal_is_kept_at_every_scale(proposal, scale, stream, alpha):
    """Without a scale, steps fit the narrowest direction; with the factor of the covariance the target is round."""
    factors = {
        "none": (None, {"walk": 0.5, "langevin": 0.32, "hamiltonian": 0.625}),
        "diagonal": (COVARIANCE.diagonal().sqrt(), {"walk": 0.7, "langevin": 0.8, "hamiltonian": 0.82}),
        "dense": (FACTOR.float(), {"walk": 1.1, "langevin": 2.2, "hamiltonian": 2.0}),
    }
    factor, size = factors[scale]
    kernel = metropolis(normal, made(proposal, size[proposal], factor))
    check_kernel(kernel, draw_normal, p_values=normal_law, alpha=alpha, generator=stream)


@PROPOSALS
def test_events_may_be_images(proposal, stream, alpha):
    size = {"walk": 0.4, "langevin": 0.5, "hamiltonian": 1.0}[proposal]
    for scale in (None, 1.2 * torch.ones(8), torch.eye(8) + 0.3 * torch.ones(8, 8).tril(-1)):
        small = size if scale is None or scale.ndim == 1 else size / 2
        kernel = metropolis(image, made(proposal, small, scale))
        check_kernel(kernel, draw_image, acceptance=None, alpha=alpha, generator=stream)


@PROPOSALS
@pytest.mark.parametrize("per_chain", [False, True], ids=["number", "one a chain"])
def test_at_another_temperature_the_power_of_the_density_is_kept(proposal, per_chain, stream, alpha):
    """Half of the chains at beta 1 and half at 1/4 keep their own laws; as a number all are at 1/4."""

    def betas(n):
        return torch.where(torch.arange(n) % 2 == 0, 1.0, 0.25) if per_chain else torch.full((n,), 0.25)

    def draw(n, generator):
        z = betas(n).rsqrt().unsqueeze(1) * torch.randn(n, 2, generator=generator)
        return torch.stack([z[:, 0], 0.7 * z[:, 1] + z[:, 0].square() / 2], 1)

    class At:
        """The kernel at as many temperatures as there are chains."""

        exactness = Metropolis(Target(banana), RandomWalk(1.0)).exactness

        def kernel(self, n):
            return metropolis(banana, made(proposal)).at(betas(n) if per_chain else 0.25)

        def init(self, position):
            return self.kernel(len(position)).init(position)

        def step(self, state, *, generator):
            return self.kernel(len(state.position)).step(state, generator=generator)

    def law(x):
        cold = banana_law(x[::2], 1.0 if per_chain else 2.0)
        return cold + banana_law(x[1::2], 2.0)

    check_kernel(At(), draw, p_values=law, acceptance=None, alpha=alpha, generator=stream)


@PROPOSALS
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_the_path_to_a_reference_is_kept(proposal, beta, stream, alpha):
    """N(0, 1)^(1 - b) N(2, 1/4)^b is normal of precision 1 - b + 4 b and mean 8 b / precision."""
    reference = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    target = Target(lambda x: -2 * (x - 2).square().sum(-1), reference=reference)
    precision = 1 - beta + 4 * beta
    mean, sd = 8 * beta / precision, precision**-0.5

    def draw(n, generator):
        return mean + sd * torch.randn(n, 2, generator=generator)

    def law(x):
        return [ks((column.double() - mean) / sd, torch.special.ndtr) for column in x.T]

    size = {"walk": 1.4, "langevin": 2.0, "hamiltonian": 1.6}[proposal]
    factor = sd**2 if proposal == "langevin" else sd
    kernel = metropolis(target, made(proposal, size * factor)).at(beta)
    check_kernel(kernel, draw, p_values=law, acceptance=None, alpha=alpha, generator=stream)


@PROPOSALS
def test_float64_stays_float64(proposal, stream, alpha):
    draw = partial(draw_normal, dtype=torch.float64)
    size = {"walk": 1.1, "langevin": 2.2, "hamiltonian": 2.0}[proposal]
    for scale in (FACTOR, FACTOR.float()):
        kernel = metropolis(normal, made(proposal, size, scale))
        check_kernel(kernel, draw, p_values=normal_law, alpha=alpha, generator=stream)
        state, _ = kernel.step(kernel.init(draw(5, generator=stream)), generator=stream)
        assert all(value.dtype == torch.float64 for value in state)


@PROPOSALS
def test_float64_numbers_do_not_make_float32_chains_wider(proposal, stream):
    wide = torch.full((4,), 0.1, dtype=torch.float64)
    kernel = metropolis(normal, SIZES[proposal][0](wide, scale=FACTOR)).at(wide)
    state, _ = kernel.step(kernel.init(torch.zeros(4, 3)), generator=stream)
    assert all(value.dtype == torch.float32 for value in state)


@PROPOSALS
def test_where_the_density_is_nan_no_chain_goes_and_it_is_counted(proposal, stream, alpha):
    size = {"walk": 2.0, "langevin": 1.2, "hamiltonian": 0.6}[proposal]
    kernel = metropolis(gamma2, SIZES[proposal][0](size))
    check_kernel(kernel, draw_gamma2, p_values=gamma2_law, acceptance=None, alpha=alpha, generator=stream)
    trace = sample_chain(kernel, draw_gamma2(200, generator=stream), draws=50, generator=stream)
    assert trace.info["nan"].any()
    assert not (trace.info["nan"] & trace.info["accepted"]).any()
    assert (trace.draws > 0).all()


@PROPOSALS
def test_a_leap_that_diverges_stays_where_it_was(proposal, stream):
    kernel = metropolis(Independent(Normal(torch.zeros(2), torch.ones(2)), 1), SIZES[proposal][0](1e30))
    start = torch.randn(50, 2, generator=stream)
    trace = sample_chain(kernel, start, draws=3, generator=stream)
    assert torch.equal(trace.draws[-1], start)
    assert (trace.info["acceptance"] == 0).all()


@PROPOSALS
def test_acceptance_is_its_own_probability(proposal, stream, alpha):
    """Mean of (accepted - acceptance) is 0, with variance of the mean of a (1 - a)."""
    kernel = metropolis(banana, made(proposal))
    info = sample_chain(kernel, draw_banana(4000, generator=stream), draws=5, generator=stream).info
    chance = info["acceptance"].double()
    z = (info["accepted"].double() - chance).sum() / (chance * (1 - chance)).sum().sqrt()
    assert torch.special.erfc(z.abs() / 2**0.5) > alpha


@PROPOSALS
def test_a_chain_does_not_depend_on_those_beside_it(proposal, stream):
    kernel, start = metropolis(banana, made(proposal)), draw_banana(10, generator=stream)
    whole = sample_chain(kernel, start, draws=20, generator=Streams(5)).draws
    part = sample_chain(kernel, start[4:], draws=20, generator=Streams(5, first=4)).draws
    assert torch.allclose(whole[:, 4:], part, atol=1e-5)


@PROPOSALS
def test_randomness_keeps_its_contract(proposal, stream):
    kernel, start = metropolis(banana, made(proposal)), draw_banana(10, generator=stream)
    check_random(lambda generator: sample_chain(kernel, start, draws=3, generator=generator).draws, generator=stream)


@PROPOSALS
def test_no_graph_grows_over_the_steps(proposal, stream):
    kernel = metropolis(banana, made(proposal))
    state = kernel.init(draw_banana(5, generator=stream).requires_grad_())
    state, _ = kernel.step(state, generator=stream)
    assert not any(value.requires_grad for value in state)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), "large"])
def test_step_sizes_that_cannot_be_are_refused(wrong):
    for make in (RandomWalk, Langevin, Hamiltonian, lambda h: mala(banana, h), lambda h: hmc(banana, h)):
        with pytest.raises(ArgumentError, match="step_size must be a "):
            make(wrong)


def test_a_covariance_of_another_size_is_refused(stream):
    for covariance in (torch.eye(2), torch.ones(2)):
        kernel = mala(normal, 0.1, covariance=covariance)
        with pytest.raises(ShapeError, match=r"is of 2 numbers, an event \[3\] has 3"):
            kernel.step(kernel.init(torch.zeros(4, 3)), generator=stream)


def test_a_state_of_another_kernel_is_refused(stream):
    class Other:
        position = torch.zeros(3, 2)

    with pytest.raises(ShapeError, match="a step takes the Point"):
        metropolis(banana, RandomWalk(1.0)).step(Other(), generator=stream)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (3, "got int"),
        (RandomWalk, "got RandomWalk"),
        (mala(normal, 1.0), "kernel by itself"),
        (torch.nn.ReLU(), "ReLU"),
    ],
)
def test_what_is_no_proposal_is_refused(wrong, match):
    with pytest.raises(MissingCapability, match=match):
        metropolis(normal, wrong)
