"""Warm-up: the acceptance reaches its aim, the covariance its error, the kernel is frozen, far starts come back."""

import dataclasses

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.random import streams
from deepgen.samplers import (
    Adaptive,
    Flip,
    Independence,
    dmala,
    hmc,
    independence,
    mala,
    metropolis,
    random_walk,
    require_exact,
    sample_chain,
)
from deepgen.samplers.adaptation import Moments
from deepgen.testing import CheckFailed, check_kernel
from tests.samplers.targets import COVARIANCE, draw_normal, image, normal, normal_law

KERNELS = pytest.mark.parametrize("make", [mala, hmc, random_walk], ids=["mala", "hmc", "walk"])


@KERNELS
def test_the_acceptance_reaches_its_aim(make, stream):
    adaptive = make(normal)
    aim = adaptive.kernel.proposal.acceptance
    trace = sample_chain(adaptive, torch.zeros(256, 3), draws=50, warmup=300, generator=stream)
    assert abs(float(trace.info["acceptance"].mean()) - aim) < 0.04


@pytest.mark.parametrize(("size", "aim"), [(1, 0.44), (2, 0.234), (20, 0.234)])
def test_a_walk_has_another_aim_in_one_dimension(size, aim, stream):
    kernel = random_walk(lambda x: -x.square().sum(1) / 2)
    start = torch.randn(256, size, generator=stream)
    trace = sample_chain(kernel, start, draws=50, warmup=300, generator=stream)
    assert abs(float(trace.info["acceptance"].mean()) - aim) < 0.03
    own = Adaptive(kernel.kernel, acceptance=0.3)
    trace = sample_chain(own, start, draws=50, warmup=300, generator=stream)
    assert abs(float(trace.info["acceptance"].mean()) - 0.3) < 0.03


def test_a_walk_with_a_step_size_is_the_kernel_itself():
    kernel = random_walk(normal, 0.7, covariance=COVARIANCE)
    assert kernel.proposal.step_size == 0.7
    assert torch.allclose(kernel.proposal.scale @ kernel.proposal.scale.mT, COVARIANCE)
    with pytest.raises(MissingCapability, match="random_walk moves over real numbers"):
        random_walk(dg.explicit.Ising((3, 3)))


@KERNELS
def test_another_aim(make, stream):
    adaptive = Adaptive(make(normal).kernel, acceptance=0.5)
    trace = sample_chain(adaptive, torch.zeros(256, 3), draws=50, warmup=300, generator=stream)
    assert abs(float(trace.info["acceptance"].mean()) - 0.5) < 0.04


@KERNELS
def test_the_covariance_is_learned(make, stream):
    """256 chains of which a quarter of 300 steps counts: more than 1,000 effective draws, so 20 % is 4.5 errors."""
    kernel, _ = make(normal).tune(draw_normal(256, generator=stream), 300, generator=streams(stream))
    found = kernel.proposal.scale @ kernel.proposal.scale.mT
    deviations = COVARIANCE.diagonal().sqrt()
    assert ((found - COVARIANCE) / torch.outer(deviations, deviations)).abs().max() < 0.2


@KERNELS
def test_what_comes_out_is_an_exact_kernel(make, stream, alpha):
    kernel, _ = make(normal).tune(torch.zeros(64, 3), 200, generator=streams(stream))
    require_exact(kernel, "annealing")
    check_kernel(kernel, draw_normal, p_values=normal_law, acceptance=(0.2, 0.9), alpha=alpha, generator=stream)


def test_an_adaptive_kernel_is_not_taken_for_an_exact_one(stream):
    with pytest.raises(MissingCapability, match="adaptive"):
        require_exact(mala(normal), "annealing")
    with pytest.raises(CheckFailed, match="adaptive: check the kernel that its tune returns"):
        check_kernel(mala(normal), draw_normal, generator=stream)


