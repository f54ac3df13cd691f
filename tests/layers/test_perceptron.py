"""The perceptron against its rule written out, Novikoff's bound, and sets that no hyperplane separates."""

import math
import warnings

import numpy as np
import pytest
import torch

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError
from deepgen.layers import NotConverged, Perceptron, mistake_bound


def separated(stream, rows, features, gap):
    """Rows on both sides of a hyperplane, none nearer to it than ``gap``; with the hyperplane."""
    u = torch.randn(features, generator=stream, dtype=torch.float64)
    u /= u.norm()
    x = torch.randn(rows, features, generator=stream, dtype=torch.float64)
    side = (x @ u + 0.2).sign()
    return (x + gap * side[:, None] * u).numpy(), (side > 0).numpy().astype(int), u.numpy()


def rule(x, y, rate, epochs):
    """The module's first two lines, row by row."""
    w, b, mistakes = np.zeros(x.shape[1]), 0.0, []
    for _ in range(epochs):
        mistakes.append(0)
        for row, t in zip(x, 2 * y - 1, strict=True):
            total = w @ row + b
            o = -t if total == 0 else np.sign(total)  # on the hyperplane neither side is right
            if o != t:
                w, b = w + rate * (t - o) / 2 * row, b + rate * (t - o) / 2
                mistakes[-1] += 1
        if not mistakes[-1]:
            break
    return w, b, mistakes


@pytest.mark.parametrize("gap", [0.0, 0.3])
def test_it_is_the_rule_row_by_row(gap, stream):
    x, y, _ = separated(stream, 700, 4, gap)
    y[:5] = 1 - y[:5]  # and some that are wrong for ever
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        unit = Perceptron(rate=0.7, epochs=6).fit(x, y)
    w, b, mistakes = rule(x, y, 0.7, 6)
    np.testing.assert_allclose(unit.coef_, w, rtol=1e-9, atol=1e-12)
    assert unit.intercept_ == pytest.approx(b)
    assert unit.mistakes_ == mistakes


@pytest.mark.parametrize("gap", [0.03, 0.3])
@pytest.mark.parametrize("features", [2, 20])
def test_novikoffs_bound(gap, features, stream):
    for generator in (None, stream):
        x, y, u = separated(stream, 300, features, gap)
        bound = mistake_bound(x, y, u, 0.2)
        unit = Perceptron(epochs=100_000, generator=generator).fit(x, y)
        assert unit.converged_
        assert unit.separable_
        assert 0 < sum(unit.mistakes_) <= bound < math.inf
        assert unit.score(x, y) == 1
        assert mistake_bound(x, y, unit.coef_, unit.intercept_) >= sum(unit.mistakes_)


def test_the_bound_by_hand_and_where_it_is_met():
    """Rows e_1 .. e_n, all told from one another by +1 and -1 in turn: a mistake at each row of the first pass."""
    x, y = np.eye(6), np.array([0, 1] * 3)
    u = np.array([-1.0, 1.0] * 3)  # margin 1/sqrt(6) of unit length, R^2 = 1 + 1
    assert mistake_bound(x, y, u) == pytest.approx(2 * 6)
    assert mistake_bound(x, y, -u) == math.inf
    assert mistake_bound(x, y, 7 * u) == pytest.approx(2 * 6)  # on any scale


def test_the_rate_changes_no_answer(stream):
    x, y, _ = separated(stream, 200, 3, 0.1)
    one, other = (Perceptron(rate=rate, epochs=10_000).fit(x, y) for rate in (1.0, 0.125))
    assert one.mistakes_ == other.mistakes_
    np.testing.assert_allclose(other.coef_, one.coef_ / 8)


def test_xor_never_ends_and_that_is_said():
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    with pytest.warns(NotConverged, match="no hyperplane separates the classes"):
        unit = Perceptron(epochs=50).fit(x, y)
    assert (unit.converged_, unit.separable_) == (False, False)
    assert len(unit.mistakes_) == 50
    assert min(unit.mistakes_) > 0
    assert np.abs(unit.coef_).max() < 10  # the cycling theorem: bounded for ever


