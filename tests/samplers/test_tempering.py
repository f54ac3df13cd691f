"""Tempering: the joint law of all rungs, detailed balance of a swap, masses, log Z, the ladder, streams."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError
from deepgen.samplers import EXACT, Metropolis, RandomWalk, Target, Tempering, ladder, mala, metropolis, tempering
from deepgen.samplers.langevin import Langevin
from deepgen.samplers.replicas import _map
from deepgen.testing import CheckFailed, Exact, check_kernel, chi_square, ks
from tests.machines import machine


class Rungs(NamedTuple):
    position: torch.Tensor
    inner: Any


@dataclass(frozen=True)
class Joint:
    """A tempered kernel with the positions of all rungs as its event: it can be started from their joint law."""

    kernel: Tempering
    exactness = EXACT

    def init(self, position):
        return Rungs(position, self.kernel.start(position))

    def step(self, state, *, generator):
        inner, info = self.kernel.step(state.inner, generator=generator)
        return Rungs(self.kernel.replicas(inner), inner), info


def machines_law(rbm, betas):
    """Exact draws of all rungs ``[n, rungs, 3]``, and p-values of them against the product of the rungs' laws."""
    laws = [Exact(rbm, beta) for beta in betas]
    tables = [law.visible_law().probabilities.detach() for law in laws]
    joint = torch.einsum("i,j,k->ijk", *tables).flatten()

    def draw(n, *, generator):
        return torch.stack([law.sample(n, generator=generator)[0].float() for law in laws], 1)

    def p_values(x):
        cells = (x @ (2.0 ** torch.arange(3))).long()  # as the rows of the law: first unit fastest
        index = (cells[:, 0] * 8 + cells[:, 1]) * 8 + cells[:, 2]
        return [chi_square(torch.bincount(index, minlength=512), joint)]

    return draw, p_values


def test_the_rungs_of_a_machine_keep_their_joint_law(stream, alpha):
    rbm, betas = machine(scale=3.0), [0.1, 0.4, 1.0]
    kernel = tempering(rbm.gibbs(), betas)
    draw, p_values = machines_law(rbm, betas)
    trace = dg.samplers.sample_chain(kernel, torch.zeros(500, 3), draws=100, warmup=20, generator=stream)
    assert bool(((ladder(trace).rates > 0.25) & (ladder(trace).rates < 0.75)).all()), ladder(trace)
    check_kernel(Joint(kernel), draw, p_values=p_values, steps=20, alpha=alpha, generator=stream)


MEAN, SD, WIDE = 3.0, 0.7, 2.0
NORMAL = Target(
    lambda x: -((x[:, 0] - MEAN) / SD).square() / 2, reference=torch.distributions.Independent(
        torch.distributions.Normal(torch.zeros(1), WIDE), 1)
)  # fmt: skip
BETAS = [0.0, 0.2, 1.0]


def normals_law(betas=BETAS):
    """The tempered laws of `NORMAL` are normal, with precisions and weighted means that mix."""
    beta = torch.tensor(betas)
    precision = beta / SD**2 + (1 - beta) / WIDE**2
    mean, sd = beta * MEAN / SD**2 / precision, precision.rsqrt()

    def draw(n, *, generator):
        return (mean + sd * torch.randn(n, len(betas), generator=generator)).unsqueeze(2)

    def p_values(x):
        z = ((x.squeeze(2) - mean) / sd).double()
        sums = (z[:, :-1] + z[:, 1:]) / math.sqrt(2)  # normal only if neighbours are independent
        return [ks(column, torch.special.ndtr) for column in (*z.T, *sums.T)]

    return draw, p_values


STEPS = torch.tensor([14.0, 4.0, 2.2])


