"""The spline against the paper's own formulas, autograd in float64, and 200,000 random ones for rounding.

Each test of values runs on both of its ways: the compiled kernels and the tensor operations.
"""

import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError
from deepgen.transforms import Spline, spline

EPS = torch.finfo(torch.float32).eps


@pytest.fixture(params=["kernels", "tensors"])
def way(request, monkeypatch):
    """Which of the two computes float32; both must pass the same tests."""
    if request.param == "tensors":
        monkeypatch.setattr(spline, "_kernels", lambda: None)
    else:
        pytest.importorskip("numba")
        assert spline._fits(torch.zeros(100), torch.zeros(23, 100))
    return request.param


def drawn(count, scale, stream, *, bins=8, spread=3.0):
    """Values, many of them outside the box, and parameters N(0, scale^2)."""
    return (
        torch.randn(count, generator=stream) * spread,
        torch.randn(3 * bins - 1, count, generator=stream) * scale,
    )


def knots(p, bins, box=5.0, smallest=1e-3, limit=6.907755):
    """x_k, y_k and the slopes there, ``[bins + 1, n]`` each: one spline for each column of ``p``."""

    def bounded(c, limit):
        return c / (1 + c.abs() / limit)

    def edges(c):
        share = torch.exp(bounded(c, limit / 2))
        size = 2 * box * (smallest + (1 - bins * smallest) * share / share.sum(0))
        return torch.cat([torch.zeros(1, p.shape[1], dtype=p.dtype), size.cumsum(0)]) - box

    one = torch.ones(1, p.shape[1], dtype=p.dtype)
    slopes = torch.cat([one, torch.exp(bounded(p[2 * bins :], limit)), one])
    return edges(p[:bins]), edges(p[bins : 2 * bins]), slopes


@pytest.mark.parametrize("bins", [2, 5, 8])
def test_values_and_slopes_are_those_of_the_paper(bins, stream):
    """Equations 4 and 5 of Durkan et al. 2019, at points of every bin, in both directions."""
    p = 3 * torch.randn(3 * bins - 1, 200, generator=stream, dtype=torch.float64)
    x_k, y_k, d_k = knots(p, bins)
    t = torch.rand(bins, 200, generator=stream, dtype=torch.float64)
    width, height = x_k.diff(dim=0), y_k.diff(dim=0)
    s, d0, d1 = height / width, d_k[:-1], d_k[1:]
    den = s + (d1 + d0 - 2 * s) * t * (1 - t)
    z = y_k[:-1] + height * (s * t**2 + d0 * t * (1 - t)) / den
    slope = s**2 * (d1 * t**2 + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2) / den**2
    x, every = x_k[:-1] + width * t, p.unsqueeze(1).expand(-1, bins, -1)
    got, log_slope = Spline(bins).encode(x, every)
    torch.testing.assert_close(got, z, rtol=0, atol=1e-9)
    torch.testing.assert_close(log_slope, slope.log(), rtol=0, atol=1e-8)
    back, log_back = Spline(bins).decode(z, every)
    assert float(((back - x) * slope).abs().max()) < 1e-9  # in z, as x itself is lost where the slope is small
    torch.testing.assert_close(log_back, -slope.log(), rtol=0, atol=1e-6)


def test_passes_through_its_knots_with_their_slopes(way, stream):
    _, p = drawn(500, 1.0, stream)
    x_k, y_k, d_k = (t.float() for t in knots(p.double(), 8))
    for near in (x_k, x_k.nextafter(torch.tensor(9.0)), x_k.nextafter(torch.tensor(-9.0))):
        z, log_slope = Spline().encode(near, p.unsqueeze(1).expand(-1, 9, -1))
        torch.testing.assert_close(z, y_k, rtol=0, atol=2e-4)
        torch.testing.assert_close(log_slope, d_k.log(), rtol=0, atol=2e-2)


def test_zero_parameters_are_the_identity(way, stream):
    x, _ = drawn(1000, 1.0, stream)
    for z, log_slope in (Spline(6).encode(x, torch.zeros(17, 1000)), Spline(6).decode(x, torch.zeros(17, 1000))):
        torch.testing.assert_close(z, x, rtol=0, atol=4e-6)
        assert float(log_slope.abs().max()) < 4e-6


