"""Whitening: covariances, the way back, what eps does, and directions without a spread."""

import pytest
import torch

from deepgen.errors import ArgumentError, ShapeError, SupportError, UnknownName
from deepgen.layers import Whitening
from deepgen.testing import check_checkpoint

methods = pytest.mark.parametrize("method", ["pca", "zca"])


def rows(stream, n=200, d=6, dtype=torch.float64):
    left, right = torch.linalg.qr(torch.randn(2, d, d, generator=stream, dtype=dtype))[0]
    mix = left * torch.logspace(0, -2, d, dtype=dtype) @ right
    return torch.randn(n, d, generator=stream, dtype=dtype).tanh() @ mix + torch.arange(d, dtype=dtype) / d


def covariance(x):
    centred = x - x.mean(0)
    return centred.T @ centred / len(x)


@methods
def test_covariance_is_the_identity_and_the_way_back_exact(method, stream, float64):
    x = rows(stream)
    white = Whitening(6, method).double().initialise(x)
    z = white(x)
    torch.testing.assert_close(covariance(z), torch.eye(6), rtol=0, atol=1e-9)
    torch.testing.assert_close(z.mean(0), torch.zeros(6), rtol=0, atol=1e-9)
    torch.testing.assert_close(white.inverse(z), x, rtol=0, atol=1e-10)
    torch.testing.assert_close(white.matrix @ white.back, torch.eye(6), rtol=0, atol=1e-10)


