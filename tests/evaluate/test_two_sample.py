"""Kernel distance, MMD, classifier test, memorisation: unbiased, valid under equal laws, powerful otherwise."""

from statistics import NormalDist

import pytest
import torch

import deepgen as dg
from deepgen.evaluate import classifier_test, kernel_distance, memorisation_test, mmd_test
from deepgen.evaluate.mmd import median_distance
from deepgen.random import normal


def z(alpha):
    return NormalDist().inv_cdf(1 - alpha / 2)


class Threshold:
    """A classifier that needs no fitting."""

    def fit(self, x, y):
        pass

    def predict(self, x):
        return (x[:, 0] > 0).astype(int)


def test_kernel_distance_against_its_definition(stream):
    x, y = normal((7, 3), generator=stream).double(), normal((5, 3), generator=stream).double()

    def mean(a, b, same):
        pairs = [(float(p @ q) / 3 + 1) ** 3 for i, p in enumerate(a) for j, q in enumerate(b) if not (same and i == j)]
        return sum(pairs) / len(pairs)

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    assert kernel_distance(real=x, fake=y).value == pytest.approx(expected)
    assert kernel_distance(real=y, fake=x).value == pytest.approx(expected)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_kernel_distance_is_unbiased_and_its_error_true(stream, alpha, shift):
    d, truth = 2, 0.0
    if shift:  # E (x.y/2 + 1)^3 for independent N(m, 1), N(m', 1): by moments of s = x.y

        def expected(m, other):
            a, b = torch.full((d,), m), torch.full((d,), other)
            first = a @ b
            second = first**2 + a @ a + b @ b + d  # E s^2
            third = torch.zeros(())
            for i in range(d):
                for j in range(d):
                    for k in range(d):
                        third += _moment(i, j, k, m) * _moment(i, j, k, other)
            return float(1 + 3 * first / d + 3 * second / d**2 + third / d**3)

        truth = expected(0.0, 0.0) + expected(shift, shift) - 2 * expected(0.0, shift)
    scores = [
        kernel_distance(real=normal((60, d), generator=stream), fake=normal((90, d), generator=stream) + shift)
        for _ in range(200)
    ]
    values = torch.tensor([score.value for score in scores])
    claimed = torch.tensor([score.stderr for score in scores]).square().mean().sqrt()
    assert abs(float(values.mean()) - truth) < z(alpha) * float(values.std()) / 200**0.5
    assert 0.6 < float(claimed / values.std()) < 1.7


def _moment(i, j, k, m):
    """E x_i x_j x_k for independent N(m, 1)."""
    different = len({i, j, k})
    return {3: m**3, 2: m * (m**2 + 1), 1: m**3 + 3 * m}[different]


def _at_most(p, level, alpha):
    """Whether so many p-values at or below ``level`` could come of a valid test."""
    from scipy.stats import binom

    return binom.sf(sum(value <= level for value in p) - 1, len(p), level) > alpha


def test_mmd_p_values_are_exact(stream, alpha):
    from scipy.stats import binomtest

    p = []
    for _ in range(80):
        x = normal((24, 2), generator=stream)
        p.append(mmd_test(real=x[:10], fake=x[10:], permutations=19, generator=stream).p_value)
    low = sum(value <= 0.25 for value in p)
    assert binomtest(low, 80, 0.25).pvalue > alpha
    assert min(p) >= 1 / 20


def test_mmd_sees_scales_and_shifts(stream):
    x, y = normal((200, 3), generator=stream), normal((200, 3), generator=stream)
    for other in (y + 0.7, y * 2):
        score = mmd_test(real=x, fake=other, permutations=99, generator=stream)
        assert score.p_value == pytest.approx(0.01)
        assert score.value > 3 * score.stderr


def test_mmd_of_constants_is_zero():
    same = torch.ones(30, 2)
    score = mmd_test(real=same, fake=same, permutations=9, generator=0)
    assert score.value == pytest.approx(0, abs=1e-12)
    assert score.p_value == 1


def test_the_width_is_that_of_rows_that_differ(stream):
    """Sparse bits, of which most pairs are equal: a median of 0, or of rounding, would be no width."""
    bits = (torch.rand(200, 4, generator=stream) < 0.02).double() * 1e-3
    bits[0] = 1e-3
    assert 0.9e-3 < median_distance(bits, stream) < 2.1e-3
    assert median_distance(torch.full((20, 3), 0.7, dtype=torch.float64), stream) == 1


