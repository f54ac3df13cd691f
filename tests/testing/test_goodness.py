"""p-values are uniform when the law is right, and small when it is not."""

import math

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.testing import chi_square, ks, ks_same, same_cells, same_law, same_mean, symmetric

CELLS = torch.tensor([0.5, 0.25, 0.1, 0.1, 0.04, 0.009, 0.001])


def draw(n, g, probabilities=CELLS):
    return torch.multinomial(probabilities, n, replacement=True, generator=g)


def symmetric_pairs(n, g):
    first, second = draw(n, g), draw(n, g)
    return first, second


TESTS = {
    "chi_square": lambda n, g: chi_square(torch.bincount(draw(n, g), minlength=7), CELLS),
    "same_cells": lambda n, g: same_cells(draw(n, g).unsqueeze(1), draw(2 * n, g).unsqueeze(1)),
    "symmetric": lambda n, g: symmetric(*symmetric_pairs(n, g)),
    "ks": lambda n, g: ks(torch.randn(n, generator=g), torch.special.ndtr),
    "ks_same": lambda n, g: ks_same(torch.randn(n, generator=g), torch.randn(2 * n, generator=g)),
    "same_mean": lambda n, g: same_mean(torch.randn(n, generator=g), torch.randn(2 * n, generator=g)),
}


@pytest.mark.parametrize("name", TESTS)
def test_p_values_are_uniform_under_the_null(name, stream, alpha):
    found = torch.tensor([TESTS[name](1000, stream) for _ in range(600)], dtype=torch.float64)
    assert ks(found, lambda x: x) > alpha
    assert 0.4 < found.median() < 0.6


def test_counts_as_expected_to_the_last_bit_are_no_fault(stream):
    """G of them is 0, and may be rounded to below it, where the law of chi-square is not defined."""
    for _ in range(300):
        counts = torch.randint(10, 1000, (7,), generator=stream)
        assert chi_square(counts, counts.double() / counts.sum()) > 0.999


def test_chi_square_by_hand():
    # (60-50)^2/50 * 2 = 4 on one degree of freedom; G = 120 log 1.2 + 80 log 0.8 = 4.03 is the smaller p
    assert chi_square(torch.tensor([60, 40]), torch.tensor([0.5, 0.5])) == pytest.approx(math.erfc(math.sqrt(2)))


def test_the_tail_of_a_rare_cell_is_not_too_heavy():
    """The exact chance of p <= t of a binomial count that expects 10 of 4096: Pearson's alone has 12 t at 1.4e-6."""
    n, rare = 4096, 10 / 4096
    law = torch.distributions.Binomial(n, torch.tensor(rare, dtype=torch.float64))
    counts = torch.arange(80, dtype=torch.float64)
    mass = law.log_prob(counts).exp()
    p = [chi_square(torch.stack([c, n - c]), torch.tensor([rare, 1 - rare], dtype=torch.float64)) for c in counts]
    for level in (1e-2, 1e-4, 1.4e-6):
        assert mass[torch.tensor(p) <= level].sum() <= 1.2 * level


def test_same_cells_by_hand():
    a = torch.tensor([0] * 60 + [1] * 40).unsqueeze(1)
    b = torch.tensor([0] * 40 + [1] * 60).unsqueeze(1)
    # 2x2 table: 2 cells, each (60-40)^2/100, sum 8 on one degree of freedom
    assert same_cells(a, b) == pytest.approx(math.erfc(math.sqrt(8 / 2)))


def test_symmetric_by_hand():
    first = torch.tensor([0] * 60 + [1] * 40)
    # (60-40)^2/100 = 4 on one degree of freedom
    assert symmetric(first, 1 - first) == pytest.approx(math.erfc(math.sqrt(4 / 2)))


def test_impossible_values_are_impossible():
    assert chi_square(torch.tensor([99, 1]), torch.tensor([1.0, 0.0])) == 0
    assert ks(torch.tensor([0.1, torch.nan]), lambda x: x) == 0
    assert ks_same(torch.tensor([0.1, torch.inf]), torch.rand(100)) == 0


def test_one_cell_says_nothing():
    assert chi_square(torch.tensor([50]), torch.tensor([1.0])) == 1
    assert same_cells(torch.ones(200, 1), torch.ones(200, 1)) == 1
    assert symmetric(torch.zeros(10, dtype=torch.int64), torch.zeros(10, dtype=torch.int64)) == 1
    assert same_mean(torch.ones(200), torch.ones(200)) == 1
    assert same_mean(torch.ones(200), torch.zeros(200)) == 0


@pytest.mark.parametrize(
    "change",
    [lambda x: x + 0.15, lambda x: x * 1.15, lambda x: x * torch.tensor([1.0, 1.0, -1.0]), lambda x: x.abs()],
    ids=["mean", "variance", "correlation", "shape"],
)
def test_same_law_sees(change, stream):
    mix = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.9, 0.5, 0.4]])
    a, b = (torch.randn(8000, 3, generator=stream) @ mix.T for _ in range(2))
    found = same_law(a, b, generator=stream)
    assert min(found) * len(found) > 1e-6
    found = [p for _ in range(3) for p in same_law(a, change(b), generator=stream)]
    assert min(found) * len(found) < 1e-6


def test_same_law_of_repeating_rows_compares_joint_cells(stream):
    a, b = (torch.randint(2, (8000, 2), generator=stream) for _ in range(2))
    assert min(same_law(a, b, generator=stream)) > 1e-7
    b[:, 1] = torch.where(torch.rand(8000, generator=stream) < 0.2, b[:, 0], b[:, 1])  # margins kept, joint not
    assert min(same_law(a, b, generator=stream)) < 1e-7


def test_same_law_needs_rows():
    with pytest.raises(ArgumentError, match="at least 100"):
        same_law(torch.zeros(10, 2), torch.zeros(10, 2), generator=torch.Generator())
