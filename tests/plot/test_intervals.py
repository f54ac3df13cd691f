"""The scale that all intervals of a table share: true to the numbers, and its labels can be read."""

from __future__ import annotations

import itertools
import re

import pytest

from deepgen.evaluate.estimate import Estimate
from deepgen.plot.intervals import Scale

ENDS = [(-25.35, -23.6), (-108.08, -108.01), (-1234.5, -1234.1), (-5e6, 3.0), (0.0, 1e-7)]


def test_intervals_are_drawn_to_scale() -> None:
    estimates = [Estimate(-20.0, 0.5, "above", "AIS", n=100), Estimate(-10.0, 0.0, "exact", "sum")]
    scale = Scale.over(estimates)
    low, high = estimates[0].interval()
    assert scale.low < low < high < -10 < scale.high
    assert scale.x(-15.0) == pytest.approx((scale.x(-20.0) + scale.x(-10.0)) / 2)
    assert scale.x(-12.0) - scale.x(-14.0) == pytest.approx(scale.x(-16.0) - scale.x(-18.0))
    assert len(scale.ticks) >= 2
    assert all(scale.low <= t <= scale.high for t in scale.ticks)


@pytest.mark.parametrize(("low", "high"), ENDS)
def test_ticks_are_apart_and_reach_beyond_the_values(low: float, high: float) -> None:
    scale = Scale.over([Estimate(low, 0.0, "exact", "sum"), Estimate(high, 0.0, "exact", "sum")])
    labels = re.findall(r'x="([\d.]+)"[^>]*>([^<]+)<', scale.axis())
    assert len(labels) == len(scale.ticks) >= 2
    assert len({text for _, text in labels}) == len(labels)
    assert scale.ticks[0] <= low < high <= scale.ticks[-1]
    places = [(float(x), 6.0 * len(text)) for x, text in labels]  # a digit of 11 pixels is about 6 wide
    assert all(right - left > (a + b) / 2 for (left, a), (right, b) in itertools.pairwise(places))
