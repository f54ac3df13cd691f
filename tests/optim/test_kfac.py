"""K-FAC against the exact Fisher matrix where the factorisation is exact, and where no coordinates should matter."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev, vmap

import deepgen as dg
from deepgen.errors import ArgumentError, DivergenceError, MissingCapability, UnknownName
from deepgen.layers.linear import linear
from deepgen.optim import KFAC
from tests.optim.problems import exact_outcomes

NEWTON = {"lr": 1.0, "momentum": 0.0, "decay": 0.0, "every": 1, "max_kl": None, "fisher": "sampled"}


def exact_fisher(net, layer, x):
    """E J'J over rows of ``x``; J: the derivative of all means by weight and bias, as [outputs, inputs + 1]."""
    names = {id(p): name for name, p in net.named_parameters()}
    own = [names[id(p)] for p in layer.parameters()]
    values = dict(net.named_parameters())

    def means(own_values, row):
        return functional_call(net, {**values, **own_values}, (row[None],)).flatten()

    found = vmap(lambda row: jacrev(means)({name: values[name] for name in own}, row))(x)
    parts = [found[name].flatten(3) if found[name].ndim > 3 else found[name].unsqueeze(3) for name in own]
    jacobian = torch.cat(parts, 3).flatten(2)  # [rows, means, outputs x (inputs + 1)]
    return (jacobian.mT @ jacobian).mean(0).detach()


def factors_of(net, x, **how):
    optimizer = KFAC(net, **{**NEWTON, **how})
    with optimizer.sampling():
        exact_outcomes(net, x).backward()
    optimizer.zero_grad()
    net(x).square().sum().div(2 * len(x)).backward()
    optimizer.step()
    return optimizer