def test_identity_outside_the_box_and_at_its_edge(way, stream):
    x = torch.tensor([-math.inf, -1e30, -5.1, -5.0, 5.0, 5.1, 1e30, math.inf]).repeat(20)
    p = 5 * torch.randn(23, 160, generator=stream)
    for z, log_slope in (Spline().encode(x, p), Spline().decode(x, p)):
        torch.testing.assert_close(z, x)
        assert float(log_slope.abs().max()) < 1e-4
    assert Spline().encode(torch.full((100,), math.nan), p[:, :100])[0].isnan().all()


@pytest.mark.parametrize("scale", [1, 5, 20])
def test_random_splines_come_back_to_rounding(scale, way, stream):
    """f(f^{-1}(z)) - z of 200,000 splines: no NaN, and no more than the spacing of x times the slope explains."""
    z, p = drawn(200_000, scale, stream)
    x, log_back = Spline().decode(z, p)
    again, log_slope = Spline().encode(x, p)
    for t in (x, log_back, again, log_slope):
        assert t.isfinite().all()
    error = (again - z).abs()
    assert float(error.max()) < 1e-2
    assert float((error / (5 * EPS * (1 + log_slope.exp()))).max()) < 8
    if scale == 1:
        assert float(error.quantile(0.999)) < 1e-5
    gap = (log_slope + log_back).abs()
    assert float(gap.quantile(0.999)) < 5e-3
    assert float(gap.max()) < 0.5
    for t in Spline().encode(z, p):
        assert t.isfinite().all()


@pytest.mark.parametrize("scale", [1, 5, 20])
@pytest.mark.parametrize("towards", ["encode", "decode"])
def test_log_slope_is_the_derivative(towards, scale, stream):
    value, p = (t.double() for t in drawn(20_000, scale, stream))
    value.requires_grad_()
    out, log_slope = getattr(Spline(), towards)(value, p)
    (slope,) = torch.autograd.grad(out.sum(), value)
    assert float((slope.log() - log_slope.detach()).abs().max()) < 1e-8


def test_monotone(way, stream):
    x = torch.linspace(-6, 6, 20_000)
    for scale in (1, 5, 20):
        p = scale * torch.randn(23, 1, generator=stream)
        for f in (Spline().encode, Spline().decode):
            assert bool((f(x.double(), p.double().expand(-1, 20_000))[0].diff() > 0).all())
            assert float(f(x, p.expand(-1, 20_000))[0].diff().min()) > -10 * EPS


@pytest.mark.parametrize("towards", ["encode", "decode"])
def test_gradients_are_finite_everywhere(towards, way, stream):
    """Also outside the box, where the formula is not used, at its edge, and exactly at the knots."""
    x, p = drawn(50_000, 20.0, stream)
    x[:6] = torch.tensor([-5.0, 5.0, -1e30, 1e30, 5.0 + 5 * EPS, -5.0 - 5 * EPS])
    at = knots(p[:, 100:200], 8)[int(towards == "decode")]
    x[100:200], x[200] = at[torch.arange(100) % 9, torch.arange(100)], 0.0
    x.requires_grad_(), p.requires_grad_()
    out, log_slope = getattr(Spline(), towards)(x, p)
    for loss in (out.sum(), log_slope.sum()):
        for gradient in torch.autograd.grad(loss, (x, p), retain_graph=True):
            assert gradient.isfinite().all()
    to_x, to_p = torch.autograd.grad(out.sum() + log_slope.sum(), (x, p))
    outside = x.detach().abs() > 5
    assert bool((to_x[outside] == 1).all())
    assert not bool(to_p[:, outside].any())


