"""Published graphs with labels, from small files in their formats; broken ones."""

import gzip

import numpy as np
import pytest
import scipy.io
from scipy.sparse import csc_array

import deepgen as dg
from deepgen.errors import DataError, UnknownName


def blogcatalog(folder, network, group):
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / "blogcatalog.mat", {"network": csc_array(network), "group": csc_array(group)})


@pytest.fixture
def ring():
    a = np.roll(np.eye(6), 1, 1)
    return a + a.T


@pytest.mark.parametrize("place", ["graph_blogcatalog", "blogcatalog", "."])
def test_blogcatalog(tmp_path, ring, place, seed):
    group = (np.random.default_rng(seed).random((6, 3)) < 0.5).astype(float)
    group[0] = 1
    blogcatalog(tmp_path / place, ring, group)
    found = dg.graphs.load("blogcatalog", root=tmp_path)
    assert np.array_equal(found.graph.to_scipy().toarray(), ring)
    assert not found.graph.directed
    assert found.labels.dtype == bool
    assert np.array_equal(found.labels, group == 1)


def test_wikipedia_by_the_names_of_its_nodes(tmp_path, monkeypatch):
    (tmp_path / "wikipedia.ungraph").write_text("7\t3\n3\t5\n5\t5\n")
    (tmp_path / "wikipedia.cmty.gz").write_bytes(gzip.compress(b"5\t7\n7\n", mtime=0))
    monkeypatch.setenv("DEEPGEN_DATA", str(tmp_path))
    found = dg.graphs.load("wikipedia")
    assert list(found.graph.nodes) == [3, 5, 7]
    assert found.graph.edges == 3
    assert found.labels.tolist() == [[False, False], [True, False], [True, True]]


def test_broken_files_are_named(tmp_path, ring):
    with pytest.raises(
        DataError, match=r"blogcatalog: expected blogcatalog\.mat in .* or its folder graph_blogcatalog"
    ):
        dg.graphs.load("blogcatalog", root=tmp_path)
    one_way = np.triu(ring)
    for network, group, says in (
        (one_way, np.ones((6, 2)), "no undirected graph"),
        (ring, np.ones((5, 2)), r"group must be \[6, labels\] of 0 and 1, got \[5, 2\]"),
        (ring, 2 * np.ones((6, 2)), "of 0 and 1"),
        (ring[:5], np.ones((6, 2)), "no undirected graph"),
    ):
        blogcatalog(tmp_path, network, group)
        with pytest.raises(DataError, match=says) as caught:
            dg.graphs.load("blogcatalog", root=tmp_path)
        assert "blogcatalog.mat" in str(caught.value)
    scipy.io.savemat(tmp_path / "blogcatalog.mat", {"network": csc_array(ring), "x": np.eye(2)})
    with pytest.raises(DataError, match="network and group, got network, x"):
        dg.graphs.load("blogcatalog", root=tmp_path)
    (tmp_path / "wikipedia.ungraph").write_text("1 2\n2 3\n")
    for text, says in (("1 2\n4\n", "line 2: .* '4', which is no node"), ("1 2\n\n3\n", "line 2: .* got no node")):
        (tmp_path / "wikipedia.cmty").write_text(text)
        with pytest.raises(DataError, match=says):
            dg.graphs.load("wikipedia", root=tmp_path)
    with pytest.raises(UnknownName, match="did you mean 'blogcatalog'"):
        dg.graphs.load("blogcatalogue", root=tmp_path)