def test_rungs_with_a_reference_and_steps_of_their_own_keep_their_law(stream, alpha):
    kernel = tempering(mala(NORMAL, 1.0), BETAS, step_sizes=STEPS)
    draw, p_values = normals_law()
    _, info = kernel.step(kernel.start(draw(4000, generator=stream)), generator=stream)
    assert bool(((info.moves.mean(0) > 0.35) & (info.moves.mean(0) < 0.8)).all()), info.moves.mean(0)
    kept = check_kernel(Joint(kernel), draw, p_values=p_values, steps=20, alpha=alpha, generator=stream)
    assert kept is not None
    trace = dg.samplers.sample_chain(kernel, torch.zeros(500, 1), draws=100, warmup=20, generator=stream)
    assert bool(((ladder(trace).rates > 0.25) & (ladder(trace).rates < 0.75)).all()), ladder(trace)


class WrongSign(Metropolis):
    def log_ratio(self, state, old, new):
        return -super().log_ratio(state, old, new)


class NoReference(Metropolis):
    def log_ratio(self, state, old, new):
        return (new - old) * state.log_density


class AlwaysSwap(Metropolis):
    def log_ratio(self, state, old, new):
        return torch.zeros_like(state.log_density)


@pytest.mark.parametrize("mutant", [WrongSign, NoReference, AlwaysSwap])
def test_wrong_swaps_are_caught(mutant, stream):
    draw, p_values = normals_law()
    kernel = tempering(mutant(NORMAL, Langevin(1.0)), BETAS, step_sizes=STEPS)
    with pytest.raises(CheckFailed):
        check_kernel(Joint(kernel), draw, p_values=p_values, steps=20, generator=stream)


class Spot(NamedTuple):
    position: torch.Tensor
    log_density: torch.Tensor


@dataclass(frozen=True)
class Still:
    """Stays where it is, which every law survives."""

    log_f: torch.Tensor
    exactness = EXACT

    def at(self, beta):
        return self

    def init(self, position):
        return Spot(position, self.log_f[position[:, 0].long()])

    def step(self, state, *, generator):
        return state, ()


@pytest.mark.parametrize("turn", [0, 1])
def test_detailed_balance_of_swaps_by_their_transition_matrix(turn, stream):
    betas, log_f = [0.2, 0.5, 1.0], torch.tensor([0.0, 1.3, -2.0])
    kernel = tempering(Still(log_f), betas)
    every = torch.cartesian_prod(*[torch.arange(3)] * 3).float()  # of all rungs: 27
    state = kernel.start(every.unsqueeze(2))._replace(clock=torch.full((27,), turn))
    after, info = kernel.step(state, generator=stream)
    assert info.swaps[:, 1 - turn].isnan().all()
    number = every.long() @ torch.tensor([9, 3, 1])
    exchanged = every.clone()
    exchanged[:, [turn, turn + 1]] = every[:, [turn + 1, turn]]
    there = exchanged.long() @ torch.tensor([9, 3, 1])
    matrix = torch.zeros(27, 27, dtype=torch.float64)
    matrix[number, there] += info.swaps[:, turn]
    matrix[number, number] += 1 - info.swaps[:, turn]
    pi = (torch.tensor(betas).double() * log_f.double()[every.long()]).sum(1).softmax(0)
    flow = pi.unsqueeze(1) * matrix
    torch.testing.assert_close(flow, flow.T, rtol=1e-5, atol=1e-9)
    assert 0 < float(matrix.diagonal().max()) < 1 or float(info.swaps[:, turn].min()) < 0.5  # something is refused
    ends = kernel.replicas(after).squeeze(2)
    assert bool(((ends == every) | (ends == exchanged)).all())
    assert torch.equal(after.moving.position, state.moving.position)  # states stay, temperatures go


def test_caches_stay_true_while_temperatures_move(stream):
    kernel = tempering(mala(NORMAL, 1.0), BETAS)
    state = dg.samplers.advance(kernel, kernel.init(torch.zeros(50, 1)), 30, generator=stream)
    value, gradient = NORMAL.slope(state.moving.position.flatten(0, 1))
    torch.testing.assert_close(state.moving.log_density.flatten(), value)
    torch.testing.assert_close(state.moving.gradient.flatten(0, 1), gradient)
    assert torch.equal(state.position, kernel.replicas(state)[:, -1])
    assert torch.equal(state.rung.sort(1).values, torch.arange(3).expand(50, -1))


