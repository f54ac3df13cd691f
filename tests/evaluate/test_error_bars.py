"""Two significant digits of the error, as many decimals of the value."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepgen.errors import ArgumentError
from deepgen.evaluate import plus_minus


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (218.4, 0.1, "218.40 ± 0.10"),
        (-19.284, 0.0312, "-19.284 ± 0.031"),
        (-19.284, 0.0996, "-19.28 ± 0.10"),  # rounding moves the first digit
        (-19.284, 0.00996, "-19.284 ± 0.010"),
        (1234.5678, 123.456, "1234.57 ± 123.46"),
        (5.0, 0.0, "5.00 ± 0"),
        (5.0, math.nan, "5.00 ± ?"),
        (5.0, math.inf, "5.00 ± inf"),
        (math.nan, 0.1, "nan ± 0.10"),
        (-math.inf, math.nan, "-inf ± ?"),
        (-0.004, 0.0, "0.00 ± 0"),  # what rounds to zero has no sign
        (-0.0004, 0.1, "0.00 ± 0.10"),
        (218.4, 2.5e-14, "218.400000000 ± 2.5e-14"),
        (218.4, 2.5e-9, "218.400000000 ± 2.5e-09"),
        (218.4, 2.5e-8, "218.400000000 ± 0.000000025"),
    ],
)
def test_by_hand(value, error, text):
    assert plus_minus(value, error) == text


def test_differences_carry_their_sign():
    assert plus_minus(1.5, 0.25, signed=True) == "+1.50 ± 0.25"
    assert plus_minus(-1.5, math.nan, signed=True) == "-1.50 ± ?"


def test_a_value_may_be_a_tensor_of_one():
    assert plus_minus(torch.tensor(-0.004, requires_grad=True), 0.1) == "0.00 ± 0.10"


@given(st.floats(-1e6, 1e6), st.floats(1e-9, 1e3))
def test_what_is_read_back_is_right_to_a_twentieth_of_the_error(value, error):
    read_value, read_error = map(float, plus_minus(value, error).split(" ± "))
    assert read_error == pytest.approx(error, rel=0.051)
    assert abs(read_value - value) <= 0.051 * error + 1e-9


def test_negative_errors_are_refused():
    with pytest.raises(ArgumentError, match="at least 0"):
        plus_minus(1.0, -0.1)
