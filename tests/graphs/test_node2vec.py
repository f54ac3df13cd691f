"""node2vec from a graph: names, communities, the same bits, options, scikit-learn's manner."""

import networkx as nx
import numpy as np
import pytest

from deepgen.errors import ArgumentError, MissingCapability, UnknownName
from deepgen.evaluate import hold_out_links, link_auc
from deepgen.graphs import Node2Vec, graph, node2vec, walks
from deepgen.graphs.node2vec import visits

QUICK = {"dim": 16, "walk_length": 20, "progress": False}


def test_two_communities_lie_apart(seed):
    """Two cliques and one edge between them: nodes are nearer to those of their own, by names of their own."""
    g = nx.relabel_nodes(nx.barbell_graph(10, 0), lambda n: f"node {n}")
    emb = node2vec(g, **QUICK, epochs=20, seed=seed % 2**31, threads=1)
    assert emb.nodes == list(g)
    x = emb.vectors / np.linalg.norm(emb.vectors, axis=1, keepdims=True)
    near = x @ x.T
    assert near[:10, :10].mean() > near[:10, 10:].mean() + 0.2
    assert set(dict(emb.most_similar("node 3", 9))) >= {f"node {n}" for n in range(9) if n != 3}


def test_links_that_were_held_out_are_told_from_others(seed):
    """Far better than the half that guessing gives, from the side that training scores pairs by."""
    g = nx.stochastic_block_model([40] * 5, (np.full((5, 5), 0.01) + 0.24 * np.eye(5)).tolist(), seed=seed % 1000)
    split = hold_out_links(np.array(g.edges), 200, share=0.3, seed=1)
    kept = nx.Graph()
    kept.add_nodes_from(range(200))
    kept.add_edges_from(split.kept.tolist())
    emb = node2vec(kept, **QUICK, epochs=5, seed=seed % 2**31)
    for operator in ("hadamard", "in_out"):
        found = link_auc(emb.vectors, split.positive, split.negative, operator=operator, context=emb.context)
        assert found.value > 0.5 + 6 * found.stderr


def test_the_same_bits_by_any_threads_where_asked_for(seed):
    g = nx.karate_club_graph()
    one, two = (node2vec(g, **QUICK, p=0.5, q=2, seed=seed % 2**31, deterministic=True, threads=n) for n in (1, 2))
    assert np.array_equal(one.vectors, two.vectors)
    other = node2vec(g, **QUICK, p=2, q=0.5, seed=seed % 2**31, deterministic=True)
    assert not np.array_equal(one.vectors, other.vectors)


def test_counts_are_those_of_the_walks():
    g = graph(nx.star_graph(6))
    drawn = np.concatenate(list(walks(g, length=9, per_node=4, seed=3)))
    assert visits(g, [drawn]).tolist() == [int((drawn == n).sum()) for n in range(7)]
    assert (
        node2vec(g, dim=8, walk_length=9, walks_per_node=4, seed=3, progress=False).counts.tolist()
        == visits(g, [drawn]).tolist()
    )


def test_settings_first_then_fit():
    model = Node2Vec(**QUICK, seed=1, deterministic=True)
    with pytest.raises(MissingCapability, match="call fit"):
        model.transform([0])
    g = nx.path_graph(6)
    assert np.array_equal(model.fit_transform(g), node2vec(g, **QUICK, seed=1, deterministic=True).vectors)
    assert model.set_params(p=2.0).get_params()["p"] == 2.0
    with pytest.raises(UnknownName):
        model.transform([7])
    for one in (3, "ab"):
        with pytest.raises(ArgumentError, match="for one, write"):
            model.transform(one)
    with pytest.raises(ArgumentError, match="no option 'windw': did you mean 'window'"):
        Node2Vec(windw=3)
    with pytest.raises(ArgumentError):
        node2vec(g, p=0.0, **QUICK)


@pytest.mark.parametrize(
    ("name", "here"),
    [("vector_size", "dim"), ("workers", "threads"), ("learning_rate", "rate"), ("hs", "hierarchical")],
)
def test_other_libraries_names_lead_to_those_here(name, here):
    with pytest.raises(ArgumentError, match=f"no option '{name}': it is {here}"):
        Node2Vec(**{name: 1})


def test_pairs_of_names_are_told_the_way():
    with pytest.raises(MissingCapability, match=r"got list; pairs of names by networkx.Graph\(pairs\)"):
        graph([("ann", "bob"), ("bob", "cy")])