def test_round_trips_are_counted(stream):
    kernel = tempering(Still(torch.zeros(3)), [0.1, 0.3, 0.6, 1.0])  # all swaps are taken
    state = kernel.init(torch.zeros(2, 1))
    rung, heading, trips = list(range(4)), [0] * 4, 0
    for t in range(50):
        state, _ = kernel.step(state, generator=stream)
        for i, r in enumerate(rung):
            to = r + 1 if (r - t) % 2 == 0 else r - 1
            rung[i] = to if 0 <= to < 4 else r
            if rung[i] == 3:
                trips, heading[i] = trips + (heading[i] == 1), -1
            elif rung[i] == 0 and heading[i] == -1:
                heading[i] = 1
        assert state.rung.tolist() == [rung] * 2
    assert state.trips.tolist() == [trips] * 2
    assert trips > 15


CENTRES = 5 * torch.stack([torch.tensor([math.cos(a), math.sin(a)]) for a in torch.arange(6) * math.pi / 3])
MASSES = torch.tensor([0.3, 0.05, 0.2, 0.15, 0.1, 0.2])


def six_modes(x):
    return torch.logsumexp(MASSES.log() - 2 * torch.cdist(x, CENTRES).square(), 1)


@pytest.mark.parametrize("kernel", [mala(six_modes), metropolis(six_modes, RandomWalk(0.7))], ids=["mala", "walk"])
def test_masses_of_six_modes(kernel, stream, alpha):
    chains = 64
    made = tempering(kernel, hottest=0.02)
    start = CENTRES[:1].repeat(chains, 1)  # all in one
    trace = dg.samplers.sample_chain(made, start, draws=600, warmup=300, generator=stream)
    which = torch.cdist(trace.draws.flatten(0, 1), CENTRES).argmin(1).reshape(-1, chains)
    share = torch.stack([(which == mode).double().mean(0) for mode in range(6)])  # [modes, chains]
    z = (share.mean(1) - MASSES) / (share.std(1) / math.sqrt(chains))
    assert float(z.abs().max()) < 1.2 * NormalDist().inv_cdf(1 - alpha / 12), (z, ladder(trace))  # t with 63
    assert float((share.std(1) / math.sqrt(chains)).max()) < 0.02


def test_log_partition_of_a_machine(stream):
    rbm = machine(6, 4, scale=2.0)
    trace = dg.samplers.sample_chain(tempering(rbm.gibbs(), 4), torch.zeros(100, 6), 300, warmup=100, generator=stream)
    found, exact = ladder(trace).log_partition(), dg.evaluate.log_partition(rbm, "exact").value
    assert abs(found.value - exact) < 6 * found.stderr
    assert 1e-4 < found.stderr < 0.05
    assert found.side == "undetermined"


def test_the_error_of_log_partition_is_the_error(stream):
    """48 groups of 50 chains that start in their law: the mean square of their z is 1, as chi^2 with 48 has it."""
    kernel, groups = tempering(mala(NORMAL, 1.0), BETAS, step_sizes=STEPS), 48
    draw, _ = normals_law()
    state = kernel.start(draw(50 * groups, generator=stream))
    state = dg.samplers.advance(kernel, state, 60, generator=stream)
    truth, z = math.log(SD * math.sqrt(2 * math.pi)), []
    for g in range(groups):
        found = ladder(kernel, _map(lambda x, g=g: x[50 * g : 50 * g + 50], state)).log_partition()
        z.append((found.value - truth) / found.stderr)
    square = float(torch.tensor(z).square().sum())
    assert 16 < square < 115  # five standard errors of chi^2 with 48 (and t's longer tails above)


