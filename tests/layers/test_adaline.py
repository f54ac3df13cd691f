"""The delta rule against least squares: the minimum it goes to, how fast, and where it must diverge."""

import numpy as np
import pytest
import torch

from deepgen.errors import ArgumentError, DivergenceError, SupportError
from deepgen.layers import Adaline, NotConverged


def rows(stream, n=60, features=3, noise=0.5):
    x = torch.randn(n, features, generator=stream, dtype=torch.float64) * torch.tensor([1.0, 2.0, 0.5])[:features]
    y = x @ torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)[:features] + 0.7
    return x.numpy(), (y + noise * torch.randn(n, generator=stream, dtype=torch.float64)).numpy()


def least_squares(x, y):
    return np.linalg.pinv(np.hstack([x, np.ones((len(x), 1))])) @ y


def learned(unit):
    return np.append(unit.coef_, unit.intercept_)


def test_all_rows_go_to_least_squares(stream):
    x, y = rows(stream)
    unit = Adaline(epochs=20_000, tolerance=1e-13).fit(x, y)
    assert unit.converged_
    np.testing.assert_allclose(learned(unit), least_squares(x, y), rtol=1e-8, atol=1e-9)
    assert (np.diff(unit.losses_) <= 1e-12).all()


def test_of_many_minima_the_shortest(stream):
    x, y = rows(stream)
    x = np.hstack([x, x @ [[1.0], [2.0], [-1.0]]])  # a column that adds nothing
    unit = Adaline(epochs=50_000, tolerance=1e-13).fit(x, y)
    np.testing.assert_allclose(learned(unit), least_squares(x, y), rtol=1e-7, atol=1e-8)


def test_errors_shrink_by_one_less_rate_times_eigenvalue(stream):
    """In eigenvectors of C the k-th pass leaves (1 - eta l)^k of the way from 0: exact at any k."""
    x, y = rows(stream)
    wide = np.hstack([x, np.ones((len(x), 1))])
    values, vectors = np.linalg.eigh(wide.T @ wide / len(x))
    end, rate, k = least_squares(x, y), 0.9 / values[-1], 17
    with pytest.warns(NotConverged):
        unit = Adaline(rate=rate, epochs=k, tolerance=0.0).fit(x, y)
    expected = vectors @ ((1 - (1 - rate * values) ** k) * (vectors.T @ end))
    np.testing.assert_allclose(learned(unit), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("share", "falls"), [(0.98, True), (1.02, False)])
def test_two_over_the_greatest_eigenvalue_is_the_limit(share, falls, stream):
    x, y = rows(stream)
    wide = np.hstack([x, np.ones((len(x), 1))])
    rate = share * 2 / np.linalg.eigvalsh(wide.T @ wide / len(x))[-1]
    unit = Adaline(rate=rate, epochs=200_000, tolerance=1e-12)
    if falls:
        assert unit.fit(x, y).converged_
    else:
        with pytest.raises(DivergenceError, match="2 / l_max"):
            unit.fit(x, y)


def test_one_row_at_a_time_is_widrow_and_hoffs_rule(stream):
    x, y = rows(stream)
    with pytest.warns(NotConverged):
        unit = Adaline(rate=0.01, epochs=2, batch_size=1, tolerance=0.0).fit(x, y)
    w, b = np.zeros(3), 0.0
    for row, t in [*zip(x, y, strict=True)] * 2:
        o = w @ row + b
        w, b = w + 0.01 * (t - o) * row, b + 0.01 * (t - o)
    np.testing.assert_allclose(unit.coef_, w, rtol=1e-10)
    assert unit.intercept_ == pytest.approx(b)


def resting_point(x, y, rate):
    """Where a pass over single rows in their order leads back to: each step is w -> (1 - rate r r') w + rate t r."""
    matrix, shift = np.eye(x.shape[1] + 1), np.zeros(x.shape[1] + 1)
    for row, t in zip(np.hstack([x, np.ones((len(x), 1))]), y, strict=True):
        step = np.eye(len(row)) - rate * np.outer(row, row)
        matrix, shift = step @ matrix, step @ shift + rate * t * row
    return np.linalg.solve(np.eye(len(matrix)) - matrix, shift)


def test_where_one_row_at_a_time_ends_is_off_by_the_order_of_the_rate(stream):
    x, y = rows(stream, n=30, features=2)
    unit = Adaline(rate=5e-3, epochs=20_000, batch_size=1, tolerance=1e-12).fit(x, y)
    np.testing.assert_allclose(learned(unit), resting_point(x, y, 5e-3), rtol=1e-8, atol=1e-9)
    off = [np.linalg.norm(resting_point(x, y, rate) - least_squares(x, y)) for rate in (5e-3, 2e-6, 1e-6)]
    assert off[0] > 1e-5  # it is not least squares
    assert off[1] / off[2] == pytest.approx(2, rel=0.02)


def test_without_noise_one_row_at_a_time_ends_at_the_truth(stream):
    x, y = rows(stream, noise=0.0)
    unit = Adaline(epochs=20_000, batch_size=1, tolerance=1e-12, generator=stream).fit(x, y)
    assert unit.converged_
    np.testing.assert_allclose(learned(unit), [1, -2, 3, 0.7], rtol=1e-8)
    assert unit.score(x, y) == pytest.approx(1)


def test_scikit_learns_manner_and_words(stream):
    from sklearn.base import clone
    from sklearn.linear_model import LinearRegression

    x, y = rows(stream)
    unit = clone(Adaline(epochs=20_000, tolerance=1e-12)).fit(torch.from_numpy(x), torch.from_numpy(y))
    assert unit.score(x, y) == pytest.approx(LinearRegression().fit(x, y).score(x, y), abs=1e-8)
    assert unit.report_.startswith("converged: weights at rest after")
    with pytest.warns(NotConverged, match="more epochs"):
        Adaline(epochs=2).fit(x, y)
    with pytest.warns(NotConverged, match="lower the rate"):
        Adaline(epochs=2, batch_size=1, generator=0).fit(x, y)


def test_wrong_arguments(stream):
    x, y = rows(stream)
    with pytest.raises(SupportError, match="-1 and 1"):
        Adaline().fit(x, np.where(y > 0, "yes", "no"))
    with pytest.raises(SupportError, match="-1 and 1"):
        Adaline(epochs=20_000).fit(x, y).score(x, np.where(y > 0, "yes", "no"))
    with pytest.raises(ArgumentError, match="batch_size"):
        Adaline(batch_size=0).fit(x, y)
    with pytest.raises(ArgumentError, match="tolerance"):
        Adaline(tolerance=-1).fit(x, y)
    with pytest.raises(ArgumentError, match="variance"):
        Adaline(epochs=20_000).fit(x, y).score(x, np.ones(len(x)))
