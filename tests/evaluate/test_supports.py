"""Precision, recall, density, coverage: brute force, expectations under equal laws, ties."""

import math
from statistics import NormalDist

import pytest
import torch

from deepgen.evaluate import squared_distances, support_overlap, supports
from deepgen.random import normal


def z(alpha):
    return NormalDist().inv_cdf(1 - alpha / 2)


def brute(real, fake, k):
    """The definitions of Kynkäänniemi et al. and Naeem et al., for rows without ties."""

    def radii(x):
        return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").sort(1).values[:, k]

    cross = torch.cdist(real, fake, compute_mode="donot_use_mm_for_euclid_dist")
    inside = cross < radii(real).unsqueeze(1)
    recalled = cross < radii(fake).unsqueeze(0)
    return [
        inside.any(0).double().mean(),
        recalled.any(1).double().mean(),
        inside.double().sum(0).mean() / k,
        inside.any(1).double().mean(),
    ]


def values(overlap):
    return [score.value for score in overlap]


@pytest.mark.parametrize("entries", [2**22, 100])
def test_against_the_definitions(stream, monkeypatch, entries):
    monkeypatch.setattr(squared_distances, "ENTRIES", entries)
    real = normal((60, 3), generator=stream, dtype=torch.float64)
    fake = normal((45, 3), generator=stream, dtype=torch.float64) * 0.7 + 0.5
    for k in (1, 5):
        assert values(support_overlap(real=real, fake=fake, k=k)) == pytest.approx(
            [float(x) for x in brute(real, fake, k)]
        )


def test_against_prdc(stream):
    prdc = pytest.importorskip("prdc")
    real, fake = (normal((100, 4), generator=stream, dtype=torch.float64) for _ in range(2))
    theirs = prdc.compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    assert values(support_overlap(real=real, fake=fake)) == pytest.approx(
        [theirs[name] for name in ("precision", "recall", "density", "coverage")]
    )


def test_balls_of_a_half_are_those_of_its_rows(stream):
    x = normal((48, 2), generator=stream, dtype=torch.float64)  # three rows in each of 16 blocks
    parts = supports._halves(x, True)
    assert parts.shape == (31, 48)
    signs = 2.0 * parts[1::2] - 1
    torch.testing.assert_close(signs @ signs.mT, 48 * torch.eye(15))  # orthogonal
    balls = supports._balls(x, 3, parts)
    for part, radii in zip(parts, balls.radii, strict=True):
        expected = torch.cdist(x[part], x[part]).sort(1).values[:, 3].square()
        torch.testing.assert_close(radii[part], expected)


def test_identical_constant_features_give_one():
    same = torch.full((40, 3), 0.7)
    assert values(support_overlap(real=same, fake=same[:36])) == pytest.approx([1, 1, 1, 1])


def test_a_fake_far_out_makes_no_others_alike(stream):
    """Rounding is judged row by row: with one tolerance for all, one draw at 1e9 put every fake into every ball."""
    real, fake = normal((60, 3), generator=stream), normal((60, 3), generator=stream) + 20
    fake[0] = 1e9
    found = support_overlap(real=real, fake=fake)
    assert (found.precision.value, found.density.value, found.coverage.value) == (0, 0, 0)


def test_swapping_the_samples_swaps_precision_and_recall(stream):
    real, fake = normal((60, 2), generator=stream), 2 * normal((50, 2), generator=stream)
    one, other = support_overlap(real=real, fake=fake), support_overlap(real=fake, fake=real)
    assert one.precision.value == other.recall.value
    assert one.recall.value == other.precision.value
    assert one.precision.value != one.recall.value


def test_disjoint_and_nested_supports(stream):
    real = normal((200, 2), generator=stream)
    assert values(support_overlap(real=real, fake=real + 100)) == [0, 0, 0, 0]
    nested = support_overlap(real=real, fake=0.05 * normal((200, 2), generator=stream))
    assert nested.precision.value == 1
    assert nested.recall.value < 0.3
    wide, middle = normal((200, 16), generator=stream), 0.3 * normal((200, 16), generator=stream)
    assert support_overlap(real=wide, fake=middle).density.value > 2


def test_coverage_and_density_of_equal_laws(stream, alpha):
    n, m, k = 60, 40, 5
    found = [
        support_overlap(real=normal((n, 2), generator=stream), fake=normal((m, 2), generator=stream), k=k, errors=False)
        for _ in range(60)
    ]
    coverage = torch.tensor([overlap.coverage.value for overlap in found])
    density = torch.tensor([overlap.density.value for overlap in found])
    expected = 1 - math.prod((n - 1 - j) / (n - 1 - j + m) for j in range(k))
    for values_, truth in ((coverage, expected), (density, 1.0)):
        assert abs(float(values_.mean()) - truth) < z(alpha) * float(values_.std()) / 60**0.5


def test_density_of_equal_discrete_laws_is_one(stream, alpha):
    found = []
    for _ in range(60):
        bits = (torch.rand(100, 3, generator=stream) < 0.3).float()
        found.append(support_overlap(real=bits[:60], fake=bits[60:], errors=False).density.value)
    found = torch.tensor(found)
    assert abs(float(found.mean()) - 1) < z(alpha) * float(found.std()) / 60**0.5


@pytest.mark.statistical
def test_errors_are_those_of_repetitions(stream):
    found = [
        support_overlap(real=normal((300, 2), generator=stream), fake=0.8 * normal((300, 2), generator=stream))
        for _ in range(150)
    ]
    for scores in zip(*found, strict=True):
        spread = float(torch.tensor([score.value for score in scores]).std())
        claimed = float(torch.tensor([score.stderr for score in scores]).square().mean().sqrt())
        print(scores[0].name, spread, claimed)
        assert 0.75 < claimed / spread < 1.7, scores[0].name
