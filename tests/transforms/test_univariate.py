"""Maps of one variable: inverse, slope by autograd, limits, and the identity at zero."""

import math

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.transforms import Scale, Shift
from deepgen.transforms.univariate import soft_bound

MAPS = [Shift(), Scale(), Scale(limit=2.0), Scale(limit=math.inf)]


@pytest.mark.parametrize("f", MAPS, ids=repr)
def test_slope_and_inverse(f, stream):
    x = torch.randn(5, 7, generator=stream, dtype=torch.float64).requires_grad_()
    p = 2 * torch.randn(f.count, 5, 7, generator=stream, dtype=torch.float64)
    z, log_slope = f.encode(x, p)
    (slope,) = torch.autograd.grad(z.sum(), x)
    assert bool((slope > 0).all())
    torch.testing.assert_close(log_slope, slope.log(), rtol=1e-12, atol=1e-12)
    back, opposite = f.decode(z, p)
    torch.testing.assert_close(back, x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(opposite, -log_slope, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("f", MAPS, ids=repr)
def test_zero_is_the_identity(f, stream):
    x = torch.randn(6, generator=stream)
    for z, log_slope in (f.encode(x, torch.zeros(f.count, 6)), f.decode(x, torch.zeros(f.count, 6))):
        assert torch.equal(z, x)
        assert not log_slope.any()


def test_scales_stay_within_their_limit():
    p = torch.tensor([[0.0] * 4, [1e30, -1e30, 3.4e38, -3.4e38]])
    z, log_slope = Scale(limit=3.0).encode(torch.ones(4), p)
    torch.testing.assert_close(log_slope.abs(), torch.full((4,), 3.0))
    torch.testing.assert_close(z, log_slope.exp())
    _, unbounded = Scale(limit=math.inf).encode(torch.ones(1), torch.tensor([[0.0], [20.0]]))
    assert unbounded.item() == -20


def test_the_bound_is_smooth_and_odd(stream):
    a = (5 * torch.randn(50, generator=stream, dtype=torch.float64)).requires_grad_()
    bounded = soft_bound(a, 2.0)
    torch.testing.assert_close(soft_bound(-a, 2.0), -bounded)
    (slope,) = torch.autograd.grad(bounded.sum(), a)
    torch.testing.assert_close(slope, (1 - bounded.abs() / 2.0) ** 2)  # d/da a / (1 + |a| / L)


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
def test_limits_are_checked(limit):
    with pytest.raises(ArgumentError, match="limit"):
        Scale(limit=limit)


def test_arguments_rebuild():
    assert Scale(**Scale(limit=2.5).arguments()).limit == 2.5
    assert Shift(**Shift().arguments()).count == 1
