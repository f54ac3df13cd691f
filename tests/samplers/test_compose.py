"""Cycles, mixtures and repeats: their law, what they do not evaluate twice, what they say of themselves; annealing."""

import math
from typing import NamedTuple

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.samplers import (
    Metropolis,
    RandomWalk,
    Target,
    cycle,
    hmc,
    independence,
    kernel_path,
    ladder,
    mala,
    metropolis,
    mixture,
    tempering,
    thin,
    ula,
)
from deepgen.samplers.handover import Composed
from deepgen.samplers.langevin import Langevin
from deepgen.testing import CheckFailed, check_kernel
from tests.samplers.test_tempering import BETAS, MEAN, NORMAL, SD, STEPS, Joint, Rungs, normals_law


def density(x):  # skewed: the log of a Gamma(3) variable
    return 3 * x[:, 0] - x[:, 0].exp()


def draw(n, *, generator):
    return (-torch.rand(n, 3, generator=generator).log().sum(1, keepdim=True)).log()


WALK, MALA = metropolis(density, RandomWalk(1.3)), mala(density, 1.6)


@pytest.mark.parametrize(
    "kernel",
    [cycle(MALA, WALK), mixture(MALA, WALK, weights=[3, 1]), thin(cycle(WALK, thin(MALA, 2)), 2),
     cycle(mixture(MALA, WALK), hmc(density, 0.8, leaps=3))],
    ids=["cycle", "mixture", "repeated", "nested"],
)  # fmt: skip
def test_they_keep_the_law_of_their_parts(kernel, stream, alpha):
    check_kernel(kernel, draw, steps=20, alpha=alpha, generator=stream)


class Stale(Metropolis):
    """Thinks it is where it last was."""

    def enter(self, own, other):
        return own._replace(position=other.position)


def test_a_state_that_is_not_handed_over_is_caught(stream):
    with pytest.raises(CheckFailed):
        check_kernel(cycle(Stale(WALK.target, Langevin(1.6)), WALK), draw, steps=20, n=16384, generator=stream)


class Counting:
    def __init__(self):
        self.values = self.slopes = 0

    def __call__(self, x):
        self.values += 1
        return density(x)

    def slope(self, x):
        self.slopes += 1
        return dg.samplers.target.slope_of(density, x)


@pytest.mark.parametrize(("second", "values", "slopes"), [("walk", 2, 0), ("mala", 1, 2)])
def test_what_both_keep_of_a_target_is_not_evaluated_twice(second, values, slopes, stream):
    """walk, walk: a value each. walk, mala: a value; the slope where mala begins, and of its candidate."""
    count = Counting()
    target = Target(count, value_and_gradient=count.slope)
    other = mala(target, 1.0) if second == "mala" else metropolis(target, RandomWalk(0.3))
    kernel = cycle(metropolis(target, RandomWalk(1.0)), other)
    state = kernel.init(torch.zeros(5, 1))
    state, _ = kernel.step(state, generator=stream)
    count.values = count.slopes = 0
    kernel.step(state, generator=stream)
    assert (count.values, count.slopes) == (values, slopes)


class Kept(NamedTuple):
    position: torch.Tensor
    log_density: torch.Tensor
    log_q: torch.Tensor


class Shifted:
    """An independence proposal N(mean, 1), which keeps its own log density."""

    def __init__(self, mean):
        self.mean = mean

    def init(self, target, position):
        return Kept(position, target.value(position), -(position - self.mean).square().sum(1) / 2)

    def propose(self, target, state, beta, *, generator):
        new = self.init(target, self.mean + dg.random.normal(state.position.shape, generator=generator))
        return new, state.log_q - new.log_q


def test_what_a_proposal_keeps_of_its_own_is_not_handed_over(stream, alpha):
    """Two proposals whose states look alike: taking one's log q for the other's would be wrong."""
    kernel = cycle(metropolis(density, Shifted(0.0)), metropolis(density, Shifted(2.0)))
    check_kernel(kernel, draw, steps=20, alpha=alpha, generator=stream)


