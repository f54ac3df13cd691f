"""Student's quantiles against scipy's."""

import pytest
from scipy import stats

from deepgen.errors import ArgumentError
from deepgen.evaluate.student import t_quantile


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 4, 6, 8, 10, 21, 22, 30, 100, 10_000])
def test_agrees_with_scipy(n, level):
    assert t_quantile(level, n) == pytest.approx(stats.t.ppf((1 + level) / 2, n - 1), rel=2e-4)


def test_fractions_of_a_degree_are_rounded_down():
    assert t_quantile(0.95, 4.9) == t_quantile(0.95, 4)


def test_without_a_count_it_is_the_normal_one():
    assert t_quantile(0.95, 0) == pytest.approx(stats.norm.ppf(0.975))


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95])
def test_odd_levels_are_refused(level):
    with pytest.raises(ArgumentError, match="level must lie"):
        t_quantile(level, 10)
