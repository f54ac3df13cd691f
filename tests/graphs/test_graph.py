"""Graphs: the same rows from every source, and an error with a reason for what is none."""

import errno
import gzip
import json
import random
import resource
import subprocess
import sys

import networkx as nx
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from deepgen.errors import ArgumentError, DataError, MissingCapability, ShapeError, SupportError, UnknownName
from deepgen.graphs import Graph, graph, store
from tests.graphs.zoo import ZOO

PAIRS = np.array([[0, 1], [1, 2]])
MATRIX = np.array([[0, 2, 0.5, 0], [2, 1, 0, 0], [0.5, 0, 0, 0], [0, 0, 0, 0]])
LINES = ["0 1 2", "0 2 0.5", "1 1 1"]


def rows(found):
    """{(name of v, name of x): w}."""
    weights = np.ones(len(found.indices)) if found.weights is None else found.weights
    names = found.nodes
    ends = zip(found.sources(), found.indices, strict=True)
    return {(names[v], names[x]): float(w) for (v, x), w in zip(ends, weights, strict=True)}


def same(a, b):
    arrays = all(
        (x is None and y is None) or np.array_equal(x, y)
        for x, y in ((a.indptr, b.indptr), (a.indices, b.indices), (a.weights, b.weights))
    )
    return arrays and list(a.nodes) == list(b.nodes) and a.directed == b.directed


def test_all_sources_give_the_same_graph(tmp_path):
    expected = {(i, j): w for (i, j), w in np.ndenumerate(MATRIX) if w}
    scipy.io.savemat(tmp_path / "a.mat", {"net": scipy.sparse.csc_array(MATRIX), "labels": np.ones((4, 2))})
    scipy.io.savemat(tmp_path / "b.mat", {"net": MATRIX})
    found = [
        graph(MATRIX),
        graph(scipy.sparse.csr_matrix(MATRIX)),
        graph(scipy.sparse.coo_array(MATRIX)),
        graph(nx.from_numpy_array(MATRIX)),
        graph(tmp_path / "a.mat"),
        graph(str(tmp_path / "a.mat"), variable="net"),
        graph(tmp_path / "b.mat"),
    ]
    found[0].save(tmp_path / "folder")
    found += [graph(tmp_path / "folder"), graph(found[0])]
    for each in found:
        assert repr(each) == "Graph(4 nodes, 3 edges, undirected, weighted)"
        assert rows(each) == expected
        assert same(each, found[0])
        assert each.indptr.dtype == np.int64
        assert each.indices.dtype == np.int32
        assert each.weights.dtype == np.float32
        assert not each.indices.flags.writeable
    assert rows(graph(LINES)) == expected
    assert np.allclose(graph(LINES).to_scipy().toarray(), MATRIX[:3, :3])


def test_parallel_edges_are_summed():
    g = nx.MultiGraph([("a", "b"), ("b", "a"), ("b", "c")])
    g.add_edge("a", "b", weight=0.5)
    assert rows(graph(g)) == {("a", "b"): 2.5, ("b", "a"): 2.5, ("b", "c"): 1, ("c", "b"): 1}
    d = nx.MultiDiGraph([(1, 2), (1, 2), (2, 1)])
    assert rows(graph(d)) == {(1, 2): 2, (2, 1): 1}
    assert rows(graph(["x y", "y x", "y z"])) == {("x", "y"): 2, ("y", "x"): 2, ("y", "z"): 1, ("z", "y"): 1}
    assert graph(["x y", "y x", "y z", "z y"]).weights is None  # each edge both ways round: no weights were meant
    assert graph(["x y 2", "y z 2"]).weights.tolist() == [2] * 4  # but these were


def test_edges_of_weight_zero_are_none():
    assert rows(graph(["a b 0", "b c 1"])) == {("b", "c"): 1, ("c", "b"): 1}
    assert len(graph(["a b 0", "b c 1"])) == 3
    with pytest.raises(ShapeError, match="all weights are 0"):
        graph(["a b 0"])