def test_a_tuned_ladder_swaps_equally_and_moves_as_it_should(stream):
    made = tempering(mala(six_modes), 6, hottest=0.01)
    untuned = tempering(mala(six_modes, 1.0), torch.logspace(-2, 0, 6).clamp_max(1.0))
    first = dg.samplers.sample_chain(untuned, torch.zeros(128, 2), 100, generator=stream)
    trace = dg.samplers.sample_chain(made, torch.zeros(128, 2), draws=200, warmup=500, generator=stream)
    seen = ladder(trace)
    assert float(seen.rates.max() - seen.rates.min()) < 0.1, seen
    assert float(ladder(first).rates.max() - ladder(first).rates.min()) > 0.1
    moves = torch.stack([trace.kernel.step(trace.state, generator=stream)[1].moves.mean(0) for _ in range(20)]).mean(0)
    assert bool(((moves - 0.574).abs() < 0.12).all()), moves
    assert bool((seen.step_sizes.diff() < 0).all()), seen  # hotter rungs take longer steps
    assert trace.exactness.kind == "exact"
    assert f"{seen.barrier:.2f}" in str(seen)
    assert trace.info["trips"].sum() == trace.state.trips.sum()


def test_it_finds_how_many_rungs(stream):
    trace = dg.samplers.sample_chain(
        tempering(mala(six_modes), hottest=0.01), torch.zeros(100, 2), draws=100, warmup=300, generator=stream
    )
    seen = ladder(trace)
    assert len(seen.betas) == pytest.approx(2 * seen.barrier + 1, abs=1.7)


def test_it_goes_on_bit_for_bit(seed):
    made = tempering(mala(six_modes), hottest=0.05)
    whole = dg.samplers.sample_chain(made, torch.zeros(8, 2), draws=20, warmup=60, generator=seed)
    half = dg.samplers.sample_chain(made, torch.zeros(8, 2), draws=10, warmup=60, generator=seed)
    more = dg.samplers.sample_chain(half.kernel, half.state, draws=10, generator=half.generator)
    assert torch.equal(whole.draws, torch.cat([half.draws, more.draws]))
    assert ladder(whole).log_partition(log_base=0.0) == ladder(more).log_partition(log_base=0.0)


@pytest.mark.parametrize("inner", ["mala", "gibbs"])
def test_a_chain_does_not_notice_the_others(inner, seed):
    kernel, width = (mala(six_modes, 0.3), 2) if inner == "mala" else (machine().gibbs(), 3)
    made = tempering(kernel, [0.1, 0.3, 1.0])
    streams = dg.random.Streams(seed)
    whole = dg.samplers.sample_chain(made, torch.zeros(6, width), draws=20, generator=streams.copy())
    rest = dg.samplers.sample_chain(made, torch.zeros(4, width), draws=20, generator=streams.part(2))
    assert torch.equal(whole.draws[:, 2:], rest.draws)
    assert not torch.equal(whole.draws[:, :4], rest.draws)


def test_a_nan_is_reported_and_never_swapped(stream):
    kernel = tempering(metropolis(lambda x: x[:, 0].log(), RandomWalk(1.0)), [0.5, 1.0])
    state, info = kernel.step(kernel.init(torch.ones(200, 1)), generator=stream)
    assert bool(info.nan.any())
    assert bool((state.moving.position > 0).all())


def test_a_single_pair_is_tried_at_every_step(stream):
    kernel = tempering(Still(torch.zeros(1)), [0.5, 1.0])
    trace = dg.samplers.sample_chain(kernel, torch.zeros(2, 1), draws=7, generator=stream)
    assert bool((trace.info["swap"] == 1).all())
    assert float(ladder(trace).rates) == 1


