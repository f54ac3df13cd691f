"""Edge lists: the quick way and the careful way read the same, and faults come with their line."""

import numpy as np
import pytest

from deepgen.errors import DataError
from deepgen.graphs import edge_lists
from deepgen.graphs.edge_lists import read_edges, read_lines


def told(found):
    """[(source, target, weight)] by name."""
    nodes, sources, targets, weights = found
    weights = [None] * len(sources) if weights is None else weights.tolist()
    return [(nodes[s], nodes[t], w) for s, t, w in zip(sources, targets, weights, strict=True)]


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";", ", ", "  "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("text", [False, True])
def test_separators_ends_and_weights(tmp_path, separator, end, weighted, text):
    edges = [(5, 70, 0.5), (70, 5, 2.0), (6, 6, 1e-3)]
    lines = [[("n" * text) + str(s), ("n" * text) + str(t), *([str(w)] if weighted else [])] for s, t, w in edges]
    path = tmp_path / "edges"
    path.write_bytes(("# a comment" + end + end.join(map(separator.join, lines)) + end + end).encode())
    name = (lambda i: f"n{i}") if text else int
    assert told(read_edges(path)) == [(name(s), name(t), w if weighted else None) for s, t, w in edges]
    assert (edge_lists._numeric(path.read_bytes()) is None) == text


def test_both_ways_read_the_same_in_blocks(tmp_path, monkeypatch, seed):
    rng = np.random.default_rng(seed)
    for high in (30, 10**12):
        pairs = rng.integers(-high if high > 30 else 0, high, size=(500, 2))
        text = "".join(f"{a}\t{b}\t{w:.3f}\n" for (a, b), w in zip(pairs, rng.random(500), strict=True))
        path = tmp_path / "edges"
        path.write_text(text)
        monkeypatch.setattr(edge_lists, "BLOCK", 1000)
        assert edge_lists._numeric(path.read_bytes()) is not None
        assert told(read_edges(path)) == told(read_lines(text.splitlines()))


def test_names_are_numbers_only_if_all_are_written_as_such(tmp_path):
    for line, names in (
        ("1 2", [1, 2]), ("-3 0", [-3, 0]), ("007 7", ["007", "7"]), ("1.0 2", ["1.0", "2"]), ("1e3 4", ["1e3", "4"]),
        ("+1 1", ["+1", "1"]), ("1 x", ["1", "x"]), ("-0 0", ["-0", "0"]), ("9 99999999999999999999", None),
    ):  # fmt: skip
        path = tmp_path / "edges"
        path.write_text(f"{line}\n")
        assert sorted(map(str, read_edges(path)[0])) == sorted(map(str, names or line.split()))
        if names:
            assert set(read_edges(path)[0]) == set(names)


def test_headers(tmp_path):
    for first, options in (
        ("source,target", {}), ("Source,Target", {}), ("who,whom", {"header": True}), ("1,2", {"header": True}),
    ):  # fmt: skip
        path = tmp_path / "edges.csv"
        path.write_text(f"{first}\n3,4\n")
        assert told(read_edges(path, **options)) == [(3, 4, None)]
    assert told(read_lines(["from to w", "a b 2"])) == [("a", "b", 2.0)]
    assert told(read_lines(["who whom", "a b"])) == [("who", "whom", None), ("a", "b", None)]
    assert told(read_lines(["source target", "a b"], header=False))[0] == ("source", "target", None)


def test_quoted_names():
    assert told(read_lines(['"Ann, B.",bob', "bob, cy "])) == [("Ann, B.", "bob", None), ("bob", "cy", None)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 2\n3\n", "line 2: 1 columns, expected 2 as in line 1"),
        ("# x\n1 2 0.5\n\n3 4\n", "line 4: 2 columns, expected 3 as in line 2"),
        ("1 2 0.5\n3 4 heavy\n", "line 2: a weight must be a finite number of at least 0, got 'heavy'"),
        ("1 2 0.5\n3 4 -1\n", "line 2: a weight .* got '-1'"),
        ("1 2 0.5\n3 4 nan\n", "line 2: a weight .* got 'nan'"),
        ("1 2 0.5\n3 4 1e999\n", "line 2: a weight .* got '1e999'"),
        ("1,2\n,3\n", "line 2: a name is empty"),
        ("1 2 3 4\n", r"line 1: 4 columns, expected 2 \(source, target\) or 3"),
        ("lonely\n", "line 1: 1 columns"),
        ('"a,b\n', "line 1: unexpected end of data"),
        ("# nothing\n", "no edge in it"),
        ("# nothing", "no edge in it"),
        ("\n\n", "no edge in it"),
        ("source target\n", "no edge in it"),
        ("", "empty"),
    ],
)
def test_faults_come_with_their_line(tmp_path, content, message):
    path = tmp_path / "edges.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_edges(path)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_bytes(b"a b\n\xff\xfe c\n")
    with pytest.raises(DataError, match="line 2 is not UTF-8"):
        read_edges(path)