CONVOLUTIONS = {
    "plain": nn.Conv2d(2, 3, 3),
    "stride, padding, dilation": nn.Conv2d(2, 3, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
    "same, circular, no bias": nn.Conv2d(1, 2, 3, padding="same", padding_mode="circular", bias=False),
    "one axis": nn.Conv1d(2, 3, 3, stride=2, padding=1),
}


def seeded(net, stream):
    for p in net.parameters():
        p.data = torch.randn(p.shape, generator=stream, dtype=torch.float64)
    return net


@pytest.mark.parametrize("name", ["linear", *CONVOLUTIONS])
def test_of_one_layer_with_gaussian_outcomes_the_product_is_the_fisher_matrix(name, stream):
    layer = seeded(nn.Linear(3, 2) if name == "linear" else copy.deepcopy(CONVOLUTIONS[name]), stream)
    shape = (3,) if name == "linear" else (layer.in_channels, *[6] * (1 if name == "one axis" else 2))
    x = torch.randn(4, *shape, generator=stream, dtype=torch.float64)
    fisher = exact_fisher(layer, layer, x)
    state = factors_of(layer, x, lr=0.0, damping=1e-3).state[layer.weight]
    assert torch.allclose(torch.kron(state["outputs"], state["inputs"]), fisher, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("convolution", [False, True])
def test_one_undamped_step_is_least_squares(convolution, stream):
    layer = seeded(nn.Conv2d(1, 2, 2) if convolution else nn.Linear(3, 2), stream)
    x = torch.randn(40, *((1, 3, 3) if convolution else (3,)), generator=stream, dtype=torch.float64)
    y = torch.randn(layer(x).shape, generator=stream, dtype=torch.float64)
    optimizer = KFAC(layer, **NEWTON, damping=1e-18)
    with optimizer.sampling():
        exact_outcomes(layer, x).backward()
    (layer(x) - y).square().sum().div(2 * len(x)).backward()
    optimizer.step()
    a = nn.functional.unfold(x, 2).mT.reshape(-1, 4) if convolution else x
    a = torch.cat([a, torch.ones(len(a), 1, dtype=a.dtype)], 1)
    best = torch.linalg.lstsq(a, y.flatten(2).mT.reshape(-1, 2) if convolution else y).solution
    assert torch.allclose(layer.weight.flatten(1), best[:-1].mT, atol=1e-8)
    assert torch.allclose(layer.bias, best[-1], atol=1e-8)


def test_the_blocks_of_a_deep_linear_network_are_exact_and_those_of_another_are_not(stream):
    x = torch.randn(6, 3, generator=stream, dtype=torch.float64)
    for between, exact in ((nn.Identity(), True), (nn.Tanh(), False)):
        net = seeded(nn.Sequential(nn.Linear(3, 4), between, nn.Linear(4, 2), between, nn.Linear(2, 3)), stream)
        blocks = {layer: exact_fisher(net, layer, x) for layer in net if isinstance(layer, nn.Linear)}
        optimizer = factors_of(net, x, lr=0.0, damping=1e-3)
        found = [optimizer.state[layer.weight] for layer in blocks]
        same = [
            torch.allclose(torch.kron(state["outputs"], state["inputs"]), block, rtol=1e-9, atol=1e-9)
            for state, block in zip(found, blocks.values(), strict=True)
        ]
        assert all(same) == exact


def test_the_step_is_that_of_the_damped_product(stream):
    """Written out as one matrix; the factored damping differs from l I by its cross terms, which pi keeps small."""
    layer, damping = seeded(nn.Linear(3, 2), stream), 0.3
    x = 3 * torch.randn(20, 3, generator=stream, dtype=torch.float64)
    before = torch.cat([layer.weight, layer.bias[:, None]], 1).detach()
    optimizer = factors_of(layer, x, damping=damping)
    step = torch.cat([layer.weight, layer.bias[:, None]], 1).detach() - before
    a = torch.cat([x, torch.ones(20, 1, dtype=x.dtype)], 1)
    A, G = a.mT @ a / 20, torch.eye(2, dtype=x.dtype)
    pi = math.sqrt(float(A.trace()) / 4)
    one, two = torch.eye(4, dtype=x.dtype), torch.eye(2, dtype=x.dtype)
    left, right = A + pi * damping**0.5 * one, G + damping**0.5 / pi * two
    gradient = torch.cat([layer.weight.grad, layer.bias.grad[:, None]], 1).flatten()
    assert torch.allclose(step.flatten(), -torch.linalg.solve(torch.kron(right, left), gradient), rtol=1e-8)
    cross = torch.kron(right, left) - torch.kron(G, A) - damping * torch.kron(two, one)
    other = [
        torch.kron(G, one) * p * damping**0.5 + torch.kron(two, A) * damping**0.5 / p for p in (pi / 2, pi, pi * 2)
    ]
    assert torch.allclose(cross, other[1])
    assert other[1].trace() < min(other[0].trace(), other[2].trace())
    assert optimizer.state[layer.weight]["steps"] == 1


class Coordinates(nn.Module):
    """A network of one hidden layer, and the same network in other affine coordinates of inputs and activations.

    It has more outputs than hidden units, so that all factors have full rank and damping can be next to nothing.
    """

    def __init__(self, maps):
        super().__init__()
        self.one, self.two, self.maps = nn.Linear(3, 2).double(), nn.Linear(2, 3).double(), maps

    def forward(self, x):
        (A, a), (B, b), (C, c) = self.maps
        hidden = torch.tanh(self.one(x @ A.mT + a) @ B.mT + b)
        return self.two(hidden @ C.mT + c)

    def take(self, other):
        """The parameters with which this is the function that ``other`` is without maps."""
        (A, a), (B, b), (C, c) = self.maps
        with torch.no_grad():
            self.one.weight.copy_(torch.linalg.solve(B, other.one.weight) @ A.inverse())
            self.one.bias.copy_(torch.linalg.solve(B, other.one.bias - b) - self.one.weight @ a)
            self.two.weight.copy_(other.two.weight @ C.inverse())
            self.two.bias.copy_(other.two.bias - self.two.weight @ c)


@pytest.mark.parametrize("max_kl", [None, 1e-2])
def test_the_path_does_not_depend_on_affine_coordinates_of_activations(max_kl, stream):
    def some_map(n):
        """Stretched by 0.5 to 2 along axes of its own, so that no map is nearly singular."""
        left, right = torch.linalg.qr(torch.randn(2, n, n, generator=stream, dtype=torch.float64)).Q
        return left * torch.logspace(-1, 1, n, 2.0).double() @ right, torch.randn(
            n, generator=stream, dtype=torch.float64
        )

    def none(n):
        return torch.eye(n).double(), torch.zeros(n).double()

    x = torch.randn(100, 3, generator=stream, dtype=torch.float64)
    y = torch.stack([x.prod(1), x.sum(1).sin(), x[:, 0].cos()], 1)

    def path(maps, make):
        net = Coordinates(maps)
        net.take(start)
        optimizer = make(net)
        for _ in range(6):
            if isinstance(optimizer, KFAC):
                with optimizer.sampling():
                    exact_outcomes(net, x).backward()
            optimizer.zero_grad()
            (net(x) - y).square().sum(1).mean().div(2).backward()
            optimizer.step()
        return net(x).detach()

    start = seeded(Coordinates([none(3), none(2), none(2)]), stream)
    plain, other = start.maps, [some_map(3), some_map(2), some_map(2)]
    how = {"lr": 0.1, "momentum": 0.5, "damping": 1e-24, "every": 2, "max_kl": max_kl, "fisher": "sampled"}
    first, second = (path(maps, lambda net: KFAC(net, **how)) for maps in (plain, other))
    assert torch.allclose(first, second, rtol=1e-4, atol=1e-4)
    assert (first - start(x)).abs().max() > 0.05
    first, second = (path(maps, lambda net: torch.optim.SGD(net.parameters(), 0.01)) for maps in (plain, other))
    assert (first - second).abs().max() > 1e-2


def test_a_step_moves_the_law_by_max_kl_at_most(stream):
    layer = seeded(nn.Linear(3, 2), stream)
    x = torch.randn(30, 3, generator=stream, dtype=torch.float64)
    before = layer(x).detach()
    factors_of(layer, x, damping=1e-18, max_kl=1e-3)
    moved = (layer(x) - before).square().sum(1).mean() / 2  # of two normals of variance 1
    assert float(moved.detach()) == pytest.approx(1e-3, rel=1e-6)


def test_factors_of_calls_and_places_are_those_of_one_call_over_all(stream):
    layer, x = seeded(nn.Linear(2, 3), stream), torch.randn(5, 4, 2, generator=stream, dtype=torch.float64)
    states = []
    for calls in (lambda: layer(x).square().sum((1, 2)), lambda: sum(layer(x[:, t]).square().sum(1) for t in range(4))):
        optimizer = KFAC(layer, lr=0.0)
        calls().mean().backward()
        optimizer.step()
        states.append(optimizer.state[layer.weight])
    for key in ("inputs", "outputs"):
        assert torch.allclose(states[0][key], states[1][key])
    a = torch.cat([x, torch.ones(5, 4, 1)], 2)
    g = 2 * layer(x).detach()
    assert torch.allclose(states[0]["inputs"], torch.einsum("nti,ntj->ij", a, a) / 5)
    assert torch.allclose(states[0]["outputs"], torch.einsum("nti,ntj->ij", g, g) / 20)


def test_copies_penalties_and_evaluations_leave_no_trace(stream):
    layer, x = seeded(nn.Linear(2, 1), stream), torch.randn(5, 2, generator=stream, dtype=torch.float64)
    optimizer = KFAC(layer)
    twin = copy.deepcopy(layer)
    twin(x).sum().backward()
    with torch.no_grad():
        layer(x)
    x.requires_grad_()
    torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    assert optimizer.seen == {}
    with pytest.raises(MissingCapability, match="copied"):
        copy.deepcopy(optimizer)


def test_sampling_leaves_gradients_as_they_were():
    layer = nn.Linear(2, 1)
    optimizer = KFAC(layer, fisher="sampled")
    layer.weight.grad = torch.full((1, 2), 3.0)
    with optimizer.sampling():
        layer(torch.ones(4, 2)).mean().backward()
        assert torch.equal(layer.weight.grad, torch.ones(1, 2))
    assert torch.equal(layer.weight.grad, torch.full((1, 2), 3.0))
    assert layer.bias.grad is None
    layer(torch.ones(4, 2)).mean().backward()  # of the loss: not of the Fisher matrix
    assert optimizer.seen[layer][2] == 1


WRONG = [
    ({"lr": -1.0}, "lr"), ({"damping": 0.0}, "damping"), ({"momentum": 1.0}, "momentum"), ({"decay": 1.0}, "decay"),
    ({"every": 0}, "every"), ({"max_kl": 0.0}, "max_kl"), ({"lr": math.nan}, "lr"),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "match"), WRONG)
def test_numbers_out_of_range_are_refused(setting, match):
    with pytest.raises(ArgumentError, match=match):
        KFAC(nn.Linear(2, 1), **setting)


class Halved(nn.Linear):
    def forward(self, x):
        return super().forward(x) / 2


def tied():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    return net


KINDS = [
    (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), "BatchNorm1d '1'"),
    (nn.ConvTranspose2d(1, 1, 2), "ConvTranspose2d"),
    (nn.Conv2d(2, 2, 3, groups=2), "groups=2"),
    (Halved(2, 1), "something else than a Linear"),
    (nn.utils.parametrizations.weight_norm(nn.Linear(2, 1)), "no factors"),
    (nn.LSTM(2, 2), "LSTM"),
    (nn.Linear(2, 1).half(), "float16"),
    (tied(), "one weight"),
]


