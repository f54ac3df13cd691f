"""Estimates: sides under negation, intervals against Student's t, brackets."""

import math

import pytest

from deepgen.errors import ArgumentError
from deepgen.evaluate import Bracket, Estimate, bits_per_dim


@pytest.mark.parametrize(("n", "quantile"), [(9, 2.306), (31, 2.0423), (101, 1.9840), (100_001, 1.9600)])
def test_interval_is_students(n, quantile):
    low, high = Estimate(1.0, 2.0, "unbiased", "mean", n=n).interval()
    assert (high - 1.0) / 2.0 == pytest.approx(quantile, rel=0.004)
    assert low == pytest.approx(2.0 - high)


def test_weighted_interval_counts_effective_draws():
    plain = Estimate(0.0, 1.0, "below", "AIS", n=1000)
    few = Estimate(0.0, 1.0, "below", "AIS", n=1000, ess=9.0)
    assert few.interval()[1] == pytest.approx(2.306, rel=0.004)
    assert plain.interval()[1] == pytest.approx(1.962, rel=0.001)


def test_negation_swaps_sides():
    below, above = Estimate(1.0, 0.1, "below", "a"), Estimate(2.0, 0.2, "above", "b")
    assert (-below).side == "above"
    bracket = -Bracket(below, above) + 10.0
    assert (bracket.below.value, bracket.above.value) == (8.0, 9.0)
    assert bracket.width == 1.0
    with pytest.raises(ArgumentError):
        Bracket(above, below)


def test_bits_per_dim_and_json():
    found = bits_per_dim(Estimate(-8 * math.log(2.0), 0.0, "exact", "mean", unit="nats/example"), 4)
    assert found.value == pytest.approx(2.0)
    assert found.to_dict()["ess"] is None
    with pytest.raises(ArgumentError):
        bits_per_dim(found, 4)
    with pytest.raises(ArgumentError):
        Estimate(0.0, 0.1, "exact", "not exact")