def test_a_small_margin_is_told_from_none(stream):
    x, y, _ = separated(stream, 300, 20, 1e-3)
    with pytest.warns(NotConverged, match="a hyperplane separates the classes, with a small margin"):
        unit = Perceptron(epochs=1).fit(x, y)
    assert (unit.converged_, unit.separable_) == (False, True)


def test_a_row_in_both_classes_is_not_separable(stream):
    x, y, _ = separated(stream, 50, 3, 0.5)
    with pytest.warns(NotConverged, match="no hyperplane"):
        Perceptron(epochs=3).fit(np.vstack([x, x[:1]]), [*y, 1 - y[0]])


def test_the_bound_takes_the_labels_that_the_unit_takes(stream):
    x, y, _ = separated(stream, 60, 3, 0.3)
    unit = Perceptron().fit(x, y)
    words = np.where(np.asarray(y) == np.max(y), "yes", "no")
    bound = mistake_bound(x, words, unit.coef_, unit.intercept_)
    assert bound == mistake_bound(x, y, unit.coef_, unit.intercept_) >= sum(unit.mistakes_)
    for labels in (np.arange(60) % 3, np.zeros(60)):
        with pytest.raises(ArgumentError, match="two classes apart"):
            mistake_bound(x, labels, unit.coef_)
    for coef, intercept in (
        (np.zeros(3), 0.0),
        ([math.nan, 1.0, 1.0], 0.0),
        ([math.inf, 1.0, 1.0], 0.0),
        (np.ones(3), math.nan),
        (np.ones(2), 0.0),
        (["a", "b", "c"], 0.0),
    ):
        with pytest.raises(ArgumentError, match=r"coef|intercept"):
            mistake_bound(x, y, coef, intercept)


def test_scikit_learns_manner(stream):
    from sklearn.base import clone

    x, y, _ = separated(stream, 100, 3, 0.2)
    unit = clone(Perceptron(rate=0.5, generator=3)).set_params(epochs=5000)
    assert unit.get_params() == {"rate": 0.5, "epochs": 5000, "generator": 3}
    first, again = unit.fit(torch.from_numpy(x), torch.from_numpy(y)).coef_, unit.fit(x, y).coef_
    np.testing.assert_array_equal(first, again)  # the same seed
    np.testing.assert_array_equal(unit.predict(x), y)


def test_wrong_arguments(stream):
    y = np.arange(10) % 2  # both classes, whatever is drawn
    x = torch.randn(10, 3, generator=stream, dtype=torch.float64).numpy() + 20 * y[:, None]
    with pytest.raises(MissingCapability, match="fit first"):
        Perceptron().predict(x)
    with pytest.raises(ArgumentError, match="two classes"):
        Perceptron().fit(x, np.arange(10))
    with pytest.raises(ShapeError, match=r"y must be \[10\]"):
        Perceptron().fit(x, y[:9])
    with pytest.raises(ShapeError, match=r"y must be \[10\]"):
        Perceptron().fit(x, [*y[:9], [1, 2]])
    with pytest.raises(ShapeError, match="features"):
        Perceptron().fit(x[0], y)
    with pytest.raises(SupportError, match=r"x\[2, 1\] is nan"):
        Perceptron().fit(np.where(np.arange(30).reshape(10, 3) == 7, np.nan, x), y)
    with pytest.raises(ShapeError, match=r"\[rows, 3\]"):
        Perceptron(epochs=10_000).fit(x, y).predict(x[:, :2])
    for setting in ({"rate": 0.0}, {"rate": math.nan}, {"rate": True}, {"rate": "fast"}, {"epochs": 0}):
        with pytest.raises(ArgumentError, match=next(iter(setting))):
            Perceptron(**setting).fit(x, y)
    with pytest.raises(ArgumentError, match="did you mean 'epochs'"):
        Perceptron().set_params(epoch=3)