def test_what_it_refuses():
    with pytest.raises(MissingCapability, match=r"UnadjustedLangevin is biased .* tempering"):
        tempering(dg.samplers.ula(six_modes, 0.1), [0.5, 1.0])
    with pytest.raises(MissingCapability, match=r"UnadjustedLangevin is biased .* tempering"):
        Tempering(dg.samplers.ula(six_modes, 0.1), torch.tensor([0.5, 1.0]))
    with pytest.raises(MissingCapability, match=r"no at\(beta\)"):
        Tempering(Joint(tempering(machine().gibbs(), [0.5, 1.0])), torch.tensor([0.5, 1.0]))
    with pytest.raises(ArgumentError, match="hottest="):
        tempering(mala(six_modes))
    with pytest.raises(ArgumentError, match="no law"):
        tempering(mala(six_modes), [0.0, 1.0])
    for betas in ([0.5, 0.3, 1.0], [0.5, 0.9], [1.0], [-0.1, 1.0]):
        with pytest.raises(ArgumentError, match="rise"):
            tempering(mala(six_modes, 0.1), betas)
    with pytest.raises(MissingCapability, match=r"no at\(beta\)"):
        tempering(Joint(tempering(machine().gibbs(), [0.5, 1.0])), [0.5, 1.0])
    with pytest.raises(ShapeError, match="one a rung"):
        tempering(mala(six_modes, 0.1), [0.5, 1.0], step_sizes=torch.ones(3))
    with pytest.raises(ArgumentError, match="Metropolis"):
        tempering(machine().gibbs(), [0.5, 1.0], step_sizes=torch.ones(2))
    made = tempering(mala(six_modes, 0.1), [0.5, 1.0])
    with pytest.raises(ShapeError, match="2 rungs, the ladder 3"):
        tempering(mala(six_modes, 0.1), [0.2, 0.5, 1.0]).step(
            made.init(torch.zeros(5, 2)), generator=dg.random.streams(0)
        )
    with pytest.raises(ArgumentError, match="2 chains"):
        ladder(made, made.init(torch.zeros(5, 2))).log_partition(log_base=0.0)
    with pytest.raises(MissingCapability, match="log_base="):
        ladder(made, made.init(torch.zeros(5, 2))).log_partition()


class Own(NamedTuple):
    position: torch.Tensor
    log_density: torch.Tensor


@dataclass(frozen=True)
class Walk:
    """A reader's own kernel, with a Target and no log_ratio."""

    target: Target
    beta: Any = 1.0
    exactness = EXACT

    def at(self, beta):
        return Walk(self.target, beta)

    def init(self, position):
        return Own(position, self.target.value(position))

    def step(self, state, *, generator):
        there = self.init(state.position + 1.5 * dg.random.normal(state.position.shape, generator=generator))
        ratio = self.target.tempered(there, self.beta) - self.target.tempered(state, self.beta)
        outcome = dg.samplers.accept(ratio, there, state, generator=generator)
        return outcome.value, ()


@dataclass(frozen=True)
class Around:
    """A reader's kernel around another, and no log_ratio."""

    kernel: Any
    exactness = EXACT

    def at(self, beta):
        return Around(self.kernel.at(beta))

    def init(self, position):
        return self.kernel.init(position)

    def step(self, state, *, generator):
        return self.kernel.step(state, generator=generator)


BROAD = torch.distributions.Independent(torch.distributions.Normal(torch.full((1,), 1.5), 2.5), 1)


