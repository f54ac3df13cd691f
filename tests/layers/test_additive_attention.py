"""Additive attention by its formula, and over no place at all."""

import pytest
import torch
from torch.autograd import gradcheck

from deepgen.errors import ShapeError
from deepgen.layers import AdditiveAttention


def test_additive_attention(stream, float64):
    attend = AdditiveAttention(3, 4, 6, generator=stream).double()
    q, k = torch.randn(2, 3, generator=stream), torch.randn(2, 5, 4, generator=stream)
    w, (u, b), v = attend.query.weight, (attend.key.weight, attend.key.bias), attend.score.weight[0]
    for row, places in ((0, 5), (1, 2)):
        e = torch.stack([v @ (w @ q[row] + u @ k[row, j] + b).tanh() for j in range(places)])
        a = e.exp() / e.exp().sum()
        mask = torch.arange(5).expand(2, 5) < torch.tensor([[5], [2]])
        mean, weights = attend(q, k, mask)
        torch.testing.assert_close(weights[row, :places], a)
        torch.testing.assert_close(mean[row], sum(a[j] * k[row, j] for j in range(places)))
    assert gradcheck(lambda q, k, *_: attend(q, k)[0], (q.requires_grad_(), k.requires_grad_(), *attend.parameters()))


def test_a_row_without_a_place_has_no_weights_and_spoils_no_gradient(stream):
    attend = AdditiveAttention(3, 4, 6, generator=stream)
    q, k = torch.randn(2, 3, generator=stream), torch.randn(2, 5, 4, generator=stream)
    mean, weights = attend(q, k, torch.tensor([[False] * 5, [True] * 5]))
    assert (mean[0].count_nonzero(), weights[0].count_nonzero()) == (0, 0)
    torch.testing.assert_close(mean[1], attend(q[1:], k[1:])[0][0])
    mean.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in attend.parameters())


def test_what_does_not_fit_is_refused():
    attend = AdditiveAttention(3, 4, 6)
    with pytest.raises(ShapeError, match="query"):
        attend(torch.zeros(2, 2), torch.zeros(2, 5, 4))
    with pytest.raises(ShapeError, match="mask"):
        attend(torch.zeros(2, 3), torch.zeros(2, 5, 4), torch.ones(2, 4, dtype=torch.bool))
