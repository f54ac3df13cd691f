"""check_involution passes involutions with their log-determinant and names what is wrong with others."""

import pytest
import torch
from torch import nn

from deepgen.errors import ShapeError
from deepgen.testing import CheckFailed, check_involution


class Swap(nn.Module):
    """(x, v) -> (s(x) + e^t(x) v in the place of x, ...): f = g^-1 swap g of a coupling g, an involution."""

    def __init__(self, defect=""):
        super().__init__()
        self.net, self.defect = nn.Linear(2, 4), defect
        with torch.no_grad():
            self.net.weight.copy_(torch.linspace(-1, 1, 8).reshape(4, 2))
            self.net.bias.copy_(torch.linspace(0.2, 0.5, 4))

    def code(self, x):
        shift, log_scale = self.net(x).tanh().chunk(2, 1)
        return shift, log_scale

    def forward(self, x, v):
        shift, log_scale = self.code(x)
        w = (v - shift) * (-log_scale).exp()  # g: (x, v) -> (x, w);  swap: (w, x);  g^-1: (w, shift(w) + x e^scale(w))
        shift, back_scale = self.code(w)
        log_det = back_scale.sum(1) - log_scale.sum(1)
        if self.defect == "sign":
            log_det = -log_det
        if self.defect == "half":
            log_det = -log_scale.sum(1)
        if self.defect == "shift":
            shift = shift + 0.1
        if self.defect == "rows":
            shift = shift + shift.mean(0) - shift.mean(0).detach() + 1e-3 * w.mean(0)
        return w, shift + x * back_scale.exp(), log_det


def parts(stream):
    return torch.randn(10, 2, generator=stream), torch.randn(10, 2, generator=stream)


def test_an_involution_passes(stream):
    check_involution(Swap(), parts(stream))
    check_involution(lambda z: z.flip(1), torch.randn(5, 4, generator=stream), volume_preserving=True)
    check_involution(lambda z: -z, torch.randn(5, 2, 2, generator=stream), volume_preserving=True)


@pytest.mark.parametrize(
    ("defect", "what"),
    [
        ("sign", "the log-determinant is"),
        ("half", "the log-determinant is"),
        ("shift", r"f\(f\(z\)\) is not z"),
        ("rows", "is not z|depends on other rows"),
    ],
)
def test_defects_are_named(defect, what, stream):
    with pytest.raises(CheckFailed, match=what):
        check_involution(Swap(defect), parts(stream))


def test_a_volume_that_changes_is_found(stream):
    with pytest.raises(CheckFailed, match="the log-determinant is 0"):
        check_involution(lambda x: 1 / x, 1 + torch.rand(5, 2, generator=stream), volume_preserving=True)


def test_rows_are_asked_for():
    with pytest.raises(ShapeError, match="z must be rows"):
        check_involution(lambda z: z, torch.zeros(3))