@pytest.mark.parametrize(("model", "match"), KINDS)
def test_layers_it_has_no_factors_for_are_refused(model, match):
    with pytest.raises(MissingCapability, match=match):
        KFAC(model)


def test_what_else_is_refused():
    with pytest.raises(ArgumentError, match="nothing to train"):
        KFAC(nn.ReLU())
    with pytest.raises(UnknownName, match="sampled"):
        KFAC(nn.Linear(2, 1), fisher="sample")
    half = nn.Linear(2, 1)
    half.bias.requires_grad_(False)
    with pytest.raises(ArgumentError, match="in part"):
        KFAC(half)
    optimizer = KFAC(nn.Linear(2, 1))
    with pytest.raises(ArgumentError, match="layers"):
        optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})
    with pytest.raises(ArgumentError, match="training loss"), optimizer.sampling():
        pass
    layer = nn.Linear(2, 1)
    optimizer = KFAC(layer, fisher="sampled")
    layer(torch.ones(3, 2)).mean().backward()
    with pytest.raises(MissingCapability, match=r"optimizer\.sampling"):
        optimizer.step()


def test_a_layer_whose_forward_is_passed_by_is_named():
    net = dg.layers.MLP(2, 1, 2, hidden=[8], generator=dg.random.generator(0))
    optimizer = KFAC(net)
    net(torch.ones(3, 2)).mean().backward()
    with pytest.raises(MissingCapability, match="layer 'first' has a gradient that came through no call"):
        optimizer.step()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_named(bad):
    layer = linear(2, 1, generator=dg.random.generator(0))
    optimizer, weight = KFAC(layer), layer.weight.detach().clone()
    (layer(torch.ones(3, 2)).mean() * bad).backward()
    with pytest.raises(DivergenceError, match="not positive definite"):
        optimizer.step()
    assert torch.equal(layer.weight, weight)


