"""Targets: their supports, and references that end somewhere."""

import pytest
import torch
from torch.distributions import Beta, Gamma, Independent, LogNormal, Uniform, constraints

import deepgen as dg
from deepgen.distributions import spin
from deepgen.errors import SupportError
from deepgen.samplers import (
    Hamiltonian,
    Langevin,
    RandomWalk,
    Target,
    as_target,
    dmala,
    gibbs_with_gradients,
    metropolis,
    sample_chain,
)
from deepgen.testing import check_kernel, ks


def test_a_support_is_taken_for_a_target_too():
    target = Target(lambda x: x.sum(-1), reference=torch.distributions.Bernoulli(torch.zeros(3)))
    for make in (dmala, gibbs_with_gradients):
        kernel = make(target, support=spin) if make is gibbs_with_gradients else make(target, 1.0, support=spin)
        assert kernel.target.support is spin
        assert kernel.target.reference is target.reference
    assert as_target(target) is target
    assert as_target(dg.explicit.MADE(3, hidden=[4]), constraints.boolean).support is constraints.boolean


PROPOSALS = {"walk": RandomWalk(0.5), "langevin": Langevin(0.2), "hamiltonian": Hamiltonian(0.3, leaps=2)}


def each(law, *numbers):
    return Independent(law(*(torch.full((2,), number) for number in numbers)), 1)


@pytest.mark.parametrize("name", PROPOSALS)
def test_a_uniform_reference_is_kept_in_its_box(name, stream, alpha):
    """exp(5 x)^0.4 on (0, 1): the distribution function is (e^2x - 1) / (e^2 - 1)."""
    kernel = metropolis(Target(lambda x: 5 * x.sum(-1), reference=each(Uniform, 0.0, 1.0)), PROPOSALS[name]).at(0.4)
    top = torch.tensor(2.0).expm1()

    def draw(n, generator):
        return (top * torch.rand(n, 2, generator=generator)).log1p() / 2

    def law(x):
        return [ks(column, lambda v: (2 * v).expm1() / top) for column in x.double().T]

    check_kernel(kernel, draw, p_values=law, steps=20, acceptance=None, alpha=alpha, generator=stream)


@pytest.mark.parametrize("name", PROPOSALS)
def test_a_reference_of_positive_numbers_is_kept(name, stream, alpha):
    """Gamma(2, 1)^0.7 exp(-x)^0.3 is Gamma(1.7, 1)."""
    kernel = metropolis(Target(lambda x: -x.sum(-1), reference=each(Gamma, 2.0, 1.0)), PROPOSALS[name]).at(0.3)

    def draw(n, generator):
        return dg.random.draw(Gamma(torch.tensor([1.7, 1.7]), torch.ones(2)), (n,), generator=generator)

    def law(x):
        return [ks(v, lambda r: torch.special.gammainc(torch.full_like(r, 1.7), r)) for v in x.double().T]

    check_kernel(kernel, draw, p_values=law, steps=20, acceptance=None, alpha=alpha, generator=stream)


@pytest.mark.parametrize("name", PROPOSALS)
@pytest.mark.parametrize("law", [Beta, LogNormal])
def test_candidates_outside_are_refused_and_are_no_nan(name, law, seed):
    """Of a Beta, which asks a Dirichlet within, and of a logarithm, whose gradient is NaN at negative numbers."""
    reference = each(law, 1.5, 1.2)
    kernel = metropolis(Target(lambda x: -x.square().sum(-1), reference=reference), PROPOSALS[name]).at(0.3)
    start = dg.random.draw(reference, (100,), generator=dg.random.generator(seed))
    trace = sample_chain(kernel, start, draws=50, generator=seed)
    assert not trace.info["nan"].any()
    assert bool(reference.support.check(trace.draws).all())
    assert bool((trace.info["acceptance"] == 0).any())


def test_variables_of_one_value_are_refused():
    for make in (gibbs_with_gradients, lambda f, support: dmala(f, 1.0, support=support)):
        with pytest.raises(SupportError, match="two values or more"):
            make(lambda x: x.sum(1), support=constraints.integer_interval(0, 0))


def test_a_posterior_takes_a_support_too():
    bits = Independent(torch.distributions.Bernoulli(torch.full((3,), 0.5)), 1)
    posterior = dg.samplers.Posterior(bits, lambda x, y: x.sum(1, keepdim=True) * y, torch.ones(5))
    kernel = gibbs_with_gradients(posterior, support=constraints.boolean)
    assert kernel.target.discrete
    assert not posterior.discrete
    assert kernel.target.reference is posterior.reference
    x = torch.eye(3)
    assert torch.equal(kernel.target.value(x), posterior.value(x))
