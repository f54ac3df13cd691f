"""Link prediction: graphs that stay whole, negatives, AUC and its error, operators."""

import networkx as nx
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, UnknownName
from deepgen.evaluate import hold_out_links, link_auc
from deepgen.evaluate.links import auc


@pytest.mark.parametrize("negatives", ["uniform", "matched"])
def test_what_was_connected_stays_so_and_negatives_have_no_link(negatives, seed):
    graph = nx.disjoint_union(nx.barabasi_albert_graph(150, 3, seed=seed % 1000), nx.cycle_graph(20))
    links = np.array(graph.edges)
    split = hold_out_links(links, len(graph), share=0.4, negatives=negatives, seed=seed % 1000)
    assert len(split.positive) == len(split.negative) == round(0.4 * len(links))
    kept = nx.Graph(split.kept.tolist())
    assert sorted(map(len, nx.connected_components(kept))) == [20, 150]
    everything = {frozenset(pair) for pair in links.tolist()}
    pairs = [{frozenset(pair) for pair in part.tolist()} for part in split]
    assert pairs[0] | pairs[1] == everything
    assert not pairs[0] & pairs[1]
    assert not pairs[2] & everything
    assert len(pairs[2]) == len(split.negative)


def test_matched_negatives_have_the_degrees_of_links(seed):
    """Degrees at the ends of links are far above those of nodes; only matched negatives share them."""
    graph = nx.barabasi_albert_graph(1000, 4, seed=seed % 1000)
    degree, links = np.array([d for _, d in graph.degree]), np.array(graph.edges)
    ends = {}
    for kind in ("uniform", "matched"):
        split = hold_out_links(links, 1000, share=0.5, negatives=kind, seed=1)
        ends[kind] = degree[split.negative].mean()
        held = degree[split.positive]
    error = held.mean(1).std() / len(held) ** 0.5
    assert ends["uniform"] < 0.8 * held.mean()
    # pairs of two hubs, and of a hub with itself, are left out, which costs the matched a little
    assert abs(ends["matched"] - held.mean()) < 6 * error + 0.15 * held.mean()


def test_auc_is_that_of_scikit_learn_and_its_error_that_of_repeats(seed):
    generator = np.random.default_rng(seed % 2**32)
    values, errors = [], []
    for _ in range(400):
        high, low = generator.normal(0.7, 1, 60).round(1), generator.normal(0, 2, 90).round(1)
        value, error = auc(high, low)
        assert value == pytest.approx(roc_auc_score([1] * 60 + [0] * 90, np.concatenate([high, low])), abs=1e-12)
        values.append(value)
        errors.append(error)
    spread = np.std(values, ddof=1)
    assert abs(np.mean(errors) / spread - 1) < 5 / (2 * 400) ** 0.5 + 0.02


def test_operators_are_those_of_the_table(seed):
    """Links join equal signs of the last column: products and gaps tell them, averages cannot; c has the signs."""
    generator = np.random.default_rng(seed % 2**32)
    x = generator.normal(size=(200, 3))
    x[100:, 2] = -x[:100, 2]  # as many of either sign, else averages tell a little
    same = np.array([(u, v) for u, v in generator.integers(200, size=(4000, 2)) if x[u, 2] * x[v, 2] > 0])
    other = np.array([(u, v) for u, v in generator.integers(200, size=(4000, 2)) if x[u, 2] * x[v, 2] < 0])
    found = {name: link_auc(x, same, other, operator=name) for name in ("average", "hadamard", "l1", "l2")}
    assert found["hadamard"].value > 0.99
    assert found["l1"].value > 0.75
    assert found["l2"].value > 0.75
    assert abs(found["average"].value - 0.5) < 0.1
    context = np.sign(x) * np.array([0, 0, 1.0])
    scores = [np.array([x[u] @ context[v] + x[v] @ context[u] for u, v in part]) for part in (same, other)]
    by_hand = roc_auc_score(np.repeat([1, 0], [len(same), len(other)]), np.concatenate(scores))
    assert link_auc(x, same, other, operator="in_out", context=context).value == pytest.approx(by_hand, abs=1e-12)


def test_bad_input_is_refused():
    ring = np.stack([np.arange(9), np.arange(1, 10)], 1)
    x = np.ones((10, 2))
    for kind, says, call in [
        (ArgumentError, "hold the graph together", lambda: hold_out_links(ring, 10, share=0.5)),
        (ArgumentError, "nodes 0 to 8", lambda: hold_out_links(ring, 9)),
        (ShapeError, "whole numbers", lambda: hold_out_links(ring * 1.0, 10)),
        (UnknownName, "uniform", lambda: hold_out_links(ring, 10, negatives="uniformly")),
        (UnknownName, "hadamard", lambda: link_auc(x, ring, ring, operator="hadamar")),
        (MissingCapability, "context=", lambda: link_auc(x, ring, ring, operator="in_out")),
        (ArgumentError, "at least 4", lambda: link_auc(x, ring[:3], ring)),
        (ArgumentError, "too dense", lambda: hold_out_links(np.argwhere(np.triu(np.ones((6, 6)), 1)), 6, share=0.5)),
    ]:
        with pytest.raises(kind, match=says):
            call()


def test_a_seed_below_zero_is_refused():
    ring = np.stack([np.arange(10), (np.arange(10) + 1) % 10], 1)
    with pytest.raises(ArgumentError, match="seed"):
        hold_out_links(ring, 10, share=0.1, seed=-1)
