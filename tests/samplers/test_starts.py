"""Where chains cannot start, that they run away, and what is handed in that no kernel can be made of."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, CheckpointError, MissingCapability, ShapeError, SupportError
from deepgen.samplers import RandomWalk, cycle, hmc, mala, metropolis, mixture, random_walk, sample_chain, sgld, ula


def normal(x):
    return -x.square().sum(1) / 2


def half(x):
    """A normal on x_0 > 0 alone."""
    return torch.where(x[:, 0] > 0, normal(x), -torch.inf)


@pytest.mark.parametrize("kernel", [mala(normal), hmc(normal), mala(normal, 0.5), sgld(normal, 0.1)])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_start_that_is_no_number_is_refused_by_its_chain(kernel, value, seed):
    start = torch.cat([torch.zeros(7, 2), torch.full((2, 2), value)])
    with pytest.raises(SupportError, match=r"chain 7 \(and 1 more\) starts at a NaN or an infinity"):
        sample_chain(kernel, start, draws=5, warmup=50, generator=seed)


def test_starts_without_a_density_are_refused(seed):
    nowhere = metropolis(lambda x: torch.where(x[:, 0] > 1, torch.nan, normal(x)), RandomWalk(1.0))
    with pytest.raises(SupportError, match="chain 2 starts where the log density is NaN"):
        sample_chain(nowhere, torch.tensor([[0.0], [0.5], [2.0]]), draws=5, generator=seed)
    with pytest.raises(SupportError, match="all 4 chains start where the density is 0"):
        sample_chain(mala(half), torch.full((4, 2), -1.0), draws=5, warmup=50, generator=seed)
    some = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])  # a part of them may come in
    assert sample_chain(metropolis(half, RandomWalk(1.0)), some, draws=5, generator=seed).draws.shape == (5, 2, 2)


def test_chains_that_run_away_are_told(seed):
    """Steps of 5 multiply a normal by -1.5 each: after 100 the standard deviation is some 1e17."""
    for kernel in (ula(normal, 5.0), sgld(normal, 5.0)):
        far = sample_chain(kernel, torch.ones(4, 2), draws=100, generator=seed).summary()
        assert any(line.startswith("2 of 2 coordinates have run away") for line in far.warnings)
    near = sample_chain(ula(normal, 1.0), torch.ones(4, 2), draws=100, generator=seed).summary()
    assert not any("run away" in line for line in near.warnings)


def test_a_folder_knows_its_starts(tmp_path, seed):
    first = sample_chain(mala(normal, 0.5), torch.zeros(4, 2), draws=5, generator=seed, out=tmp_path)
    again = sample_chain(mala(normal, 0.5), torch.zeros(4, 2), draws=5, generator=seed, out=tmp_path)
    assert torch.equal(first.draws, again.draws)
    with pytest.raises(CheckpointError, match="other starting points"):
        sample_chain(mala(normal, 0.5), torch.ones(4, 2), draws=5, generator=seed, out=tmp_path)


@pytest.mark.parametrize("compose", [cycle, mixture])
def test_kernels_of_different_targets_are_not_composed(compose):
    shifted = compose(mala(normal, 0.5), mala(lambda x: normal(x - 3), 0.5))
    with pytest.raises(ArgumentError, match="different targets"):
        sample_chain(shifted, torch.tensor([[0.0], [1.0]]), draws=3)
    scaled = compose(mala(normal, 0.5), mala(lambda x: normal(x) + 7, 0.5))  # the same law
    sample_chain(scaled, torch.tensor([[0.0], [1.0]]), draws=3)


def test_a_composition_starts_where_its_parts_can():
    walk = cycle(metropolis(half, RandomWalk(1.0)), metropolis(half, RandomWalk(0.1)))
    with pytest.raises(SupportError, match="all 4 chains start where the density is 0"):
        sample_chain(walk, torch.full((4, 2), -1.0), draws=3)
    target = dg.samplers.Target(half, reference=torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)))
    hot = cycle(metropolis(target, RandomWalk(1.0)), metropolis(target, RandomWalk(0.1))).at(0.0)
    assert sample_chain(hot, torch.full((4, 2), -1.0), draws=3).draws.isfinite().all()


@pytest.mark.parametrize("make", [mala, hmc, random_walk, ula, sgld])
def test_step_sizes_in_tensors_are_checked(make):
    for wrong in (-1.0, 0.0, math.nan, math.inf):
        with pytest.raises(ArgumentError, match="step sizes must be positive"):
            make(normal, torch.tensor([0.1, wrong]))
    with pytest.raises(ShapeError, match=r"one a chain \[chains\], got \[8, 1\]"):
        make(normal, torch.full((8, 1), 0.1))
    make(normal, torch.full((8,), 0.1))


def test_a_covariance_is_symmetric():
    with pytest.raises(ArgumentError, match="symmetric"):
        mala(normal, 0.1, covariance=torch.tensor([[1.0, 0.0], [0.5, 1.0]]))


def test_a_candidate_that_breaks_a_distribution_is_rejected_alone(seed):
    """A scale that overflows, which torch.distributions refuses for all chains at once; a start it still refuses."""
    y = torch.randn(20, generator=dg.random.generator(seed))

    def log_density(x):
        law = torch.distributions.Normal(x[:, :1], x[:, 1:].exp())
        return law.log_prob(y).sum(1) - x.square().sum(1) / 2

    before = torch.distributions.Distribution._validate_args
    trace = sample_chain(hmc(log_density, 30.0, leaps=3), torch.zeros(8, 2), draws=10, generator=seed)
    assert trace.info["divergent"].any()
    assert torch.distributions.Distribution._validate_args == before
    with pytest.raises(ValueError, match="scale"):
        hmc(log_density, 0.1).init(torch.tensor([[0.0, math.nan]]))


def test_a_density_that_is_no_tensor_and_a_kernel_untuned_are_told():
    with pytest.raises(ShapeError, match=r"must be a tensor \[chains\], got ndarray"):
        mala(lambda x: normal(x).numpy(), 0.1).init(torch.zeros(3, 2))
    target = dg.samplers.Target(normal, reference=torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)))
    with pytest.raises(MissingCapability, match="yet to be tuned: give it a step_size"):
        dg.evaluate.log_partition(mala(target), "ais")


def test_the_kernel_of_another_kind_is_told(seed):
    walk = sample_chain(metropolis(normal, RandomWalk(1.0)), torch.zeros(4, 2), draws=5, generator=seed)
    with pytest.raises(MissingCapability, match="the info of a trace of independence by itself"):
        dg.samplers.heaviest(walk.info)
    with pytest.raises(MissingCapability, match=r"of a composition give the part: ladder\(trace.kernel.kernels\[0\]"):
        dg.samplers.ladder(walk)
    with pytest.raises(MissingCapability, match="expected a kernel, with init"):
        dg.testing.check_kernel(object(), lambda n, generator: torch.zeros(n, 2), generator=seed)


def test_tempered_chains_are_refused_where_the_kernel_alone_would_be(seed):
    def broken(x):
        return torch.where(x[:, 0] > 0, normal(x), torch.nan)

    walk, lost = metropolis(half, RandomWalk(1.0)), torch.full((4, 2), -1.0)
    warm = [dg.samplers.tempering(walk, [0.5, 1.0]), dg.samplers.tempering(mala(half), hottest=0.1)]
    for kernel in (*warm, dg.samplers.tempering(cycle(walk, walk), [0.5, 1.0])):
        with pytest.raises(SupportError, match="all 4 chains start where the density is 0"):
            sample_chain(kernel, lost, draws=5, warmup=60, generator=seed)
    with pytest.raises(SupportError, match=r"chain 0 \(and 3 more\) starts where the log density is NaN"):
        sample_chain(dg.samplers.tempering(metropolis(broken, RandomWalk(1.0)), [0.5, 1.0]), lost, 5, generator=seed)
    wide = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), 1.0), 1)
    hard = dg.samplers.Target(half, reference=wide)  # whose hottest rung walks anywhere
    assert len(sample_chain(dg.samplers.tempering(metropolis(hard, RandomWalk(1.0)), [0.0, 1.0]), lost, 5).draws) == 5


def test_a_target_on_a_part_of_the_line_is_refused_by_what_moves_over_all_of_it():
    target = dg.samplers.Target(lambda x: -x.sum(1), support=torch.distributions.constraints.positive)
    for make in (random_walk, mala, hmc, lambda target: ula(target, 0.1), lambda target: sgld(target, 0.1)):
        with pytest.raises(MissingCapability, match="lies on GreaterThan"):
            make(target)
    with pytest.raises(MissingCapability, match="lies on GreaterThan"):
        metropolis(target, RandomWalk(1.0)).init(torch.ones(3, 2))
    whole = dg.samplers.Target(normal, support=torch.distributions.constraints.real_vector)
    assert random_walk(whole, 1.0).init(torch.zeros(3, 2)).position.shape == (3, 2)


def test_a_warm_up_that_is_shared_says_so(seed):
    several = cycle(mala(normal), random_walk(normal), hmc(normal))
    with pytest.raises(ArgumentError, match="got 16: 3 kernels are tuned in turn in the warm-up of 50"):
        sample_chain(several, torch.zeros(4, 2), draws=5, warmup=50, generator=seed)
    with pytest.raises(ArgumentError, match=r"got 10$"):
        sample_chain(cycle(mala(normal)), torch.zeros(4, 2), draws=5, warmup=10, generator=seed)


@pytest.mark.parametrize("beta", [-1.0, math.nan, math.inf])
def test_temperatures_that_are_none_are_refused(beta):
    ising = dg.explicit.Ising((2, 2))
    law = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    made = [mala(normal, 0.1), ula(normal, 0.1), dg.samplers.independence(normal, law)]
    made += [ising.gibbs(), dg.samplers.dula(ising, 1.0), dg.RBM(3, 2).gibbs()]
    made += [dg.samplers.gibbs([(0, lambda x, beta: x[:, 0])])]
    for kernel in made:
        with pytest.raises(ArgumentError, match="beta must be a finite number of at least 0"):
            kernel.at(beta)


def test_covariances_are_real_numbers():
    for wrong in (torch.tensor([torch.inf, 1.0]), torch.tensor([[1.0, torch.nan], [torch.nan, 1.0]])):
        with pytest.raises(ArgumentError, match="has finite numbers"):
            mala(normal, 0.1, covariance=wrong)
    assert torch.equal(mala(normal, 0.1, covariance=torch.tensor([4, 9])).proposal.scale, torch.tensor([2.0, 3.0]))
