"""The one call: which method it picks, what it says of itself, what it refuses."""

import math

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, DivergenceError, MissingCapability, ShapeError, SupportError, UnknownName
from deepgen.evaluate import Bracket, log_density, log_likelihood, log_partition, pseudo_likelihood
from deepgen.explicit import RBM, Bernoulli, BernoulliMixture, Gaussian, Product
from tests.evaluate.machines import machine


def test_exact_is_the_normalised_law(stream):
    model = machine("bernoulli-bernoulli", 1.0, stream)
    every = model.visible.enumerate(0, model.visible.states).float()
    rows = torch.cat([log_density(model, every)])
    log_z = log_partition(model).value
    assert float((rows - log_z).exp().sum()) == pytest.approx(1.0, rel=1e-6)
    found = log_likelihood(model, every)
    assert found.side == "exact"
    assert found.value == pytest.approx(float(rows.mean()) - log_z)
    assert found.stderr_data == pytest.approx(float(rows.std()) / math.sqrt(len(rows)))
    assert found.unit == "nats/example"


def test_auto_picks_by_size_and_kind():
    assert log_partition(RBM(30, 4)).side == "exact"
    assert log_partition(RBM(Gaussian(40), Gaussian(40), generator=0)).side == "exact"
    large = log_partition(RBM(40, 40), temperatures=10, chains=10, generator=0)
    assert isinstance(large, Bracket)
    assert large.below.value == pytest.approx(80 * math.log(2), abs=1.0)


def test_normalised_models_need_no_log_z(stream):
    model = BernoulliMixture(5)
    x = torch.randint(0, 2, (20, 5), generator=stream).float()
    found = log_likelihood(model, x)
    with torch.no_grad():
        assert found.value == pytest.approx(float(model.log_prob(x).mean()), rel=1e-6)
    assert (found.side, found.stderr) == ("exact", 0.0)
    with pytest.raises(ArgumentError, match="exact log_prob"):
        log_likelihood(model, x, "ais")


def test_ais_likelihood_sits_above(stream):
    model = machine("bernoulli-bernoulli", 0.5, stream)
    found = log_likelihood(model, torch.ones(2, 7), "ais", temperatures=20, generator=7)
    assert found.side == "above"
    assert found.settings["seed"] == 7
    assert found.settings["temperatures"] == 20
    assert found.settings["chains"] == 100


def test_provenance_goes_into_the_settings(stream):
    data = dg.data.load("digits")
    model = RBM(data.test.shape[1], 3)
    about = log_likelihood(model, data.test).settings["data"]
    assert about == dg.data.provenance(data.test)
    assert log_likelihood(model, data.test[:1]).settings["rows"] == 1


def test_one_row_has_no_spread():
    assert math.isnan(log_likelihood(RBM(4, 3), torch.zeros(1, 4)).stderr_data)


def test_bad_input_is_refused():
    model = RBM(4, 3)
    with pytest.raises(UnknownName, match="did you mean 'bidirectional'"):
        log_partition(model, "bidirectinal")
    with pytest.raises(UnknownName, match="did you mean 'pseudo'"):
        log_likelihood(model, torch.zeros(2, 4), "pseud")
    with pytest.raises(ShapeError):
        log_likelihood(model, torch.zeros(0, 4))
    with pytest.raises(ShapeError):
        log_likelihood(model, torch.zeros(2, 5))
    with pytest.raises(ShapeError, match="tensor"):
        log_likelihood(model, [[0.0, 1.0]])
    with pytest.raises(SupportError):
        log_likelihood(model, torch.full((2, 4), math.nan))
    with pytest.raises(SupportError):
        log_likelihood(model, torch.full((2, 4), 0.5))
    with pytest.raises(MissingCapability, match="log_prob"):
        log_likelihood(torch.nn.Linear(4, 1), torch.zeros(2, 4))
    with pytest.raises(SupportError):
        log_partition(RBM(30, 30), "bidirectional", samples=torch.full((9, 30), 0.5), temperatures=5, chains=5)


@pytest.mark.parametrize("method", ["auto", "exact", "ais", "bidirectional", "raise", "pseudo"])
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_broken_machine_has_no_number(method, broken):
    model = RBM(4, 3, generator=0)
    with torch.no_grad():
        model.weight[0, 0] = broken
    with pytest.raises(DivergenceError, match="weight holds NaN or infinite"):
        log_likelihood(model, torch.zeros(2, 4), method, generator=0)


