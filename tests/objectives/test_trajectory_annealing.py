"""Annealing both ways: right where chains are draws of the machine, and within its error where they are not."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError
from deepgen.evaluate import Estimate
from deepgen.objectives import EquilibriumWarning, TrajectoryTempering
from deepgen.objectives.equilibrium_watch import EquilibriumWatch
from deepgen.objectives.trajectory_annealing import CHAINS, anneal_both_ways, unmet
from deepgen.testing import Exact, check_estimate
from deepgen.train import Record
from tests.contracts.layers import machine


def wide():
    """Bits of which twenty draws of the hidden layer are a small part."""
    rbm = dg.RBM(8, 10, generator=0)
    with torch.no_grad():
        rbm.weight.mul_(40.0)
    return rbm


MACHINES = {
    "bits": wide,
    "bernoulli-gaussian": lambda: machine("bernoulli-gaussian"),
    "mixed-learned": lambda: machine("mixed-learned"),
}


@pytest.mark.parametrize("name", MACHINES)
def test_log_z_from_exact_draws_is_that_of_enumeration(name, stream):
    """Over repeats, by so few temperatures that paths matter: value, error and coverage."""
    rbm = MACHINES[name]()
    exact = Exact(rbm)
    truth, (v, h) = float(exact.log_z.detach()), exact.sample(200 * CHAINS, generator=stream)
    found, draws = [], iter(h.split(CHAINS))

    def estimate(generator):
        both = anneal_both_ways(rbm, next(draws), v.mean(0), 5, generator=generator)
        found.append(both)
        return Estimate(both.value, both.stderr, "undetermined", "both ways", both.chains)

    check_estimate(estimate, truth, seeds=200, slack=0.05, generator=stream)
    errors = torch.tensor([both.value - truth for both in found]).double()
    # the bound by distinct rows can raise a value and nothing lowers it
    assert abs(float(errors.mean())) < 0.5 * float(errors.std())
    assert all(both.chains == CHAINS for both in found)
    assert sum(both.behind > 0 for both in found) < 20  # of 200


def needle():
    """40 x 10 bits: all off, and all on with e^5 times the mass, which block Gibbs does not join."""
    rbm = dg.RBM(40, 10, generator=0)
    with torch.no_grad():
        rbm.weight.fill_(0.5)
        rbm.visible_bias.fill_(-2.5 + 5 / 40)
        rbm.hidden_bias.fill_(-10.0)
    return rbm, float(dg.evaluate.log_partition(rbm, "exact").value)


@pytest.mark.parametrize(
    ("state", "rate", "missed"),
    [
        (1.0, 0.9, 0.0),  # where the base leads, and the mass is
        (0.0, 0.1, 4.25),  # where the base leads, and the mass is not: nothing knows of the other mode
    ],
)
def test_chains_in_the_mode_that_the_base_leads_to_know_its_mass(state, rate, missed, stream):
    rbm, truth = needle()
    chains, mean = torch.full((60, 10), state), torch.full((40,), rate)
    found = [anneal_both_ways(rbm, chains, mean, 200, generator=stream) for _ in range(10)]
    for one in found:
        assert one.value + missed == pytest.approx(truth, abs=0.1)
    # errors from twenty paths have a heavy tail: 5 of 840 draws were behind or had one above 0.1, the value of none off
    assert sum(one.stderr > 0.1 or one.behind > 0 for one in found) < 3


@pytest.mark.parametrize(("state", "rate"), [(1.0, 0.1), (0.0, 0.9)])
def test_an_error_holds_the_truth_where_no_path_comes_to_the_chains(state, rate, stream):
    """Bennett's ratio is nats off, by far more than its jackknife says."""
    rbm, truth = needle()
    found = anneal_both_ways(rbm, torch.full((60, 10), state), torch.full((40,), rate), 200, generator=stream)
    assert 4 < abs(found.value - truth) < found.stderr < 30


def test_chains_that_lag_are_behind_by_what_log_z_from_them_misses(stream):
    """Half of them are in the mode that has 1.4 % of the mass: E[1 / w] = (Z_0 / Z) sum over modes of pi share / mass,

    pi being the part of the paths from the base that ends there.
    """
    rbm, truth = needle()
    half = (torch.arange(60) % 2).float().unsqueeze(1).expand(-1, 10)
    found = anneal_both_ways(rbm, half, torch.full((40,), 0.5), 200, generator=stream)
    assert 0.5 < found.behind < math.log(0.5 / 0.0143) + 1  # pi of the light mode from 2 % to all
    assert found.lag == found.behind
    assert abs(found.value - truth) < found.stderr < 6


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_ways_are_apart_by_the_variance_of_normal_weights(factor, stream):
    """log w up is N(-s^2 / 2, s^2), and down N(s^2 / 2, s^2): no excess, and its variance as stated."""
    s, n, repeats = 2.0, 20, 4000
    up, down = torch.randn(2, repeats, n, generator=stream, dtype=torch.float64) * s
    found = torch.tensor([unmet(u - s**2 / 2, d + factor * s**2 / 2) for u, d in zip(up, down, strict=True)])
    excess, variance = found.double().unbind(1)
    error = float(excess.std()) / repeats**0.5
    assert abs(float(excess.mean()) - (factor - 1) * s**2 / 2) < 6 * error
    assert float(variance.mean() / excess.var()) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("share", [0.1, 0.995])
