"""Embeddings: look-ups, nearest tokens, and files that come back as they were or say what is wrong."""

import gzip
import random
import resource
import struct

import numpy as np
import pytest
import torch

from deepgen import Embeddings
from deepgen.errors import ArgumentError, DataError, DeepgenError, ShapeError, SupportError, UnknownName

NAMES = ["king", "queen", "naïve", "北京", "x"]


@pytest.fixture
def emb(seed):
    generator = np.random.default_rng(seed)
    return Embeddings(NAMES, generator.normal(size=(5, 7)) * 1e3, generator.normal(size=(5, 7)), [9, 4, 3, 2, 1])


def test_cosines_against_numpy(emb):
    x = emb.vectors.astype(np.float64)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    exact = unit @ unit[0]
    found = emb.most_similar("king", 10)
    assert [name for name, _ in found] == [NAMES[i] for i in np.argsort(-exact) if i != 0]
    np.testing.assert_allclose([score for _, score in found], sorted(exact, reverse=True)[1:], atol=1e-6)
    assert abs(emb.similarity("king", "x") - exact[4]) < 1e-6
    assert emb.most_similar(emb["queen"], 1)[0][0] == "queen"
    target = unit[1] - unit[0] + unit[2]
    best = max((3, 4), key=lambda i: unit[i] @ target)
    assert emb.analogy("king", "queen", "naïve")[0][0] == NAMES[best]


@pytest.mark.parametrize("scale", [1e-30, 1e-19, 1.0, 1e30])
def test_cosines_of_vectors_of_any_length(scale):
    own = Embeddings("abcd", np.array([[3.0, 4.0], [4.0, 3.0], [-3.0, -4.0], [0.0, 0.0]]) * scale)
    cosines = {"a": 1.0, "b": 24 / 25, "c": -1.0, "d": 0.0}
    assert {name: own.similarity("a", name) for name in "abcd"} == pytest.approx(cosines, abs=1e-6)
    assert dict(own.most_similar(own["a"], 4)) == pytest.approx(cosines, abs=1e-6)


def test_look_ups(emb):
    assert (emb[["x", "king"]] == emb.vectors[[4, 0]]).all()
    assert emb.nodes is emb.tokens
    assert len(emb) == 5
    assert "x" in emb
    assert "y" not in emb
    assert [] not in emb
    with pytest.raises(UnknownName, match="did you mean 'queen'"):
        emb["quen"]
    with pytest.raises(UnknownName, match="did you mean 7, of type int"):
        Embeddings([7, 8], np.eye(2))["7"]
    with pytest.raises(ShapeError, match=r"\[7\]"):
        emb.most_similar(np.ones(3))


def test_dataframe(emb):
    frame = emb.to_dataframe()
    assert frame.shape == (5, 7)
    assert (frame.loc["queen"].to_numpy() == emb["queen"]).all()
    assert Embeddings([("a", 1), ("b", 2)], np.eye(2)).to_dataframe().index.tolist() == [("a", 1), ("b", 2)]


def test_what_is_no_embedding_is_refused():
    with pytest.raises(SupportError, match="row 1"):
        Embeddings("ab", [[1.0], [np.nan]])
    with pytest.raises(ArgumentError, match="'a' more than once"):
        Embeddings("aba", np.ones((3, 2)))
    for token in (["b"], ("b", [])):
        with pytest.raises(ArgumentError, match=r"hashable.*list"):
            Embeddings(["a", token], np.ones((2, 2)))
    for wrong in (np.ones((3, 2)), np.ones(2), np.ones((2, 0)), [[1.0], [1.0, 2.0]], [["x"], ["y"]], [[1], [None, 2]]):
        with pytest.raises(ShapeError):
            Embeddings("ab", wrong)
    with pytest.raises(ShapeError, match="context"):
        Embeddings("ab", np.ones((2, 3)), np.ones((2, 4)))


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors"])
def test_whole_files_come_back(emb, tmp_path, name):
    emb.tokens[4] = ("x", (1, 2.5), None)
    emb = Embeddings(emb.tokens, emb.vectors, emb.context, emb.counts)
    emb.save(tmp_path / name)
    back = Embeddings.load(tmp_path / name)
    assert back.tokens == emb.tokens
    assert (back.counts == emb.counts).all()
    assert back.vectors.tobytes() == emb.vectors.tobytes()
    assert back.context.tobytes() == emb.context.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.txt", "a.vec", "a.bin", "a.txt.gz", "a.bin.gz"])
def test_word2vec_files_come_back(emb, tmp_path, name):
    emb.save(tmp_path / name)
    back = Embeddings.load(tmp_path / name)
    assert back.tokens == NAMES
    assert back.vectors.tobytes() == emb.vectors.tobytes()


