"""Exact log Z against plain sums in float64, closed forms, and its own invariances."""

import copy
import math
import time

import pytest
import torch

from deepgen.errors import ArgumentError, MissingCapability
from deepgen.evaluate.exact import exact_log_partition, normalisable
from deepgen.explicit import RBM, Bernoulli, Gaussian, Product, Softmax, Spin
from deepgen.testing import Exact
from tests.evaluate.machines import PAIRS, brute_log_z, machine

LOG2 = math.log(2.0)


@pytest.mark.parametrize("scale", [0.3, 3.0, 300.0])
@pytest.mark.parametrize("pair", PAIRS)
def test_agrees_with_the_plain_sum(pair, scale, stream):
    if "gaussian" in pair or "product" in pair:
        scale = min(scale, 3.0)  # a Gaussian side squares it
    model = machine(pair, scale, stream).double()
    truth = brute_log_z(model)
    found = exact_log_partition(model)
    assert found.side == "exact"
    assert found.value == pytest.approx(truth, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("scale", [0.5, 30.0])
def test_split_halves_of_more_than_a_thousand_states(scale, stream):
    layers = Product(Bernoulli(9), Softmax(2, 3), Spin(2)), Product(Spin(10), Bernoulli(7))
    model = machine(layers, scale, stream).double()
    assert exact_log_partition(model).value == pytest.approx(brute_log_z(model), rel=1e-10)


def test_enormous_fields_do_not_overflow(stream):
    model = machine((Bernoulli(5), Bernoulli(4)), 1e5, stream).double()
    assert exact_log_partition(model).value == pytest.approx(brute_log_z(model), rel=1e-12)


def test_two_gaussian_layers_by_quadrature():
    model = RBM(Gaussian(1, precision=2.0), Gaussian(1, precision=1.5)).double()
    with torch.no_grad():
        model.weight.fill_(0.8)
        model.visible_bias.fill_(0.3)
        model.hidden_bias.fill_(-0.4)
    grid = torch.linspace(-30, 30, 6001, dtype=torch.float64)
    with torch.no_grad():
        sum_over_v = model.log_density(grid.unsqueeze(1)).logsumexp(0) + math.log(float(grid[1] - grid[0]))
    assert exact_log_partition(model).value == pytest.approx(float(sum_over_v), abs=1e-9)


def test_two_gaussian_layers_that_cannot_be_normalised():
    model = RBM(Gaussian(2), Product(Gaussian(1), Gaussian(1)))
    with torch.no_grad():
        model.weight.copy_(torch.eye(2) * 1.01)
    assert exact_log_partition(model).value == math.inf


def test_energy_shift_and_flipped_units(stream):
    model = machine("bernoulli-bernoulli", 1.0, stream).double()
    before = exact_log_partition(model).value
    flipped = copy.deepcopy(model)
    with torch.no_grad():  # v -> 1 - v on the first three visible units leaves the set of energies as it is
        a, b, w = flipped.visible_bias, flipped.hidden_bias, flipped.weight
        shift = float(a[:3].sum())
        b += w[:3].sum(0)
        a[:3] *= -1
        w[:3] *= -1
    assert exact_log_partition(flipped).value + shift == pytest.approx(before, rel=1e-12)


def test_one_more_free_unit_doubles_z(stream):
    model = machine("bernoulli-bernoulli", 1.0, stream).double()
    wider = RBM(8, 5).double()
    with torch.no_grad():
        wider.weight.zero_()
        wider.weight[:7] = model.weight
        wider.visible_bias[:7] = model.visible_bias
        wider.hidden_bias.copy_(model.hidden_bias)
    assert exact_log_partition(wider).value - exact_log_partition(model).value == pytest.approx(LOG2, rel=1e-9)


def test_refuses_what_it_cannot_sum():
    with pytest.raises(MissingCapability, match="bidirectional"):
        exact_log_partition(RBM(Product(Bernoulli(2), Gaussian(2)), Gaussian(3)))
    with pytest.raises(ArgumentError, match=r"30.*would take about .*(minutes|hours)"):
        exact_log_partition(RBM(784, 30))
    with pytest.raises(ArgumentError, match="years"):
        exact_log_partition(RBM(784, 500))


def test_twenty_by_784_takes_seconds_of_one_core(stream):
    model = machine((Bernoulli(784), Bernoulli(20)), 0.3, stream)
    spent = []
    for _ in range(2):  # the first call of a process also loads libraries
        begun = time.process_time()
        value = exact_log_partition(model).value
        spent.append(time.process_time() - begun)
    assert value > 784 * LOG2
    assert min(spent) < 2.0


def test_progress_bar_changes_nothing(stream, capsys):
    model = machine((Bernoulli(20), Bernoulli(15)), 0.5, stream)
    shown = exact_log_partition(model, progress=True).value
    assert shown == exact_log_partition(model).value
    assert "enumerating" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_number_of_threads_is_put_back(error, monkeypatch):
    model, before, seen = RBM(3, 4, generator=0), torch.get_num_threads(), []

    def interrupted(blocks, **options):
        seen.append(torch.get_num_threads())
        raise error

    try:
        torch.set_num_threads(2)
        exact_log_partition(model)
        assert torch.get_num_threads() == 2
        monkeypatch.setattr("deepgen.evaluate.exact.bar", interrupted)
        with pytest.raises(error):
            exact_log_partition(model)
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("scale", [0.5, 0.9, 1.1, 3.0])
def test_normalisable_when_the_largest_singular_value_is_below_the_precisions(scale, stream):
    """Between Gaussian parts only: M is positive definite where the block of W has norm below sqrt(2 * 3)."""
    layers = Product(Bernoulli(2), Gaussian(3, precision=2.0)), Product(Gaussian(4, precision=3.0), Spin(1))
    model = RBM(*layers, generator=stream)
    with torch.no_grad():
        model.weight.normal_(0.0, 20.0, generator=stream)
        block = model.weight[2:, :4]
        block *= scale * math.sqrt(6) / torch.linalg.matrix_norm(block, 2)
    assert normalisable(model) == (scale < 1)
    assert math.isfinite(Exact(model).log_z.item()) == (scale < 1)
    assert normalisable(RBM(Gaussian(3), Bernoulli(2)))
