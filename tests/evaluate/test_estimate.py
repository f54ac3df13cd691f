"""Estimates: intervals against scipy's quantiles, sides under arithmetic, and what is refused."""

import json
import math

import pytest
from scipy import stats

from deepgen.errors import ArgumentError
from deepgen.evaluate import Bracket, Estimate, bits_per_dim


def estimate(value=10.0, stderr=0.5, side="below", n=100, **more):
    return Estimate(value, stderr, side, "method", n=n, **more)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 4, 6, 8, 10, 30, 100, 10_000])
def test_intervals_are_those_of_student(n, level):
    low, high = estimate(n=n).interval(level)
    reach = 0.5 * stats.t.ppf((1 + level) / 2, n - 1)
    assert high - 10.0 == pytest.approx(reach, rel=2e-4)
    assert 10.0 - low == pytest.approx(high - 10.0)


def test_without_a_count_the_normal_quantile_serves():
    assert estimate(n=0).interval()[1] == pytest.approx(10 + 0.5 * stats.norm.ppf(0.975))


def test_exact_values_have_no_width():
    assert estimate(stderr=0.0, side="exact").interval() == (10.0, 10.0)


def test_an_unknown_error_is_no_small_one():
    assert estimate(stderr=math.nan).interval() == (-math.inf, math.inf)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95])
def test_odd_levels_are_refused(level):
    with pytest.raises(ArgumentError, match="level must lie"):
        estimate().interval(level)


@pytest.mark.parametrize(
    ("side", "flipped"),
    [("below", "above"), ("above", "below"), ("unbiased", "unbiased"), ("undetermined", "undetermined")],
)
def test_negation_turns_the_side(side, flipped):
    found = -estimate(side=side)
    assert (found.value, found.stderr, found.side) == (-10.0, 0.5, flipped)
    assert -found == estimate(side=side)


def test_constants_shift_and_keep_the_rest():
    found = estimate(settings={"chains": 5}) + 2.5
    assert (found.value, found.stderr, found.side, found.settings) == (12.5, 0.5, "below", {"chains": 5})


@pytest.mark.parametrize(
    "wrong",
    [{"side": "beside"}, {"stderr": -1.0}, {"side": "exact", "stderr": 0.1}],
)
def test_contradictions_are_refused(wrong):
    with pytest.raises(ArgumentError):
        estimate(**wrong)


def test_estimates_are_records():
    with pytest.raises(AttributeError):
        estimate().value = 3.0


def test_plain_values_are_json():
    text = json.dumps(estimate(settings={"chains": 5}).to_dict(), allow_nan=False)
    back = json.loads(text)
    assert back["ess"] is None
    assert back["stderr_data"] is None
    assert (back["value"], back["side"], back["settings"]) == (10.0, "below", {"chains": 5})


def test_printing():
    assert str(estimate(unit="nats/example")) == "10.00 ± 0.50 nats/example (below; method)"
    assert str(estimate(stderr=0.0, side="exact")) == "10.00 nats (exact; method)"


class TestBracket:
    low, high = estimate(9.0, 0.5, "below"), estimate(11.0, 0.25, "above")

    def test_interval_takes_the_outer_ends(self):
        found = Bracket(self.low, self.high)
        assert found.interval() == (self.low.interval()[0], self.high.interval()[1])
        assert found.width == 2.0

    def test_negation_exchanges_the_ends(self):
        found = -Bracket(self.low, self.high) + 1.0
        assert (found.below.value, found.above.value) == (-10.0, -8.0)
        assert (found.below.side, found.above.side) == ("below", "above")
        assert found.below.stderr == 0.25

    def test_the_wrong_way_round_is_refused(self):
        with pytest.raises(ArgumentError, match="below, above"):
            Bracket(self.high, self.low)

    def test_an_exact_end_is_welcome(self):
        assert Bracket(estimate(9.0, 0.0, "exact"), self.high).interval()[0] == 9.0

    def test_printing_and_json(self):
        found = Bracket(self.low, self.high)
        assert str(found) == "[9.00 ± 0.50, 11.00 ± 0.25] nats (method | method)"
        assert json.loads(json.dumps(found.to_dict()))["above"]["value"] == 11.0


class TestBitsPerDim:
    def test_the_uniform_density_of_256_values_has_8_bits(self):
        found = bits_per_dim(Estimate(-784 * math.log(256), 0.0, "exact", "uniform", unit="nats/example"), 784)
        assert found.value == pytest.approx(8.0)
        assert found.unit == "bits/dim"

    def test_a_lower_bound_of_nats_is_an_upper_bound_of_bits(self):
        found = bits_per_dim(estimate(-100.0, 2.0, "below", unit="nats/example", stderr_data=1.0), 10)
        assert found.side == "above"
        assert found.value == pytest.approx(10 / math.log(2))
        assert found.stderr == pytest.approx(0.2 / math.log(2))
        assert found.stderr_data == pytest.approx(0.1 / math.log(2))

    def test_the_ends_of_a_bracket_change_places(self):
        low = estimate(-100.0, 2.0, "below", unit="nats/example")
        found = bits_per_dim(Bracket(low, estimate(-90.0, 1.0, "above", unit="nats/example")), 10)
        assert found.below.value == pytest.approx(9 / math.log(2))
        assert found.above.value == pytest.approx(10 / math.log(2))
        assert (found.below.side, found.above.side) == ("below", "above")
        assert found.above.stderr == pytest.approx(0.2 / math.log(2))

    @pytest.mark.parametrize("dimensions", [0, -1])
    def test_no_dimensions_are_refused(self, dimensions):
        with pytest.raises(ArgumentError, match="at least 1"):
            bits_per_dim(estimate(), dimensions)

    def test_bits_of_bits_are_refused(self):
        with pytest.raises(ArgumentError, match="in nats"):
            bits_per_dim(bits_per_dim(estimate(), 2), 2)


def test_every_estimate_is_strict_json():
    estimate = Estimate(math.inf, 0.0, "exact", "determinant", settings={"tolerance": math.nan})
    plain = json.loads(json.dumps(estimate.to_dict(), allow_nan=False))
    assert plain["value"] == "inf"
    assert plain["ess"] is None
    assert plain["settings"]["tolerance"] is None