def test_files_written_by_hand_as_other_programs_do(tmp_path):
    (tmp_path / "a.txt").write_text("2 3\nthe 0.5 -1 2e-1 \r\nNew_York 1 2 3\n")
    assert Embeddings.load(tmp_path / "a.txt")["the"].tolist() == pytest.approx([0.5, -1, 0.2])
    row = struct.pack("<2f", 1, -2)
    for gap in (b"", b"\n"):
        (tmp_path / "a.bin").write_bytes(b"2 2\na " + row + gap + b"b " + row + gap)
        assert Embeddings.load(tmp_path / "a.bin")["b"].tolist() == [1, -2]


ODD = ["naïve", "北京", 7, -3, 2.5, np.int64(8), "#x", '"q"', "</s>", "a\u00a0b", "\u2028c", "\U0001f600", "\u200bz"]


def by_the_definition(content, dim, binary):
    """Names and numbers of a word2vec file, read as the two forms are defined."""
    head, _, rest = content.partition(b"\n")
    rows, width = map(int, head.split(b" "))
    assert width == dim
    found = {}
    for _ in range(rows):
        name, _, rest = rest.partition(b" ")
        if binary:
            found[name.decode()] = np.array(struct.unpack_from(f"<{dim}f", rest), np.float32)
            rest = rest[4 * dim :].removeprefix(b"\n")
        else:
            line, _, rest = rest.partition(b"\n")
            found[name.decode()] = np.array([float(cell) for cell in line.split(b" ")], np.float32)
    assert rest == b""
    return found


@pytest.mark.parametrize("binary", [False, True])
def test_word2vec_files_are_what_their_definition_says(tmp_path, seed, binary):
    x = np.random.default_rng(seed).normal(size=(len(ODD), 5)).astype(np.float32)
    x[0] = [1e-40, 3e38, -0.0, 1 / 3, 1e-20]  # below the normal numbers, and near the end of the range
    path = tmp_path / ("a.bin" if binary else "a.txt")
    Embeddings(ODD, x).save(path)
    found = by_the_definition(path.read_bytes(), 5, binary)
    assert list(found) == [str(name) for name in ODD]
    assert np.stack(list(found.values())).tobytes() == x.tobytes()
    assert Embeddings.load(path).tokens == [str(name) for name in ODD]


def test_names_with_spaces_are_read_from_text_and_told_of_in_binary(tmp_path):
    """gensim writes both; in binary the numbers would begin within the name."""
    names, x = ["a b", " lead", "x  y z", "trail ", "é\tü"], np.arange(1, 11, dtype="<f4").reshape(5, 2) / 3
    lines = [f"{name} {u!r} {v!r}\n" for name, (u, v) in zip(names, x.tolist(), strict=True)]
    (tmp_path / "a.txt").write_text("5 2\n" + "".join(lines), encoding="utf-8", newline="")
    emb = Embeddings.load(tmp_path / "a.txt")
    assert emb.tokens == names
    assert emb.vectors.tobytes() == x.tobytes()
    rows = [f"{name} ".encode() + row.tobytes() for name, row in zip(names, x, strict=True)]
    (tmp_path / "a.bin").write_bytes(b"5 2\n" + b"".join(rows))
    with pytest.raises(DataError, match=r"token 3 of 5 .* a name that has a space"):
        Embeddings.load(tmp_path / "a.bin")


BROKEN = [
    ("a.txt", b"", "line 1"), ("a.txt", b"x y\n", "line 1"), ("a.txt", b"3 2\na 1 2\n", "does not hold"),
    ("a.txt", b"2 2\na 1 2\nb 1\n", "line 3.*got 1 numbers"), ("a.txt", b"2 2\na 1 2\nb 1 z\n", "line 3"),
    ("a.txt", b"1 2\na 1 2\nb 1 2\n", "more than"), ("a.txt", b"99999999 99999\na 1\n", "does not hold"),
    ("a.txt", b"1 1\n\xff 1\n", "broken"), ("a.bin", b"1 2\na " + b"\0" * 7, "within token 1 of 1"),
    ("a.bin", b"2 1\na " + b"\0" * 4, "ends after 1 of 2"), ("a.bin", b"1 1\na " + b"\0" * 4 + b"zzz", "more than"),
    ("a.txt.gz", b"no gzip", "broken"), ("a.txt.gz", gzip.compress(b"2 2\na 1 2\n", mtime=0)[:-9], "broken|end of"),
    ("a.npz", b"no zip", "broken"), ("a.safetensors", b"no tensors", "broken"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "says"), BROKEN)
