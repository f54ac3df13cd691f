"""Analogies: a is to b as c is to what? By vectors of words, the nearest in angle to b - a + c.

    d = argmax over words w other than a, b, c of  w . (b - a + c),      all vectors of length 1

(Mikolov, Chen, Corrado & Dean 2013; the rule is Levy & Goldberg's 3CosAdd.) The questions of that paper come as lines
of four words, in sections that begin with a colon.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepgen.errors import ArgumentError, DataError
from deepgen.evaluate.estimate import Estimate
from deepgen.evaluate.node_labels import node_vectors

FEW = 512  # questions at a time


def read_analogies(path: str | Path) -> dict[str, list[tuple[str, str, str, str]]]:
    """Questions by section, from a text file as above; ``""`` is the section of those before the first colon.

    Raises:
        DataError: no such file, a line that has not four words, with its number, or no questions at all.
    """
    from deepgen.data.files import reading

    with reading(path, "text in UTF-8"):
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    sections: dict[str, list[tuple[str, str, str, str]]] = {}
    name = ""
    for number, line in enumerate(lines, 1):
        words = line.split()
        if line.startswith(":"):
            name = line[1:].strip()
        elif len(words) == 4:
            sections.setdefault(name, []).append((words[0], words[1], words[2], words[3]))
        elif words:
            raise DataError(f"{path}, line {number}: an analogy has four words, got {len(words)}: {line[:60]!r}")
    if not sections:
        raise DataError(f"{path} holds no analogies: lines of four words, sections begin with a colon")
    return sections


def word_analogies(
    vectors: Any, tokens: Iterable[Any], questions: Iterable[tuple[Any, Any, Any, Any]] | Mapping[str, Any]
) -> Estimate:
    """The share of analogies whose fourth word is found, among those of which all four words are known.

    Args:
        vectors: ``[tokens, d]``.
        tokens: what each vector is of.
        questions: four words each, or sections of them as `read_analogies` gives.

    Returns:
        An Estimate of the accuracy with its binomial error; ``settings`` says how many questions were left out for a
        word that is not known.

    Raises:
        ArgumentError: a question of other than four words, not one of which all words are known, or not as many tokens
            as vectors.

    >>> x = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> word_analogies(x, ["man", "king", "woman", "queen"], [("man", "king", "woman", "queen")]).value
    1.0
    """
    x, number = node_vectors(vectors), {token: i for i, token in enumerate(tokens)}
    if len(number) != len(x):
        raise ArgumentError(f"need one token, each once, for each of the {len(x)} vectors, got {len(number)}")
    if isinstance(questions, Mapping):
        questions = [question for section in questions.values() for question in section]
    asked = [tuple(question) for question in questions]
    odd = next((question for question in asked if len(question) != 4), None)
    if odd is not None:
        raise ArgumentError(f"an analogy has four words, got {len(odd)}: {odd}")
    known = np.array([[number[w] for w in q] for q in asked if all(w in number for w in q)])
    if len(known) == 0:
        raise ArgumentError(f"of {len(asked)} analogies none has four known words: mind capitals")
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)
    right = []
    for few in np.split(known, range(FEW, len(known), FEW)):
        score = (x[few[:, 1]] - x[few[:, 0]] + x[few[:, 2]]) @ x.T
        np.put_along_axis(score, few[:, :3], -np.inf, 1)
        right.append(score.argmax(1) == few[:, 3])
    found = torch.from_numpy(np.concatenate(right)).double()
    share = float(found.mean())
    about = {"asked": len(asked), "left out": len(asked) - len(known)}
    error = math.sqrt(share * (1 - share) / len(found))
    return Estimate(
        share, error, "unbiased", "analogies, 3CosAdd", len(found), unit="accuracy", settings=about, each=found
    )
