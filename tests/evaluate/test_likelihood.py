"""The one call: which method it picks, what it says of itself, what it refuses."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, DivergenceError, MissingCapability, ShapeError, SupportError, UnknownName
from deepgen.evaluate import Bracket, log_density, log_likelihood, log_partition
from deepgen.explicit import RBM, Bernoulli, BernoulliMixture, Gaussian
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
    found = log_likelihood(model, x, method, temperatures=60, generator=stream)
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
