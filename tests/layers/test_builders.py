"""Builders with batch normalisation and dropout where the papers place them, against the formulas, by hand."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck

import deepgen as dg
from deepgen.errors import ArgumentError, UnknownName
from deepgen.layers import ConvDecoder, ConvEncoder, Dense, ResidualBlock, conv
from deepgen.layers.recurrent import recurrent
from deepgen.testing import check_checkpoint, check_random
from deepgen.train.rebuild import encode

BUILT = {
    "dense": (lambda g: Dense(6, [8, 7], 2, norm=True, dropout=[0.2, 0.5], generator=g), (6,)),
    "maxout": (lambda g: Dense(6, [4, 3], 2, pieces=3, generator=g), (6,)),
    "conv": (
        lambda g: ConvEncoder((1, 4, 4), 2, features=(3, 4), hidden=5, norm=True, dropout=0.5, generator=g),
        (1, 4, 4),
    ),
    "pooled": (lambda g: ConvEncoder((2, 4, 4), 2, features=(3,), hidden=5, pool="max", generator=g), (2, 4, 4)),
    "decoder": (lambda g: ConvDecoder(3, (1, 4, 4), features=(3, 4), hidden=5, norm=True, generator=g), (3,)),
    "residual": (lambda g: moved(ResidualBlock(2, generator=g), g), (2, 4, 4)),
    "residual, norm": (lambda g: ResidualBlock(2, norm=True, generator=g), (2, 4, 4)),
    "residual, original": (lambda g: moved(ResidualBlock(2, original=True, generator=g), g), (2, 4, 4)),
}
built = pytest.mark.parametrize("name", BUILT)


def moved(net, stream):
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=stream))
    return net


def normed(h):
    """Batch normalisation of a batch, by its formula: mean 0, variance 1 + O(eps) of each channel."""
    axes = [0, *range(2, h.ndim)]
    return (h - h.mean(axes, keepdim=True)) / (h.var(axes, correction=0, keepdim=True) + 1e-5).sqrt()


@built
def test_gradients_checkpoints_and_randomness(name, stream, float64):
    make, shape = BUILT[name]
    net, x = make(stream).double(), torch.randn(5, *shape, generator=stream, requires_grad=True)
    drops = name in ("dense", "conv")
    masks = {"generator": None}

    def out(x, *_):
        masks["generator"] = torch.Generator().manual_seed(3)  # the same masks at every call
        return net(x, **(masks if drops else {}))

    assert gradcheck(out, (x, *net.parameters()))
    check_checkpoint(make(stream))
    check_random(lambda generator: make(generator), seeds=False, generator=stream)


def test_dense_places_norm_before_and_dropout_after_the_activation(stream, float64):
    net = Dense(4, [8, 6], 3, activation="relu", norm=True, dropout=(0.25, 0.5), generator=stream).double()
    x = torch.randn(7, 4, generator=stream)
    masks = torch.Generator().manual_seed(5)
    h = x * torch.empty(7, 4).bernoulli_(0.75, generator=masks) / 0.75
    for layer in net.layers[:2]:
        h = F.relu(normed(h @ layer.weight.T))
        h = h * torch.empty_like(h).bernoulli_(0.5, generator=masks) / 0.5
    expected = h @ net.layers[2].weight.T + net.layers[2].bias
    torch.testing.assert_close(net(x, generator=torch.Generator().manual_seed(5)), expected)
    assert [layer.bias is None for layer in net.layers] == [True, True, False]


def test_dense_of_maxout_units_by_hand(stream, float64):
    """h_i = max_j (W_ij x + b_ij) at hidden layers, a linear one at the end, dropout between."""
    net = Dense(4, [3, 5], (), pieces=3, dropout=0.5, generator=stream).double()
    x, masks = torch.randn(7, 4, generator=stream), torch.Generator().manual_seed(5)
    h = x
    for layer, width in zip(net.layers[:2], (3, 5), strict=True):
        parts = (h @ layer.pre.weight.T + layer.pre.bias).view(7, width, 3)
        h = torch.maximum(torch.maximum(parts[..., 0], parts[..., 1]), parts[..., 2])
        h = h * torch.empty_like(h).bernoulli_(0.5, generator=masks) / 0.5
    expected = (h @ net.layers[2].weight.T + net.layers[2].bias)[:, 0]
    torch.testing.assert_close(net(x, generator=torch.Generator().manual_seed(5)), expected)
    with pytest.raises(ArgumentError, match="maxout units have none"):
        Dense(4, [3], 2, pieces=2, norm=True)
    with pytest.raises(ArgumentError, match="pieces"):
        Dense(4, [3], 2, pieces=0)


def test_encoder_places_norm_before_the_activation_and_pools_after_it(stream, float64):
    net = ConvEncoder(
        (2, 8, 8), 3, features=(4, 5), hidden=6, activation="relu", pool="mean", norm=True, dropout=0.5,
        generator=stream,
    ).double()  # fmt: skip
    x = torch.randn(7, 2, 8, 8, generator=stream)
    h = x
    for layer in net.convolutions:
        assert layer.bias is None
        assert layer.kernel_size == (3, 3)
        h = F.avg_pool2d(F.relu(normed(F.conv2d(h, layer.weight, padding=1))), 2)
    h = F.relu(normed(h.flatten(1) @ net.dense.weight.T))
    h = h * torch.empty_like(h).bernoulli_(0.5, generator=torch.Generator().manual_seed(5)) / 0.5
    torch.testing.assert_close(net(x, generator=torch.Generator().manual_seed(5)), net.last(h))


def test_decoder_places_norms_before_activations(stream, float64):
    net = ConvDecoder(3, (1, 8, 8), features=(4, 5), hidden=6, activation="relu", norm=True, generator=stream).double()
    z = torch.randn(7, 3, generator=stream)
    h = F.relu(normed(z @ net.dense.weight.T)) @ net.spread.weight.T
    for layer in net.convolutions:
        h = layer(F.relu(normed(h.view(7, 5, 2, 2) if h.ndim == 2 else h)))
    assert [layer.bias is None for layer in net.convolutions] == [True, False]
    torch.testing.assert_close(net(z), h)


@pytest.mark.parametrize("original", [False, True])
def test_residual_blocks(original, stream, float64):
    block = ResidualBlock(3, norm=True, original=original, activation="relu", generator=stream).double()
    h = torch.randn(4, 3, 6, 6, generator=stream)
    a, b = (lambda x, w=layer.weight: F.conv2d(x, w, padding=1) for layer in (block.a, block.b))
    expected = F.relu(h + normed(b(F.relu(normed(a(h)))))) if original else h + b(F.relu(normed(a(F.relu(normed(h))))))
    torch.testing.assert_close(block(h), expected)


def test_nothing_is_dropped_outside_training_and_never_silently(stream):
    for name in ("dense", "conv"):
        make, shape = BUILT[name]
        net, x = make(stream), torch.randn(5, *shape, generator=stream)
        with pytest.raises(ArgumentError, match="generator"):
            net(x)
        net.eval()
        before = stream.get_state()
        assert torch.equal(net(x), net(x, generator=stream))
        assert torch.equal(before, stream.get_state())


def test_the_mean_over_masks_of_a_linear_output_is_that_without(stream, float64):
    """E[d(h)] = h: with one linear layer after dropout of the inputs the mean output is the plain one."""
    net = Dense(6, [], 1, dropout=(0.3, 0.0), generator=stream).double()
    x = torch.randn(1, 6, generator=stream)
    out = net(x.expand(40_000, 6), generator=stream)[:, 0]
    error = out.std() / len(out) ** 0.5
    assert abs(out.mean() - net.eval()(x)[0, 0]) < 5 * error


def test_old_names_are_the_same_classes():
    for name in ("Dense", "ConvEncoder", "ConvDecoder"):
        assert getattr(dg.implicit, name) is getattr(dg.layers, name)


def test_plain_builders_are_as_before(stream):
    """No option, no new part: the names of weights are those that checkpoints have."""
    assert [name for name, _ in Dense(2, [3], 1, generator=stream).named_parameters()] == [
        "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias",
    ]  # fmt: skip
    assert not any(isinstance(part, nn.BatchNorm2d) for part in ConvEncoder((1, 4, 4), 2, generator=stream).modules())


def test_wrong_arguments(stream):
    for rate in (1.0, -0.1, (0.1, 1.0), (0.1, 0.2, 0.3), True):
        with pytest.raises(ArgumentError, match="dropout"):
            Dense(2, [3], 1, dropout=rate)
    with pytest.raises(UnknownName, match="'max'"):
        ConvEncoder((1, 4, 4), 2, features=(3,), pool="maxx")
    with pytest.raises(ArgumentError, match="width"):
        ResidualBlock(0)


@pytest.mark.parametrize("side", range(4, 10))
@pytest.mark.parametrize("kernel", range(1, 6))
@pytest.mark.parametrize("stride", range(1, 4))
def test_sides_of_convolutions_are_as_their_formula_says(side, kernel, stride, stream):
    x = torch.zeros(1, 1, side, side)
    out = conv(1, 1, kernel, stride, generator=stream)(x)
    assert out.shape[2:] == ((side - (1 if kernel % 2 else 2)) // stride + 1,) * 2
    if kernel < stride:
        with pytest.raises(ArgumentError, match="gaps"):
            conv(1, 1, kernel, stride, transposed=True, generator=stream)
    else:
        out = conv(1, 1, kernel, stride, transposed=True, generator=stream)(x)
        assert out.shape[2:] == (side * stride + (kernel - stride) % 2,) * 2


def test_builders_take_a_seed_as_classes_do(stream):
    for make in (
        lambda generator: conv(2, 3, 3, generator=generator),
        lambda generator: recurrent(2, 3, "gru", generator=generator),
        lambda generator: recurrent(2, 3, "mlstm", generator=generator),
    ):
        check_random(make, generator=stream)


def test_widths_may_be_numpys():
    net = Dense(np.int64(3), [np.int64(4)], np.int64(2), generator=0)
    assert net(torch.zeros(5, 3)).shape == (5, 2)
    eight, four, three, two = map(np.int64, (8, 4, 3, 2))
    model = dg.explicit.Seq2Seq(three, three, eight, embedding=four, layers=two, longest=four, generator=0)
    x = torch.zeros(2, 4, dtype=torch.int64)
    assert model.log_prob(x, x).shape == (2,)
    assert json.dumps([encode(net.arguments()), encode(model.arguments())])


def test_convolutions_have_a_kernel_and_a_stride(stream):
    for wrong in ({"kernel": 0}, {"kernel": 3, "stride": 0}, {"kernel": 2.5}):
        with pytest.raises(ArgumentError, match=r"kernel|stride"):
            conv(1, 1, generator=stream, **wrong)
