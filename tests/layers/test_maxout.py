"""Maxout against its formula, and what it can hold."""

import pytest
import torch
from torch.autograd import gradcheck

from deepgen.errors import ArgumentError, ShapeError
from deepgen.layers import Maxout, maxout
from deepgen.testing import check_checkpoint, check_random


def test_the_greatest_of_k_linear_functions(stream, float64):
    layer, x = Maxout(3, 4, 5, generator=stream).double(), torch.randn(7, 2, 3, generator=stream)
    w, b = layer.pre.weight.view(4, 5, 3), layer.pre.bias.view(4, 5)
    for i in range(4):
        expected = torch.stack([x @ w[i, j] + b[i, j] for j in range(5)]).amax(0)
        torch.testing.assert_close(layer(x)[..., i], expected)


def test_gradients(stream, float64):
    layer, x = Maxout(3, 4, 3, generator=stream).double(), torch.randn(5, 3, generator=stream, requires_grad=True)
    assert gradcheck(lambda x, *_: layer(x), (x, *layer.parameters()))


def test_it_is_convex(stream, float64):
    layer = Maxout(3, 8, 4, generator=stream).double()
    a, b = torch.randn(2, 100, 3, generator=stream)
    for share in (0.1, 0.5, 0.8):
        assert (layer(share * a + (1 - share) * b) <= share * layer(a) + (1 - share) * layer(b) + 1e-12).all()


def test_it_holds_absolute_values_rectifiers_and_linear_layers(stream):
    x = torch.linspace(-3, 3, 13).view(-1, 1)
    layer = Maxout(1, 2, 2, generator=stream)
    with torch.no_grad():
        layer.pre.bias.zero_()
        layer.pre.weight.copy_(torch.tensor([[1.0], [-1.0], [1.0], [0.0]]))
    assert torch.equal(layer(x), torch.cat([x.abs(), x.relu()], 1))
    plain = Maxout(1, 2, 1, generator=stream)
    assert torch.equal(plain(x), plain.pre(x))


def test_channels_of_an_image(stream):
    h = torch.randn(2, 6, 4, 5, generator=stream)
    assert torch.equal(maxout(h, 3, 1), torch.stack([h[:, :3].amax(1), h[:, 3:].amax(1)], 1))
    assert torch.equal(maxout(h, 3, -3), maxout(h, 3, 1))


def test_checkpoints_randomness_and_errors(stream):
    check_checkpoint(Maxout(3, 4, 2, generator=stream))
    check_random(lambda generator: Maxout(3, 4, generator=generator), seeds=False, generator=stream)
    with pytest.raises(ShapeError, match="multiple of 4"):
        maxout(torch.zeros(2, 6), 4)
    with pytest.raises(ShapeError, match=r"\[..., 3\]"):
        Maxout(3, 4)(torch.zeros(2, 2))
    with pytest.raises(ArgumentError, match="pieces"):
        Maxout(3, 4, 0)
