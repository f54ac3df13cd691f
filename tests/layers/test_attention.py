"""Causal self-attention against its formula, by gradient, and with its keys and values kept."""

import math

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.layers.attention import CausalSelfAttention, KeyValueCache


def formula(layer, x):
    """Place by place and head by head: ``[batch, T, width]`` in and out."""
    _, length, width = x.shape
    q, k, v = (x @ layer.into.weight.T + layer.into.bias).chunk(3, 2)
    d, mixed = width // layer.heads, torch.zeros_like(x)
    for head in range(layer.heads):
        mine = slice(head * d, (head + 1) * d)
        for t in range(length):
            scores = (k[:, : t + 1, mine] * q[:, t : t + 1, mine]).sum(2) / math.sqrt(d)
            mixed[:, t, mine] = (scores.softmax(1).unsqueeze(2) * v[:, : t + 1, mine]).sum(1)
    return mixed @ layer.out.weight.T + layer.out.bias


@pytest.mark.parametrize("heads", [1, 2, 6])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_formula(heads, length, stream, float64):
    layer = CausalSelfAttention(12, heads, generator=stream).double()
    x = 3 * torch.randn(4, length, 12, generator=stream)
    torch.testing.assert_close(layer(x), formula(layer, x), rtol=0, atol=1e-12)


def test_a_place_sees_itself_and_what_came_before(stream, float64):
    layer = CausalSelfAttention(8, 2, generator=stream).double()
    x = torch.randn(3, 6, 8, generator=stream, requires_grad=True)
    out = layer(x)
    for t in range(6):
        (slope,) = torch.autograd.grad(out[:, t].sum(), x, retain_graph=True)
        assert (slope != 0).any(2).any(0).tolist() == [s <= t for s in range(6)]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("parts", [[1] * 20, [7, 1, 1, 5, 6], [20], [19, 1]])
def test_with_a_cache_it_is_the_same(dtype, tolerance, parts, stream):
    layer = CausalSelfAttention(24, 4, generator=stream).to(dtype)
    x = torch.randn(5, 20, 24, generator=stream).to(dtype)
    cache = KeyValueCache(5, 4, 23, 6, like=x)
    out = torch.cat([layer(part, cache) for part in x.split(parts, 1)], 1)
    assert cache.filled == 20
    torch.testing.assert_close(out, layer(x), rtol=0, atol=tolerance)


def test_the_cache_is_filled_in_place(stream):
    cache = KeyValueCache(2, 3, 10, 4, like=torch.zeros(()))
    assert cache.keys.shape == cache.values.shape == (2, 3, 10, 4)
    place = cache.keys.data_ptr()
    k, v = torch.randn(2, 2, 3, 6, 4, generator=stream).unbind()
    cache.put(k[:, :, :2], v[:, :, :2])
    keys, values = cache.put(k[:, :, 2:], v[:, :, 2:])
    assert torch.equal(keys, k)
    assert torch.equal(values, v)
    assert keys.data_ptr() == cache.keys.data_ptr() == place
    with pytest.raises(ArgumentError, match="holds 10 tokens and is asked to hold 12"):
        cache.put(k, v)
    assert cache.filled == 6


def test_wrong_arguments(stream):
    with pytest.raises(ArgumentError, match="5 heads for width 8"):
        CausalSelfAttention(8, 5, generator=stream)
    with pytest.raises(ArgumentError, match="heads"):
        CausalSelfAttention(8, 0, generator=stream)
