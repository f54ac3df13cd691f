"""Projections are nearest points, and where a projected descent rests is the solution of the constrained problem."""

import numpy as np
import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.layers import Dense, MaxNorm, NonNegative, constrain, conv

SETS = {"max-norm": MaxNorm(1.5), "non-negative": NonNegative()}


def projected(projection, v, axis=0):
    moved = v.clone()
    projection(moved, axis)
    return moved


@pytest.mark.parametrize("name", SETS)
def test_nearest_points(name, stream, float64):
    """P v is in the set, stays, and (v - P v) . (u - P v) <= 0 for each u of the set: that is the nearest point."""
    project, v = SETS[name], torch.randn(200, 4, generator=stream) * 2
    p = projected(project, v)
    torch.testing.assert_close(projected(project, p), p, rtol=0, atol=2e-7)
    inside = p.norm(dim=1).max() <= 1.5 if name == "max-norm" else p.min() >= 0
    assert inside
    assert not torch.equal(p, v)
    for _ in range(10):
        u = projected(project, torch.randn(200, 4, generator=stream) * 2)
        assert (((v - p) * (u - p)).sum(1) <= 1e-6).all()


def least_squares(stream, optimizer, projection):
    x = torch.randn(80, 5, generator=stream)
    y = x @ torch.tensor([1.0, -2.0, 0.5, -0.3, 3.0]) + torch.randn(80, generator=stream)
    net = nn.Linear(5, 1, bias=False).double()
    descent = optimizer(net.parameters())
    constrain(descent, net, projection)
    for _ in range(3000):
        descent.zero_grad()
        (net(x)[:, 0] - y).square().mean().div(2).backward()
        descent.step()
    return x.numpy(), y.numpy(), net.weight.detach().numpy()[0]


@pytest.mark.parametrize(
    "optimizer", [lambda p: torch.optim.SGD(p, lr=0.1), lambda p: torch.optim.Adam(p, lr=0.02)], ids=["sgd", "adam"]
)
def test_non_negative_least_squares(optimizer, stream, float64):
    from scipy.optimize import nnls

    x, y, found = least_squares(stream, optimizer, NonNegative())
    expected = nnls(x, y)[0]
    assert (expected == 0).any()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert ((found == 0) == (expected == 0)).all()  # zeros, and not nearly


def test_least_squares_within_a_ball(stream, float64):
    """The minimum at |w| = c solves (C + l) w = m for the l > 0 that gives that norm (a trust region's equation)."""
    from scipy.optimize import brentq

    limit = 2.0
    x, y, found = least_squares(stream, lambda p: torch.optim.SGD(p, lr=0.1), MaxNorm(limit))
    c, m = x.T @ x / 80, x.T @ y / 80

    def at(multiplier):
        return np.linalg.solve(c + multiplier * np.eye(5), m)

    assert np.linalg.norm(at(0)) > limit
    expected = at(brentq(lambda multiplier: np.linalg.norm(at(multiplier)) - limit, 0, 100))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_weights_of_units_and_neither_biases_nor_norms(stream):
    net = nn.Sequential(
        conv(2, 3, 3, generator=stream), nn.BatchNorm2d(3), conv(3, 4, 4, 2, transposed=True, generator=stream),
        nn.Flatten(), dg.layers.linear(4 * 64, 5, generator=stream),
    )  # fmt: skip
    with torch.no_grad():
        for p in net.parameters():
            p.add_(10)
    before = {name: p.clone() for name, p in net.named_parameters()}
    constrain(torch.optim.SGD(net.parameters(), lr=0.1), net, MaxNorm(1.0))
    for name, p in net.named_parameters():
        if p.ndim == 1:
            assert torch.equal(p, before[name])
        else:
            by_unit = p.transpose(0, 1) if name == "2.weight" else p
            norms = by_unit.flatten(1).norm(dim=1)
            torch.testing.assert_close(norms, torch.ones_like(norms), rtol=0, atol=1e-5)


def test_fit_keeps_them(stream):
    vae = dg.implicit.mlp_vae(6, [8], latent=2, generator=stream)
    objective = dg.objectives.ELBO()
    optimizer = objective.optimizer(vae)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    handle = constrain(optimizer, vae, MaxNorm(0.5))
    x = (torch.rand(60, 6, generator=stream) < 0.5).float()
    dg.fit(vae, x, objective, optimizer=optimizer, epochs=3, batch_size=10, progress=False)
    norms = torch.cat([p.detach().norm(dim=1) for name, p in vae.named_parameters() if p.ndim == 2])
    assert norms.max() <= 0.5 + 1e-6
    assert (norms > 0.499).any()
    handle.remove()
    dg.fit(vae, x, objective, optimizer=optimizer, epochs=20, batch_size=10, progress=False)
    assert max(float(p.detach().norm(dim=1).max()) for p in vae.parameters() if p.ndim == 2) > 0.5


def test_wrong_arguments(stream):
    net, other = Dense(2, [3], 1, generator=stream), nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(ArgumentError, match=r"shape \[2, 2\]"):
        constrain(optimizer, other, NonNegative())
    with pytest.raises(ArgumentError, match="none at all"):
        constrain(optimizer, nn.BatchNorm1d(3), NonNegative())
    for limit in (0.0, -1.0, float("nan")):
        with pytest.raises(ArgumentError, match="limit"):
            MaxNorm(limit)
    with pytest.raises(MissingCapability, match="parametrisation"):
        constrain(optimizer, nn.utils.parametrizations.weight_norm(other), NonNegative())
