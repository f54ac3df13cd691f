"""The binary kernels against dense products and against the law they draw from."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from deepgen.explicit import binary, binary_draw
from deepgen.random import key

WIDTHS = [1, 2, 7, 24, 61]


def sparse_rows(rows, width, share, stream):
    return (torch.rand(rows, width, generator=stream) < share).float()


def lists_of(x):
    lists = binary.new_lists(*x.shape)
    binary.list_rows(x.numpy(), 0, lists)
    return lists


def up(x, weight, bias):
    out, paired = torch.empty(len(x), len(bias)), np.empty((x.shape[1] // 2, len(bias)), np.float32)
    binary.pair_sums(weight.numpy(), paired)
    binary.gather(lists_of(x), 0, len(x), weight.numpy(), paired, bias.numpy(), out.numpy())
    return out


def outer(x, hidden, extra, out):
    columns = binary.new_columns(*x.shape)
    binary.list_columns(lists_of(x), len(x), columns)
    binary.outer(columns, hidden.numpy(), extra[0].numpy(), extra[1].numpy(), -0.5, 2.0, out.numpy())


@pytest.mark.parametrize("share", [0.0, 0.13, 0.6, 1.0])
@pytest.mark.parametrize("width", WIDTHS)
def test_products_of_integers_are_exact(width, share, stream):
    x = sparse_rows(30, width, share, stream)
    weight = torch.randint(-50, 50, (width, 11), generator=stream).float()
    bias = torch.randint(-50, 50, (11,), generator=stream).float()
    assert torch.equal(up(x, weight, bias), x @ weight + bias)
    hidden = torch.randint(-50, 50, (30, 11), generator=stream).float()
    extra = tuple(torch.randint(-5, 5, (2, n), generator=stream).float() for n in (width, 11))
    out = torch.randint(-50, 50, (width, 11), generator=stream).float()
    expected = 2 * out - 0.5 * (x.t() @ hidden + extra[0].t() @ extra[1])
    outer(x, hidden, extra, out)
    assert torch.equal(out, expected)


@pytest.mark.parametrize("share", [0.13, 0.5])
def test_products_of_reals_agree_to_rounding(share, stream):
    """A float32 sum of n numbers in any order is off by at most about n eps times the sum of their magnitudes."""
    x, eps = sparse_rows(100, 201, share, stream), 2**-24
    weight, bias = torch.randn(201, 53, generator=stream), torch.randn(53, generator=stream)
    rows = x.double()
    reach = rows @ weight.double().abs() + bias.abs()
    assert ((up(x, weight, bias) - (rows @ weight.double() + bias)).abs() <= 202 * eps * reach).all()
    hidden = torch.randn(100, 53, generator=stream)
    extra = (torch.randn(2, 201, generator=stream), torch.randn(2, 53, generator=stream))
    out = torch.zeros(201, 53)
    outer(x, hidden, extra, out)
    exact = rows.t() @ hidden.double() + extra[0].double().t() @ extra[1].double()
    reach = rows.t() @ hidden.double().abs() + extra[0].double().abs().t() @ extra[1].double().abs()
    assert ((out + 0.5 * exact).abs() <= 104 * eps * reach).all()


def rows_of(lists, rows, width):
    x = torch.zeros(rows, width)
    for r in range(rows):
        for j in lists.single[r, : lists.singles[r]]:
            x[r, int(j)] += 1
        for i in lists.pair[r, : lists.pairs[r]]:
            x[r, 2 * int(i)] += 1
            x[r, 2 * int(i) + 1] += 1
    return x


@pytest.mark.parametrize("width", WIDTHS)
def test_lists_hold_every_one_once(width, stream):
    x = sparse_rows(20, width, 0.5, stream)
    assert torch.equal(rows_of(lists_of(x), 20, width), x)


def test_sampled_lists_are_the_sampled_rows(stream):
    field, means, own = torch.randn(40, 33, generator=stream), torch.empty(40, 33), key(stream)
    lists, dense, rows = binary.new_lists(40, 33), torch.empty(40, 33), torch.empty(40, 33)
    binary_draw.sample_lists(field.numpy(), own, 0, lists)
    binary_draw.sigmoid(field.numpy(), means.numpy())
    binary_draw.sample(means.numpy(), own, dense.numpy())
    assert torch.equal(rows_of(lists, 40, 33), dense)
    again = binary.new_lists(40, 33)
    ones = binary_draw.sample_rows(field.numpy(), 1.0, own, means.numpy(), rows.numpy(), again, 40 * 33)
    assert ones == int(dense.sum())
    assert torch.equal(rows, dense)
    assert torch.equal(rows_of(again, 40, 33), dense)
    binary_draw.sample_field(field.numpy(), own, rows.fill_(7.0).numpy())
    assert torch.equal(rows, dense)


def test_sigmoid_is_right_to_rounding():
    field = torch.linspace(-85, 120, 20_001).view(3, -1)
    out = torch.empty_like(field)
    binary_draw.sigmoid(field.numpy(), out.numpy())
    torch.testing.assert_close(out.double(), field.double().sigmoid(), rtol=5e-7, atol=0)
    wild = torch.tensor([[-torch.inf, torch.inf, torch.nan, 0.0]])
    binary_draw.sigmoid(wild.numpy(), wild.numpy())
    torch.testing.assert_close(wild, torch.tensor([[0.0, 1.0, torch.nan, 0.5]]), equal_nan=True, atol=1e-37, rtol=0)


def test_samples_have_their_probabilities(stream, alpha):
    """Chi-square of the counts over many keys; independence through the counts of neighbours that agree."""
    probability, n = torch.rand(6, 52, generator=stream), 4000
    probability[0, 0], probability[0, 1] = 0.0, 1.0
    out, counts, agree = torch.empty(6, 52), torch.zeros(6, 52), torch.zeros(6, 51)
    for _ in range(n):
        binary_draw.sample(probability.numpy(), key(stream), out.numpy())
        counts += out
        agree += out[:, 1:] == out[:, :-1]
    assert (counts[0, 0], counts[0, 1]) == (0, n)

    def tail(count, p):
        spread = p * (1 - p)
        inside = spread > 0.01  # else too few for the chi-square law
        statistic = ((count - n * p)[inside].double() ** 2 / (n * spread[inside])).sum()
        return chi2.sf(float(statistic), int(inside.sum()))

    left, right = probability[:, :-1], probability[:, 1:]
    same = left * right + (1 - left) * (1 - right)
    pairs = [tail(agree[:, first::2], same[:, first::2]) for first in (0, 1)]  # pairs without a unit in common
    assert 3 * min(tail(counts, probability), *pairs) > alpha