def test_direction_is_told_or_asked_for():
    lop_sided = np.triu(MATRIX)
    assert graph(lop_sided).directed
    assert graph(MATRIX, directed=True).directed
    assert rows(graph(LINES, directed=True)) == {(0, 1): 2, (0, 2): 0.5, (1, 1): 1}
    assert graph(nx.DiGraph([(0, 1)])).edges == 1
    with pytest.raises(SupportError, match=r"directed=True, or A\.maximum"):
        graph(lop_sided, directed=False)
    with pytest.raises(SupportError, match="one weight"):
        graph(np.array([[0, 1], [1.1, 0]]), directed=False)
    for source in (nx.DiGraph([(0, 1)]), graph(lop_sided)):
        with pytest.raises(ArgumentError, match="contradicts"):
            graph(source, directed=False)


@pytest.mark.parametrize("named", [["ann", "bob", "cy"], [7, 3, 2**40], [("a", 1), frozenset(), 2.5], ["1", 1, "x"]])
def test_names_are_anything_hashable(named, tmp_path):
    found = graph(nx.Graph([(named[0], named[1]), (named[1], named[2])]))
    assert list(found.nodes) == named
    assert [found.index(name) for name in named] == [0, 1, 2]
    if len({type(name) for name in named}) == 1:
        found.save(tmp_path / "g")
        assert same(Graph.open(tmp_path / "g"), found)
    else:
        with pytest.raises(ArgumentError, match="names are saved if all are text or all whole numbers"):
            found.save(tmp_path / "g")
        assert not list(tmp_path.iterdir())


def test_unknown_nodes_are_told_with_the_nearest():
    with pytest.raises(UnknownName, match="no node 'anna': did you mean 'ann'"):
        graph(["ann bob"]).index("anna")
    with pytest.raises(UnknownName, match="no node '7': did you mean 7"):
        graph(["7 9"]).index("7")
    for wrong in (3, -1, "0", True, 0.5):
        with pytest.raises(UnknownName, match="the numbers 0 to 2"):
            graph(["0 1", "1 2"]).index(wrong)
    assert graph(["0 1", "1 2"]).index(np.int64(2)) == 2


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -1.0])
def test_weights_are_finite_and_not_negative(weight):
    matrix = MATRIX.copy()
    matrix[1, 1] = weight
    for source in (matrix, scipy.sparse.csr_array(matrix), nx.from_numpy_array(matrix)):
        with pytest.raises(SupportError, match="finite and at least 0, got"):
            graph(source)
    with pytest.raises(SupportError, match="finite"):
        Graph(np.array([0, 1, 2]), np.array([1, 0]), np.array([weight, weight]))
    with pytest.raises(DataError, match="line 2: a weight must be a finite number of at least 0"):
        graph(["a b 1", f"b c {weight}"])


def test_weights_that_float32_cannot_hold_are_refused():
    for weight in (1e-60, 1e60):
        with pytest.raises(SupportError, match="scale them"):
            graph([f"a b {weight}", "b c 1"])


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (nx.Graph(), ShapeError, "got 0 nodes and 0 edges"),
        (nx.empty_graph(5), ShapeError, "got 5 nodes and 0 edges"),
        (np.zeros((3, 3)), ShapeError, "needs a node and an edge"),
        (np.ones((2, 3)), ShapeError, r"square, got .2, 3."),
        (np.ones((2, 2, 2)), ShapeError, "square"),
        (np.array([["a"]]), SupportError, "real numbers"),
        (np.ones((2, 2), complex), SupportError, "real numbers"),
        (nx.Graph([(0, 1, {"weight": "heavy"})]), SupportError, "must be numbers, got 'heavy'"),
        (3, MissingCapability, "got int"),
        ([(0, 1)], MissingCapability, "got list"),
        ("no/such/file.txt", DataError, "no such file"),
        ("no/such/file.mat", DataError, "no such file"),
    ],
)
def test_what_holds_no_graph_is_refused(source, error, message):
    with pytest.raises(error, match=message):
        graph(source)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 1], [5]), SupportError, "lead to nodes 0 to 0"),
        (([0, 2, 2], [1, 0]), SupportError, "must ascend"),
        (([0, 2, 2], [1, 1]), SupportError, "must ascend"),
        (([0, 3, 2], [0, 1]), ShapeError, "indptr must ascend"),
        (([0, 1, 2], [1, 0], [1.0]), ShapeError, "weights must have length 2, got 1"),
        (([0, 1, 2], [1, 0], None, ["a"]), ShapeError, "nodes must have length 2, got 1"),
        (([0, 1, 1], [1]), SupportError, "both rows"),
        (([0, 1, 2], [1, 0], [1.0, 0.0]), SupportError, "weight 0"),
        (([0], []), ShapeError, "0 nodes and 0 edges"),
    ],
)
def test_rows_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        Graph(*(np.array(a) if i < 3 and a is not None else a for i, a in enumerate(arguments)))


