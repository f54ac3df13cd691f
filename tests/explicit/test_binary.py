"""The binary kernels against dense products and against the law they draw from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deepgen.explicit import binary, binary_draw
from deepgen.random import generator

WIDTHS = [1, 2, 7, 24, 61]


def sparse_rows(rows: int, width: int, share: float, seed: int) -> torch.Tensor:
    return (torch.rand(rows, width, generator=generator(seed)) < share).float()


def lists_of(x: torch.Tensor) -> binary.Lists:
    lists = binary.new_lists(*x.shape)
    binary.list_rows(x.numpy(), 0, lists)
    return lists


def up(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    out, paired = torch.empty(len(x), len(bias)), np.empty((x.shape[1] // 2, len(bias)), np.float32)
    binary.up(lists_of(x), 0, len(x), weight.numpy(), bias.numpy(), paired, out.numpy())
    return out


def outer(x: torch.Tensor, hidden: torch.Tensor, extra: tuple[torch.Tensor, torch.Tensor], out: torch.Tensor) -> None:
    columns = binary.new_columns(*x.shape)
    binary.list_columns(lists_of(x), len(x), columns)
    binary.outer(columns, hidden.numpy(), extra[0].numpy(), extra[1].numpy(), -0.5, 2.0, out.numpy())


@pytest.mark.parametrize("share", [0.0, 0.13, 0.6, 1.0])
@pytest.mark.parametrize("width", WIDTHS)
def test_products_of_integers_are_exact(width: int, share: float) -> None:
    stream = generator(1)
    x = sparse_rows(30, width, share, seed=2)
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
def test_products_of_reals_agree_to_rounding(share: float) -> None:
    stream = generator(3)
    x = sparse_rows(100, 201, share, seed=4)
    weight, bias = torch.randn(201, 53, generator=stream), torch.randn(53, generator=stream)
    # A float32 sum of n numbers in any order is off by at most about n eps times the sum of their magnitudes.
    exact = x.double() @ weight.double() + bias
    reach = (x.double() @ weight.double().abs() + bias.abs()) * 201 * 2**-24
    assert ((up(x, weight, bias) - exact).abs() <= reach).all()
    assert (up(x, weight, bias) - exact).abs().max() < 1e-5
    hidden = torch.randn(100, 53, generator=stream)
    extra = (torch.randn(2, 201, generator=stream), torch.randn(2, 53, generator=stream))
    out = torch.zeros(201, 53)
    outer(x, hidden, extra, out)
    assert (
        out + 0.5 * (x.double().t() @ hidden.double() + extra[0].double().t() @ extra[1].double())
    ).abs().max() < 1e-5


def rows_of(lists: binary.Lists, rows: int, width: int) -> torch.Tensor:
    x = torch.zeros(rows, width)
    for r in range(rows):
        for j in lists.single[r, : lists.singles[r]]:
            x[r, int(j)] += 1
        for i in lists.pair[r, : lists.pairs[r]]:
            x[r, 2 * int(i)] += 1
            x[r, 2 * int(i) + 1] += 1
    return x


@pytest.mark.parametrize("width", WIDTHS)
def test_lists_hold_every_one_once(width: int) -> None:
    x = sparse_rows(20, width, 0.5, seed=5)
    assert torch.equal(rows_of(lists_of(x), 20, width), x)


def test_sampled_lists_are_the_sampled_rows() -> None:
    field, means = torch.randn(40, 33, generator=generator(6)), torch.empty(40, 33)
    lists, dense, rows = binary.new_lists(40, 33), torch.empty(40, 33), torch.empty(40, 33)
    binary_draw.sample_lists(field.numpy(), 12345, 0, lists)
    binary_draw.sigmoid(field.numpy(), means.numpy())
    binary_draw.sample(means.numpy(), 12345, dense.numpy())
    assert torch.equal(rows_of(lists, 40, 33), dense)
    again = binary.new_lists(40, 33)
    ones = binary_draw.sample_rows(field.numpy(), 1.0, 12345, means.numpy(), rows.numpy(), again, 40 * 33)
    assert ones == int(dense.sum())
    assert torch.equal(rows, dense)
    assert torch.equal(rows_of(again, 40, 33), dense)
    binary_draw.sample_field(field.numpy(), 12345, rows.fill_(7.0).numpy())
    assert torch.equal(rows, dense)


def test_sigmoid_is_right_to_rounding() -> None:
    field = torch.linspace(-85, 120, 20_001).view(3, -1)
    out = torch.empty_like(field)
    binary_draw.sigmoid(field.numpy(), out.numpy())
    torch.testing.assert_close(out.double(), field.double().sigmoid(), rtol=5e-7, atol=0)
    wild = torch.tensor([[-torch.inf, torch.inf, torch.nan, 0.0]])
    binary_draw.sigmoid(wild.numpy(), wild.numpy())
    torch.testing.assert_close(wild, torch.tensor([[0.0, 1.0, torch.nan, 0.5]]), equal_nan=True, atol=1e-37, rtol=0)


def test_samples_have_their_probabilities() -> None:
    """Chi-square of the counts over many keys; independence through the counts of neighbours that agree."""
    probability = torch.rand(6, 51, generator=generator(7))
    probability[0, 0], probability[0, 1] = 0.0, 1.0
    keys = torch.randint(2**62, (4000,), generator=generator(8)).tolist()
    out, counts, agree = torch.empty(6, 51), torch.zeros(6, 51), torch.zeros(6, 50)
    for key in keys:
        binary_draw.sample(probability.numpy(), key, out.numpy())
        counts += out
        agree += out[:, 1:] == out[:, :-1]
    assert counts[0, 0] == 0
    assert counts[0, 1] == len(keys)

    def z_of_chi_square(count: torch.Tensor, p: torch.Tensor) -> float:
        spread = p * (1 - p)
        inside = spread > 1e-3
        chi = ((count - len(keys) * p)[inside].double() ** 2 / (len(keys) * spread[inside])).sum()
        return float(chi - inside.sum()) / math.sqrt(2 * float(inside.sum()))

    left, right = probability[:, :-1], probability[:, 1:]
    assert abs(z_of_chi_square(counts, probability)) < 6
    assert abs(z_of_chi_square(agree, left * right + (1 - left) * (1 - right))) < 6
