"""check_estimate passes honest error bars and catches dishonest ones."""

import math

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.evaluate import Bracket, Estimate
from deepgen.testing import CheckFailed, check_estimate
from deepgen.testing.estimates import _binomial_cdf

N = 50


def normal_mean(generator, bias=0.0, shrink=1.0, side="unbiased"):
    x = torch.randn(N, generator=generator) + bias
    return Estimate(x.mean().item(), shrink * x.std().item() / N**0.5, side, "mean", n=N)


def test_an_honest_mean_passes(stream):
    found = check_estimate(lambda generator: normal_mean(generator), 0.0, generator=stream)
    assert 0.85 < found.covered <= 1
    assert len(found.values) == 200


def test_many_seeds_are_as_good_and_one_is_none(stream):
    found = check_estimate(lambda generator: normal_mean(generator), 0.0, seeds=3000, slack=0.02, generator=stream)
    assert len(found.values) == 3000
    with pytest.raises(CheckFailed, match="of 3000 intervals"):
        check_estimate(lambda generator: normal_mean(generator, shrink=0.8), 0.0, seeds=3000, generator=stream)
    with pytest.raises(ArgumentError, match="seeds must be"):
        check_estimate(lambda generator: normal_mean(generator), 0.0, seeds=1)


def test_the_binomial_chance_is_the_sum_of_its_terms():
    for hits, n, rate in ((0, 5, 0.95), (3, 5, 0.95), (5, 5, 0.95), (180, 200, 0.95), (190, 200, 0.93)):
        terms = sum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(hits + 1))
        assert _binomial_cdf(hits, n, rate) == pytest.approx(terms, rel=1e-9)


def test_exact_values(stream):
    check_estimate(lambda generator: Estimate(2.0, 0.0, "exact", "sum"), 2.0, generator=stream)
    check_estimate(lambda generator: Estimate(math.inf, 0.0, "exact", "sum"), math.inf, generator=stream)
    with pytest.raises(CheckFailed, match="exact value"):
        check_estimate(lambda generator: Estimate(2.001, 0.0, "exact", "sum"), 2.0, generator=stream)


def test_small_bounds_on_their_side(stream):
    check_estimate(lambda generator: normal_mean(generator, -0.02, side="below"), 0.0, generator=stream)
    check_estimate(lambda generator: normal_mean(generator, 0.02, side="above"), 0.0, generator=stream)


DEFECTS = {
    "error bar halved": {"shrink": 0.5},
    "error bar of the data, not the mean": {"shrink": N**0.5},
    "biased by two thirds of its error": {"bias": 0.1},
    "above and said to be below": {"bias": 0.1, "side": "below"},
    "below and said to be above": {"bias": -0.1, "side": "above"},
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_planted_defects_are_caught(defect, stream):
    with pytest.raises(CheckFailed):
        check_estimate(lambda generator: normal_mean(generator, **DEFECTS[defect]), 0.0, generator=stream)


def test_brackets(stream):
    def honest(generator, gap=0.1):
        low = normal_mean(generator, -gap, side="below")
        return Bracket(low, normal_mean(generator, gap, side="above"))

    assert check_estimate(honest, 0.0, generator=stream).covered > 0.95
    with pytest.raises(CheckFailed):
        check_estimate(lambda generator: honest(generator) + 0.5, 0.0, generator=stream)
    with pytest.raises(CheckFailed):
        check_estimate(lambda generator: honest(generator, gap=-0.1), 0.0, generator=stream)
