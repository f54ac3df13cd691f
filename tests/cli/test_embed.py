"""`deepgen embed`: what it writes, what it refuses and how, and what Ctrl-C leaves."""

import re
import shlex
import signal

import networkx as nx
import numpy as np
import pytest
from scipy.io import savemat

from deepgen import Embeddings
from deepgen.cli.progress import Shares
from deepgen.graphs import node2vec
from deepgen.words import LearningStopped, train_embeddings, word2vec

QUICK = ("--dim", 8, "--walk-length", 10, "--quiet")
EDGES = "ann,bob,0.5\nbob,cy,2\ncy,ann,1\ncy,dan,1\n"
TEXT = "the cat sat\nthe dog sat\nthe cat ran\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with an edge list and a text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edges.csv").write_text(EDGES)
    (tmp_path / "verse.txt").write_text(TEXT)
    return tmp_path


def test_the_vectors_are_those_of_node2vec(deepgen, here):
    done = deepgen("embed", "edges.csv", "--out", "new/emb.npz", *QUICK, "--p", 0.5, "--q", 2, "--deterministic",
                   "--walks-per-node", 3, "--window", 4, "--epochs", 2, "--seed", 5, "--negatives", 2)  # fmt: skip
    assert (done.status, done.err) == (0, "")
    assert "edges.csv: 4 nodes, 4 edges, undirected, weighted: vectors of 8 numbers in new/emb.npz" in done.out
    emb = Embeddings.load("new/emb.npz")
    own = node2vec("edges.csv", 8, p=0.5, q=2, walk_length=10, walks_per_node=3, window=4, epochs=2, seed=5,
                   negatives=2, deterministic=True, progress=False)  # fmt: skip
    assert emb.tokens == ["ann", "bob", "cy", "dan"]
    assert np.array_equal(emb.vectors, own.vectors)
    assert np.array_equal(emb.context, own.context)


def test_the_words_are_those_of_word2vec(deepgen, here):
    words = ("embed", "verse.txt", "--words", "--out", "emb.safetensors", "--dim", 8, "--min-count", 2, "--quiet")
    assert deepgen(*words, "--threads", 1).status == 0
    own = word2vec("verse.txt", 8, min_count=2, threads=1, progress=False)
    emb = Embeddings.load("emb.safetensors")
    assert emb.tokens == own.tokens == ["the", "cat", "sat"]
    assert np.array_equal(emb.vectors, own.vectors)


@pytest.mark.parametrize("name", ["e.npz", "e.safetensors", "e.txt", "e.vec", "e.bin", "e.bin.gz"])
def test_a_graph_by_name_in_every_format(deepgen, here, name):
    assert deepgen("embed", "--data", "karate", "--out", name, *QUICK).status == 0
    emb = Embeddings.load(name)
    assert list(map(str, emb.nodes)) == list(map(str, nx.karate_club_graph()))
    assert emb.dim == 8
    assert sorted(path.name for path in here.iterdir()) == sorted({"edges.csv", "verse.txt", name})
    assert (here / name).stat().st_mode == (here / "verse.txt").stat().st_mode


def test_kinds_of_graphs_and_of_training(deepgen, here):
    one_way = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    savemat("g.mat", {"network": one_way, "other": one_way + one_way.T})
    assert "2 edges, directed" in deepgen("embed", "g.mat", "--variable", "network", "--out", "a.npz", *QUICK).out
    assert "2 edges, undirected" in deepgen("embed", "g.mat", "--variable", "other", "--out", "b.npz", *QUICK).out
    assert "4 edges, directed" in deepgen("embed", "edges.csv", "--directed", "--out", "c.npz", *QUICK).out
    assert deepgen("embed", "edges.csv", "--hierarchical", "--cbow", "--out", "d.npz", *QUICK).status == 0
    assert Embeddings.load("d.npz").context is None  # as the softmax over a tree has none