def test_tempering_in_a_cycle_keeps_its_replicas(stream, alpha):
    tempered = tempering(mala(NORMAL, 1.0), BETAS, step_sizes=STEPS)
    local = metropolis(NORMAL, RandomWalk(1.0))
    both = cycle(tempered, local)

    class Both(Joint):
        def init(self, position):
            start = Composed(position[:, -1], (tempered.start(position), local.init(position[:, -1])), 0)
            return Rungs(position, start)

        def step(self, state, *, generator):
            inner, info = both.step(state.inner, generator=generator)
            replicas = tempered.enter(inner.states[0], inner)
            return Rungs(tempered.replicas(replicas), inner), info

    law, p_values = normals_law()
    check_kernel(Both(tempered), law, p_values=p_values, steps=20, alpha=alpha, generator=stream)


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("wrap", [lambda k: k, lambda k: cycle(k, mala(NORMAL, 1.6)), lambda k: thin(k, 2)],
                         ids=["alone", "cycle", "thinned"])  # fmt: skip
def test_tempering_in_a_cycle_keeps_what_its_kernel_has_in_stock(wrap, ahead, stream):
    """Replicas other than the cold one, and the candidates that wait for all of them, are as they were."""
    broad = torch.distributions.Independent(torch.distributions.Normal(torch.full((1,), 1.5), 2.5), 1)
    tempered = tempering(wrap(independence(NORMAL, broad, ahead=ahead)), BETAS)
    state = tempered.start(normals_law()[0](50, generator=stream))
    for _ in range(5):
        state, _ = tempered.step(state, generator=stream)
        moved = metropolis(NORMAL, RandomWalk(1.0)).init(torch.randn(50, 1, generator=stream))
        after = tempered.enter(state, moved)
        assert torch.equal(after.position, moved.position)
        replicas = tempered.replicas(after)
        assert torch.equal(replicas[:, -1], moved.position)
        assert torch.equal(replicas[:, :-1], tempered.replicas(state)[:, :-1])
        stock, before = (s.moving.states[0] if hasattr(s.moving, "states") else s.moving for s in (after, state))
        assert all(torch.equal(x, y) for x, y in zip(stock.waiting, before.waiting, strict=True))
        if stock is after.moving:
            torch.testing.assert_close(stock.log_density, NORMAL.value(stock.position.flatten(0, 1)).view(50, 3))
        state = after
    both = cycle(tempered, mala(NORMAL, 1.6))

    def law(n, *, generator):
        return MEAN + SD * torch.randn(n, 1, generator=generator)

    trace = dg.samplers.sample_chain(both, law(400, generator=stream), draws=50, warmup=20, generator=stream)
    by_chain = trace.draws.squeeze(2).double().mean(0)
    assert abs(float(by_chain.mean()) - MEAN) < 6 * float(by_chain.std()) / 20


class Tagged(NamedTuple):
    position: torch.Tensor
    log_density: torch.Tensor
    tag: torch.Tensor


class Stepper:
    """A reader's kernel that has a kernel and steps, and is no `thin`."""

    exactness = dg.samplers.EXACT

    def __init__(self, kernel, steps):
        self.kernel, self.steps = kernel, steps

    def init(self, position):
        return Tagged(*self.kernel.init(position), torch.zeros(len(position)))

    def enter(self, own, other):
        return Tagged(*self.kernel.init(other.position), own.tag)

    def step(self, state, *, generator):
        return state._replace(tag=state.tag + 1), ()


def test_a_kernel_that_looks_like_a_repeat_has_its_own_enter(stream):
    kernel = cycle(Stepper(WALK, 3), WALK)
    state = dg.samplers.advance(kernel, kernel.init(torch.zeros(4, 1)), 5, generator=stream)
    assert state.states[0].tag.tolist() == [5.0] * 4


@pytest.mark.parametrize("make", [cycle, mixture])
def test_compositions_can_be_tempered(make, stream, alpha):
    kernel = tempering(make(mala(NORMAL, 1.6), metropolis(NORMAL, RandomWalk(1.5))), BETAS)
    law, p_values = normals_law()
    check_kernel(Joint(kernel), law, p_values=p_values, steps=20, alpha=alpha, generator=stream)


