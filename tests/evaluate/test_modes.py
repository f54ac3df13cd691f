"""Mode coverage: the exact floor against enumeration and simulation."""

import itertools
import math

import pytest
import torch

import deepgen as dg
from deepgen.evaluate import mode_coverage, multinomial_kl
from deepgen.evaluate.modes import plug_in_kl


@pytest.mark.parametrize("p", [[1 / 3, 1 / 3, 1 / 3], [0.5, 0.3, 0.2]])
def test_floor_against_enumeration(p):
    total, p = 0.0, torch.tensor(p, dtype=torch.float64)
    for draws in itertools.product(range(3), repeat=5):
        counts = torch.bincount(torch.tensor(draws), minlength=3).double()
        total += float(plug_in_kl(counts, p)) * math.prod(float(p[i]) for i in draws)
    assert multinomial_kl(5, 3, p) == pytest.approx(total, rel=1e-6)


def test_floor_of_stacked_mnist():
    """26,000 draws over 1,000 modes: 999 / (2 n) and a little more."""
    assert multinomial_kl(26_000, 1000) == pytest.approx(999 / 52_000, rel=0.01)
    assert multinomial_kl(26_000, 1000) > 999 / 52_000
    assert multinomial_kl(10**6, 10) == pytest.approx(9 / (2 * 10**6), rel=1e-4)
    assert multinomial_kl(7, 1) == 0


def test_exact_draws_meet_the_floor(stream, alpha):
    labels = torch.randint(0, 50, (2000,), generator=stream)
    found = mode_coverage(fake=labels, modes=50, simulations=400, generator=stream)
    assert abs(found.kl - found.kl_floor) < 7 * found.kl_floor_spread  # a chi-square of 49 degrees
    assert found.kl_floor_spread == pytest.approx(math.sqrt(2 * 49) / 4000, rel=0.25)
    assert found.covered == 50


def test_lost_modes_show():
    found = mode_coverage(fake=torch.arange(1000) % 8, modes=10, simulations=99, generator=0)
    assert found.covered == 8
    assert found.kl == pytest.approx(math.log(10 / 8))
    assert found.p_value == 0.01
    few = mode_coverage(fake=torch.zeros(3, dtype=torch.long), modes=2, simulations=9, generator=0)
    assert few.covered_floor == pytest.approx(2 * (1 - 0.5**3))


def test_what_is_refused():
    with pytest.raises(dg.errors.SupportError, match="0 to 1"):
        mode_coverage(fake=torch.tensor([0, 2]), modes=2)
    for wrong in (torch.zeros(0, dtype=torch.long), [0, 1]):
        with pytest.raises(dg.errors.ShapeError):
            mode_coverage(fake=wrong, modes=2)
    with pytest.raises(dg.errors.ShapeError, match="got list"):
        multinomial_kl(5, 2, [0.5, 0.5])
    with pytest.raises(dg.errors.ArgumentError, match="add up"):
        mode_coverage(fake=torch.tensor([0, 1]), modes=2, probabilities=torch.tensor([0.5, 0.4]))