def test_bool_and_double_data_are_taken():
    model = RBM(Bernoulli(4), 3, generator=0)
    x = torch.tensor([[True, False, True, True]])
    assert log_likelihood(model, x).value == log_likelihood(model, x.double()).value


@pytest.mark.parametrize("method", ["exact", "ais", "reverse", "bidirectional", "raise"])
@pytest.mark.parametrize("double", [False, True])
def test_learned_precisions_and_other_dtypes(method, double, stream):
    model = RBM(Gaussian(3, precision=2.0, learned=True), 4, generator=stream)
    model = model.double() if double else model
    x = torch.randn(60, 3, generator=stream)
    settings = {} if method == "exact" else {"temperatures": 60}
    found = log_likelihood(model, x, method, generator=stream, **settings)
    exact = log_likelihood(model, x).value
    low, high = found.interval(0.9999999)
    assert low - 1e-3 < exact < high + 1e-3
    assert high - low < 0.5  # a factor of two in Z is 0.69


def test_constant_columns_and_models_in_double(stream):
    x = torch.zeros(30, 6)
    x[:, 0] = 1.0
    model = RBM(6, 4, generator=stream).initialise(x).double()
    exact = log_likelihood(model, x).value
    low, high = log_likelihood(model, x, "bidirectional", temperatures=10, generator=stream).interval(0.9999999)
    assert low - 1e-3 < exact < high + 1e-3
    assert -1.0 < exact < 0.0


def test_a_whole_data_set_is_not_rows():
    data = dg.data.load("digits")
    model = RBM(data.test.shape[1], 3)
    for method in ("auto", "pseudo"):
        with pytest.raises(ShapeError, match=r"pass one of its splits, such as data\.test"):
            log_likelihood(model, data, method)
    with pytest.raises(ShapeError, match=r"such as data\.test"):
        pseudo_likelihood(model, data)
    with pytest.raises(ShapeError, match=r"such as data\.test"):
        log_likelihood(BernoulliMixture(64), data)


OPTIONS = {"samples": torch.zeros(5, 4), "exact_samples": True, "chains": 5, "temperatures": 5, "tolerance": 10.0}
TAKEN = {
    "exact": [],
    "ais": ["chains", "temperatures", "tolerance"],
    "reverse": ["samples", "exact_samples", "chains", "temperatures", "tolerance"],
    "bidirectional": ["samples", "exact_samples", "chains", "temperatures", "tolerance"],
    "raise": ["chains", "temperatures"],
    "pseudo": [],
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("method", TAKEN)
def test_options_without_a_use_are_refused(method, option):
    """Each is taken by exactly the methods that have a use for it, and the others are named."""
    model, given = RBM(4, 3, generator=0), {option: OPTIONS[option]}
    if option == "exact_samples" and option in TAKEN[method]:
        given["samples"] = OPTIONS["samples"]
    calls = [lambda: log_likelihood(model, torch.zeros(2, 4), method, generator=0, **given)]
    if method not in ("raise", "pseudo"):
        calls.append(lambda: log_partition(model, method, generator=0, **given))
    for call in calls:
        if option in TAKEN[method]:
            call()
        else:
            with pytest.raises(ArgumentError, match=f"method='{method}' takes no {option}; those that do: .*reverse"):
                call()


def test_auto_takes_what_annealing_would():
    model = RBM(4, 3, generator=0)
    assert log_partition(model, chains=5, temperatures=5, tolerance=1.0).side == "exact"
    with pytest.raises(ArgumentError, match="rows of data go to base="):
        log_partition(model, torch.zeros(2, 4))


def test_reverse_from_samples_runs_one_chain_each():
    model, samples = RBM(4, 3, generator=0), torch.zeros(5, 4)
    with pytest.raises(ArgumentError, match="5 samples, chains=6"):
        log_partition(model, "reverse", samples=samples, chains=6)
    with pytest.raises(ArgumentError, match="tolerance"):
        log_partition(model, "reverse", samples=samples, tolerance=0.1)
    assert log_partition(model, "reverse", samples=samples, temperatures=5, generator=0).n == 5


@pytest.mark.parametrize("method", ["ais", "reverse", "bidirectional", "raise"])
@pytest.mark.parametrize("other", [Bernoulli(1), None])
def test_annealing_refuses_what_cannot_be_normalised(method, other):
    layers = (Gaussian(2), Gaussian(2)) if other is None else (Product(other, Gaussian(2)), Product(Gaussian(2), other))
    model = RBM(*layers, generator=0)
    with torch.no_grad():
        model.weight[-2:, :2] = 1.01 * torch.eye(2)
    with pytest.raises(DivergenceError, match=r"precision matrix .* not positive definite"):
        log_likelihood(model, torch.zeros(2, model.visible.width), method, generator=0)
    if other is None:
        assert log_partition(model).value == math.inf
        assert log_likelihood(model, torch.zeros(2, 2)).value == -math.inf


def test_wide_rows_go_through_a_model_few_at_a_time(stream):
    """A network is many times as wide inside as its rows: ten thousand images at once would fill the memory."""
    seen = []

    class Watched(torch.nn.Module):
        def log_prob(self, x):
            seen.append(len(x))
            return x.sum(1)

    x = torch.randn(500, 784, generator=stream)
    found = log_likelihood(Watched(), x)
    assert found.value == pytest.approx(float(x.double().sum(1).mean()), abs=1e-4)
    assert sum(seen) == 500
    assert max(seen) * 784 <= 2**17


def test_rows_with_a_context_are_a_pair(stream):
    flow = dg.explicit.MAF(2, transforms=2, hidden=[8], context=3, generator=0)
    for parameter in flow.parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=stream))
    y, c = torch.randn(12_000, 2, generator=stream), torch.randn(12_000, 3, generator=stream)  # more than one chunk
    with torch.no_grad():
        rows = flow.log_prob(y, c).double()
    found = log_likelihood(flow, (y, c))
    assert found.value == pytest.approx(float(rows.mean()), rel=1e-6)
    assert found.stderr_data == pytest.approx(float(rows.std()) / math.sqrt(len(rows)), rel=1e-6)
    with pytest.raises(ArgumentError, match="takes a context"):
        log_likelihood(flow, y)
    with pytest.raises(ShapeError, match=r"context must be \[12000, 3\]"):
        log_likelihood(flow, (y, c[1:]))


