"""Annealing both ways: right where chains are draws of the machine, and within its error where they are not."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError
from deepgen.evaluate import Estimate
from deepgen.objectives import EquilibriumWarning, TrajectoryTempering
from deepgen.objectives.equilibrium_watch import EquilibriumWatch
from deepgen.objectives.trajectory_annealing import CHAINS, anneal_both_ways
from deepgen.testing import Exact, check_estimate
from deepgen.train import Record
from tests.contracts.layers import machine


def wide():
    """Bits of which fifty draws of the hidden layer are a small part."""
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
    # where it takes chains to lag though they do not, the greater of two values is taken
    assert abs(float(errors.mean())) < 0.5 * float(errors.std())
    assert all(both.chains == CHAINS and both.astray >= 0 for both in found)


def needle():
    """40 x 10 bits: all off, and all on with e^5 times the mass, which block Gibbs does not join."""
    rbm = dg.RBM(40, 10, generator=0)
    with torch.no_grad():
        rbm.weight.fill_(0.5)
        rbm.visible_bias.fill_(-2.5 + 5 / 40)
        rbm.hidden_bias.fill_(-10.0)
    return rbm, float(dg.evaluate.log_partition(rbm, "exact").value)


@pytest.mark.parametrize(
    ("state", "rate", "astray"),
    [
        (1.0, 0.9, 0.0),  # where the base leads, and the mass is
        (0.0, 0.1, 0.0),  # where the base leads, and the mass is not: nothing knows of the other mode
        (1.0, 0.1, 4.25),  # the base leads to the other one
        (0.0, 0.9, 4.25),
    ],
)
def test_chains_in_a_mode_that_the_base_does_not_lead_to_are_astray(state, rate, astray, stream):
    rbm, truth = needle()
    found = anneal_both_ways(rbm, torch.full((60, 10), state), torch.full((40,), rate), 200, generator=stream)
    assert found.astray >= astray - 0.5 if astray else found.astray < 0.5
    missed = 4.25 if (state, rate) == (0.0, 0.1) else 0.0
    assert abs(found.value + missed - truth) < 5 * max(found.stderr, 0.02)


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
    assert abs(found.value - truth) < 5 * max(found.stderr, 0.01)  # 1.4 % of the mass is in the mode of none
    assert found.stderr > missed - 0.5
    assert bool((state.chains.mean(1) > 0.5).any())  # chains are in the mode that matters


def test_a_machine_near_no_weights_is_not_left_to_its_chains(stream):
    x = dg.data.bars_and_stripes(4)
    rbm = dg.RBM(16, 8, generator=stream).initialise(x)
    state = TrajectoryTempering(chains=50, trust=0.2).start(rbm, x, generator=stream)
    assert (int(state.counts.apart), state.memory) == (0, ())
    assert float(state.rung.gap) < 0.2


def test_the_likelihood_told_goes_on_where_chains_are_left_to_themselves(stream):
    """Every 20 steps for each temperature: that of the batch and machine of then, by enumeration."""
    x, objective = dg.data.bars_and_stripes(3), TrajectoryTempering(chains=50, trust=0.0, temperatures=10)
    rbm = dg.RBM(9, 4, generator=stream).initialise(x)
    state = objective.start(rbm, x, generator=stream)
    step = objective.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.5))
    told, truths = [], []
    for number in range(1000):
        if number % 200 == 0:
            truths.append(dg.evaluate.log_likelihood(rbm, x, method="exact").value)
        state, metrics = step(state, x, generator=stream)
        told.append(float(metrics["log_likelihood"]))
        assert float(metrics["astray"]) == float(state.seen[3]) >= 0
    assert [len(set(told[i : i + 200])) for i in range(0, 1000, 200)] == [1] * 5
    assert truths[-1] - truths[0] > 0.5
    for now, truth in zip(told[::200], truths, strict=True):
        assert now == pytest.approx(truth, abs=0.25)  # the machine moves by more over the run


def test_a_likelihood_is_the_same_whenever_it_is_asked_for(stream):
    x, objective = dg.data.bars_and_stripes(3), TrajectoryTempering(chains=50, trust=0.0, temperatures=20)
    rbm = dg.RBM(9, 4, generator=stream).initialise(x)
    state = objective.start(rbm, x, generator=stream)
    first, second = (objective.log_likelihood(rbm, x, state=state) for _ in range(2))
    assert (first.value, first.stderr) == (second.value, second.stderr)
    assert first.settings == {**second.settings, "temperatures": 20, "chains": CHAINS, "rows": len(x)}
    assert math.isfinite(first.settings["astray"])


def test_chains_astray_are_said_in_words():
    watch, model = EquilibriumWatch(), torch.nn.Linear(1, 1)
    metrics = {"rungs": 1.0, "rollbacks": 0.0, "raised": 0.0, "apart": 0.0, "astray": 4.9, "autocorrelation": 4.0}
    watch(Record(1, 1000, 0.0, 0.0, metrics), model)
    with pytest.warns(
        EquilibriumWarning, match="left equilibrium: .* contradict each other by 6 nats.* no draws of the model"
    ):
        watch(Record(2, 2000, 0.0, 0.0, {**metrics, "astray": 6.0}), model)
    watch(Record(3, 3000, 0.0, 0.0, {**metrics, "astray": 7.0}), model)  # once


def test_one_temperature_is_refused():
    with pytest.raises(ArgumentError, match="temperatures"):
        TrajectoryTempering(temperatures=1)
