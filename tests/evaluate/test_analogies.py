"""Analogies: the rule by hand, unknown words, files."""

import numpy as np
import pytest

from deepgen.errors import ArgumentError, DataError
from deepgen.evaluate import read_analogies, word_analogies


def test_the_nearest_other_word_is_taken(seed):
    generator = np.random.default_rng(seed % 2**32)
    x, words = generator.normal(size=(30, 5)), [f"w{i}" for i in range(30)]
    asked = [tuple(words[i] for i in generator.permutation(30)[:4]) for _ in range(700)]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    at, right = {w: i for i, w in enumerate(words)}, []
    for a, b, c, d in asked:
        score = {w: unit[at[w]] @ (unit[at[b]] - unit[at[a]] + unit[at[c]]) for w in words if w not in (a, b, c)}
        right.append(max(score, key=score.get) == d)
    found = word_analogies(3 * x, words, [*asked, ("w1", "w2", "w3", "none")])
    assert found.each.tolist() == right
    assert found.value == np.mean(right)
    assert found.stderr == pytest.approx((found.value * (1 - found.value) / 700) ** 0.5)
    assert found.settings == {"asked": 701, "left out": 1}


def test_files_have_sections_and_lines_that_are_named(tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text(": one\na b c d\n\n: two\ne f g h\n")
    sections = read_analogies(path)
    assert sections == {"one": [("a", "b", "c", "d")], "two": [("e", "f", "g", "h")]}
    assert word_analogies(np.eye(8), "abcdefgh", sections).n == 2
    path.write_text(": one\na b c d\na b c\n")
    with pytest.raises(DataError, match="line 3: an analogy has four words, got 3"):
        read_analogies(path)
    path.write_text(": one\n")
    with pytest.raises(DataError, match="no analogies"):
        read_analogies(path)
    with pytest.raises(ArgumentError, match="none has four known words"):
        word_analogies(np.eye(2), "ab", [("A", "B", "a", "b")])
    with pytest.raises(ArgumentError, match="one token"):
        word_analogies(np.eye(2), "aa", [("a", "a", "a", "a")])


def test_a_file_that_is_not_there_and_questions_of_other_lengths_are_told(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_analogies(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 a b c\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_analogies(tmp_path / "latin.txt")
    for odd in ("abc", "abcda"):
        with pytest.raises(ArgumentError, match="four words"):
            word_analogies(np.eye(4), "abcd", [tuple("abcd"), tuple(odd)])
