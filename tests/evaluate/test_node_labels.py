"""Node classification: F1 beside scikit-learn's, the two rules, splits that can be paired."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError, UnknownName
from deepgen.evaluate import classify_nodes, link_auc


@pytest.fixture
def nodes(stream):
    """Two labels a node may both have, told by vectors in part, a third that none has, and nodes without any."""
    x = dg.random.normal((300, 4), generator=stream).numpy()
    noise = dg.random.normal((300, 2), generator=stream).numpy()
    y = np.concatenate([x[:, :2] + noise > 0.3, np.zeros((300, 1), bool)], 1)
    return x, y


@pytest.mark.parametrize("rule", ["counts", "threshold"])
def test_f1_is_that_of_scikit_learn_on_the_same_split(nodes, rule):
    x, y = nodes
    some = y.any(1)
    x, y = x[some], y[some]
    found = classify_nodes(*nodes, labelled=0.4, splits=3, rule=rule, seed=5)
    for split in range(3):
        order = np.random.default_rng([5, split]).permutation(len(x))
        train, test = order[: round(0.4 * len(x))], order[round(0.4 * len(x)) :]
        said = np.zeros((len(test), 3), dtype=bool)
        p = np.zeros((len(test), 3))
        for k in range(2):
            p[:, k] = LogisticRegression(solver="liblinear").fit(x[train], y[train, k]).predict_proba(x[test])[:, 1]
        for i, row in enumerate(p):
            top = np.argsort(-row)[: y[test][i].sum()]
            said[i, top if rule == "counts" else row >= 0.5] = True
        for name in ("macro", "micro"):
            expected = f1_score(y[test], said, average=name, zero_division=0)
            assert getattr(found, name).each[split] == pytest.approx(expected, abs=1e-12)
    assert found.macro.value == pytest.approx(float(found.macro.each.mean()))
    assert found.macro.stderr == pytest.approx(float(found.macro.each.std()) / 3**0.5)
    assert (found.micro.n, found.micro.settings["nodes"]) == (3, len(x))


def test_labels_may_be_sparse_or_one_number_a_node(nodes):
    x, y = nodes
    dense, sparse = classify_nodes(x, y), classify_nodes(torch.as_tensor(x), csr_matrix(y.astype(float)))
    assert dense.macro.value == sparse.macro.value
    kind = torch.as_tensor(y[:, 0]).long()
    one = classify_nodes(x, kind, rule="threshold")
    assert one.micro.value == classify_nodes(x, np.stack([1 - kind, kind], 1), rule="threshold").micro.value


def test_other_vectors_are_judged_on_the_same_splits(nodes):
    x, y = nodes
    better, worse = classify_nodes(x, y, seed=1).micro, classify_nodes(x[:, 2:], y, seed=1).micro
    assert float((better.each - worse.each).mean()) == pytest.approx(better.value - worse.value)
    assert better.value > worse.value + 5 * (better.stderr + worse.stderr)


def test_bad_input_is_refused(nodes):
    x, y = nodes
    cases = [
        (ShapeError, "one row for each vector", (x[1:], y), {}),
        (SupportError, "NaN", (np.where(x > 2, np.nan, x), y), {}),
        (SupportError, "0 or 1", (x, y * 2), {}),
        (SupportError, "nothing to tell apart", (x, np.ones(len(x), int)), {}),
        (UnknownName, "counts", (x, y), {"rule": "count"}),
        (ArgumentError, "share between 0 and 1", (x, y), {"labelled": 1.0}),
        (ArgumentError, "splits", (x, y), {"splits": 1}),
    ]
    for kind, says, given, options in cases:
        with pytest.raises(kind, match=says):
            classify_nodes(*given, **options)


def test_held_out_judges_the_labelled_part_alone(seed):
    """Other labels of the test nodes change nothing; other labels of the labelled part do."""
    generator = np.random.default_rng(seed)
    kind = generator.integers(0, 3, 120)
    x = np.eye(3)[kind] + 0.7 * generator.normal(size=(120, 3))
    y = np.eye(3, dtype=int)[kind]
    chosen = {"splits": 2, "held_out": 0.25, "seed": 5}
    parts = [np.random.default_rng([5, split]).permutation(120)[:60] for split in range(2)]
    other = y.copy()
    outside = np.setdiff1d(np.arange(120), np.concatenate(parts))
    assert len(outside) > 10
    other[outside] = np.roll(other[outside], 1, axis=1)
    one, same = (classify_nodes(x, labels, **chosen) for labels in (y, other))
    assert one.macro.each.tolist() == same.macro.each.tolist()
    assert "25 % of the labelled held out" in one.macro.method
    judged = parts[0][45:]
    other[judged] = np.roll(y[judged], 1, axis=1)
    assert classify_nodes(x, other, **chosen).micro.each[0] != one.micro.each[0]
    with pytest.raises(ArgumentError, match="held_out must be a share of the 60 labelled nodes"):
        classify_nodes(x, y, held_out=1.0)
    with pytest.raises(ArgumentError, match="held_out"):
        classify_nodes(x, y, held_out=0.001)


def test_labels_of_yes_and_no_and_names():
    vectors, yes = np.eye(20) + np.arange(20)[:, None] % 2, np.arange(20) % 2 == 1
    assert classify_nodes(vectors, yes, splits=3).macro == classify_nodes(vectors, yes.astype(int), splits=3).macro
    with pytest.raises(SupportError, match=r"np\.unique"):
        classify_nodes(vectors, yes.astype(str), splits=3)


@pytest.mark.parametrize(
    ("name", "value"), [("strength", -1), ("strength", 0), ("strength", np.nan), ("seed", -1), ("seed", 0.5)]
)
def test_what_a_classifier_cannot_be_fitted_by_is_refused(name, value):
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    pairs = np.arange(20).reshape(10, 2)
    with pytest.raises(ArgumentError, match=name):
        classify_nodes(x, y, **{name: value})
    with pytest.raises(ArgumentError, match=name):
        link_auc(x, pairs, pairs, **{name: value})


def test_vectors_may_be_parameters_of_any_type():
    x, y = torch.nn.Parameter(torch.arange(40.0).view(20, 2) - 20), torch.arange(20) // 10
    plain = classify_nodes(x.detach().numpy(), y)
    assert classify_nodes(x, y) == plain
    assert classify_nodes(x.bfloat16(), y) == plain  # as small whole numbers are the same there
