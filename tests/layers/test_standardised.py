"""Networks around data in units of their own: moments to rounding, checks of rows, and what is handed on."""

import math

import pytest
import torch
from torch import nn

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.layers import Dense, Reshaped, Restored, ScalarMLP, Standardised

MADE = {
    "Standardised": lambda: Standardised(nn.Identity(), 3),
    "Restored": lambda: Restored(nn.Identity(), 3),
    "ScalarMLP": lambda: ScalarMLP(3, hidden=[4], generator=0),
}
made = pytest.mark.parametrize("name", MADE)


@made
def test_moments_far_from_zero_are_those_of_the_rows(name, stream):
    x = 1e8 + torch.randn(1000, 3, generator=stream, dtype=torch.float64)
    x[:, 2] = 0.1  # no spread
    net = MADE[name]().double().initialise(x)
    torch.testing.assert_close(net.shift, x.mean(0))
    assert bool(((net.scale[:2] - 1).abs() < 5 * math.sqrt(0.5 / 1000)).all())
    torch.testing.assert_close(MADE[name]().initialise(x).scale[:2], net.scale[:2].float())


@made
def test_rows_that_have_no_moments_are_refused(name):
    net = MADE[name]()
    for rows in (torch.zeros(0, 3), torch.zeros(5, 2), torch.zeros(5), [[0.0, 0.0, 0.0]]):
        with pytest.raises(ShapeError):
            net.initialise(rows)
    for value in (math.nan, math.inf):
        with pytest.raises(SupportError, match="NaN or infinite"):
            net.initialise(torch.full((5, 3), value))
    assert (net.shift.tolist(), net.scale.tolist()) == ([0.0] * 3, [1.0] * 3)


def test_images_are_rows_of_their_values(stream):
    x = torch.randn(20, 3, 1, generator=stream)
    assert torch.equal(MADE["ScalarMLP"]().initialise(x).shift, MADE["ScalarMLP"]().initialise(x.flatten(1)).shift)


@pytest.mark.parametrize(
    "around", [lambda net: Standardised(net, 3), lambda net: Restored(net, 3), lambda net: Reshaped(net, (3,))]
)
def test_the_source_of_masks_is_handed_on(around, stream):
    net, x = Dense(3, [8], 3, dropout=0.5, generator=0), torch.randn(5, 3, generator=stream)
    wrapped = around(net)
    with pytest.raises(ArgumentError):
        wrapped(x)
    seeds = [torch.Generator().manual_seed(3) for _ in range(2)]
    assert torch.equal(wrapped(x, generator=seeds[0]), net(x, generator=seeds[1]))


def test_a_rare_one_among_zeros_is_no_large_number(stream):
    """On in one of 10,000 rows, a bit has a deviation of 0.01; the network's input there is 2 and not 100."""
    x = torch.zeros(10_000, 3)
    x[0, 0], x[::2, 1] = 1.0, 1.0
    bits, real = (MADE["ScalarMLP"]().initialise(rows) for rows in (x, 3 * x))
    assert torch.equal(bits.scale, torch.full((3,), 0.5))
    torch.testing.assert_close(bits.shift, x.mean(0))
    torch.testing.assert_close(real.scale, torch.tensor([0.03, 1.5, 1.0]), rtol=1e-3, atol=0)
