"""AIS, reverse AIS and RAISE against enumeration, within their own standard errors."""

import math
from statistics import NormalDist

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, DegenerateWeights, MissingCapability
from deepgen.evaluate import Bracket, log_density, log_likelihood, log_partition
from deepgen.evaluate.annealed import model_samples, raise_bound, schedule
from deepgen.samplers import rbm_path
from deepgen.samplers.annealing import PathState
from tests.evaluate.machines import PAIRS, exact_samples, machine

CHAINS, TEMPERATURES = 400, 60


def reach(alpha):
    """How many standard errors a correct estimate may be away, at false-alarm rate alpha."""
    return 1.2 * NormalDist().inv_cdf(1 - alpha / 2)  # stderr is itself estimated, from skewed weights


@pytest.mark.parametrize("pair", PAIRS)
def test_ais_and_reverse_ais_hold_the_exact_value(pair, stream, alpha):
    model = machine(pair, 0.6, stream)
    exact = log_partition(model, "exact").value
    samples = exact_samples(model, CHAINS, stream)
    found = log_partition(
        model, "bidirectional", samples=samples, exact_samples=True, chains=CHAINS, temperatures=TEMPERATURES,
        generator=stream,
    )  # fmt: skip
    assert isinstance(found, Bracket)
    assert (found.below.side, found.above.side) == ("below", "above")
    for estimate in (found.below, found.above):
        assert estimate.stderr < 0.05  # a factor of two is 0.69, far outside
        assert abs(estimate.value - exact) < reach(alpha) * estimate.stderr + 1e-4


@pytest.mark.parametrize("scale", [0.05, 4.0])
def test_binary_path_at_small_and_large_steps(scale, stream, alpha):
    """Small fields take the polynomial, large ones with few temperatures the plain logarithms."""
    model = machine("bernoulli-bernoulli", scale, stream)
    exact = log_partition(model, "exact").value
    found = log_partition(model, "ais", chains=2000, temperatures=100, generator=stream)
    assert abs(found.value - exact) < reach(alpha) * found.stderr + 1e-4


def test_raise_lies_below_and_close(stream, alpha):
    model = machine("bernoulli-bernoulli", 1.0, stream)
    x = exact_samples(model, 200, stream)
    exact = log_likelihood(model, x, "exact")
    bound = log_likelihood(model, x, "raise", temperatures=200, chains=10, generator=stream)
    assert bound.side == "below"
    assert bound.value < exact.value + reach(alpha) * bound.stderr
    assert exact.value - bound.value < 0.1 + reach(alpha) * bound.stderr
    assert bound.stderr_data == pytest.approx(exact.stderr_data, rel=0.3)


def test_raise_weights_average_to_the_annealed_law(stream, alpha):
    """With two temperatures p_ann is one Gibbs step from the base, which can be summed out."""
    model = machine((dg.explicit.Bernoulli(3), dg.explicit.Bernoulli(2)), 1.0, stream)
    path = rbm_path(model, torch.zeros(3))
    v = model.visible.enumerate(0, 8).float()
    h = model.hidden.enumerate(0, 4).float()
    with torch.no_grad():
        up = model.hidden_given(v.unsqueeze(1)).log_prob(h).exp()  # [v, h]
        down = model.visible_given(h.unsqueeze(1)).log_prob(v).exp()  # [h, v']
        law = (torch.full((8,), 1 / 8) @ up @ down).log()
    plan = schedule(path, 2, generator=stream)
    draws = 20_000
    bounds, _ = raise_bound(path, plan, v, log_density(model, v), chains=draws, generator=stream)
    assert torch.allclose(bounds, law.double(), atol=reach(alpha) * 3 / math.sqrt(draws))