def test_a_variable_is_named_or_the_only_square_one(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"network": MATRIX, "group": np.ones((4, 2)), "other": MATRIX * 2})
    with pytest.raises(UnknownName, match=r"no variable 'netwrk': did you mean 'network'\? It holds network 4x4"):
        graph(tmp_path / "a.mat", variable="netwrk")
    with pytest.raises(ArgumentError, match="2 square matrices in it"):
        graph(tmp_path / "a.mat")
    with pytest.raises(ShapeError, match=r"square, got .4, 2."):
        graph(tmp_path / "a.mat", variable="group")
    (tmp_path / "a.txt").write_text("1 2\n")
    with pytest.raises(ArgumentError, match=r"is of a \.mat file"):
        graph(tmp_path / "a.txt", variable="network")


def test_a_saved_graph_is_mapped_and_replaced_as_a_whole(tmp_path):
    for name in ("weighted web", "hub"):
        found = ZOO[name]()
        found.save(tmp_path / "g")
        again = Graph.open(tmp_path / "g")
        assert same(again, found)
        mapped = again.indices
        while not isinstance(mapped, np.memmap):
            mapped = mapped.base
        assert mapped.filename.name == "indices.npy"
        assert [path.name for path in tmp_path.iterdir()] == ["g"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("important")
    with pytest.raises(ArgumentError, match="holds no graph"):
        found.save(tmp_path / "full")
    with pytest.raises(DataError, match=r"graph\.json: no such file"):
        Graph.open(tmp_path / "full")


def test_broken_folders_are_told(tmp_path):
    def saved():
        graph(["a b 1", "b c 2"]).save(tmp_path / "g")

    for file, content, message in (
        ("graph.json", b"{", "broken"),
        ("graph.json", b'{"version": 9}', "version 9"),
        ("indices.npy", b"\x93NUMPY", "altered"),
        ("nodes.json", b"[1", "altered"),
    ):
        saved()
        (tmp_path / "g" / file).write_bytes(content)
        with pytest.raises(DataError, match=message):
            Graph.open(tmp_path / "g")
    saved()
    np.save(tmp_path / "g" / "indices.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"float64 .3., expected i4"):
        Graph.open(tmp_path / "g", check=False)
    saved()
    np.save(tmp_path / "g" / "indices.npy", np.zeros(3, np.int32))
    with pytest.raises(DataError, match="rows end at edge 4 of 3"):
        Graph.open(tmp_path / "g", check=False)


def test_an_edge_out_of_the_graph_never_reaches_a_walk(tmp_path):
    """Walks are compiled and look at no bounds: a flipped number would read memory that is not theirs."""
    graph(["a b", "b c"]).save(tmp_path / "g")
    path, facts = tmp_path / "g" / "indices.npy", tmp_path / "g" / "graph.json"
    good = path.read_bytes()
    path.write_bytes(good[:-4] + b"\xff\xff\xff\x00")
    with pytest.raises(DataError, match=r"indices\.npy: altered"):
        Graph.open(tmp_path / "g")
    # as written before there were checksums
    facts.write_text(json.dumps({"version": 1, "nodes": "text", "directed": False, "weighted": False}))
    with pytest.raises(DataError, match="lead out of the graph"):
        Graph.open(tmp_path / "g")
    path.write_bytes(good)
    assert Graph.open(tmp_path / "g").nodes == ["a", "b", "c"]


def test_one_flipped_bit_of_a_saved_graph_is_found(tmp_path, seed):
    graph(["a b 1", "b c 2"]).save(tmp_path / "g")
    dice = random.Random(seed)
    for path in sorted((tmp_path / "g").iterdir()):
        good = path.read_bytes()
        for _ in range(60):
            place = dice.randrange(len(good))
            path.write_bytes(good[:place] + bytes([good[place] ^ 1 << dice.randrange(8)]) + good[place + 1 :])
            with pytest.raises(DataError, match="g"):
                Graph.open(tmp_path / "g")
        path.write_bytes(good)


def test_a_save_killed_between_its_two_renames_leaves_the_graph_before(tmp_path):
    graph(["a b", "b c"]).save(tmp_path / "g")
    (tmp_path / "g").rename(tmp_path / "g.123.old")  # so far it came
    assert Graph.open(tmp_path / "g").nodes == graph(tmp_path / "g").nodes == ["a", "b", "c"]
    graph(["x y"]).save(tmp_path / "g")
    assert Graph.open(tmp_path / "g").nodes == ["x", "y"]
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


@pytest.mark.parametrize("fatal", range(2))
def test_a_disk_that_refuses_a_graph_leaves_the_one_before(tmp_path, monkeypatch, fatal):
    graph(["a b", "b c"]).save(tmp_path / "g")
    real, calls = store.os.replace, iter(range(9))

    def replace(*names):
        if next(calls) == fatal:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*names)

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "replace", replace)
        with pytest.raises(DataError, match=r"cannot write .*g: No space left"):
            graph(["x y"]).save(tmp_path / "g")
    assert Graph.open(tmp_path / "g").nodes == ["a", "b", "c"]
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