@KERNELS
def test_the_frozen_kernel_does_not_change_any_more(make, stream):
    """The trace's kernel, run on from its own state and streams, is the run that never stopped."""
    whole = sample_chain(make(normal), torch.zeros(8, 3), draws=20, warmup=60, generator=5)
    first = sample_chain(make(normal), torch.zeros(8, 3), draws=12, warmup=60, generator=5)
    size, scale = first.kernel.proposal.step_size.clone(), first.kernel.proposal.scale.clone()
    second = sample_chain(first.kernel, first.state, draws=8, generator=first.generator)
    assert torch.equal(torch.cat([first.draws, second.draws]), whole.draws)
    assert torch.equal(second.kernel.proposal.step_size, size)
    assert torch.equal(second.kernel.proposal.scale, scale)


@KERNELS
def test_one_chain_is_enough(make, stream):
    """The variances within a factor of 3, and an acceptance within 0.2 of its aim, after 1,500 steps."""
    adaptive = make(normal)
    trace = sample_chain(adaptive, torch.zeros(1, 3), draws=500, warmup=1500, generator=stream)
    scale = trace.kernel.proposal.scale
    assert ((scale @ scale.mT).diagonal() / COVARIANCE.diagonal()).log2().abs().max() < 1.5
    assert abs(float(trace.info["acceptance"].mean()) - adaptive.kernel.proposal.acceptance) < 0.2


@pytest.mark.parametrize("make", [mala, hmc], ids=["mala", "hmc"])
@pytest.mark.parametrize("width", [1.0, 0.1])
def test_chains_that_start_far_away_come_back(make, width, stream):
    """From x = 1000, ten thousand standard deviations at the narrower width."""
    kernel = make(lambda x: -(x / width).square().sum(-1) / 2)
    trace = sample_chain(kernel, torch.full((64, 4), 1000.0), draws=200, warmup=300, generator=stream)
    assert abs(float(trace.draws.std()) / width - 1) < 0.1
    assert abs(float(trace.draws.mean())) < 0.1 * width


@KERNELS
def test_step_sizes_from_the_far_ends_are_found(make, stream):
    """Widths of 1e-4 and 1e4 from a first step of 1: the second window already knows the scale."""
    for width in (1e-4, 1e4):
        adaptive = make(lambda x, w=width: -(x / w).square().sum(-1) / 2)
        start = width * torch.randn(128, 2, generator=stream)
        trace = sample_chain(adaptive, start, draws=100, warmup=400, generator=stream)
        assert abs(float(trace.draws.std()) / width - 1) < 0.1


def test_divergences_in_the_warm_up_are_survived(stream):
    """log f of a quartic overflows where the first steps go; no NaN is left behind."""
    kernel = hmc(lambda x: -x.pow(4).sum(-1) * 1e4)
    trace = sample_chain(kernel, torch.randn(64, 2, generator=stream), draws=100, warmup=400, generator=stream)
    assert trace.draws.isfinite().all()
    assert float(trace.info["acceptance"].mean()) > 0.5
    second = 1e-2 * 0.33799  # E x^2 = Gamma(3/4) / Gamma(1/4) c^(-1/2) of exp(-c x^4)
    assert abs(float(trace.draws.square().mean()) / second - 1) < 0.1


def test_a_warm_up_that_is_too_short_is_refused(stream):
    with pytest.raises(ArgumentError, match="at least 20 steps"):
        sample_chain(mala(normal), torch.zeros(8, 3), draws=5, warmup=19, generator=stream)
    with pytest.raises(ArgumentError, match="warmup"):
        sample_chain(mala(normal), torch.zeros(8, 3), draws=5, generator=stream)
    assert sample_chain(mala(normal), torch.zeros(8, 3), draws=5, warmup=20, generator=stream).draws.isfinite().all()


