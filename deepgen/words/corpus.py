"""A corpus as the kernels take it: batches of numbers ``[sentences, width]``, padded by -1, read as they are needed.

Text files and iterables that can be gone through again are streamed in every epoch and never held; an iterator, which
can be gone through once, is kept as four bytes a token.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepgen.errors import ArgumentError, DataError
from deepgen.words.vocabulary import Vocabulary

LONGEST = 1000  # tokens of a row; longer sentences are cut, and lose the pairs across the cut
TOKENS = 2**16  # of a batch, padding included

Sentences = Iterable[Sequence[Hashable] | str]


class Corpus:
    """Sentences and their vocabulary.

    Args:
        source: a text file (or one that ends in .gz) with a sentence a line and white space between words, or sequences
            of tokens that may be anything hashable (a string in the place of a sequence is split at white space).
        min_count: tokens that came less often are left out.

    Attributes:
        vocabulary: the `Vocabulary`.

    Raises:
        DataError: no such file, or no text in UTF-8; the message names the line.
        ArgumentError: no sequences, or fewer than two tokens.

    >>> corpus = Corpus(["to be or not to be", "be"])
    >>> corpus.vocabulary.tokens, next(corpus.batches(0)).tolist()
    (['be', 'to', 'or', 'not'], [[1, 0, 2, 3, 1, 0], [0, -1, -1, -1, -1, -1]])
    """

    def __init__(self, source: str | os.PathLike[str] | Sentences, *, min_count: int = 1) -> None:
        self._sentences: Sentences
        if isinstance(source, str | os.PathLike):
            self._sentences = _Lines(Path(source))
        elif not isinstance(source, Iterable):
            raise ArgumentError(f"a corpus is a path or an iterable of sequences of tokens, got {source!r}")
        else:
            self._sentences = source
        once = isinstance(self._sentences, Iterator)
        if once:
            self._sentences = [line if isinstance(line, str) else tuple(line) for line in self._sentences]
        self.vocabulary = Vocabulary.of(self._sentences, min_count=min_count)
        self._kept = [self.vocabulary.encode(line) for line in self._sentences] if once else None
        if once:
            self._sentences = []

    def batches(self, epoch: int) -> Iterator[npt.NDArray[np.int32]]:
        """The sentences once, in their order, as int32 ``[n, width]``; those of less than two tokens say nothing."""
        rows: list[npt.NDArray[np.int32]] = []
        width = 0
        for sentence in self._kept if self._kept is not None else map(self.vocabulary.encode, self._sentences):
            for start in range(0, len(sentence), LONGEST):
                piece = sentence[start : start + LONGEST]
                if rows and max(width, len(piece)) * (len(rows) + 1) > TOKENS:
                    yield _padded(rows, width)
                    rows, width = [], 0
                rows.append(piece)
                width = max(width, len(piece))
        if rows:
            yield _padded(rows, width)


class _Lines:
    """The lines of a text file, from its beginning each time."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file; a text is a list of lines, [text] or text.splitlines()")
        self.path = path

    def __iter__(self) -> Iterator[str]:
        number = 0
        try:
            with gzip.open(self.path, "rb") if self.path.suffix == ".gz" else open(self.path, "rb") as file:
                for number, line in enumerate(file, 1):  # noqa: B007 (the error below names it)
                    yield line.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path}, line {number}: no text in UTF-8: {error}") from error
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.path}, after line {number}: the file is broken: {error}") from error


def _padded(rows: list[npt.NDArray[np.int32]], width: int) -> npt.NDArray[np.int32]:
    batch = np.full((len(rows), width), -1, np.int32)
    for row, sentence in zip(batch, rows, strict=True):
        row[: len(sentence)] = sentence
    return batch
