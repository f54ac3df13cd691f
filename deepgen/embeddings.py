"""Vectors with names: what node2vec and word2vec give back, and what is asked of it afterwards.

    similarity(a, b) = x_a . x_b / (|x_a| |x_b|)                      the cosine, from -1 to 1
    analogy(a, b, c) = argmax_w similarity(w, b / |b| - a / |a| + c / |c|),     "a is to b as c is to w"

Names may be anything hashable: strings, numbers, tuples. Source of the analogy (3CosAdd): Mikolov, Yih & Zweig 2013,
"Linguistic regularities in continuous space word representations".
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deepgen.errors import (
    ArgumentError,
    MissingCapability,
    ShapeError,
    SupportError,
    UnknownName,
    check_count,
    did_you_mean,
)

Vectors = npt.NDArray[np.float32]


class Embeddings:
    """A vector for each of many tokens (words, nodes, items).

    Args:
        tokens: their names, each once.
        vectors: ``[tokens, dim]`` finite numbers, the rows of the inputs; kept as float32.
        context: ``[tokens, dim]`` rows of the outputs, where training made them (negative sampling does): their
            products with ``vectors`` score pairs, and cosines of ``vectors`` compare tokens.
        counts: how often each token came, where that is known.

    Attributes:
        tokens: the names, in the order of the rows; ``nodes`` is the same list.
        vectors, context, counts: as handed in; None where there are none.

    Raises:
        ShapeError: rows and names differ in number, or the arrays are no matrices of one shape.
        SupportError: a vector is not finite.
        ArgumentError: a name comes twice.

    >>> emb = Embeddings(["up", "down", "left"], [[0.0, 1.0], [0.0, -1.0], [1.0, 0.1]])
    >>> emb["left"]
    array([1. , 0.1], dtype=float32)
    >>> emb.most_similar("up", 1)
    [('left', 0.09950371...)]
    """

    def __init__(
        self,
        tokens: Iterable[Hashable],
        vectors: npt.ArrayLike,
        context: npt.ArrayLike | None = None,
        counts: npt.ArrayLike | None = None,
    ) -> None:
        self.tokens = list(tokens)
        self.vectors = _matrix("vectors", vectors, len(self.tokens))
        self.context = None if context is None else _matrix("context", context, len(self.tokens))
        if self.context is not None and self.context.shape != self.vectors.shape:
            raise ShapeError(f"context must be {list(self.vectors.shape)}, as vectors, got {list(self.context.shape)}")
        self.counts = None if counts is None else np.asarray(counts)
        if self.counts is not None and self.counts.shape != (len(self.tokens),):
            raise ShapeError(f"counts must be [{len(self.tokens)}], one a token, got {list(self.counts.shape)}")
        try:
            self._rows = {token: row for row, token in enumerate(self.tokens)}
        except TypeError as error:  # in Python's words, which name the type
            raise ArgumentError(f"tokens must be hashable, strings, numbers or tuples: {error}") from None
        if len(self._rows) < len(self.tokens):
            twice = next(token for row, token in enumerate(self.tokens) if self._rows[token] != row)
            raise ArgumentError(f"every token must come once, got {twice!r} more than once")
        self._unit: Vectors | None = None

    @property
    def nodes(self) -> list[Hashable]:
        """The names, as those who embed graphs call them."""
        return self.tokens

    @property
    def dim(self) -> int:
        """How long a vector is."""
        return self.vectors.shape[1]

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return isinstance(token, Hashable) and token in self._rows

    def __iter__(self) -> Iterator[Hashable]:
        """The names, in the order of the rows."""
        return iter(self.tokens)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """``vectors``, for numpy and scikit-learn; without it they would make an array of the names."""
        return np.array(self.vectors, dtype) if copy else np.asarray(self.vectors, dtype)

    def __repr__(self) -> str:
        return f"Embeddings({len(self)} tokens, dim={self.dim}{'' if self.context is None else ', context'})"

    def __getitem__(self, token: Hashable | Sequence[Hashable]) -> Vectors:
        """The vector of a token ``[dim]``, or those of a list of them ``[n, dim]``."""
        if isinstance(token, list):
            return self.vectors[[self.index(one) for one in token]]
        return self.vectors[self.index(token)]

    def index(self, token: Hashable) -> int:
        """The row of a token.

        Raises:
            UnknownName: there is no such token; the message names the nearest.
            ArgumentError: what is given cannot be a name, such as a list.
        """
        if not isinstance(token, Hashable):
            raise ArgumentError(
                f"one token is needed, got a {type(token).__name__}: emb[[a, b]] gives the vectors of a list of tokens"
            )
        row = self._rows.get(token)
        if row is None:
            raise unknown_token(token, self._rows)
        return row

    def similarity(self, one: Hashable, other: Hashable) -> float:
        """The cosine between the vectors of two tokens; 0 where one of them is zero."""
        unit = self._normed()
        return float(unit[self.index(one)] @ unit[self.index(other)])

    def most_similar(self, token: Any, n: int = 10) -> list[tuple[Hashable, float]]:
        """The ``n`` tokens of the largest cosine with a token, itself left out, or with a vector ``[dim]``."""
        check_count(n=n)
        if getattr(token, "ndim", 0):  # of numpy or torch; a numpy number or string has none, and is a name
            vector = np.asarray(token)
            if vector.shape != (self.dim,):
                raise ShapeError(f"a vector to compare with must be [{self.dim}], got {list(vector.shape)}")
            if not np.isfinite(vector).all():
                raise SupportError("a vector to compare with must be finite, and has NaN or infinite values")
            return self._nearest(vector, [], n)
        row = self.index(token)
        return self._nearest(self.vectors[row], [row], n)

    def analogy(self, a: Hashable, b: Hashable, c: Hashable, n: int = 1) -> list[tuple[Hashable, float]]:
        """The ``n`` best answers to "a is to b as c is to what?", the three themselves left out.

        >>> emb = Embeddings("ABCD", [[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1.2, 1.2]])
        >>> emb.analogy("A", "B", "C")[0][0]
        'D'
        """
        check_count(n=n)
        unit, rows = self._normed(), [self.index(token) for token in (a, b, c)]
        return self._nearest(unit[rows[1]] - unit[rows[0]] + unit[rows[2]], rows, n)

    def to_dataframe(self) -> Any:
        """A pandas DataFrame ``[tokens, dim]`` indexed by token.

        Raises:
            MissingCapability: pandas is not installed.
        """
        try:
            import pandas as pd  # type: ignore[import-untyped, unused-ignore]
        except ImportError as error:
            raise MissingCapability("to_dataframe needs pandas, which is not installed: pip install pandas") from error
        index = pd.Index(self.tokens, name="token", tupleize_cols=False)
        return pd.DataFrame(self.vectors, index=index)

    def save(self, path: str | os.PathLike[str], *, format: str | None = None) -> None:
        """Write to a file, all at once: a crash leaves what was there. Missing folders are made.

        The end of the name says how: ``.npz`` and ``.safetensors`` keep all there is, ``.txt`` and ``.vec`` (word2vec's
        text) and ``.bin`` (its binary form, which gensim reads too) keep vectors by the tokens' text. ``format`` says
        it for other names: "npz", "safetensors", "text", "binary".

        Raises:
            ArgumentError: no known format, or tokens that the format cannot hold.
            DataError: the disk refuses; what was there is unharmed.
        """
        from deepgen.words.files import write

        write(self, path, format)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, format: str | None = None) -> Embeddings:
        """Read a file of `save`, of gensim or of the word2vec program; text and binary give tokens that are strings.

        Raises:
            DataError: no such file, or a broken one; the message says where.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Embeddings([("a", 1), 2], [[0.5], [-1.0]]).save(folder + "/emb.npz")
        ...     Embeddings.load(folder + "/emb.npz").tokens
        [('a', 1), 2]
        """
        from deepgen.data.files import reading
        from deepgen.words.files import read

        with reading(path, "a file of embeddings"):
            return cls(**read(path, format))

    def _normed(self) -> Vectors:
        if self._unit is None:
            # in float64, as squares of float32 leave its range, and without a copy of all vectors in it
            norms = np.sqrt(np.einsum("ij,ij->i", self.vectors, self.vectors, dtype=np.float64))[:, None]
            zeros = np.zeros_like(self.vectors)
            self._unit = np.divide(self.vectors, norms, out=zeros, where=norms > 0, casting="same_kind")
        return self._unit

    def _nearest(self, vector: npt.NDArray[Any], without: list[int], n: int) -> list[tuple[Hashable, float]]:
        norm = np.linalg.norm(vector.astype(np.float64))
        scores = self._normed() @ (vector / (norm if norm > 0 else 1)).astype(np.float32)
        scores[without] = -np.inf
        n = min(n, len(self) - len(set(without)))
        best = np.argsort(-scores, kind="stable")[:n]
        return [(self.tokens[row], float(scores[row])) for row in best]


def unknown_token(token: object, known: Iterable[Hashable]) -> UnknownName:
    """The error for a token that is not there, with the nearest of those that are.

    >>> print(unknown_token("kings", ["king", "queen"]))
    unknown token 'kings': did you mean 'king'? There are 2 tokens
    """
    names = {str(one): one for one in known}
    if str(token) in names:  # 7 for "7", or the other way round
        kind = type(names[str(token)]).__name__
        return UnknownName(f"unknown token {token!r}: did you mean {names[str(token)]!r}, of type {kind}?")
    near = did_you_mean(token, names) if isinstance(token, str) else ""  # 9 is not meant by 99
    return UnknownName(f"unknown token {token!r}: {near}There are {len(names)} tokens")


def _matrix(name: str, values: npt.ArrayLike, rows: int) -> Vectors:
    try:
        matrix = np.ascontiguousarray(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise ShapeError(f"{name} must be [{rows}, dim], rows of numbers of one width") from None
    if matrix.ndim != 2 or matrix.shape[0] != rows or not matrix.size:
        raise ShapeError(f"{name} must be [{rows}, dim], a row for each token, got {list(matrix.shape)}")
    bad = np.flatnonzero(~np.isfinite(matrix).all(1))
    if len(bad):
        raise SupportError(f"{name} must be finite, got {matrix[bad[0]].tolist()[:3]}... in row {bad[0]}")
    return matrix
