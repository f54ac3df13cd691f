"""Written-out gradients of networks of rectified linear units, against autograd's of the plain form in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F

from deepgen.layers import MLP, MaskedNet, rectified
from deepgen.layers.feed_forward import feed_forward
from tests.contracts.densities import trained

pytest.importorskip("numba")

ROWS = 300  # times 16 units: enough for kernels
NETS = {
    "mlp": lambda stream: MLP(7, 2, 5, hidden=[16, 9, 20], generator=stream),
    "one layer": lambda stream: MLP(7, 1, 5, hidden=[16], generator=stream),
    "masked": lambda stream: MaskedNet([2, 4, 0, 3, 1, 5, 6], 2, hidden=[16, 20], generator=stream),
    "context": lambda stream: MaskedNet(range(7), 3, hidden=[16, 16], context=2, generator=stream),
}


def make(name, stream, *, coarse=False):
    """A network with its inputs; ``coarse`` ones are multiples of 1/4 and 1/2, whose sums are exact in float32 as in
    float64, so that no unit near its kink is on in the one and off in the other."""
    net = trained(NETS[name](stream), stream)
    x = torch.randn(ROWS, 7, generator=stream)
    if coarse:
        x = x.clamp(-2, 2).mul(2).round().div(2)
        with torch.no_grad():
            for p in net.parameters():
                p.clamp_(-1, 1).mul_(4).round_().div_(4)
    inputs = [x if name in ("mlp", "one layer") else x.t().contiguous()]
    if name == "context":
        inputs.append(torch.randn(ROWS, 2, generator=stream))
        if coarse:
            inputs[1] = inputs[1].clamp(-2, 2).mul(2).round().div(2)
    return net, inputs


def gradients(net, inputs, pull, **options):
    at = [*(t for t in inputs if t.requires_grad), *(p for p in net.parameters() if p.requires_grad)]
    out = net(*inputs)
    return out, torch.autograd.grad(out, at, pull.to(out), **options)


def watch(monkeypatch):
    """A list that grows with every pass by kernels."""
    calls, apply = [], rectified.forwards
    monkeypatch.setattr(rectified, "forwards", lambda *a: calls.append(1) or apply(*a))
    return calls


@pytest.mark.parametrize("pulled", ["dense", "expanded", "transposed"])
@pytest.mark.parametrize("wanted", ["all", "parameters", "inputs"])
@pytest.mark.parametrize("name", NETS)
def test_gradients_are_autograds(name, wanted, pulled, stream, monkeypatch):
    calls = watch(monkeypatch)
    net, inputs = make(name, stream, coarse=True)
    exact, wide = copy.deepcopy(net).double(), [t.double() for t in inputs]
    for module, tensors in ((net, inputs), (exact, wide)):
        module.requires_grad_(wanted != "inputs")
        for t in tensors:
            t.requires_grad_(wanted != "parameters")
    shape = net(*inputs).shape
    pull = torch.randn(shape, generator=stream)
    if pulled == "expanded":
        pull = torch.randn(shape[-1], generator=stream).expand(shape)
    elif pulled == "transposed":
        pull = torch.randn(*shape[:-2], shape[-1], shape[-2], generator=stream).transpose(-1, -2)
    before = [t.detach().clone() for t in inputs]
    (out, got), (right, expected) = gradients(net, inputs, pull), gradients(exact, wide, pull)
    assert len(calls) == 2
    torch.testing.assert_close(out.double(), right, rtol=1e-5, atol=1e-5)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))


def test_backwards_twice_over_one_graph(stream):
    net, inputs = make("masked", stream)
    out = net(*inputs)
    pull, at = torch.randn(out.shape, generator=stream), list(net.parameters())
    first = torch.autograd.grad(out, at, pull, retain_graph=True)
    assert all(torch.equal(a, b) for a, b in zip(first, torch.autograd.grad(out, at, pull), strict=True))


@pytest.mark.parametrize("name", NETS)
def test_second_derivatives_are_autograds(name, stream, monkeypatch):
    net, inputs = make(name, stream)
    found = []
    for kernels in (True, False):
        if not kernels:
            monkeypatch.setattr(rectified, "_kernels", lambda: None)
        x = inputs[0].detach().requires_grad_()
        (slope,) = torch.autograd.grad(net(x, *inputs[1:]).square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), [x, *net.parameters()], allow_unused=True))
    for a, b in zip(*found, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch.func's own, on its first use
def test_transforms_of_functions(stream):
    net, (x,) = make("mlp", stream)
    parameters = dict(net.named_parameters())

    def loss(p, x):
        return torch.func.functional_call(net, p, (x,)).square().sum()

    plain = torch.autograd.grad(loss(parameters, x), list(parameters.values()))
    for a, b in zip(torch.func.grad(loss)(parameters, x).values(), plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)
    rows = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x.unsqueeze(1))
    for a, b in zip(rows.values(), plain, strict=True):
        torch.testing.assert_close(a.sum(0), b, rtol=1e-4, atol=1e-3)
    tangent = torch.randn(x.shape, generator=stream)
    _, along = torch.func.jvp(lambda x: loss(parameters, x), (x,), (tangent,))
    (slope,) = torch.autograd.grad(loss(parameters, x.requires_grad_()), x)
    torch.testing.assert_close(along, (slope * tangent).sum(), rtol=1e-3, atol=1e-2)


def test_many_pulls_at_once(stream):
    net, (x,) = make("mlp", stream)
    out = net(x.requires_grad_())
    pulls = torch.randn(3, *out.shape, generator=stream)
    (together,) = torch.autograd.grad(out, x, pulls, is_grads_batched=True, retain_graph=True)
    for one, pull in zip(together, pulls, strict=True):
        torch.testing.assert_close(one, torch.autograd.grad(out, x, pull, retain_graph=True)[0])


def test_nan_is_not_rectified_away(stream):
    net, (x,) = make("mlp", stream)
    x[17, 3] = torch.nan
    with torch.no_grad():
        assert net(x).isnan().any(0).any(0).nonzero().flatten().tolist() == [17]


def test_where_it_serves(stream, monkeypatch):
    calls = watch(monkeypatch)
    net, (x,) = make("mlp", stream)
    net(x[:10])
    net.double()(x.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net.float()(x).dtype == torch.bfloat16
    MLP(7, 2, 5, hidden=[16], activation=F.elu, generator=stream)(x)
    MLP(7, 2, 5, hidden=[16, 16], residual=True, generator=stream)(x)
    assert not calls
    with torch.no_grad():
        net(x)
    assert calls


def test_memory_with_gaps(stream):
    net, (x,) = make("mlp", stream)
    right = net(x)
    net.first.bias = torch.nn.Parameter(torch.stack([net.first.bias.detach()] * 2, 1)[:, 0])
    assert not net.first.bias.is_contiguous()
    torch.testing.assert_close(net(x), right, rtol=1e-4, atol=1e-5)


def test_what_follows_a_product(stream):
    weights = [torch.randn(16, 7, generator=stream), torch.randn(3, 16, generator=stream)]
    biases = [torch.randn(16, generator=stream), torch.randn(3, generator=stream)]
    x, start = torch.randn(7, ROWS, generator=stream), torch.randn(16, ROWS, generator=stream)
    got = rectified.rectified(x, weights, biases, F.relu, start=start)
    torch.testing.assert_close(got, feed_forward(x, weights, biases, F.relu, start=start), rtol=1e-5, atol=1e-4)
    assert not torch.allclose(got, rectified.rectified(x, weights, biases, F.relu))
