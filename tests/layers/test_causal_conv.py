"""Causal convolutions against the masked kernels they stand for, and by their gradients."""

import pytest
import torch
import torch.nn.functional as F

from deepgen.errors import ArgumentError, UnknownName
from deepgen.layers.causal_conv import CausalConv

CASES = [(stack, here) for stack in ("vertical", "horizontal", "both") for here in (False, True)]


def mask(kernel, stack, here):
    """The full kernel x kernel mask, written down from the definition."""
    p = kernel // 2
    seen = torch.zeros(kernel, kernel, dtype=torch.float64)
    for i in range(kernel):
        for j in range(kernel):
            above, own_row = i < p, i == p
            left = own_row and (j < p or (here and j == p))
            if stack == "vertical":
                seen[i, j] = above or (own_row and here)
            elif stack == "horizontal":
                seen[i, j] = left
            else:
                seen[i, j] = above or left
    return seen


def full_kernel(conv):
    """Its weights in their places of a kernel x kernel window."""
    p = conv.kernel // 2
    part = conv.upper if conv.row is None else conv.row
    whole = torch.zeros(*part.shape[:2], conv.kernel, conv.kernel, dtype=part.dtype)
    if conv.upper is not None:
        whole[:, :, : conv.rows] = conv.upper.detach()
    if conv.row is not None:
        whole[:, :, p : p + 1, : conv.left] = conv.row.detach()
    return whole


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (5, 1), (7, 1), (3, 2), (5, 3)])
@pytest.mark.parametrize(("stack", "here"), CASES)
@pytest.mark.parametrize("size", [(6, 5), (1, 4), (4, 1), (1, 1)])
def test_it_is_the_masked_convolution(kernel, dilation, stack, here, size, stream, float64):
    conv = CausalConv(2, 6, kernel, stack, here=here, dilation=dilation, generator=stream)
    weight = full_kernel(conv)
    assert ((weight != 0).any(0).any(0) == mask(kernel, stack, here).bool()).all()
    x = torch.randn(3, *size, 2, generator=stream)
    far = kernel // 2 * dilation
    expected = F.conv2d(x.permute(0, 3, 1, 2), weight, conv.bias, padding=far, dilation=dilation).permute(0, 2, 3, 1)
    torch.testing.assert_close(conv(x), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.cat(conv.split(x, 3), -1), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("stack", "here"), CASES)
def test_a_window_and_no_more_is_seen(stack, here, stream, float64):
    conv = CausalConv(1, 1, 3, stack, here=here, generator=stream)
    x = torch.randn(1, 5, 5, 1, generator=stream, requires_grad=True)
    (seen,) = torch.autograd.grad(conv(x)[0, 2, 2, 0], x)
    assert ((seen[0, 1:4, 1:4, 0] != 0) == mask(3, stack, here).bool()).all()
    assert int((seen != 0).sum()) == int(mask(3, stack, here).sum())


def test_initial_weights_have_the_fan_in_of_what_exists(stream):
    conv = CausalConv(16, 64, 5, generator=stream)
    bound = (16 * (2 * 5 + 3)) ** -0.5
    for parameter in conv.parameters():
        assert parameter.abs().max() <= bound
    assert conv.upper.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_same_generator_same_weights():
    a, b = (CausalConv(2, 3, 3, generator=torch.Generator().manual_seed(4)) for _ in range(2))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_wrong_arguments(stream):
    with pytest.raises(ArgumentError, match="odd"):
        CausalConv(1, 1, 4, generator=stream)
    with pytest.raises(ArgumentError, match="at least 3"):
        CausalConv(1, 1, 1, generator=stream)
    with pytest.raises(UnknownName, match="vertical"):
        CausalConv(1, 1, 3, "vertcal", generator=stream)


@pytest.mark.parametrize("stack", ["vertical", "horizontal", "both"])
@pytest.mark.parametrize("here", [False, True])
def test_taps_are_the_whole_convolution(stack, here, stream):
    conv = CausalConv(2, 3, 5, stack, here=here, dilation=2, bias=False, generator=stream)
    x = torch.randn(1, 9, 8, 2, generator=stream)
    around, (places, weights) = F.pad(x, (0, 0, 4, 4, 4, 4)), conv.taps()
    sent = [
        around[:, 4 - up : 13 - up, 4 + right : 12 + right] @ w for (up, right), w in zip(places, weights, strict=True)
    ]
    torch.testing.assert_close(sum(sent), conv(x), rtol=1e-5, atol=1e-5)
