"""Sparse first weights: their number, their law, and which axis counts units."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError
from deepgen.layers import sparse_
from deepgen.testing import check_random
from deepgen.testing.goodness import chi_square, ks


@pytest.mark.parametrize(("shape", "axis"), [((40, 30), 0), ((30, 40), 1), ((30, 40), -1), ((40, 3, 5, 2), 0)])
def test_every_unit_has_so_many_connections(shape, axis, stream):
    weight = torch.ones(shape)
    assert sparse_(weight, 7, axis=axis, generator=stream) is weight
    assert weight.movedim(axis, 0).flatten(1).count_nonzero(1).eq(7).all()


def test_every_choice_of_inputs_is_as_likely_and_weights_are_normal(stream, alpha):
    weight = sparse_(torch.empty(5000, 6), 3, std=0.5, generator=stream)
    chosen = ((weight != 0) * 2 ** torch.arange(6)).sum(1)
    subsets = [code for code in range(64) if code.bit_count() == 3]
    counts = torch.bincount(chosen, minlength=64)[subsets]
    assert chi_square(counts, torch.full((20,), 1 / 20)) > alpha / 2
    assert ks(weight[weight != 0], torch.distributions.Normal(0.0, 0.5).cdf) > alpha / 2


def test_streams_and_layers(stream):
    check_random(lambda generator: sparse_(torch.empty(4, 9), 2, generator=generator), generator=stream)
    net = dg.layers.linear(20, 6, generator=stream)
    assert sparse_(torch.empty(0, 9), 2).shape == (0, 9)
    sparse_(net.weight, 5, generator=stream)  # a parameter, with its gradient still asked for
    assert net.weight.requires_grad
    assert net.weight.is_leaf


@pytest.mark.parametrize(
    ("shape", "settings", "error", "said"),
    [
        ((4, 3), {"connections": 4}, ArgumentError, "at most the 3 inputs of a unit, got 4"),
        ((4, 3), {"connections": 0}, ArgumentError, "connections"),
        ((4, 3), {"connections": 2, "std": -1.0}, ArgumentError, "std"),
        ((4,), {"connections": 2}, ShapeError, r"an axis 0 of units and one of inputs, got \[4\]"),
        ((4, 3), {"connections": 2, "axis": 2}, ShapeError, "an axis 2 of units"),
        ((4, 3), {"connections": 2, "axis": None}, ShapeError, "an axis None of units"),
        ((0, 3), {"connections": 4}, ArgumentError, "at most the 3 inputs of a unit, got 4"),
    ],
)
def test_what_cannot_be_is_refused(shape, settings, error, said):
    with pytest.raises(error, match=said):
        sparse_(torch.zeros(shape), **settings)
