"""Fast sums of softplus against the plain ones, and tables of states against enumeration."""

import math

import pytest
import torch
import torch.nn.functional as F

from deepgen.evaluate.softplus_sums import binary_form, digit_tables, softplus_sums, state_sums
from deepgen.explicit import Bernoulli, Gaussian, Product, Softmax, Spin

EPS = torch.finfo(torch.float64).eps


def plain(field):
    return torch.logaddexp(field, field.new_zeros(())).sum(-1)


@pytest.mark.parametrize("units", [1, 2, 3, 7, 400])
@pytest.mark.parametrize("scale", [0.1, 10.0, 300.0])
def test_agrees_with_softplus(units, scale, stream):
    low, high = (scale * torch.randn(rows, units, generator=stream, dtype=torch.float64) for rows in (5, 4))
    sums = softplus_sums(low)
    top, near = high.amax(0), {"rtol": 1e-14, "atol": units * EPS}
    torch.testing.assert_close(sums(high, top), plain(high.unsqueeze(1) + low), **near)
    torch.testing.assert_close(sums(high[:2], top), plain(high[:2].unsqueeze(1) + low), **near)  # kept halves again
    torch.testing.assert_close(sums(high - 1, top), plain(high.unsqueeze(1) + low - 1), **near)
    torch.testing.assert_close(sums(high + 9, top + 9), plain(high.unsqueeze(1) + low + 9), **near)  # others


def test_small_terms_are_kept_to_the_accuracy_stated(stream):
    low = -5 + torch.rand(3, 500, generator=stream, dtype=torch.float64)
    high = -5 + torch.rand(2, 500, generator=stream, dtype=torch.float64)
    found = softplus_sums(low)(high, high.amax(0))
    torch.testing.assert_close(found, F.softplus(high.unsqueeze(1) + low).sum(-1), rtol=0, atol=500 * EPS)


def test_where_float64_ends():
    low = torch.tensor([[-900.0, 900.0, 0.0, 250.0]], dtype=torch.float64)
    high = torch.tensor([[900.0, 900.0, -900.0, -50.0]], dtype=torch.float64)
    found = softplus_sums(low)(high, high.amax(0))
    assert found.item() == pytest.approx(math.log(2) + 1800.0 + 0.0 + 200.0, rel=1e-14)


LAYERS = [Bernoulli(4), Spin(3), Softmax(2, 3), Product(Bernoulli(2), Softmax(1, 3), Spin(1))]


@pytest.mark.parametrize("units", LAYERS)
def test_tables_list_the_states_in_order(units):
    every = units.enumerate(0, units.states)
    assert torch.equal(state_sums(digit_tables(units), torch.eye(units.width, dtype=torch.float64)), every)


@pytest.mark.parametrize("units", LAYERS)
def test_binary_form_is_the_cumulant(units, stream):
    form = binary_form(units)
    if form is None:
        assert any(isinstance(part, Softmax) for part in getattr(units, "parts", [units]))
        return
    field = torch.randn(6, units.width, generator=stream, dtype=torch.float64)
    scale, linear = form
    torch.testing.assert_close((linear * field + F.softplus(scale * field)).sum(-1), units.cumulant(field))


def test_real_layers_have_neither():
    mixed = Product(Bernoulli(1), Gaussian(1))
    assert binary_form(mixed) is None
    assert digit_tables(mixed) is None