def test_a_dead_layer_stays_where_it_is():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        net[0].bias.fill_(-100)
    optimizer, weight = KFAC(net), net[0].weight.detach().clone()
    (net(torch.ones(3, 2)) - 1).square().mean().backward()
    optimizer.step()
    assert torch.equal(net[0].weight, weight)
    assert all(p.isfinite().all() for p in net.parameters())


def test_a_convolutional_network_learns_faster_than_by_plain_descent(stream):
    """The claim of Grosse & Martens in small: after as many steps the loss is lower, at rates that suit each best."""
    digits = dg.data.load("digits", binarise="none")
    x, y = digits.train[:300].reshape(-1, 1, 8, 8), digits.labels.train[:300]

    def loss_after(make, steps=25):
        net = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(36, 10))
        for p in net.parameters():
            p.data = 0.3 * torch.randn(p.shape, generator=dg.random.generator(1))
        optimizer = make(net)
        for _ in range(steps):
            if isinstance(optimizer, KFAC):
                with optimizer.sampling():
                    logits = net(x)
                    drawn = dg.random.draw(
                        torch.distributions.Categorical(logits=logits.detach()), (), generator=stream
                    )
                    nn.functional.cross_entropy(logits, drawn).backward()
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    plain = min(loss_after(lambda net, lr=lr: torch.optim.SGD(net.parameters(), lr)) for lr in (0.1, 0.3, 1.0, 3.0))
    assert loss_after(lambda net: KFAC(net, lr=0.5, max_kl=0.1, fisher="sampled")) < plain / 2


def test_parameters_in_the_place_of_a_network_are_told():
    with pytest.raises(MissingCapability, match=r"no parameters: KFAC\(net"):
        KFAC(nn.Linear(2, 1).parameters(), lr=0.1)
