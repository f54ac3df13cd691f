"""Group convolution against its sum written out, and equivariance to the precision of float64."""

import itertools

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from deepgen.errors import ArgumentError, ShapeError
from deepgen.layers import P4Conv, p4_max_pool, p4_pool, p4_turn
from deepgen.testing import check_checkpoint, check_random

CASES = [
    {}, {"kernel": 1}, {"kernel": 5}, {"kernel": 2}, {"kernel": 4, "padding": 0}, {"kernel": 3, "stride": 2,
    "padding": 0}, {"bias": False, "padding": 2},
]  # fmt: skip
cases = pytest.mark.parametrize("case", CASES, ids=str)


def image_turn(x, times=1):
    return x.rot90(times, (-2, -1))


def turn(place, times):
    """A quarter turn of a place (row, column) about the origin, as rot90 turns pictures: (i, j) -> (-j, i)."""
    for _ in range(times % 4):
        place = (-place[1], place[0])
    return place


def summed(x, layer):
    """Equations 10 and 11, place by place: psi looked up at R^-r (y - t), about its middle."""
    psi, k = layer.weight.detach(), layer.kernel
    half, pad = k // 2, layer.padding
    x = x.unsqueeze(2) if layer.lift else x
    turns, height, width = x.shape[2:]
    sides = height + 2 * pad - k + 1, width + 2 * pad - k + 1
    out = layer.bias.detach().view(1, -1, 1, 1, 1).repeat(len(x), 1, 4, *sides)
    for r, i, j in itertools.product(range(4), range(out.shape[3]), range(out.shape[4])):
        middle = (i + half - pad, j + half - pad)
        for s, a, b in itertools.product(range(turns), range(height), range(width)):
            at = turn((a - middle[0], b - middle[1]), -r)
            if max(map(abs, at)) <= half:
                kernel = psi[:, :, (s - r) % turns, at[0] + half, at[1] + half]
                out[:, :, r, i, j] += torch.einsum("bc,oc->bo", x[:, :, s, a, b], kernel)
    return out


@pytest.mark.parametrize("lift", [True, False])
def test_the_sum(lift, stream, float64):
    layer = P4Conv(2, 3, 3, lift=lift, generator=stream).double()
    with torch.no_grad():
        layer.bias.normal_(generator=stream)
    x = torch.randn(2, 2, *([] if lift else [4]), 4, 5, generator=stream)
    torch.testing.assert_close(layer(x), summed(x, layer))


@cases
@pytest.mark.parametrize("shape", [(11, 11), (7, 11)])
def test_turning_the_input_turns_the_output(case, shape, stream, float64):
    first, second = P4Conv(2, 3, lift=True, **case, generator=stream), P4Conv(3, 2, **case, generator=stream)
    with torch.no_grad():
        for p in (first.bias, second.bias):
            if p is not None:
                p.normal_(generator=stream)
    first, second = first.double(), second.double()
    x = torch.randn(2, 2, *shape, generator=stream)
    h = first(x)
    z = second(h.tanh())
    assert h.std() > 0
    assert z.std() > 0
    for times in (1, 2, 3):
        turned = first(image_turn(x, times))
        torch.testing.assert_close(turned, p4_turn(h, times), rtol=0, atol=1e-12)
        torch.testing.assert_close(second(turned.tanh()), p4_turn(z, times), rtol=0, atol=1e-12)
    if first.kernel > 1:  # turns are told apart: their maps are not the same
        assert not torch.allclose(h.square().mean((3, 4)), h[:, :, :1].square().mean((3, 4)))


def test_a_whole_network(stream, float64):
    """Lift, norm, group convolutions, pools: equivariant maps, and logits that no turn changes."""
    convs = [P4Conv(1, 4, lift=True, bias=False, generator=stream), P4Conv(4, 5, bias=False, generator=stream)]
    convs = [layer.double() for layer in convs]
    norms = [nn.BatchNorm3d(4).double(), nn.BatchNorm3d(5).double()]
    x = torch.randn(6, 1, 12, 12, generator=stream)

    def maps(x):
        h = p4_max_pool(norms[0](convs[0](x)).relu())
        return norms[1](convs[1](h)).relu()

    plain, turned = maps(x), maps(image_turn(x))
    torch.testing.assert_close(turned, p4_turn(plain), rtol=0, atol=1e-12)
    torch.testing.assert_close(p4_pool(turned), image_turn(p4_pool(plain)), rtol=0, atol=1e-12)
    torch.testing.assert_close(p4_pool(turned).mean((2, 3)), p4_pool(plain).mean((2, 3)), rtol=0, atol=1e-12)
    assert plain.std() > 0.1


def test_shifts(stream, float64):
    layer, x = P4Conv(1, 2, lift=True, padding=0, generator=stream).double(), torch.randn(1, 1, 9, 9, generator=stream)
    torch.testing.assert_close(layer(x[..., 2:, 1:]), layer(x)[..., 2:, 1:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("lift", [True, False])
def test_gradients(lift, stream, float64):
    layer = P4Conv(2, 2, 3, lift=lift, generator=stream).double()
    x = torch.randn(2, 2, *([] if lift else [4]), 4, 4, generator=stream, requires_grad=True)
    assert gradcheck(lambda x, *_: layer(x), (x, *layer.parameters()))


def test_signals_keep_their_size(stream):
    """E h^2 = E x^2 after rectifiers, in the middle of an image: He's law.

    Of one output E h^2 has the deviation 0.32 sqrt(2), the share of x's mean; of the mean over 512 it is 0.02.
    """
    layer = P4Conv(32, 512, generator=stream)
    x = torch.randn(2, 32, 4, 16, 16, generator=stream).relu()
    out = layer(x)[..., 1:-1, 1:-1].detach()
    assert out.square().mean().item() == pytest.approx(1, rel=0.15)


def test_checkpoints_randomness_and_errors(stream):
    check_checkpoint(P4Conv(2, 3, lift=True, generator=stream))
    check_random(lambda generator: P4Conv(2, 3, generator=generator), seeds=False, generator=stream)
    with pytest.raises(ShapeError, match="multiple of the stride 2"):
        P4Conv(1, 1, lift=True, stride=2)(torch.zeros(1, 1, 6, 6))
    with pytest.raises(ShapeError, match=r"\[rows, 3, 4, height, width\]"):
        P4Conv(3, 1)(torch.zeros(1, 3, 6, 6))
    with pytest.raises(ShapeError, match="multiples of 2"):
        p4_max_pool(torch.zeros(1, 1, 4, 5, 6))
    for function in (p4_pool, p4_turn):
        with pytest.raises(ShapeError, match="4, height, width"):
            function(torch.zeros(1, 3, 6, 6))
    with pytest.raises(ArgumentError, match="kernel"):
        P4Conv(1, 1, 0)