def test_classifier_p_values_are_valid(stream, alpha):
    p = []
    for _ in range(200):
        x = normal((100, 2), generator=stream)
        p.append(classifier_test(real=x[:40], fake=x[40:], classifier=Threshold(), generator=stream).p_value)
    assert _at_most(p, 0.1, alpha)
    assert _at_most(p, 0.5, alpha)
    assert sum(value <= 0.5 for value in p) > 40  # nor is it idle


def test_classifier_accuracy_is_the_optimal_one(stream, alpha):
    x, y = normal((3000, 2), generator=stream), normal((3000, 2), generator=stream)
    score = classifier_test(real=x, fake=y + torch.tensor([1.0, 0.0]), generator=stream)
    best = NormalDist().cdf(0.5)
    assert abs(score.value - best) < z(alpha) * score.stderr + 0.01
    assert score.p_value < 1e-6
    assert score.stderr == pytest.approx((best * (1 - best) / 3000) ** 0.5, rel=0.1)


def test_memorisation_of_equal_laws(stream, alpha):
    p, values, claimed = [], [], []
    for _ in range(100):
        x = normal((120, 3), generator=stream)
        score = memorisation_test(train=x[:40], held_out=x[40:80], fake=x[80:])
        p.append(score.p_value)
        values.append(score.value)
        claimed.append(score.stderr)
    values = torch.tensor(values)
    assert _at_most(p, 0.1, alpha)
    assert abs(float(values.mean()) - 0.5) < z(alpha) * float(values.std()) / 10
    true = (81 / (12 * 40 * 40)) ** 0.5  # Mann and Whitney's
    assert (score.floor, score.floor_spread) == (0.5, pytest.approx(true))
    assert float(torch.tensor(claimed).square().mean().sqrt()) == pytest.approx(true, rel=0.1)
    assert float(values.std()) == pytest.approx(true, rel=z(alpha) / 200**0.5)


def test_memorisation_detects_copies(stream):
    x = normal((600, 3), generator=stream)
    every = memorisation_test(train=x[:200], held_out=x[200:400], fake=x[:200])
    assert every.value == 1
    assert every.note == "200 of 200 fakes are training rows"
    leaked = memorisation_test(train=x[:200], held_out=x[197:397], fake=x[397:])
    assert leaked.note == "0 of 203 fakes are training rows, and 3 of 200 held-out rows"
    few = memorisation_test(train=x[:200], held_out=x[200:400], fake=torch.cat([x[:20], x[400:580]]))
    assert few.p_value < 1e-3
    far = memorisation_test(train=x[:200], held_out=x[200:400], fake=torch.cat([x[:20], x[400:580] + 50]))
    assert far.value < 0.2
    assert far.p_value < 1e-3  # the tail's test


def test_a_fake_far_out_makes_no_copies_of_the_others(stream):
    x = normal((300, 3), generator=stream)
    fake = x[200:].clone()
    fake[0] = 1e9
    assert memorisation_test(train=x[:100], held_out=x[100:200], fake=fake).note.startswith("0 of 100 fakes")
    fake[1:6] = x[:5]
    assert memorisation_test(train=x[:100], held_out=x[100:200], fake=fake).note.startswith("5 of 100 fakes")


@pytest.mark.parametrize("test", [mmd_test, classifier_test])
def test_generators_decide_and_the_global_stream_stays(test):
    x, before = normal((80, 2), generator=dg.random.generator(0)), torch.get_rng_state()
    one, again, other = (test(real=x[:40], fake=x[40:], generator=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.statistical
def test_mmd_p_values_are_uniform(stream, alpha):
    from scipy.stats import kstest

    p = []
    for _ in range(600):
        x = normal((24, 2), generator=stream)
        p.append(mmd_test(real=x[:12], fake=x[12:], permutations=199, generator=stream).p_value)
    jitter = torch.rand(600, generator=stream) / 200  # from multiples of 1/200 to the whole interval
    assert kstest((torch.tensor(p) - jitter).numpy(), "uniform").pvalue > alpha