def test_broken_files_are_told(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        Embeddings.load(tmp_path / name)


def test_cut_and_foreign_archives_are_told(emb, tmp_path):
    for name in ("a.npz", "a.safetensors"):
        emb.save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError):
            Embeddings.load(tmp_path / name)
    np.savez(tmp_path / "b.npz", x=np.ones(3))
    with pytest.raises(DataError, match="no file of embeddings"):
        Embeddings.load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", tokens=np.array([{}], object), vectors=np.ones((1, 1)))  # a pickle
    with pytest.raises(DataError):
        Embeddings.load(tmp_path / "c.npz")
    with pytest.raises(DataError, match="no such file"):
        Embeddings.load(tmp_path / "none.npz")


def test_what_a_format_cannot_hold_is_refused_and_leaves_the_file(emb, tmp_path):
    emb.save(tmp_path / "a.txt")
    before = (tmp_path / "a.txt").read_bytes()
    refused = [(["New York", "b"], "white space"), ([1, "1"], "read the same"), (["\udc80", "b"], "names in UTF-8"),
               (["", "b"], "white space"), (["a\n", "b"], "white space")]  # fmt: skip
    for names, says in refused:
        with pytest.raises(ArgumentError, match=says):
            Embeddings(names, np.eye(2)).save(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ArgumentError, match="strings, numbers or tuples"):
        Embeddings([object(), 1], np.eye(2)).save(tmp_path / "a.npz")
    with pytest.raises(ArgumentError, match="must end in"):
        emb.save(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"cannot write .*: (Not a directory|File exists)"):
        emb.save(tmp_path / "a.txt" / "a.npz")
    emb.save(tmp_path / "new" / "folder" / "a.npz")  # as figures and graphs do
    assert Embeddings.load(tmp_path / "new" / "folder" / "a.npz").tokens == emb.tokens


@pytest.mark.parametrize("tokens", [b"[{}]", b"[[{}]]", b"{", b"7", b"\xff", b'["a", "a"]', b"[" * 10**5])
def test_names_that_are_none_are_told(tmp_path, tokens):
    np.savez(tmp_path / "a.npz", tokens=np.frombuffer(tokens, np.uint8), vectors=np.ones((1, 2)))
    with pytest.raises(DeepgenError):
        Embeddings.load(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors", "a.txt", "a.bin", "a.txt.gz", "a.bin.gz"])
def test_damaged_files_end_in_a_typed_error_or_are_read(emb, tmp_path, name, seed):
    """Of those with a checksum nothing else comes back; a flipped byte may also be in a date that says nothing."""
    emb.save(tmp_path / name)
    good, dice = (tmp_path / name).read_bytes(), random.Random(seed)
    for _ in range(300):
        place = dice.randrange(len(good))
        (tmp_path / name).write_bytes(good[:place] + bytes([dice.randrange(256)]) + good[place + 1 :])
        try:
            found = Embeddings.load(tmp_path / name)
        except DeepgenError:
            continue
        sealed = name.endswith((".npz", ".gz"))
        assert not sealed or (found.tokens == NAMES and np.array_equal(found.vectors, emb.vectors))


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors", "a.txt", "a.bin"])
def test_a_full_disk_leaves_the_file_before(emb, tmp_path, name):
    emb.save(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(DataError, match=f"cannot write .*{name}: .*unharmed"):
            emb.save(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / name).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_iterating_gives_names_and_numpy_the_rows():
    own = Embeddings([(1, 0), (0, 1)], [[0.5, 2.0], [1.0, -1.0]])
    assert list(own) == own.tokens
    assert all(token in own for token in own)
    assert np.array_equal(np.asarray(own), own.vectors)
    assert np.asarray(own) is own.vectors
    assert not np.shares_memory(np.array(own), own.vectors)
    assert np.asarray(own, dtype=np.float64).dtype == np.float64


def test_what_cannot_be_a_name_is_told():
    own = Embeddings([4, "nine"], [[1.0, 0.0], [0.0, 1.0]])
    for call in (lambda: own[np.array([4])], lambda: own.most_similar([4, "nine"]), lambda: own.similarity(4, [4])):
        with pytest.raises(ArgumentError, match=r"one token is needed, got a (list|ndarray)"):
            call()
    with pytest.raises(UnknownName, match=r"^unknown token 44: There are 2 tokens$"):  # 4 is not meant by 44
        own[44]
    with pytest.raises(UnknownName, match="did you mean 'nine'"):
        own["nin"]


def test_nearest_to_a_tensor_and_to_no_number():
    own = Embeddings([4, "nine"], [[1.0, 0.0], [0.0, 1.0]])
    assert own.most_similar(torch.tensor([0.0, 2.0]), 1) == [("nine", 1.0)]
    assert own.most_similar(np.int64(4))[0][0] == "nine"
    with pytest.raises(SupportError, match="must be finite"):
        own.most_similar(np.array([np.nan, 1.0]))