@pytest.mark.parametrize("scale", [0.5, 5.0])
@pytest.mark.parametrize("towards", ["encode", "decode"])
def test_kernels_have_the_gradients_of_the_formula(towards, scale, stream):
    """Those of the formula in float64, with no more error than it has itself in float32."""
    pytest.importorskip("numba")
    x, p = drawn(3000, scale, stream)
    pull = torch.randn(2, 3000, generator=stream)

    def gradients(f, dtype=torch.float32):
        leaves = [t.to(dtype).requires_grad_() for t in (x, p)]
        out, log_slope = f(*leaves)
        return torch.autograd.grad((pull[0] * out + pull[1] * log_slope).sum(), leaves)

    def formula(x, p):
        return Spline().plain(x, p, towards == "decode")

    exact, rounded, got = gradients(formula, torch.float64), gradients(formula), gradients(getattr(Spline(), towards))
    for right, near, mine in zip(exact, rounded, got, strict=True):
        error, usual = ((t - right).abs() / (1 + right.abs()) for t in (mine, near))
        assert float(error.flatten().quantile(0.99)) < 3 * float(usual.flatten().quantile(0.99)) + 1e-6
        if scale < 1:
            assert float(error.max()) < 1e-3


@pytest.mark.parametrize("inverse", [False, True])
def test_derivatives_of_the_formula_against_differences(inverse, stream):
    x, p = (t.double().requires_grad_() for t in drawn(12, 1.0, stream, bins=3))
    assert torch.autograd.gradcheck(lambda x, p: Spline(3).plain(x, p, inverse), (x, p))
    assert torch.autograd.gradgradcheck(lambda x, p: Spline(3).plain(x, p, inverse), (x, p))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch.func's own, on its first use
def test_second_derivatives_and_function_transforms_of_float32(stream):
    """Whatever the kernels cannot do is done by tensor operations, unasked."""
    x, p = drawn(80, 0.5, stream, spread=1.0)

    def loss(x, p):
        z, log_slope = Spline().encode(x, p)
        return (z.sin() + log_slope).sum()

    def curvature(x, p):
        leaves = x.clone().requires_grad_(), p.clone().requires_grad_()
        first = torch.autograd.grad(loss(*leaves), leaves, create_graph=True)
        return torch.autograd.grad(sum((g**2).sum() for g in first), leaves)

    for got, expected in zip(curvature(x, p), curvature(x.double(), p.double()), strict=True):
        assert float((got - expected).norm() / expected.norm()) < 1e-3
    exact = torch.func.hessian(loss)(x.double(), p.double())
    assert float((torch.func.hessian(loss)(x, p) - exact).norm() / exact.norm()) < 1e-3
    rows = torch.stack([x, x + 1, x - 1])
    each = torch.func.vmap(Spline().encode, in_dims=(0, None))(rows, p)[0]
    torch.testing.assert_close(each[1], Spline().encode(rows[1], p)[0], rtol=0, atol=1e-4)


def test_shapes_strides_and_dtypes(way, stream):
    x, p = torch.randn(4, 5, 30, generator=stream), torch.randn(23, 4, 5, 30, generator=stream)
    z, log_slope = Spline().encode(x, p)
    flat = Spline().encode(x.flatten(), p.flatten(1))
    assert torch.equal(z.flatten(), flat[0])
    assert torch.equal(log_slope.flatten(), flat[1])
    strided = x.transpose(0, 2).contiguous().transpose(0, 2), p.transpose(0, 3).contiguous().transpose(0, 3)
    assert torch.equal(Spline().encode(*strided)[0], z)
    torch.testing.assert_close(Spline().encode(x[0, 0, 0], p[:, 0, 0, 0])[0], z[0, 0, 0], rtol=0, atol=1e-3)
    assert Spline().encode(x[:0], p[:, :0])[0].shape == (0, 5, 30)
    assert Spline().encode(x, p.bfloat16())[0].dtype == torch.float32  # a network's numbers under autocast


def test_wrong_parameters_and_arguments_are_refused():
    with pytest.raises(ShapeError, match=r"\[23, 7\], got \[22, 7\]"):
        Spline().encode(torch.zeros(7), torch.zeros(22, 7))
    for bad in ({"bins": 1}, {"box": 0.0}, {"smallest": 0.2}, {"limit": 11.0}, {"box": math.nan}):
        with pytest.raises(ArgumentError, match=next(iter(bad))):
            Spline(**bad)
    again = Spline(5, 3.0, smallest=1e-2, limit=4.0)
    assert dg.transforms.Spline(**again.arguments()).arguments() == again.arguments()