@methods
def test_eps(method, stream, float64):
    x, eps = rows(stream), 0.01
    white = Whitening(6, method, eps=eps).double().initialise(x)
    values, axes = torch.linalg.eigh(covariance(x))
    found = torch.linalg.eigvalsh(covariance(white(x)))
    torch.testing.assert_close(found, (values / (values + eps)).sort().values, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(white.inverse(white(x)), x, rtol=0, atol=1e-10)
    if method == "zca":
        expected = axes @ torch.diag((values + eps).rsqrt()) @ axes.T
        torch.testing.assert_close(white.matrix, expected, rtol=1e-8, atol=1e-8)


def test_pca_puts_the_widest_first_and_comes_back_to_the_nearest_points(stream, float64):
    x = rows(stream)
    white = Whitening(6, "pca", components=2).double().initialise(x)
    back = white.inverse(white(x))
    values = torch.linalg.eigvalsh(covariance(x)).flip(0)
    assert white(x).shape == (200, 2)
    torch.testing.assert_close(covariance(white(x)), torch.eye(2), rtol=0, atol=1e-9)
    # Eckart & Young: what is lost is the variance of the directions left out, and no plane loses less
    torch.testing.assert_close((x - back).square().sum(1).mean(), values[2:].sum(), rtol=1e-8, atol=0)
    widths = (Whitening(6, "pca").double().initialise(x).back ** 2).sum(0)
    torch.testing.assert_close(widths, values, rtol=1e-7, atol=1e-12)


def test_zca_moves_rows_least(stream, float64):
    """Any other whitening is a rotation of ZCA's; none comes nearer to the centred rows."""
    x = rows(stream)
    z, centred = Whitening(6).double().initialise(x)(x), x - x.mean(0)
    distance = (z - centred).square().sum()
    for _ in range(20):
        turn = torch.linalg.qr(torch.randn(6, 6, generator=stream))[0]
        assert (z @ turn - centred).square().sum() > distance
    matrix = Whitening(6).double().initialise(x).matrix
    torch.testing.assert_close(matrix, matrix.T, rtol=1e-8, atol=1e-8)


@methods
def test_it_is_a_transform(method, stream, float64):
    x = rows(stream, 50, 3)
    white = Whitening(3, method, eps=0.1).double().initialise(x)
    z, change = white.encode(x)
    jacobian = torch.autograd.functional.jacobian(white, x[0])
    torch.testing.assert_close(change, jacobian.slogdet().logabsdet.expand(50))
    again, back = white.decode(z)
    torch.testing.assert_close(again, x)
    torch.testing.assert_close(back, -change)


def test_narrow_directions_survive(stream, float64):
    """Deviations 1e-10 of the widest, which a covariance matrix in float64 cannot hold."""
    x = torch.randn(300, 3, generator=stream) * torch.tensor([1.0, 1e-5, 1e-10])
    turn = torch.linalg.qr(torch.randn(3, 3, generator=stream))[0]
    white = Whitening(3, "pca").double().initialise((x - x.mean(0)) @ turn)
    expected = torch.linalg.svdvals((x - x.mean(0)) / 300**0.5)
    torch.testing.assert_close((white.back**2).sum(0).sqrt(), expected, rtol=1e-4, atol=0)


@methods
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_directions_without_a_spread(method, dtype, stream):
    x = rows(stream, dtype=dtype)
    cases = {
        "sum": torch.cat([x[:, :5], x[:, :5].sum(1, keepdim=True)], 1),
        "constant": torch.cat([x[:, :5], torch.full((200, 1), 0.1, dtype=dtype)], 1),
        "few rows": x[:4],
    }
    for name, some in cases.items():
        spread = 3 if name == "few rows" else 5
        with pytest.raises(SupportError, match=rf"{spread} of 6 directions.*eps > 0.*components={spread}"):
            Whitening(6, method).initialise(some)
        damped = Whitening(6, method, eps=0.01).to(dtype).initialise(some)
        z = damped(some)
        assert z.isfinite().all()
        torch.testing.assert_close(damped.inverse(z), some, rtol=1e-4, atol=1e-3)
        kept = Whitening(6, "pca", components=spread).to(dtype).initialise(some)
        assert (kept.inverse(kept(some)) - some).abs().max() < 1e-3


def test_float32_rows(stream):
    x = rows(stream, 2000, 20).float()
    white = Whitening(20).initialise(x)
    torch.testing.assert_close(covariance(white(x).double()), torch.eye(20).double(), rtol=0, atol=2e-2)
    torch.testing.assert_close(white.inverse(white(x)), x, rtol=1e-3, atol=1e-3)


def test_leading_axes_checkpoints_and_errors(stream):
    x = rows(stream).float()
    white = Whitening(6, "pca", eps=0.1, components=3).initialise(x)
    assert torch.allclose(white(x.view(20, 10, 6)), white(x).view(20, 10, 3), atol=1e-5)
    check_checkpoint(white)
    with pytest.raises(ArgumentError, match="determinant"):
        white.encode(x)
    with pytest.raises(ArgumentError, match="pca"):
        Whitening(6, "zca", components=3)
    with pytest.raises(UnknownName, match="'zca'"):
        Whitening(6, "zac")
    with pytest.raises(ArgumentError, match="eps"):
        Whitening(6, eps=-1.0)
    with pytest.raises(ShapeError, match=r"\[rows, 6\]"):
        white.initialise(x[:, :5])
    with pytest.raises(ShapeError, match=r"\[..., 6\]"):
        white(x[:, :5])
    with pytest.raises(ShapeError, match=r"z must be \[..., 3\]"):
        white.inverse(x)
    with pytest.raises(ArgumentError, match=r"dtype torch.float64 .* got torch.float32"):
        white.double()(x.float())
    with pytest.raises(SupportError, match="NaN"):
        white.initialise(x.where(x > x.min(), torch.nan))


def test_an_array_is_told_to_be_none():
    with pytest.raises(ShapeError, match="must be a tensor, got ndarray"):
        Whitening(2).initialise(torch.eye(2).numpy())


def test_before_it_has_seen_rows_it_is_the_identity(stream):
    x = torch.randn(5, 3, generator=stream)
    white = Whitening(3)
    z, change = white.encode(x)
    assert torch.equal(z, x)
    assert torch.equal(white.inverse(x), x)
    assert torch.equal(change, torch.zeros(5))
    assert torch.equal(Whitening(3, "pca", components=2)(x), x[:, :2])