@pytest.mark.parametrize(
    "kernel",
    [dg.samplers.independence(NORMAL, BROAD), Walk(NORMAL), Around(mala(NORMAL, 1.6))],
    ids=["independence", "own", "around"],
)
def test_a_kernel_without_log_ratio_keeps_the_reference_law(kernel, stream, alpha):
    law, p_values = normals_law()
    tempered, truth = tempering(kernel, BETAS), math.log(SD * math.sqrt(2 * math.pi))
    check_kernel(
        Joint(tempered), law, p_values=p_values, steps=20, acceptance=(0.2, 0.8), alpha=alpha, generator=stream
    )
    trace = dg.samplers.sample_chain(tempered, torch.zeros(200, 1), draws=100, warmup=50, generator=stream)
    found = ladder(trace).log_partition()
    assert abs(found.value - truth) < 6 * found.stderr < 2, found
    annealed = dg.evaluate.log_partition(kernel, "ais", chains=400, temperatures=200, generator=stream)
    assert abs(annealed.value - truth) < 6 * annealed.stderr < 0.6, annealed


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t,
        lambda t: dg.samplers.cycle(t, mala(NORMAL, 1.0)),
        lambda t: dg.samplers.mixture(t, mala(NORMAL, 1.0)),
        lambda t: dg.samplers.thin(t, 2),
    ],
    ids=["alone", "cycle", "mixture", "thinned"],
)
def test_the_warm_up_is_not_counted(make, stream):
    """A start 60 standard deviations out: its first swaps, if counted, move log Z by 10 nats and more.

    Weights of a bridge between normals have a tail of index 2 / (1 - ratio of the precisions), 2.8 here: now and then
    one draw makes the whole error, so the bound on it is a wide one.
    """
    tempered = tempering(mala(NORMAL, 1.0), BETAS, step_sizes=STEPS)
    kernel, truth = make(tempered), math.log(SD * math.sqrt(2 * math.pi))
    trace = dg.samplers.sample_chain(kernel, torch.full((100, 1), 45.0), draws=100, warmup=100, generator=stream)
    state = trace.state.states[0] if hasattr(trace.state, "states") else trace.state
    found = ladder(tempered, state).log_partition()
    assert abs(found.value - truth) < 6 * found.stderr < 5, found
    steps = {"Mixture": (trace.info.get("which", state.rung) == 0).sum() / 100, "Thinned": 200}
    assert ladder(tempered, state).steps == steps.get(type(kernel).__name__, 100)
    assert ladder(tempered, state).trips > 1


@pytest.mark.parametrize("where", [-60.0, 60.0])
def test_chains_without_a_density_are_left_out_of_log_z_by_name(where, stream):
    """The second begins where log f is NaN, or -inf, too far out to leave."""

    def log_density(x):
        value = -((x[:, 0] - MEAN) / SD).square() / 2
        return value.masked_fill(x[:, 0] < -50, math.nan).masked_fill(x[:, 0] > 50, -math.inf)

    kernel = tempering(metropolis(Target(log_density, reference=NORMAL.reference), RandomWalk(1.5)), BETAS)
    start = normals_law()[0](100, generator=stream)
    start[1] = where
    state = dg.samplers.advance(kernel, kernel.start(start), 60, generator=stream)
    with pytest.warns(RuntimeWarning, match=r"leaves out 1 of 100 chains.*\[1\]"):
        found = ladder(kernel, state).log_partition()
    others = ladder(kernel, _map(lambda x: x[torch.arange(100) != 1], state))
    assert found == others.log_partition()
    assert torch.allclose(ladder(kernel, state).rates, others.rates)
    assert found.n == 99
    truth = math.log(SD * math.sqrt(2 * math.pi))
    assert abs(found.value - truth) < 6 * found.stderr < 5, found


@dataclass(frozen=True)
class Fresh:
    """Draws of exp(-beta x), x > 0, that owe nothing to the last."""

    beta: Any = 1.0
    exactness = EXACT

    def at(self, beta):
        return Fresh(beta)

    def init(self, position):
        return Own(position, -position[:, 0])

    def step(self, state, *, generator):
        u = dg.random.uniform(state.position.shape, generator=generator).clamp_min(1e-30)
        return self.init(-u.log() / self.beta.unsqueeze(1)), ()


def test_how_often_replicas_go_round(stream):
    """One round trip of any replica in 2 + 2 sum r / (1 - r) steps, r the rejection rate, if moves forget."""
    kernel = tempering(Fresh(), [0.05, 0.2, 0.5, 1.0])
    trace = dg.samplers.sample_chain(kernel, torch.ones(200, 1), draws=600, warmup=100, generator=stream)
    rejected = 1 - ladder(trace).rates.double()
    expected = 600 / (2 + 2 * (rejected / (1 - rejected)).sum())
    trips = trace.state.trips.double()
    assert abs(float(trips.mean() - expected)) < 6 * float(trips.std()) / math.sqrt(200)
    assert 0.2 < float(rejected.mean()) < 0.6