def test_what_has_nothing_to_tune_is_refused():
    q = torch.distributions.MultivariateNormal(torch.zeros(3), torch.eye(3))
    with pytest.raises(MissingCapability, match="Independence has no step_size"):
        Adaptive(metropolis(normal, Independence(q)))
    with pytest.raises(MissingCapability, match="Flip has no step_size"):
        Adaptive(metropolis(lambda x: x.sum(-1), Flip()), covariance=False)
    with pytest.raises(MissingCapability, match="Independence has no step_size"):
        Adaptive(independence(normal, q))
    with pytest.raises(ArgumentError, match="covariance=False"):
        Adaptive(dmala(dg.explicit.Ising((3, 3)), 1.0))
    with pytest.raises(ArgumentError, match="acceptance"):
        Adaptive(mala(normal, 1.0), acceptance=60)


def test_images_learn_variances_or_a_covariance(stream):
    for dense, shape in ((True, (8, 8)), (False, (8,))):
        adaptive = Adaptive(mala(image).kernel, dense=dense)
        kernel, state = adaptive.tune(torch.zeros(64, 2, 2, 2), 200, generator=streams(stream))
        assert kernel.proposal.scale.shape == shape
        assert state.position.shape == (64, 2, 2, 2)
        assert float(kernel.proposal.scale.square().sum() / 8) == pytest.approx(0.25, rel=0.3)


def test_float64_is_kept(stream):
    trace = sample_chain(mala(normal), torch.zeros(8, 3).double(), draws=5, warmup=50, generator=stream)
    assert trace.draws.dtype == trace.kernel.proposal.scale.dtype == torch.float64


@pytest.mark.parametrize("dense", [True, False])
def test_moments_are_those_of_all_positions(dense, stream):
    x = 1e4 + draw_normal(4000, generator=stream, dtype=torch.float64)
    moments = Moments(x[:100], dense)
    for part in x.split(100):
        moments.add(part)
    expected = torch.cov(x.mT, correction=0)
    found = moments.scale()
    got = found @ found.mT if dense else found.square().diag()
    assert torch.allclose(got, expected if dense else expected.diagonal().diag(), rtol=1e-6, atol=1e-6)


def test_positions_that_never_moved_give_a_scale_that_can_be_used():
    moments = Moments(torch.ones(5, 3), True)
    for _ in range(10):
        moments.add(torch.ones(5, 3))
    assert (moments.scale().diagonal() > 0).all()


@pytest.mark.parametrize("size", [1, 2])
def test_the_aim_of_single_numbers_is_that_of_ladders_and_paths_too(size, stream):
    law = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(size), 3.0), 1)
    target = dg.samplers.Target(lambda x: -x.square().sum(-1) / 2, reference=law)
    walk = dg.samplers.metropolis(target, dg.samplers.RandomWalk(1.0))
    aim = 0.44 if size == 1 else 0.234
    assert dg.samplers.tempering(walk, 4)._aim(walk.init(torch.zeros(5, size))) == aim
    assert (
        dg.samplers.tempering(dg.samplers.random_walk(target), [0.5, 1.0])._aim(walk.init(torch.zeros(5, size))) == aim
    )
    own = dg.samplers.kernel_path(walk).tuned(generator=stream).log_steps
    given = dg.samplers.kernel_path(walk).tuned(generator=stream, acceptance=0.99).log_steps
    assert max(given) < min(own)


def test_a_proposal_without_an_aim_is_left_as_it_is(stream):
    @dataclasses.dataclass(frozen=True)
    class Bare:
        step_size: float = 1.0

        def init(self, target, position):
            return dg.samplers.metropolis(target, dg.samplers.RandomWalk(1.0)).init(position)

        def propose(self, target, state, beta, *, generator):
            return dg.samplers.RandomWalk(self.step_size).propose(target, state, beta, generator=generator)

    law = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), 3.0), 1)
    target = dg.samplers.Target(lambda x: -x.square().sum(-1) / 2, reference=law)
    path = dg.samplers.kernel_path(dg.samplers.metropolis(target, Bare()))
    assert path.tuned(generator=stream) is path
    thinned = dg.samplers.kernel_path(dg.samplers.thin(path.kernel, 3))
    assert thinned.tuned(generator=stream) is thinned
    assert path.tuned(generator=stream, acceptance=0.5).log_steps is not None