def test_chain_started_reverse_does_not_claim_a_side(stream):
    model = machine("bernoulli-bernoulli", 0.6, stream)
    found = log_partition(model, "reverse", temperatures=30, generator=stream)
    assert found.side == "undetermined"
    assert "Gibbs steps" in found.settings["samples"]
    likelihood = log_likelihood(model, torch.ones(3, 7), "bidirectional", temperatures=30, generator=stream)
    assert likelihood.above.side == "above"
    assert likelihood.below.side == "undetermined"
    assert likelihood.below.settings["data"]["rows"] == 3


def test_model_samples_have_the_models_means(stream, alpha):
    model = machine("bernoulli-bernoulli", 1.0, stream)
    path = rbm_path(model)
    plan = schedule(path, 30, generator=stream)
    run = dg.evaluate.annealed.ais(path, plan, chains=4000, generator=stream)
    drawn, _ = model_samples(path, run, 30, generator=stream)
    v = model.visible.enumerate(0, model.visible.states).float()
    with torch.no_grad():
        truth = model.log_density(v).softmax(0) @ v
    error = (truth * (1 - truth) / 4000).sqrt()
    assert bool(((drawn.mean(0) - truth).abs() < reach(alpha) * error).all())


def test_adaptive_temperatures_rise_and_meet_a_tolerance(stream):
    model = machine("bernoulli-bernoulli", 2.0, stream)
    plan = schedule(rbm_path(model), "adaptive", generator=stream)
    assert plan.betas[0] == 0
    assert plan.betas[-1] == 1
    assert bool((plan.betas.diff() > 0).all())
    coarse = torch.tensor([0.0, 0.3, 1.0])
    alone = log_partition(model, "ais", temperatures=coarse, chains=50, generator=0)
    wanted = alone.stderr / 3  # the same first run, so that three temperatures are never enough
    found = log_partition(model, "ais", temperatures=coarse, tolerance=wanted, chains=50, generator=0)
    assert found.stderr <= wanted
    assert found.settings["reached"] is True
    assert found.settings["temperatures"] > 3


def test_same_seed_same_value():
    model = machine("bernoulli-bernoulli", 1.0, dg.random.generator(1))
    one, two, other = (log_partition(model, "ais", temperatures=20, generator=seed).value for seed in (5, 5, 6))
    assert one == two
    assert one != other


def test_poor_weights_are_named_with_the_remedy(stream):
    model = machine((dg.explicit.Bernoulli(100), dg.explicit.Bernoulli(60)), 1.0, stream)
    with pytest.warns(DegenerateWeights, match="more temperatures"):
        log_partition(model, "ais", base=torch.zeros(10, 100), temperatures=5, generator=stream)


def test_arguments_are_checked(stream):
    model = machine("bernoulli-bernoulli", 1.0, stream)
    for wrong in (1, "adaptiv", torch.tensor([0.0, 0.5]), torch.tensor([0.0, 0.7, 0.5, 1.0]), True):
        with pytest.raises(ArgumentError, match="temperatures"):
            log_partition(model, "ais", temperatures=wrong)
    with pytest.raises(ArgumentError, match="chains"):
        log_partition(model, "ais", chains=1)
    with pytest.raises(ArgumentError, match="tolerance"):
        log_partition(model, "ais", tolerance=0.0, temperatures=5)
    with pytest.raises(MissingCapability):
        log_partition(torch.nn.Linear(2, 2), "ais")


class Scattered:
    """A path whose log weights lie hundreds of nats apart, so that one run in a row carries it."""

    log_base = 0.0

    def init(self, position):
        return PathState(position)

    def step(self, state, old, new, *, generator):
        return state, 500 * torch.rand(len(state.position), generator=generator, dtype=torch.float64)


def test_a_raise_bound_from_too_few_runs_is_told(stream):
    plan = schedule(Scattered(), 2, generator=stream)
    with pytest.warns(DegenerateWeights, match="runs of a row count"):
        _, bound = raise_bound(Scattered(), plan, torch.ones(100, 3), torch.zeros(100), generator=stream)
    assert bound.ess < 2 * 100