def test_a_mixture_takes_its_kernels_as_often_as_it_says(stream, alpha):
    kernel = mixture({MALA: 0.7, WALK: 0.3})
    trace = dg.samplers.sample_chain(kernel, torch.zeros(3, 1), draws=2000, generator=stream)
    which = trace.info["which"]
    assert bool((which == which[:, :1]).all())
    far = abs(float((which[:, 0] == 1).double().mean()) - 0.3) / math.sqrt(0.3 * 0.7 / 2000)
    assert far < 5
    assert kernel.names == ("langevin", "random_walk")
    assert not bool(trace.info["acceptance"].isnan().any())


def test_they_go_on_bit_for_bit_and_chains_are_their_own(seed):
    kernel, streams = mixture(cycle(MALA, WALK), WALK), dg.random.Streams(seed)
    whole = dg.samplers.sample_chain(kernel, torch.zeros(6, 1), draws=20, generator=streams.copy())
    half = dg.samplers.sample_chain(kernel, torch.zeros(6, 1), draws=10, generator=streams.copy())
    more = dg.samplers.sample_chain(half.kernel, half.state, draws=10, generator=half.generator)
    rest = dg.samplers.sample_chain(kernel, torch.zeros(4, 1), draws=20, generator=streams.part(2))
    assert torch.equal(whole.draws, torch.cat([half.draws, more.draws]))
    assert torch.equal(whole.draws[:, 2:], rest.draws)


def test_exactness_is_that_of_the_weakest():
    assert str(cycle(MALA, ula(density, 0.1)).exactness) == "biased (O(step size))"
    assert mixture(MALA, WALK).exactness.kind == thin(MALA, 3).exactness.kind == "exact"
    assert cycle(mala(density), WALK).exactness.kind == "adaptive"
    with pytest.raises(MissingCapability, match="tempering"):
        tempering(thin(ula(density, 0.1), 2), [0.5, 1.0])


def test_parts_are_tuned_in_the_warm_up(stream):
    kernel = mixture(local=mala(density), far=tempering(mala(density), 3, hottest=0.3), walk=WALK)
    trace = dg.samplers.sample_chain(kernel, torch.zeros(100, 1), draws=300, warmup=300, generator=stream)
    assert trace.exactness.kind == "exact"
    assert [type(part).__name__ for part in trace.kernel.kernels] == ["Metropolis", "Tempering", "Metropolis"]
    mean, error = float(trace.draws.exp().mean()), float(trace.draws.exp().mean(0).std()) / 10
    assert abs(mean - 3) < 6 * error
    assert len(ladder(trace.kernel.kernels[1], trace.state.states[1]).betas) == 3
    tuned = dg.samplers.sample_chain(thin(mala(density), 2), torch.zeros(50, 1), draws=2, warmup=50, generator=stream)
    assert tuned.exactness.kind == "exact"


def test_info_of_a_repeat_is_of_all_its_steps(stream):
    class Info(NamedTuple):
        acceptance: torch.Tensor
        nan: torch.Tensor
        last: torch.Tensor

    class Steps:
        exactness = dg.samplers.EXACT

        def init(self, position):
            return Kept(position, position[:, 0], position[:, 0])

        def step(self, state, *, generator):
            t = state.log_q
            return state._replace(log_q=t + 1), Info(t, t == 1, t.long())

    kernel = thin(Steps(), 3)
    _, info = kernel.step(kernel.init(torch.zeros(2, 1)), generator=stream)
    assert (info.acceptance.tolist(), info.nan.tolist(), info.last.tolist()) == ([1.0] * 2, [True] * 2, [2] * 2)


