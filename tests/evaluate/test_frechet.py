"""Fréchet distance against closed forms, its known bias, and the numerical cases that others lose."""

from statistics import NormalDist

import pytest
import torch

import deepgen as dg
from deepgen.errors import SupportError
from deepgen.evaluate import frechet_distance, frechet_infinity, gaussian_frechet
from deepgen.random import normal


def z(alpha):
    return NormalDist().inv_cdf(1 - alpha / 2)


def known_bias(eigenvalues, n, m):
    """E of the plug-in for equal Gaussian laws, to first order."""
    one, other = torch.meshgrid(eigenvalues, eigenvalues, indexing="ij")
    pairs = (1 + torch.eye(len(eigenvalues))) * one * other / (one + other)
    return float(eigenvalues.sum() + pairs.sum() / 2) * (1 / n + 1 / m)


def rotation(d, stream):
    return torch.linalg.qr(normal((d, d), generator=stream, dtype=torch.float64))[0]


def test_commuting_covariances(stream):
    one, other = (normal((5,), generator=stream, dtype=torch.float64).square() for _ in range(2))
    turn, mean = rotation(5, stream), normal((5,), generator=stream, dtype=torch.float64)
    expected = mean.square().sum() + (one.sqrt() - other.sqrt()).square().sum()
    first, second = ((turn * values) @ turn.mT for values in (one, other))
    torch.testing.assert_close(gaussian_frechet(mean, first, torch.zeros_like(mean), second), expected)


def test_covariances_that_do_not_commute(stream):
    one, other = (normal((6, 4), generator=stream, dtype=torch.float64) for _ in range(2))
    first, second, zero = one.mT @ one, other.mT @ other, torch.zeros(4, dtype=torch.float64)
    roots = torch.linalg.eigvals(first @ second).real.sqrt().sum()
    expected = first.trace() + second.trace() - 2 * roots
    torch.testing.assert_close(gaussian_frechet(zero, first, zero, second), expected)
    torch.testing.assert_close(gaussian_frechet(zero, second, zero, first), expected)


def test_rank_one(stream):
    u, v = (normal((7,), generator=stream, dtype=torch.float64) for _ in range(2))
    zero = torch.zeros_like(u)
    expected = u @ u + v @ v - 2 * (u @ v).abs()
    torch.testing.assert_close(gaussian_frechet(zero, u.outer(u), zero, v.outer(v)), expected)


def test_large_means_lose_no_digits(stream, alpha):
    """16 features around 300 with deviation 0.1: exact 0.0004; in float32 a peer finds 0.04."""
    x = 300 + 0.1 * normal((10, 10_000, 16), generator=stream, dtype=torch.float64)
    values = torch.tensor([frechet_distance(real=rows[:5000], fake=rows[5000:]).value for rows in x])
    expected = known_bias(torch.full((16,), 0.01), 5000, 5000)
    assert abs(float(values.mean()) - expected) < z(alpha) * float(values.std()) / 10**0.5 * 2  # t with 9 degrees
    assert expected < 4e-4
    rounded = x[0].float()  # as a network would give them: the distance is that of these very rows
    value = frechet_distance(real=rounded[:5000], fake=rounded[5000:]).value
    assert value == pytest.approx(float(values[0]), rel=0.02)


def test_known_bias_and_its_removal(stream, alpha):
    scale = torch.tensor([0.5, 1.0, 2.0])
    plug, limit = [], []
    for _ in range(60):
        x, y = (normal((n, 3), generator=stream) * scale for n in (150, 300))
        plug.append(frechet_distance(real=x, fake=y).value)
        limit.append(frechet_infinity(real=x, fake=y).value)
    plug, limit = torch.tensor(plug), torch.tensor(limit)
    error = z(alpha) / 60**0.5
    bias = known_bias(scale.square(), 150, 300)
    assert abs(float(plug.mean()) - bias) < error * float(plug.std()) + 0.03 * bias
    assert abs(float(limit.mean())) < error * float(limit.std()) + 0.03 * bias
    assert float(plug.mean()) > 0.5 * bias  # what is removed is there


def test_distance_of_two_gaussians(stream, alpha):
    x = normal((4000, 2), generator=stream)
    y = normal((4000, 2), generator=stream) * torch.tensor([2.0, 1.0]) + torch.tensor([0.0, 3.0])
    score = frechet_infinity(real=x, fake=y)
    reach = dg.evaluate.Score.interval(score, 1 - alpha)
    assert reach[0] < 9 + 1 < reach[1]


def test_the_error_of_a_distance(stream):
    """By the delta method: 4 m^2 (1/n + s^2/n') of the mean, 4 (s - 1)^2 (1/(2n) + s^2/(2n')) of the scale."""
    n, shift, scale = 1000, 3.0, 2.0
    squares = []
    for _ in range(40):
        x, y = normal((n, 1), generator=stream), scale * normal((n, 1), generator=stream) + shift
        squares.append(frechet_distance(real=x, fake=y).stderr ** 2)
    true = (4 * shift**2 + 2 * (scale - 1) ** 2) * (1 + scale**2) / n
    # forty chi-squares of 18 degrees: 5 % of the mean; it errs upwards a little
    assert float(torch.tensor(squares).mean()) == pytest.approx(true, rel=0.3)


WIDE = torch.tensor([1e-3, 1e7, 1.0, 1e4], dtype=torch.float64)  # deviations of columns


