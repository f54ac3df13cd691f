"""Agreement of groups: chance is zero, a coarser partition has its share by hand, bad input is refused."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.evaluate import cluster_agreement


def test_chance_is_zero_and_the_same_partition_one(seed):
    generator = np.random.default_rng(seed % 2**32)
    kinds = generator.integers(4, size=400)
    x = np.eye(4)[kinds] + 0.05 * generator.normal(size=(400, 4))
    same, chance = cluster_agreement(x, kinds, runs=20), cluster_agreement(x, generator.permutation(kinds), runs=20)
    best = float(same.each.max())
    assert best == pytest.approx(1.0)
    assert abs(chance.value) < 0.05
    assert same.value == pytest.approx(float(same.each.mean()))
    assert same.stderr == pytest.approx(float(same.each.std()) / 20**0.5)


def test_two_groups_of_four_kinds(seed):
    """Far pairs of kinds: k-means with two groups cannot but join them, and the agreement is that of the pairs."""
    generator = np.random.default_rng(seed % 2**32)
    kinds = np.repeat(np.arange(4), 50)
    x = np.stack([100.0 * (kinds // 2), kinds % 2 + 0.01 * generator.normal(size=200)], 1)
    expected = adjusted_mutual_info_score(kinds, kinds // 2)
    assert 0.3 < expected < 0.9
    assert cluster_agreement(x, kinds, groups=2).value == pytest.approx(expected)


def test_bad_input_is_refused():
    x = np.eye(6)
    for kind, says, call in [
        (ShapeError, "one value for each of the 6", lambda: cluster_agreement(x, [0, 1])),
        (SupportError, "NaN", lambda: cluster_agreement(x * np.nan, np.arange(6))),
        (ArgumentError, "groups", lambda: cluster_agreement(x, np.zeros(6))),
        (ArgumentError, "runs", lambda: cluster_agreement(x, np.arange(6), runs=1)),
    ]:
        with pytest.raises(kind, match=says):
            call()


@pytest.mark.parametrize("option", [{"groups": 100}, {"seed": -1}, {"seed": 2**32}])
def test_groups_and_seeds_that_cannot_be_are_refused(option):
    with pytest.raises(ArgumentError, match=next(iter(option))):
        cluster_agreement(np.arange(80.0).reshape(40, 2), np.arange(40) % 2, **option)