def test_a_full_disk_leaves_the_graph_before(tmp_path):
    graph(["a b", "b c"]).save(tmp_path / "g")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (800, hard))
    try:
        with pytest.raises(DataError, match=r"cannot write .*g: File too large"):
            graph(nx.path_graph(200)).save(tmp_path / "g")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert Graph.open(tmp_path / "g").nodes == ["a", "b", "c"]
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


def test_graphs_need_neither_networkx_nor_numba():
    code = (
        "import sys, deepgen.graphs as g; g.graph(['a b', 'b c']); "
        "print([m for m in ('networkx', 'numba', 'pandas') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert found.stdout.strip() == "[]"


def test_gzipped_files_are_read(tmp_path):
    path = tmp_path / "edges.csv.gz"
    path.write_bytes(gzip.compress(b"ann,bob\nbob,cy\n"))
    assert rows(graph(path)) == rows(graph(["ann bob", "bob cy"]))


def test_an_array_that_may_be_a_matrix_or_edges_is_refused_with_both_ways_out():
    with pytest.raises(ArgumentError, match=r"may be the adjacency matrix of two nodes or two edges"):
        graph(PAIRS)
    matrix, edges = graph(scipy.sparse.coo_array(PAIRS)), graph(nx.Graph(PAIRS.tolist()))
    assert (len(matrix), len(edges)) == (2, 3)
    assert len(graph(PAIRS.astype(float))) == len(graph(PAIRS.astype(bool))) == 2
    with pytest.raises(ShapeError, match=r"square, got \[3, 2\]: edges go by networkx\.Graph"):
        graph(np.array([[0, 1], [1, 2], [2, 3]]))


def test_what_a_source_has_not_is_refused(tmp_path):
    karate = nx.karate_club_graph()
    with pytest.raises(UnknownName, match="unknown attribute of edges 'wieght': did you mean 'weight'"):
        graph(karate, weight="wieght")
    assert graph(nx.path_graph(3)).weights is None  # by the default name none need have it
    scipy.io.savemat(tmp_path / "a.mat", {"net": np.eye(2)})
    graph(karate).save(tmp_path / "saved")
    for source in (karate, graph(karate), np.eye(2), tmp_path / "saved", tmp_path / "a.mat"):
        with pytest.raises(ArgumentError, match="header=True is of an edge list, and not of"):
            graph(source, header=True)
    for source in (karate, graph(karate), np.eye(2), tmp_path / "saved", ["a b", "b c"]):
        with pytest.raises(ArgumentError, match=r"variable='foo' is of a .mat file, and not of"):
            graph(source, variable="foo")


def test_names_are_different_and_arrays_the_graphs_own():
    indptr, indices = np.array([0, 1, 2]), np.array([1, 0], np.int32)
    with pytest.raises(ArgumentError, match="names of nodes must be different, and 'a' is that of several"):
        Graph(indptr, indices, nodes=["a", "a"])
    with pytest.raises(ArgumentError, match="must be hashable"):
        Graph(indptr, indices, nodes=[["a"], ["b"]])
    found = Graph(indptr, indices)
    indices[0] = 99
    assert found.indices.tolist() == [1, 0]
