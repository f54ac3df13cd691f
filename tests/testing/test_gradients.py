"""check_gradient and check_causal: what is right passes, what is wrong by little does not."""

import pytest
import torch

from deepgen.testing import CheckFailed, check_causal, check_gradient
from deepgen.testing.gradients import check_narrow_gradient


class Wrong(torch.autograd.Function):
    """x^3 whose gradient is 1 % off."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        return 3.03 * ctx.saved_tensors[0] ** 2 * g


def leaf(n, stream):
    return torch.randn(n, generator=stream, dtype=torch.float64).requires_grad_()


def test_right_gradients_pass_and_values_are_put_back(stream):
    p, q = leaf(5, stream), leaf(3, stream)
    before = p.detach().clone()
    check_gradient(lambda: p.sin().sum() * q.exp().sum(), [p, q], what="sin", generator=stream)
    assert torch.equal(p, before)


def test_wrong_gradients_are_caught(stream):
    p = leaf(5, stream)
    with pytest.raises(CheckFailed, match="cube: autograd says"):
        check_gradient(lambda: Wrong.apply(p).sum(), [p], what="cube", generator=stream)
    with pytest.raises(CheckFailed, match="cut"):
        check_gradient(lambda: (p * p.detach()).sum(), [p], what="cut", generator=stream)
    with pytest.raises(CheckFailed, match="no gradient"):
        check_gradient(lambda: p.detach().sum(), [p], what="none", generator=stream)


def test_a_kink_does_not_count(stream):
    p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    with pytest.raises(CheckFailed):  # always at the corner
        check_gradient(lambda: p.relu().sum(), [p], what="relu", generator=stream)
    q = leaf(50, stream)
    check_gradient(lambda: q.relu().sum(), [q], what="relu", generator=stream)


class Fast(torch.nn.Module):
    """Two layers, whose float32 form passes a wrong gradient to one bias."""

    def __init__(self, wrong):
        super().__init__()
        self.first, self.last, self.wrong = torch.nn.Linear(3, 8), torch.nn.Linear(8, 1), wrong

    def forward(self, x):
        if self.wrong and x.dtype == torch.float32:
            h = torch.nn.functional.linear(x, self.first.weight) + self.first.bias.detach()
        else:
            h = self.first(x)
        return self.last(h.relu()).sum()


def test_many_kinks_near_by_do_not_count_and_hide_no_error(stream):
    """A thousand ReLUs within 1e-6 of their corners: every direction at the largest step crosses many, at 1e-8 none."""
    near = (0.1 + 0.9 * torch.rand(1000, generator=stream, dtype=torch.float64)) * 1e-6
    p, lost = near.requires_grad_(), torch.randn(1000, generator=stream, dtype=torch.float64)
    check_gradient(lambda: p.relu().sum() + p.sum(), [p], what="corners", generator=stream)
    with pytest.raises(CheckFailed, match="corners: autograd says"):
        check_gradient(lambda: p.relu().sum() + lost @ p.detach(), [p], what="corners", generator=stream)


def test_gradients_of_two_codes(stream):
    def rows():
        return torch.randn(100, 3, generator=stream)

    check_narrow_gradient(lambda m, x: m(x), Fast(False), rows, what="fast")
    with pytest.raises(CheckFailed, match="fast: gradients in float32"):
        check_narrow_gradient(lambda m, x: m(x), Fast(True), rows, what="fast")


def test_causal_functions(stream):
    x, order = torch.randn(3, 4, generator=stream), [2, 0, 3, 1]

    def before(x):
        return x[:, order].cumsum(1).roll(1, 1)[:, torch.tensor(order).argsort()].where(torch.arange(4) != 2, 0)

    check_causal(before, x, order, what="running sums")
    with pytest.raises(CheckFailed, match="running sums: variable 0 looks at"):
        check_causal(before, x, what="running sums")
    with pytest.raises(CheckFailed, match="variable 0 looks at"):
        check_causal(lambda x: x.cumsum(1), x, what="sums")


def test_blind_spots(stream):
    x = torch.randn(3, 4, generator=stream)

    def last(x):
        return torch.nn.functional.pad(x[:, :-1], (1, 0))

    check_causal(last, x, what="last", all_seen=False)
    with pytest.raises(CheckFailed, match="variable 2 does not see"):
        check_causal(last, x, what="last")