def test_a_machine_has_no_bound_and_says_what_it_has():
    with pytest.raises(ArgumentError, match=r"RBM has no bound of its own; its methods: auto, exact, .*raise, pseudo"):
        log_likelihood(RBM(4, 3, generator=0), torch.zeros(5, 4), method="bound")


def test_a_law_whose_event_axes_are_not_summed_has_no_likelihood():
    x = torch.zeros(3, 4)
    law = torch.distributions.Bernoulli(logits=torch.zeros(4))
    with pytest.raises(ShapeError, match="Independent"):
        log_likelihood(law, x)
    found = log_likelihood(torch.distributions.Independent(law, 1), x)
    assert found.value == pytest.approx(4 * math.log(0.5))
    assert found.each.shape == (3,)


def test_a_law_for_each_row_stays_whole():
    rows = 20_000  # more than go through a network together
    x = torch.arange(rows * 2.0).view(rows, 2) % 7
    law = torch.distributions.Independent(torch.distributions.Normal(x, 1.0), 1)
    assert log_likelihood(law, x).value == pytest.approx(-math.log(2 * math.pi))


def test_arrays_of_float64_reach_models_of_float64_unrounded():
    law = dg.explicit.MAF(1, 1, [4], generator=0).double()
    rows = torch.tensor([[1e6 + 0.01], [0.3], [-0.7]], dtype=torch.float64)
    assert log_likelihood(law, rows.numpy()).value == log_likelihood(law, rows).value
    given = dg.explicit.MAF(1, 1, [4], context=1, generator=0).double()
    pair = (rows.numpy(), rows.numpy()[::-1].copy())
    assert log_likelihood(given, pair).value == log_likelihood(given, (rows, rows.flip(0))).value


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")  # of four chains, for some machines
def test_a_seed_of_numpy_stands_in_the_settings_as_any_other(stream):
    rbm = machine("bernoulli-bernoulli", 1.0, stream)
    x = rbm.visible.enumerate(0, 4).float()
    options = {"method": "ais", "chains": 4, "temperatures": 5}
    seed, same = np.int64(7), 7
    one, other = (log_likelihood(rbm, x, generator=g, **options) for g in (seed, same))
    assert one.settings["seed"] == same
    assert one == other