def test_a_machine_with_a_mode_that_no_ladder_meets_is_left_to_its_chains(share, stream):
    """Around data that are nearly all off the ladder stays there; chains from the few others find what it misses."""
    rbm, truth = needle()
    ones = (torch.arange(200) < 200 * share).float().unsqueeze(1).expand(-1, 40)
    x = (ones + torch.bernoulli(torch.full((200, 40), 0.07), generator=stream)) % 2
    objective = TrajectoryTempering(chains=100)
    state = objective.start(rbm, x, generator=stream)
    found = objective.log_partition(rbm, state=state)
    missed = truth - float(state.rung.log_z)
    assert int(state.counts.apart) == (share < 0.5)
    assert missed == pytest.approx(4.25 if share < 0.5 else 0.0, abs=0.2)
    assert found.value == pytest.approx(truth, abs=0.1)
    assert found.stderr > missed - 0.5
    assert bool((state.chains.mean(1) > 0.5).any())  # chains are in the mode that matters


def test_a_machine_near_no_weights_is_not_left_to_its_chains(stream):
    x = dg.data.bars_and_stripes(4)
    rbm = dg.RBM(16, 8, generator=stream).initialise(x)
    state = TrajectoryTempering(chains=50, trust=0.2).start(rbm, x, generator=stream)
    assert (int(state.counts.apart), state.memory) == (0, ())
    assert float(state.rung.gap) < 0.2


def test_the_likelihood_told_goes_on_where_chains_are_left_to_themselves(stream):
    """Every 20 steps for each temperature: that of the batch and machine of then, as it is asked for."""
    x, objective = dg.data.bars_and_stripes(3), TrajectoryTempering(chains=50, trust=0.0, temperatures=10)
    rbm = dg.RBM(9, 4, generator=stream).initialise(x)
    state = objective.start(rbm, x, generator=stream)
    step = objective.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.5))
    told, truths = [], []
    for number in range(1000):
        if number % 200 == 0:
            now, truth = objective.log_likelihood(rbm, x, state=state), dg.evaluate.log_likelihood(rbm, x)
            assert abs(now.value - truth.value) < 6 * max(now.stderr, 0.02)
            truths.append(now.value)
        state, metrics = step(state, x, generator=stream)
        told.append(float(metrics["log_likelihood"]))
        assert float(metrics["behind"]) == float(state.seen[3])
    assert [len(set(told[i : i + 200])) for i in range(0, 1000, 200)] == [1] * 5
    assert told[::200] == pytest.approx(truths, abs=1e-4)
    assert truths[-1] - truths[0] > 0.5


def test_a_likelihood_is_annealed_at_once_where_chains_part_in_the_middle_of_a_run(stream):
    x, objective = dg.data.bars_and_stripes(3), TrajectoryTempering(chains=50, freeze=0.99, pace=1, trust=0.5)
    rbm = dg.RBM(9, 4, generator=stream).initialise(x)
    state = objective.start(rbm, x, generator=stream)
    far = state.rung._replace(gap=torch.tensor(0.7).double(), log_z=state.rung.log_z + 50)  # a ladder gone wrong
    state, step = state._replace(rung=far), objective.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.01))
    while not int(state.counts.apart):
        truth = dg.evaluate.log_likelihood(rbm, x).value
        state, metrics = step(state, x, generator=stream)
    assert float(metrics["apart"]) == 1
    assert float(metrics["log_likelihood"]) == pytest.approx(truth, abs=1.0)


def test_looks_take_nothing_from_the_stream_of_the_run(stream):
    """The steps are the same at any number of temperatures."""
    x, ends = dg.data.bars_and_stripes(3), []
    for temperatures in (2, 30):
        objective, own = TrajectoryTempering(chains=20, temperatures=temperatures), dg.random.generator(3)
        rbm = dg.RBM(9, 4, generator=0).initialise(x)
        state = objective.start(rbm, x, generator=own)
        step = objective.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.1))
        for _ in range(50):
            state, _ = step(state, x, generator=own)
        ends.append((rbm.weight.detach().clone(), state.chains))
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_one_chain_will_do(stream):
    rbm, objective = machine("bernoulli-bernoulli"), TrajectoryTempering(chains=1, trust=0.0)
    state = objective.start(rbm, torch.eye(3), generator=stream)
    found = objective.log_partition(rbm, state=state)
    assert (found.n, math.isfinite(found.stderr)) == (2, True)


def test_a_likelihood_is_the_same_whenever_it_is_asked_for(stream):
    x, objective = dg.data.bars_and_stripes(3), TrajectoryTempering(chains=50, trust=0.0, temperatures=20)
    rbm = dg.RBM(9, 4, generator=stream).initialise(x)
    state = objective.start(rbm, x, generator=stream)
    first, second = (objective.log_likelihood(rbm, x, state=state) for _ in range(2))
    assert (first.value, first.stderr) == (second.value, second.stderr)
    assert first.settings == {**second.settings, "temperatures": 20, "chains": CHAINS, "rows": len(x)}
    assert math.isfinite(first.settings["behind"])


def test_chains_behind_are_said_in_words():
    watch, model = EquilibriumWatch(), torch.nn.Linear(1, 1)
    metrics = {"rungs": 1.0, "rollbacks": 0.0, "raised": 0.0, "apart": 0.0, "behind": 4.9, "autocorrelation": 4.0}
    watch(Record(1, 1000, 0.0, 0.0, metrics), model)
    with pytest.warns(
        EquilibriumWarning, match="left equilibrium: .* lies 6 nats below .* chains lag behind the model"
    ) as told:
        watch(Record(2, 2000, 0.0, 0.0, {**metrics, "behind": 6.0}), model)
    assert told[0].filename == __file__  # where the watch was called
    watch(Record(3, 3000, 0.0, 0.0, {**metrics, "behind": 7.0}), model)  # once


def test_one_temperature_is_refused():
    with pytest.raises(ArgumentError, match="temperatures"):
        TrajectoryTempering(temperatures=1)
