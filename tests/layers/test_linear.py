"""Initial weights: their law, their source, and nothing from the global stream."""

import math

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.layers import linear
from deepgen.testing import check_random, ks


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_weights_are_uniform(scale, stream, alpha):
    layer = linear(100, 200, scale=scale, generator=stream)
    bound = scale / math.sqrt(100)
    for values in (layer.weight, layer.bias):
        assert ks(values.detach().flatten() / bound, lambda u: (u + 1) / 2) > alpha / 2


def test_randomness(stream):
    check_random(lambda generator: linear(5, 7, generator=generator), generator=stream)
    with torch.no_grad():
        assert not torch.equal(linear(5, 7).weight, linear(5, 7).weight)  # of fresh entropy


def test_shapes(stream):
    layer = linear(3, 2, bias=False, generator=stream)
    assert layer.bias is None
    assert layer(torch.ones(4, 3)).shape == (4, 2)
    with pytest.raises(ArgumentError, match="outputs"):
        linear(3, 0, generator=stream)
