"""Estimates: intervals against scipy's quantiles, sides under arithmetic, and what is refused."""

import json
import math
from dataclasses import replace

import pytest
import torch
from scipy import stats

import deepgen as dg
from deepgen.errors import ArgumentError, DeepgenError
from deepgen.evaluate import Bracket, Estimate, bits_per_dim


def estimate(value=10.0, stderr=0.5, side="below", n=100, **more):
    return Estimate(value, stderr, side, "method", n=n, **more)


def test_intervals_are_those_of_student():
    assert estimate(n=2).interval(0.9) == pytest.approx((10 - 0.5 * 6.313752, 10 + 0.5 * 6.313752))  # tan(0.45 pi)
    assert estimate(n=50, ess=2.0).interval(0.9) == estimate(n=2).interval(0.9)


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
    assert str(estimate(stderr=0.00312)) == "10.0000 ± 0.0031 nats (below; method)"
    assert str(estimate(stderr=math.nan)) == "10.00 ± ? nats (below; method)"
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
        assert json.loads(json.dumps(found.to_dict()))["upper"]["value"] == 11.0

    def test_ends_that_cross_say_so(self):
        far = Bracket(self.low + 10.0, self.high)
        assert far.interval()[0] > far.interval()[1]
        assert far.crossed
        assert (-far).crossed
        assert "ends crossed" in str(far)

    @pytest.mark.parametrize("shift", [0.0, 2.5, 3.0])
    def test_values_that_cross_inside_their_errors_are_chance(self, shift):
        found = Bracket(self.low + shift, self.high)
        assert (found.width < 0) == (shift > 2)
        assert not found.crossed
        assert "crossed" not in str(found)

    def test_crossing_by_rounding_or_with_an_unknown_error_is_none(self):
        assert not Bracket(estimate(0.1 + 0.2, 0.0, "exact"), estimate(0.3, 0.0, "exact")).crossed
        assert Bracket(estimate(0.4, 0.0, "exact"), estimate(0.3, 0.0, "exact")).crossed
        assert not Bracket(estimate(9.0, math.nan), estimate(3.0, 0.1, "above")).crossed
        assert not Bracket(estimate(1e-17, 0.0, "exact"), estimate(0.0, 0.0, "exact")).crossed

    def test_ends_that_cross_at_one_level_need_not_at_a_wider_one(self):
        bracket = Bracket(estimate(-9.0, 0.1), estimate(-9.43, 0.1, "above"))
        assert bracket.crossed
        assert bracket.crosses(0.95)
        assert not bracket.crosses(0.99)

    def test_honest_tight_brackets_cross_as_rarely_as_is_said(self, stream, alpha):
        n = 20_000
        draws = (0.1 * torch.randn(n, 2, generator=stream, dtype=torch.float64)).tolist()
        ends = [(Estimate(low, 0.1, "below", "m"), Estimate(high, 0.1, "above", "m")) for low, high in draws]
        crossed = sum(Bracket(low, high).crossed for low, high in ends)
        assert stats.binomtest(crossed, n, stats.norm.sf(1.96 * math.sqrt(2))).pvalue > alpha
        assert stats.norm.sf(1.96 * math.sqrt(2)) == pytest.approx(1 / 360, rel=0.01)

    def test_there_is_no_single_value(self):
        found = Bracket(self.low, self.high)
        for name in ("value", "stderr"):
            assert not hasattr(found, name)
            with pytest.raises(AttributeError, match=rf"use .interval\(\), .below.{name} or .above.{name}"):
                getattr(found, name)
        with pytest.raises(DeepgenError):
            _ = found.value
        with pytest.raises(AttributeError, match="nothing"):
            _ = found.nothing


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

    @pytest.mark.parametrize("dimensions", [0, -1, 2.5])
    def test_no_dimensions_are_refused(self, dimensions):
        with pytest.raises(ArgumentError, match="at least 1"):
            bits_per_dim(estimate(unit="nats/example"), dimensions)

    def test_only_a_likelihood_per_example_has_bits(self):
        with pytest.raises(ArgumentError, match=r"in nats/example, got a value in bits/dim"):
            bits_per_dim(bits_per_dim(estimate(unit="nats/example"), 2), 2)
        with pytest.raises(ArgumentError, match=r"got a value in nats \(method\)"):
            bits_per_dim(estimate(), 2)
        with pytest.raises(ArgumentError, match="got a value in nats"):
            bits_per_dim(Bracket(estimate(9.0), estimate(11.0, side="above")), 2)


def test_every_estimate_is_strict_json():
    estimate = Estimate(math.inf, 0.0, "exact", "determinant", settings={"tolerance": math.nan})
    plain = json.loads(json.dumps(estimate.to_dict(), allow_nan=False))
    assert plain["value"] == "inf"
    assert plain["ess"] is None
    assert plain["n"] is None  # nothing was drawn
    assert replace(estimate, n=7).to_dict()["n"] == 7
    assert plain["settings"]["tolerance"] is None


def test_the_rows_of_an_estimate_follow_its_arithmetic():
    each = torch.tensor([-2.0, -4.0], dtype=torch.float64)
    found = Estimate(-3.0, 0.0, "exact", "sum", unit="nats/example", each=each)
    for one in (-found, found + 1.5, bits_per_dim(found, 10)):
        assert float(one.each.mean()) == pytest.approx(one.value)
    assert "each" not in found.to_dict()
    for model in (dg.RBM(6, 4, generator=0), dg.explicit.BernoulliMixture(6), dg.testing.LinearGaussian(6, 2)):
        told = dg.evaluate.log_likelihood(model, torch.eye(6), generator=0)
        assert float(told.each.mean()) == pytest.approx(told.value, rel=1e-6)
        assert float(told.each.std()) / 6**0.5 == pytest.approx(told.stderr_data, rel=1e-6)
