"""Data-dependent initial weights: moments of every layer's sums, the paper's g and b, and signals through depth."""

import pytest
import torch
from torch import nn

from deepgen.errors import ArgumentError, MissingCapability, SupportError
from deepgen.layers import MLP, ConvEncoder, Dense, data_dependent, linear, lsuv
from deepgen.layers.convolution import conv
from deepgen.testing import check_random

KINDS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def sums_of(net, x):
    """What every layer puts out before its activation, units first: ``{name: [units, rest]}``."""
    found = {}

    def keep(name):
        def hook(layer, given, out):
            found[name] = out.movedim(out.ndim - 1 if isinstance(layer, nn.Linear) else 1, 0).flatten(1)

        return hook

    layers = [(name, part) for name, part in net.named_modules() if isinstance(part, KINDS)]
    hooks = [part.register_forward_hook(keep(name)) for name, part in layers]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return found


def networks(g):
    up = nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2)
    nn.init.normal_(up.weight, generator=g)
    return {
        "dense": (Dense(5, [20, 30], 4, activation="relu", generator=g), (5,)),
        "conv": (ConvEncoder((2, 8, 8), 3, features=(4, 6), hidden=10, generator=g), (2, 8, 8)),
        "transposed": (nn.Sequential(conv(2, 6, 3, generator=g), nn.Tanh(), up), (2, 8, 8)),
        "transposed, plain": (
            nn.Sequential(conv(2, 6, 3, generator=g), nn.Tanh(), conv(6, 4, 4, 2, transposed=True, generator=g)),
            (2, 8, 8),
        ),
        "weight norm": (
            nn.Sequential(
                nn.utils.parametrizations.weight_norm(linear(5, 9, generator=g)), nn.Tanh(),
                nn.utils.parametrizations.weight_norm(linear(9, 4, generator=g)),
            ),
            (5,),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["dense", "conv", "transposed", "transposed, plain", "weight norm"])
@pytest.mark.parametrize("method", [data_dependent, lsuv])
def test_moments_of_all_sums(name, method, stream, float64):
    net, shape = networks(stream)[name]
    net, x = net.double(), 7 + 50 * torch.randn(64, *shape, generator=stream)
    assert (method(net, x) if method is data_dependent else lsuv(net, x, generator=stream)) is net
    found = sums_of(net, x)
    assert len(found) == sum(isinstance(part, KINDS) for part in net.modules())
    for sums in found.values():
        if method is data_dependent:
            torch.testing.assert_close(sums.mean(1), torch.zeros(len(sums)), rtol=0, atol=1e-9)
            torch.testing.assert_close(sums.std(1, correction=0), torch.ones(len(sums)))
        else:
            assert sums.std(correction=0).item() == pytest.approx(1)


def test_the_papers_g_and_b(stream, float64):
    """Equation 6: with t = v . x / |v|, g = 1 / s[t] and b = - m[t] / s[t]; v keeps its direction."""
    layer = nn.utils.parametrizations.weight_norm(linear(5, 9, generator=stream).double())
    x, before = 3 + torch.randn(64, 5, generator=stream), layer.weight.detach().clone()
    with torch.no_grad():
        layer.bias.zero_()
    t = x @ (before / before.norm(dim=1, keepdim=True)).T
    data_dependent(layer, x)
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    torch.testing.assert_close(g[:, 0], 1 / t.std(0, correction=0))
    torch.testing.assert_close(layer.bias, -t.mean(0) / t.std(0, correction=0))
    torch.testing.assert_close(v / v.norm(dim=1, keepdim=True), before / before.norm(dim=1, keepdim=True))


def test_it_is_what_batch_normalisation_would_do(stream, float64):
    plain = Dense(5, [20, 30], 4, activation="tanh", generator=3).double()
    normed = Dense(5, [20, 30], 4, activation="tanh", norm=True, generator=3).double()
    for mine, other in zip(plain.layers, normed.layers, strict=True):
        other.weight.data.copy_(mine.weight.data)
    for norm in normed.norms:
        norm.eps = 1e-14
    x = torch.randn(64, 5, generator=stream)
    data_dependent(plain, x)
    out = sums_of(plain, x)["layers.2"]
    expected = sums_of(normed, x)["layers.2"]
    expected = (expected - expected.mean(1, keepdim=True)) / expected.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(out, expected)


def test_lsuv_weights_are_orthonormal_up_to_a_scale(stream, float64):
    net, x = Dense(8, [8, 6], 8, activation="relu", generator=stream).double(), torch.randn(50, 8, generator=stream)
    lsuv(net, x, generator=stream)
    for layer in net.layers:
        w = layer.weight.detach()
        gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
        torch.testing.assert_close(gram / gram[0, 0], torch.eye(len(gram)), rtol=0, atol=1e-10)
        assert (layer.bias == 0).all()


def test_signals_pass_through_depth(stream):
    """Fifty rectified layers: nothing is left of the default's signal, and all of theirs."""
    x = torch.randn(200, 64, generator=stream)

    def left(begin):
        net = Dense(64, [64] * 50, 64, activation="relu", generator=stream)
        with torch.no_grad():
            return float(begin(net)(x).std(0).mean())

    assert left(lambda net: net) < 1e-6
    assert left(lambda net: data_dependent(net, x)) == pytest.approx(1, abs=0.05)
    assert left(lambda net: lsuv(net, x, generator=stream)) > 0.01


def test_units_without_a_spread_keep_their_weights_and_a_layer_begins_once(stream):
    net = nn.Sequential(linear(3, 4, generator=stream), nn.ReLU(), linear(4, 2, scale=0.0, generator=stream))
    data_dependent(net, torch.randn(20, 3, generator=stream))
    assert (net[2].weight == 0).all()
    shared = linear(3, 3, generator=stream)
    twice = nn.Sequential(shared, nn.Tanh(), shared)
    x = torch.randn(20, 3, generator=stream)
    data_dependent(twice, x)
    torch.testing.assert_close(shared(x).std(0, correction=0), torch.ones(3))


class Up(nn.Module):
    """A layer that is called by names: an output of 8 from 4 is not the one of the layer alone, 7."""

    def __init__(self, generator):
        super().__init__()
        self.up = nn.ConvTranspose2d(2, 3, 1, stride=2)
        nn.init.normal_(self.up.weight, generator=generator)

    def forward(self, x):
        return self.up(input=x, output_size=(8, 8))


@pytest.mark.parametrize("method", [data_dependent, lsuv])
def test_layers_may_be_called_by_names(method, stream):
    net, x = Up(stream), torch.randn(20, 2, 4, 4, generator=stream)
    found = sums_of(method(net, x), x)["up"]
    assert found.shape == (3, 20 * 64)
    assert found.std(correction=0).item() == pytest.approx(1, rel=1e-3)


def test_randomness_and_errors(stream):
    x = torch.randn(20, 3, generator=stream)
    check_random(lambda generator: lsuv(Dense(3, [4], 2, generator=1), x, generator=generator), generator=stream)
    with pytest.raises(ArgumentError, match="calls no linear layer"):
        data_dependent(MLP(3, 1, 2, hidden=[4], generator=stream), x)
    with pytest.raises(SupportError, match="several rows"):
        data_dependent(Dense(3, [4], 2, generator=stream), x[:1])
    with pytest.raises(SupportError, match="finite"):
        data_dependent(Dense(3, [4], 2, generator=stream), x.where(x > x.min(), torch.nan))
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4))
    with pytest.raises(MissingCapability, match="scale"):
        data_dependent(normed, 100 * x)
    assert not normed._forward_hooks  # nothing is left behind
