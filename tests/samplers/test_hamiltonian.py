"""The leapfrog: reversible, volume-preserving, of second order; the kernel exact with and without jitter."""

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.random import normal as normal_numbers
from deepgen.samplers import Hamiltonian, RandomWalk, Target, cycle, hmc, metropolis, mixture, sample_chain, tempering
from deepgen.samplers.metropolis import Slope
from deepgen.streams import Streams
from deepgen.testing import check_involution, check_kernel
from tests.samplers.targets import COVARIANCE, FACTOR, normal
from tests.testing.mutants import banana, banana_law, draw_banana

SCALES = [None, torch.tensor([1.5, 0.6]), torch.tensor([[1.2, 0.0], [0.5, 0.8]])]


class Written(Target):
    """The banana with its gradient written out, so that the leapfrog has a Jacobian."""

    def slope(self, x):
        y = (x[:, 1] - x[:, 0].square() / 2) / 0.49
        return banana(x), torch.stack([x[:, 0] * (y - 1), -y], 1)


def leap(proposal, x, v, beta=1.0):
    target = Target(banana)
    end, w = proposal.leap(target, Slope(x, *target.slope(x)), v, proposal.step_size, beta)
    return end.position, w


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("beta", [1.0, 0.4])
def test_leaping_and_turning_is_a_volume_preserving_involution(scale, beta, stream):
    proposal, target = Hamiltonian(0.3, 5, scale=scale), Written(banana)

    def turned(x, v):
        end, w = proposal.leap(target, Slope(x, *target.slope(x)), v, proposal.step_size, beta)
        return end.position, -w

    x, v = torch.randn(2, 8, 2, generator=stream, dtype=torch.float64).clamp(-1.5, 1.5)  # further out leaps overflow
    check_involution(turned, (x, v), volume_preserving=True)
    end, w = leap(proposal, x, v, beta)
    assert torch.allclose(end, turned(x, v)[0])
    assert torch.allclose(-w, turned(x, v)[1])


def test_the_error_of_the_energy_is_of_second_order(stream):
    x, v = torch.randn(2, 200, 2, generator=stream, dtype=torch.float64) / 2
    errors = []
    for leaps in (20, 40, 80):
        y, w = leap(Hamiltonian(1 / leaps, leaps), x, v)
        energy = (w.square() - v.square()).sum(1) / 2 - banana(y) + banana(x)
        errors.append(float(energy.abs().mean()))
    orders = torch.tensor(errors).log2().diff()
    assert (orders + 2).abs().max() < 0.1


def test_the_period_of_a_harmonic_oscillator():
    """N(0, s^2) in coordinates L = s: x = s cos t after n steps of t / n, whatever s."""
    target, s = Target(lambda x: -(x / 3).square().sum(-1) / 2), 3.0
    proposal = Hamiltonian(1e-3, 1000, scale=torch.tensor([s], dtype=torch.float64))
    x = torch.tensor([[s]], dtype=torch.float64)
    end, v = proposal.leap(target, Slope(x, *target.slope(x)), torch.zeros_like(x), 1e-3, 1.0)
    t = torch.tensor(1.0, dtype=torch.float64)
    assert torch.allclose(end.position, s * t.cos(), atol=1e-6)
    assert torch.allclose(v, -t.sin(), atol=1e-6)


@pytest.mark.parametrize(("jitter", "leaps", "step"), [(0.0, 1, 1.3), (0.0, 4, 0.8), (0.4, 4, 0.8), (0.9, 3, 0.7)])
def test_it_is_exact_with_and_without_jitter(jitter, leaps, step, stream, alpha):
    kernel = hmc(banana, step, leaps=leaps, jitter=jitter)
    check_kernel(
        kernel,
        draw_banana,
        p_values=banana_law,
        reversible=True,
        acceptance=(0.25, 0.8),
        alpha=alpha,
        generator=stream,
    )


def test_a_whole_period_goes_nowhere_and_jitter_helps(stream):
    """On N(0, 1) a path of length 2 pi ends where it began: the correlation is near 1 without jitter, and far with."""
    correlations = []
    for jitter in (0.0, 0.5):
        kernel = hmc(lambda x: -x.square().sum(-1) / 2, 2 * torch.pi / 60, leaps=60, jitter=jitter)
        x = torch.randn(2000, 1, generator=stream)
        state, _ = kernel.step(kernel.init(x), generator=stream)
        correlations.append(float((x * state.position).mean() / x.square().mean()))
    assert correlations[0] > 0.99
    assert abs(correlations[1]) < 0.5