def test_names_of_info(stream):
    kernel = cycle(MALA, MALA, WALK, far=WALK)
    assert kernel.names == ("langevin", "langevin_2", "random_walk", "far")
    trace = dg.samplers.sample_chain(kernel, torch.zeros(3, 1), draws=2, generator=stream)
    assert {"langevin_acceptance", "langevin_2_nan", "random_walk_accepted", "far_acceptance"} <= set(trace.info)
    assert cycle(dg.RBM(3, 2).gibbs()).names == ("block_gibbs",)


def test_what_they_refuse():
    with pytest.raises(ArgumentError, match="nothing to compose"):
        cycle()
    with pytest.raises(ArgumentError, match="3 weights for 2"):
        mixture(MALA, WALK, weights=[1, 2, 3])
    with pytest.raises(ArgumentError, match="a weight"):
        mixture(MALA, WALK, weights=[1, -1])
    with pytest.raises(ArgumentError, match="weights are of"):
        mixture(a=MALA, b=WALK, weights={"a": 1, "c": 2})
    with pytest.raises(MissingCapability, match="not a kernel"):
        cycle(dg.RBM(3, 2))
    with pytest.raises(ArgumentError, match="steps"):
        thin(MALA, 0)


@pytest.mark.parametrize("kernel", [mala(NORMAL, 1.0), mixture(mala(NORMAL, 1.0), metropolis(NORMAL, RandomWalk(1.0)))])
def test_annealing_along_a_kernel_brackets_log_z(kernel, stream):
    truth = math.log(SD * math.sqrt(2 * math.pi))
    found = dg.evaluate.log_partition(kernel, "ais", chains=400, temperatures=500, generator=stream)
    assert abs(found.value - truth) < 6 * found.stderr
    assert found.side == "below"
    draws = MEAN + SD * torch.randn(400, 1, generator=stream)
    bracket = dg.evaluate.log_partition(
        kernel, samples=draws, exact_samples=True, temperatures=500, chains=400, generator=stream
    )
    assert bracket.above.side == "above"
    assert bracket.below.value - 6 * bracket.below.stderr < truth < bracket.above.value + 6 * bracket.above.stderr
    assert bracket.width < 0.5


def test_the_weight_of_one_step_is_the_ratio_of_densities(stream):
    path, x = kernel_path(mala(NORMAL, 1.0)), torch.randn(20, 1, generator=stream)
    r, f = NORMAL.reference.log_prob(x), NORMAL.value(x)
    _, gain = path.step(path.init(x), 0.2, 0.7, generator=stream)
    torch.testing.assert_close(gain, (0.5 * (f - r)).double(), rtol=1e-4, atol=1e-5)


def test_annealing_refuses():
    with pytest.raises(MissingCapability, match="reference"):
        kernel_path(MALA)
    with pytest.raises(MissingCapability, match="UnadjustedLangevin is biased"):
        kernel_path(ula(NORMAL, 0.1))
    with pytest.raises(ArgumentError, match="base="):
        dg.evaluate.log_partition(mala(NORMAL, 1.0), "ais", base=torch.zeros(3, 1))


@pytest.mark.parametrize("beta", [0.0, torch.zeros(4)])
def test_a_repeated_temperature_has_no_weight_where_the_density_is_0(beta):
    hard = Target(lambda x: torch.where(x[:, 0] > 0, 0.0, -torch.inf), reference=NORMAL.reference)
    bare = metropolis(lambda x: torch.where(x[:, 0] > 0, 0.0, -torch.inf), RandomWalk(1.0))
    own = dg.samplers.gibbs([(0, lambda x: NORMAL.reference)], log_density=hard.log_density)
    for kernel in (metropolis(hard, RandomWalk(1.0)), bare, own):
        state = kernel.init(torch.tensor([[-1.0], [1.0], [-2.0], [2.0]]))
        assert dg.samplers.temperature.log_ratio(kernel, state, beta, beta).tolist() == [0] * 4


def test_a_kernel_may_bear_the_name_that_another_would_get():
    assert cycle(WALK, random_walk=WALK).names == ("random_walk_2", "random_walk")
    assert cycle(WALK, WALK, random_walk_2=WALK).names == ("random_walk", "random_walk_3", "random_walk_2")
