"""The check of walks: the law itself passes, and the mistakes of known programs fail."""

import numpy as np
import pytest

from deepgen.errors import ShapeError
from deepgen.graphs import graph, walks
from deepgen.testing import CheckFailed, check_walks, walk_row
from tests.graphs.zoo import ZOO

BOW = graph(["0 1", "1 2", "0 2", "1 3", "1 4"])
WEB = graph(["0 1", "1 2", "2 0", "1 3", "3 0", "0 3", "1 4", "4 1", "4 2", "0 4", "2 1"], directed=True)


def drawn(found, row, length=3):
    """A sampler that draws each step from ``row(t, v)``, probabilities of found.out(v), by inversion."""

    def sampler(per_node, seed):
        rng = np.random.default_rng(seed)
        made = np.full((per_node * len(found), length), -1)
        made[:, 0] = np.tile(np.arange(len(found)), per_node)
        for j in range(1, length):
            before = made[:, j - 2] if j > 1 else np.full(len(made), -1)
            for t, v in np.unique(np.stack([before, made[:, j - 1]], 1), axis=0):
                if v < 0 or not len(found.out(v)):
                    continue
                here = np.flatnonzero((before == t) & (made[:, j - 1] == v))
                law = row(found, None if t < 0 else int(t), int(v))
                made[here, j] = rng.choice(found.out(v), len(here), p=law / law.sum())
        return made

    return sampler


def exact(p, q):
    return lambda found, t, v: walk_row(found, t, v, p, q)


def test_rows_by_hand():
    assert np.allclose(walk_row(BOW, 0, 1, 4.0, 0.25), np.array([0.25, 1, 4, 4]) / 9.25)
    assert np.allclose(walk_row(BOW, None, 1, 4.0, 0.25), 0.25)
    weighted = graph(["a b 1", "b c 2", "b b 5", "a c 3"])
    assert np.allclose(walk_row(weighted, 0, 1, 2.0, 4.0), np.array([0.5, 5, 2]) / 7.5)  # b -> b: a leads to b
    lop_sided = graph(["a b", "b c", "b a", "c a"], directed=True)  # c leads to a, but a not to c
    assert np.allclose(walk_row(lop_sided, 0, 1, 1.0, 0.5), np.array([1, 2]) / 3)


@pytest.mark.parametrize(("p", "q"), [(4.0, 0.25), (0.25, 4.0), (1.0, 1.0)])
@pytest.mark.parametrize("name", ["weighted hub", "weighted web", "parallel"])
def test_the_law_passes(name, p, q, alpha, stream):
    found = ZOO[name]()
    check_walks(drawn(found, exact(p, q), 5), found, p, q, n=300, alpha=alpha, generator=stream)


def exchanged(found, t, v):
    return walk_row(found, t, v, 0.25, 4.0)


def fallen_through(found, t, v):
    """A case that rejects falls into the next, whose threshold is 1/q: each bias becomes at least 1/q."""
    law = walk_row(found, t, v, 4.0, 0.25)
    return law if t is None else np.maximum(law, law.max())


def return_forgotten(found, t, v):
    return walk_row(found, t, v, 1.0, 0.25)


def one_too_far(found, t, v):
    """The largest neighbour of all is compared with what lies behind the row."""
    law = walk_row(found, t, v, 4.0, 0.25)
    if t is not None:
        return np.where(found.out(v) == t, 0.25, np.where(np.isin(found.out(v), found.out(t)[:-1]), 1.0, 4.0))
    return law


def common_by_q(found, t, v):
    """q on what t and v have in common, as if it were farther away than the rest."""
    if t is None:
        return walk_row(found, t, v, 1.0, 1.0)
    x = found.out(v)
    return np.where(x == t, 0.25, np.where(np.isin(x, found.out(t)), 4.0, 1.0))


@pytest.mark.parametrize("wrong", [exchanged, fallen_through, return_forgotten, one_too_far, common_by_q])
def test_wrong_laws_fail(wrong, stream):
    with pytest.raises(CheckFailed, match=r"after \(\d, \d\) of \d+: \d"):
        check_walks(drawn(BOW, wrong), BOW, 4.0, 0.25, generator=stream)


def test_edges_the_other_way_fail(stream):
    def backwards(found, t, v):
        x = found.out(v)
        if t is None:
            return np.ones(len(x))
        return np.where(x == t, 0.25, np.where([t in found.out(i) for i in x], 1.0, 4.0))

    check_walks(drawn(WEB, exact(4.0, 0.25)), WEB, 4.0, 0.25, generator=stream)
    with pytest.raises(CheckFailed, match="after"):
        check_walks(drawn(WEB, backwards), WEB, 4.0, 0.25, generator=stream)


def test_exchanged_parameters_of_ours_fail(stream):
    found = ZOO["weighted web"]()

    def sampler(per_node, seed):
        return walks(found, 4.0, 0.25, length=5, per_node=per_node, seed=seed)

    with pytest.raises(CheckFailed, match=r"p = 0\.25 and q = 4 do not follow"):
        check_walks(sampler, found, 0.25, 4.0, generator=stream)


def test_a_first_step_without_weights_fails(stream):
    found = graph(["a b 1", "a c 3"])
    with pytest.raises(CheckFailed, match="first step from 0"):
        check_walks(drawn(found, lambda g, t, v: np.ones(len(g.out(v))), 2), found, 1.0, 1.0, generator=stream)


def test_walks_that_come_eight_times_fail(stream):
    def sampler(per_node, seed):
        return np.repeat(drawn(BOW, exact(1.0, 1.0))(max(1, per_node // 8), seed), 8, 0)

    with pytest.raises(CheckFailed):
        check_walks(sampler, BOW, 1.0, 1.0, n=40_000, alpha=1e-2, generator=stream)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([[3, 1, 3], [2, 3, 1]], "steps from 2 to 3, where there is no edge"),
        ([[0, 1, -1]], "ends at node 1, from where edges lead on"),
        ([[0, -1, 1]], "a walk goes on after a -1"),
        ([[0, 1, 5]], "rows of numbers 0 to 4"),
        ([[0], [1]], "no walk has taken a step"),
    ],
)
def test_walks_that_are_none_fail(made, message):
    with pytest.raises(CheckFailed, match=message):
        check_walks(lambda per_node, seed: np.array(made), BOW, 1.0, 1.0, generator=0)


def test_walks_come_as_lists_or_in_parts_too(alpha, stream):
    sampler = drawn(BOW, exact(0.5, 2.0))
    check_walks(lambda *a: sampler(*a).tolist(), BOW, 0.5, 2.0, alpha=alpha, generator=stream)
    check_walks(lambda *a: np.array_split(sampler(*a), 3), BOW, 0.5, 2.0, alpha=alpha, generator=stream)
    with pytest.raises(ShapeError, match="no walks"):
        check_walks(lambda *a: [], BOW, 0.5, 2.0, generator=stream)