@pytest.mark.parametrize("wrong", [{"leaps": 0}, {"leaps": 2.5}, {"jitter": 1.0}, {"jitter": -0.1}])
def test_odd_arguments_are_refused(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        hmc(banana, 0.1, **wrong)


def test_the_covariance_is_that_of_the_target():
    assert torch.allclose(hmc(banana, 0.1, covariance=COVARIANCE.double()).proposal.scale, FACTOR)


def divergent(trace):
    return trace.info["divergent"].double()


def test_a_step_diverges_where_the_energy_rises_by_more_than_a_thousand():
    """The orbit of a standard normal beyond its stability, e = 2.05, followed here by hand in float64."""
    x = torch.linspace(0, 40, 200, dtype=torch.float64).unsqueeze(1)
    kernel = metropolis(lambda x: -x.square().sum(1) / 2, Hamiltonian(2.05, leaps=4))
    _, info = kernel.step(kernel.init(x), generator=Streams(3))
    v = normal_numbers(x.shape, generator=Streams(3), dtype=x.dtype)
    energy, end = (x.square() + v.square()).sum(1) / 2, x
    for _ in range(4):
        half = v - 2.05 / 2 * end
        end = end + 2.05 * half
        v = half - 2.05 / 2 * end
    rise = (end.square() + v.square()).sum(1) / 2 - energy
    assert 20 < int((rise > 1000).sum()) < 180
    assert torch.equal(info.divergent, rise > 1000)


def test_energies_that_are_not_finite_diverge(stream):
    """Of one target a part is forbidden, of another NaN: chains that go there diverge, and those of NaN are NaN too."""
    for value in (-torch.inf, torch.nan, torch.inf):
        kernel = metropolis(lambda x, v=value: torch.where(x[:, 0] > 1, v, -x.square().sum(1) / 2), Hamiltonian(0.5))
        _, info = kernel.step(kernel.init(torch.zeros(200, 2)), generator=stream)
        assert 0 < int(info.divergent.sum()) < 200
        assert torch.equal(info.nan, info.divergent if value != value else torch.zeros(200, dtype=torch.bool))
    _, info = hmc(normal, 0.1).step(hmc(normal, 0.1).init(torch.zeros(200, 3)), generator=stream)
    assert not info.divergent.any()


def funnel(x):
    """Neal's: v ~ N(0, 9), and nine numbers of variance e^v."""
    return -x[:, 0].square() / 18 - 9 * x[:, 0] / 2 - x[:, 1:].square().sum(1) * (-x[:, 0]).exp() / 2


def test_the_divergences_of_a_funnel_are_told(seed):
    trace = sample_chain(hmc(funnel, 0.4), torch.zeros(32, 10), draws=200, generator=seed)
    count, chains = int(divergent(trace).sum()), int((divergent(trace).sum(0) > 0).sum())
    assert count > 0
    table = trace.summary()
    assert f"{count:,} divergences in {chains} chains" in table.facts
    assert any(line.startswith("some steps diverged") for line in table.warnings)
    summed = sample_chain(hmc(funnel, 0.4), torch.zeros(32, 10), draws=200, generator=seed, store=False)
    assert f"{count:,} divergences in {chains} chains" in summed.summary().facts
    sample_stats = trace.to_arviz()["sample_stats"]
    assert int(sample_stats["diverging"].values.sum()) == count
    assert "divergent" not in sample_stats


def test_divergences_within_a_cycle_are_told(seed):
    both = cycle(hmc(funnel, 0.4), wide=metropolis(funnel, RandomWalk(1.0)))
    table = sample_chain(both, torch.zeros(32, 10), draws=100, generator=seed).summary()
    assert "no NaN" in table.facts or "NaN in" in table.facts
    assert " divergences in " in table.facts
    calm = sample_chain(hmc(lambda x: -x.square().sum(1), 0.3), torch.zeros(8, 2), draws=20, generator=seed).summary()
    assert calm.facts.endswith("no NaN; no divergences")


def test_divergences_within_a_mixture_are_those_of_the_kernel_that_ran(seed):
    kernel = mixture(hmc(funnel, 0.4), wide=metropolis(funnel, RandomWalk(1.0)))
    trace = sample_chain(kernel, torch.zeros(32, 10), draws=400, generator=seed)
    diverged, which = trace.info["divergent"], trace.info["which"]
    assert diverged[which == 0].any()
    assert not diverged[which == 1].any()
    assert f"{int(diverged.sum()):,} divergences in " in trace.summary().facts


@pytest.mark.parametrize(("step", "all_diverge"), [(60.0, True), (0.1, False)])
def test_divergences_within_tempering_are_told(step, all_diverge, seed):
    """A leap of 60 on a normal multiplies a velocity by some 1,800; in one of 0.1 nothing is lost."""
    kernel = tempering(hmc(normal, step), [0.5, 1.0])
    trace = sample_chain(kernel, torch.ones(8, 3), draws=5, generator=seed)
    assert bool(trace.info["divergent"].all()) == bool(trace.info["divergent"].any()) == all_diverge
    assert ("no divergences" in trace.summary().facts) != all_diverge
    plain = sample_chain(
        tempering(metropolis(normal, RandomWalk(1.0)), [0.5, 1.0]), torch.ones(8, 3), 5, generator=seed
    )
    assert "divergent" not in plain.info
