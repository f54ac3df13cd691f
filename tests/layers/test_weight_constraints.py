"""Projections are nearest points, and where a projected descent rests is the solution of the constrained problem."""

import numpy as np
import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError
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


@pytest.mark.parametrize(  # Adam without its maximum leaps now and then at a constant rate, 2 runs of 60
    "optimizer",
    [lambda p: torch.optim.SGD(p, lr=0.1), lambda p: torch.optim.Adam(p, lr=0.02, amsgrad=True)],
    ids=["sgd", "adam"],
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


def limited(model, limit):
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(10)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    constrain(torch.optim.SGD(model.parameters(), lr=0.1), model, MaxNorm(limit))
    return before


@pytest.mark.parametrize(
    ("make", "axes"),
    [
        (lambda g: dg.RBM(visible=9, hidden=6, generator=g), {"weight": 1}),
        (lambda g: dg.explicit.NADE(9, hidden=6, generator=g), {"weight": 1, "readout": 0}),
        (
            lambda g: dg.explicit.DBM([4, 3], [[5, 6], 2], generator=g),
            {f"couplings.{i}.blocks.{j}": 1 for i, j in [(0, 0), (0, 1), (1, 0)]},
        ),
        (
            lambda g: dg.explicit.DBN(9, [6, 4], untied=True, generator=g),
            {"rbms.0.weight": 1, "rbms.1.weight": 1, "up_weights.0": 1},
        ),
        (lambda g: nn.LSTM(4, 3, 2), {f"weight_{kind}_l{i}": 0 for kind in ("ih", "hh") for i in (0, 1)}),
        (lambda g: dg.layers.MultiplicativeLSTM(4, 3, generator=g), {f"{name}.weight": 0 for name in "abuw"}),
        (lambda g: dg.layers.CausalConv(2, 3, 3, generator=g), {"upper": 0, "row": 0}),
        (lambda g: dg.layers.P4Conv(2, 3, generator=g), {"weight": 0}),
        (lambda g: nn.Sequential(nn.LayerNorm((2, 4)), nn.Linear(4, 3)), {"1.weight": 0}),
    ],
    ids=["rbm", "nade", "dbm", "dbn", "lstm", "mlstm", "causal", "p4", "norm"],
)  # fmt: skip
def test_the_norm_is_that_of_what_enters_a_unit(make, axes, stream):
    """Vectors longer than the limit have it, all others and all else stay as they were."""
    model, limit = make(stream), 0.4
    before = limited(model, limit)
    for name, p in model.named_parameters():
        if name not in axes:
            assert torch.equal(p, before[name]), name
            continue
        rows, old = (w.transpose(0, axes[name]).flatten(1) for w in (p, before[name]))
        norms = old.norm(dim=1, keepdim=True)
        torch.testing.assert_close(rows, old * (limit / norms).clamp(max=1), rtol=1e-5, atol=1e-6)


def test_transposed_convolutions_in_groups_have_units_in_each_group(stream):
    """The weights of an output are its derivatives by the inputs, seen at the middle of an image."""
    net = nn.ConvTranspose2d(4, 6, 3, groups=2, padding=1).double()
    limited(net, 0.2)
    x = torch.zeros(1, 4, 5, 5, dtype=torch.float64)
    jacobian = torch.func.jacrev(net)(x)[0, :, 2, 2].flatten(1)
    torch.testing.assert_close(jacobian.norm(dim=1), torch.full((6,), 0.2, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("orders", [1, [[3, 1, 0, 2, 4, 5]], 3])
def test_connections_that_a_mask_takes_away_count_for_nothing(orders, stream, float64):
    """Hidden units' weights are the derivatives of their sums; with several orders no order exceeds the limit."""
    made = dg.explicit.MADE(6, [20, 20], orders=orders, generator=stream).double()
    x = (torch.rand(5, 6, generator=stream) < 0.5).double()
    views = [made._ordered(order) for order in made._orders]
    masks = [torch.stack(of_one).amax(0) for of_one in zip(*(view.masks() for view in views), strict=True)]
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(10)
    law, seen = made.log_prob(x), [layer.weight * mask for layer, mask in zip(layers(made), masks, strict=True)]
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1)
    constrain(optimizer, made, MaxNorm(1e6)).remove()
    assert torch.equal(made.log_prob(x), law)  # nothing exceeds that
    constrain(optimizer, made, MaxNorm(0.3))
    for layer, mask, old in zip(layers(made), masks, seen, strict=True):
        norms = old.norm(dim=1, keepdim=True).clamp(min=1e-12)
        torch.testing.assert_close(layer.weight * mask, old * (0.3 / norms).clamp(max=1), rtol=1e-6, atol=1e-7)
    for view in views:
        for layer, mask in zip(layers(made), view.masks(), strict=True):
            assert (layer.weight * mask).norm(dim=1).max() <= 0.3 + 1e-6


def layers(made):
    return [made.net.first, *made.net.inner, made.net.last]


def test_frozen_weights_stay(stream):
    network = dg.explicit.MeanFieldNetwork(dg.explicit.DBM(6, [4, 3], generator=stream), outputs=2, generator=stream)
    before = {name: p.detach().clone() for name, p in network.dbm.named_parameters()}
    constrain(torch.optim.SGD(network.parameters(), lr=0.1), network, MaxNorm(1e-3))
    assert all(torch.equal(p, before[name]) for name, p in network.dbm.named_parameters())
    assert all(layer.weight.norm(dim=1).max() < 1.01e-3 for layer in network.up)


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.strange = nn.Parameter(torch.ones(3, 4))


def test_modules_of_other_kinds_are_refused_unless_the_axis_is_given():
    own = Own()
    optimizer = torch.optim.SGD(own.parameters(), lr=0.1)
    with pytest.raises(MissingCapability, match="entering"):
        constrain(optimizer, nn.Sequential(own), MaxNorm(1.0))
    constrain(optimizer, [own.strange], MaxNorm(1.0), axis=1)
    torch.testing.assert_close(own.strange.norm(dim=0), torch.ones(4))
    with pytest.raises(ArgumentError, match="axis"):
        constrain(optimizer, nn.Linear(2, 2), MaxNorm(1.0), axis=1)


def test_biases_have_no_norm_to_bound():
    net = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(ShapeError, match=r"got \[2\]"):
        constrain(optimizer, [net.bias], MaxNorm(1.0))
    with pytest.raises(ShapeError, match="axis 2"):
        constrain(optimizer, [net.weight], MaxNorm(1.0), axis=2)
    constrain(optimizer, [net.bias], NonNegative())
    assert net.bias.min() >= 0


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


def test_a_weight_has_one_constraint(stream):
    net = dg.layers.linear(4, 3, generator=stream)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    first = constrain(optimizer, net, MaxNorm(1.0))
    with pytest.raises(ArgumentError, match="constrained already"):
        constrain(optimizer, [net.weight], NonNegative())
    first.remove()
    constrain(optimizer, net, NonNegative())


def test_the_nearest_point_in_both_sets_is_that_of_the_norm_after_that_of_the_signs(stream, float64):
    """What the message says; (v - P v) . (u - P v) <= 0 for each u of both. In the other order it is not."""
    v = torch.randn(300, 4, generator=stream) * 2
    u = torch.rand(300, 4, generator=stream)
    u = u / u.norm(dim=1, keepdim=True) * 1.5 * torch.rand(300, 1, generator=stream)
    p = projected(MaxNorm(1.5), projected(NonNegative(), v))
    other = projected(NonNegative(), projected(MaxNorm(1.5), v))
    assert (((v - p) @ u.T - ((v - p) * p).sum(1, keepdim=True)) <= 1e-6).all()
    assert (((v - other) @ u.T - ((v - other) * other).sum(1, keepdim=True)) > 1e-3).any()