REFUSED = [
    ("none.csv --out e.npz", "none.csv: no such file.*karate, les-miserables"),
    ("bad.csv --out e.npz", "bad.csv, line 3: a weight must be .*'x'"),
    ("verse.txt --out e.npz", "verse.txt, line 2: a weight must be .*a text is read by --words"),
    ("--out e.npz", "one FILE, or --data"), ("edges.csv --data karate --out e.npz", "one FILE, or --data"),
    ("edges.csv --out e.png", "--out e.png: the name must end in .npz"), ("edges.csv --out folder.npz", "is a folder"),
    ("edges.csv --out old.npz", "old.npz is there already: choose another --out, or discard it with --fresh"),
    ("edges.csv --out e.npz --min-count 2", "--min-count is of texts .--words., and edges.csv is no text"),
    ("verse.txt --words --out e.npz --walk-length 5", "--walk-length is of graphs, and verse.txt is a text"),
    ("verse.txt --words --out e.npz --min-count 9", "at least two tokens"),
    ("edges.csv --out e.npz --hierarchical --negatives 5", "--hierarchical has none"),
    ("edges.csv --out e.npz --p 0", "p must be a positive number, got 0.0"),
    ("edges.csv --out e.npz --q nan", "q must be"), ("edges.csv --out e.npz --dim 0", "--dim.*got '0'"),
    ("edges.csv --out e.npz --variable x", "of a .mat file"),
    ("karate --out e.npz --variable x", "--variable is of files, and karate is an undirected graph that is known"),
    ("karate --out e.npz --directed", "--directed is of files, and karate is an undirected graph"),
    ("g.mat --out e.npz", "2 square matrices in it: say which with --variable"),
    ("g.mat --words --out e.npz", "holds a matrix and no text"),
    ("spaces.tsv --out e.bin", "without white space, got 'New York': save as .npz"),
    ("edges.csv --out e.npz --rate 1e30 --threads 1", "not finite .* lower --rate"),
    ("latin.txt --words --out e.npz", "latin.txt, line 2: no text in UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "says"), REFUSED, ids=[words for words, _ in REFUSED])
def test_what_cannot_be_done_is_said_in_one_line(deepgen, here, words, says):
    (here / "bad.csv").write_text("a,b,1\nb,c,2\nc,d,x\n")
    (here / "spaces.tsv").write_text("New York\tParis\nParis\tRome\n")
    (here / "latin.txt").write_bytes(b"to be\ncaf\xe9 au lait\n")
    (here / "old.npz").write_text("kept")
    (here / "folder.npz").mkdir()
    savemat("g.mat", {"one": np.ones((2, 2)), "two": np.ones((2, 2))})
    done = deepgen("embed", *words.split(), "--quiet")
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert re.search(says, line)
    assert not (here / "e.npz").exists()
    assert not (here / "e.bin").exists()
    assert (here / "old.npz").read_text() == "kept"


def test_fresh_replaces_the_file(deepgen, here):
    (here / "emb.npz").write_text("old")
    assert deepgen("embed", "edges.csv", "--out", "emb.npz", "--fresh", *QUICK).status == 0
    assert len(Embeddings.load("emb.npz")) == 4


@pytest.fixture
def pressed(monkeypatch):
    """Press Ctrl-C when the learner has seen so many pieces."""

    def after(pieces):
        from deepgen.words import train

        whole, seen = train._pieces, []

        def counted(batches, known):
            for piece in whole(batches, known):
                if len(seen) == pieces:
                    signal.raise_signal(signal.SIGINT)
                seen.append(1)
                yield piece

        monkeypatch.setattr(train, "_pieces", counted)

    return after


def test_ctrl_c_keeps_what_was_learned(deepgen, here, pressed):
    pressed(2)
    words = ("embed", "--data", "karate", "--out", "emb.npz", "--dim", 8, "--epochs", 4, "--threads", 1)
    stopped = deepgen(*words, "--quiet")
    assert (stopped.status, stopped.out) == (130, "")
    (line,) = stopped.err.splitlines()
    assert "stopped after 50% of the tokens; the vectors learned by then are in emb.npz" in line
    kept = Embeddings.load("emb.npz")
    assert kept.nodes == list(range(34))
    assert np.abs(kept.context).max() > 0.01  # it starts at 0
    again = deepgen(*shlex.split(line.rpartition(": deepgen ")[2]))
    assert again.status == 0
    assert not np.array_equal(Embeddings.load("emb.npz").vectors, kept.vectors)


def test_ctrl_c_before_the_first_step_writes_nothing(deepgen, here, pressed):
    pressed(0)
    words = ("embed", "--data", "karate", "--out", "emb.npz", *QUICK)
    stopped = deepgen(*words)
    assert stopped.status == 130
    assert "nothing was written; to start again: deepgen embed" in stopped.err
    assert not (here / "emb.npz").exists()
    (here / "emb.npz").write_text("old")
    pressed(0)
    stopped = deepgen(*words, "--fresh")
    assert "emb.npz is the file that was there; to start again" in stopped.err
    assert (here / "emb.npz").read_text() == "old"


def test_a_log_gets_lines_with_the_time_left(deepgen, here, capsys, monkeypatch):
    clock = iter([0.0, 5.0, 12.0, 13.0, 25.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    tell = Shares()
    for share in (0.1, 0.2, 0.35, 0.4, 0.6):
        tell(share)
    assert capsys.readouterr().err.splitlines() == [
        "35% of the tokens, 12 s, 31 s left",  # 0.25 in 12 s leaves 0.65
        "60% of the tokens, 25 s, 20 s left",
    ]


def test_a_function_is_told_of_the_share_done():
    batch, told = np.tile(np.arange(10, dtype=np.int32), (4, 1)), []
    options = {"epochs": 2, "dim": 4, "threads": 1, "progress": told.append}
    train_embeddings(lambda epoch: [batch[:3], batch[3:]], np.full(10, 4), **options)
    assert told == pytest.approx([0.375, 0.5, 0.875, 1.0])

    def press(epoch):
        signal.raise_signal(signal.SIGINT)
        return [batch]

    with pytest.raises(LearningStopped) as stopped:
        train_embeddings(press, np.full(10, 4), **options)
    assert stopped.value.share == 0


def test_the_file_that_is_read_is_never_replaced(deepgen, here):
    (here / "link.txt").symlink_to("verse.txt")
    for out in ("verse.txt", "link.txt"):
        done = deepgen("embed", "verse.txt", "--words", "--out", out, "--fresh", *QUICK[:2])
        assert (done.status, done.out) == (2, "")
        assert f"--out {out} is the file that is read: choose another --out" in done.err
        assert "--fresh" not in deepgen("embed", "verse.txt", "--words", "--out", out).err
    assert (here / "verse.txt").read_text() == TEXT