def test_each_column_counts_however_wide_another_is(stream):
    """One correlation, other deviations: with S = C C the distance of S and a^2 S is (a - 1)^2 tr S, columns apart."""
    rows = normal((40, 4), generator=stream, dtype=torch.float64)
    narrow = WIDE.where(WIDE < 1e7, 0.0)
    zero, correlation = torch.zeros(4, dtype=torch.float64), torch.corrcoef(rows.mT)
    correlation[1], correlation[:, 1] = 0.0, 0.0
    correlation[1, 1] = 1.0
    one = correlation * WIDE * WIDE.unsqueeze(1)
    part = correlation * narrow * narrow.unsqueeze(1)
    other = one + part * (1.5**2 - 1)  # the widest column stays as it was
    expected = 0.25 * part.trace()
    torch.testing.assert_close(gaussian_frechet(zero, one, zero, other), expected, rtol=1e-6, atol=0)
    own = torch.diag(WIDE.square())
    assert float(gaussian_frechet(zero, own, zero, own)) < 1e-12
    torch.testing.assert_close(gaussian_frechet(zero, own, zero, 4 * own), WIDE.square().sum(), rtol=1e-12, atol=0)
    least = torch.diag(torch.where(WIDE == 1e-3, 2 * WIDE, WIDE).square())
    torch.testing.assert_close(gaussian_frechet(zero, own, zero, least), (WIDE[0]).square(), rtol=1e-9, atol=0)


def test_a_wide_column_that_both_samples_share_costs_the_others_nothing(stream):
    """Its rows are alike and in pairs opposite, so that it has nothing to do with the others, exactly."""
    x, y = (normal((100, 3), generator=stream, dtype=torch.float64) for _ in range(2))
    x, y = (torch.cat([rows, rows]) for rows in (x, y))
    wide = 1e6 * normal((100, 1), generator=stream, dtype=torch.float64)
    wide = torch.cat([wide, -wide])
    without = gaussian_frechet(x.mean(0), torch.cov(x.mT), y.mean(0), torch.cov(y.mT))
    score = frechet_distance(real=torch.cat([x, wide], 1), fake=torch.cat([y, wide], 1))
    assert score.value == pytest.approx(float(without), rel=1e-6)


def test_rotations_and_shifts_change_nothing(stream):
    x, y = (normal((50, 4), generator=stream, dtype=torch.float64) for _ in range(2))
    turn = rotation(4, stream)
    one, other = frechet_distance(real=x, fake=y), frechet_distance(real=x @ turn + 7, fake=y @ turn + 7)
    assert other.value == pytest.approx(one.value)
    assert other.stderr == pytest.approx(one.stderr)
    assert frechet_distance(real=y, fake=x).value == pytest.approx(one.value)


@pytest.mark.parametrize("labels", [torch.arange(600) % 10, torch.arange(600) // 60])
def test_the_order_of_the_rows_does_not_matter(stream, labels):
    """Labels that go round or come in turn, as one draws from a conditional model: no block may be a class.

    The bias taken off is that of independent rows, of which these, as many of each class, show a part: the value lies
    below 0, by no more than that bias and noise of 0.05. With blocks that are classes it is -121 +- 1.
    """
    centres = 10 * torch.eye(10)
    x, y = (centres[labels] + normal((600, 10), generator=stream) for _ in range(2))
    mixed = torch.randperm(600, generator=stream)
    one, other = frechet_infinity(real=x, fake=y), frechet_infinity(real=x[mixed], fake=y[mixed])
    assert max(one.stderr, other.stderr) < 5 * min(one.stderr, other.stderr)
    values = torch.linalg.eigvalsh(torch.eye(10) + centres.T.cov(correction=0))
    pairs = values * values.unsqueeze(1) / (values + values.unsqueeze(1))
    bias = float(values.sum() + (pairs.sum() + pairs.trace()) / 2) / 300
    assert abs(one.value) < 1.5 * bias
    assert abs(one.value - other.value) < 1.5 * bias


def test_more_features_than_rows(stream):
    x, y = (normal((20, 60), generator=stream, dtype=torch.float64) for _ in range(2))
    expected = gaussian_frechet(x.mean(0), torch.cov(x.mT), y.mean(0), torch.cov(y.mT))
    assert frechet_distance(real=x, fake=y).value == pytest.approx(float(expected), rel=1e-6)


def test_what_is_refused():
    x = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    with pytest.raises(dg.errors.ArgumentError, match="at least 20 rows"):
        frechet_distance(real=x[:10], fake=x)
    wide = torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
    with pytest.raises(dg.errors.ArgumentError, match="at least 123 rows"):
        frechet_infinity(real=wide, fake=wide)
    with pytest.raises(dg.errors.SupportError, match="NaN"):
        frechet_distance(real=x, fake=x.where(x < 2, torch.nan))
    with pytest.raises(dg.errors.ShapeError, match="same number"):
        frechet_distance(real=x, fake=x[:, :4])
    with pytest.raises(dg.errors.ShapeError, match="one d"):
        gaussian_frechet(x[0], torch.eye(10), x[0, :4], torch.eye(4))
    with pytest.raises(dg.errors.ShapeError, match="empty"):
        frechet_distance(real=x, fake=x[:0])
    with pytest.raises(dg.errors.ShapeError, match="flatten"):
        frechet_distance(real=x, fake=x.view(200, 5, 2))


@pytest.mark.statistical
def test_intervals_cover(stream):
    hits = 0
    for _ in range(400):
        x = normal((200, 3), generator=stream)
        y = normal((200, 3), generator=stream) * 1.5 + 1
        low, high = frechet_infinity(real=x, fake=y).interval()
        hits += low < 3 + 3 * 0.25 < high
    assert 0.90 < hits / 400 <= 0.995


def test_moments_are_finite_and_of_any_precision():
    one, zero = torch.eye(2), torch.zeros(2)
    found = gaussian_frechet(zero.half(), 9 * one, zero.double() + 2, 4 * one)
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(10.0)
    for broken in ((zero / 0, one, zero, one), (zero, one, zero, one / 0)):
        with pytest.raises(SupportError):
            gaussian_frechet(*broken)
