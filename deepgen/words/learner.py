"""The two tables of vectors, what the kernels need beside them, and which kernel learns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepgen.words.blocks import STRIP
from deepgen.words.vocabulary import noise_weights

_LINE = 64  # bytes of a cache line


class Learner:
    """State of a training: ``x`` and ``y``, and a ``learn`` that may be called from several threads.

    Args:
        counts: of the tokens ``[tokens]``.
        dim, window, negatives, cbow, hierarchical, shared, sample, power: see `deepgen.words.train_embeddings`.
        key: of all random numbers.
        schedule: first rate, last rate, and the tokens between them.
    """

    def __init__(
        self,
        counts: npt.NDArray[np.float64],
        dim: int,
        window: int,
        negatives: int,
        cbow: bool,
        hierarchical: bool,
        shared: int,
        sample: float,
        power: float,
        key: int,
        schedule: tuple[float, float, float],
    ) -> None:
        from deepgen.words import draws, negative_kernels, softmax_kernels

        self.dim, self.window, self.negatives, self.shared = dim, window, negatives, min(shared, 2 * window)
        self.cbow, self.hierarchical = cbow, hierarchical
        self.key, self.schedule = np.uint64(key), tuple(map(float, schedule))
        self.keep = draws.keep_probabilities(counts, sample)
        self.x, self.y = table(len(counts), dim), table(len(counts), dim)
        half = 1 / dim
        self.x[:, :dim] = np.random.default_rng(key).uniform(-half, half, (len(counts), dim))
        self.noise = noise_weights(counts, power)
        kernels = softmax_kernels if hierarchical else negative_kernels
        self._kernel = kernels.bag if cbow else kernels.skipgram
        if hierarchical:
            from deepgen.words.huffman import ways

            self._rest: tuple[object, ...] = (tuple(ways(counts)),)
        else:
            self._rest = (draws.alias_tables(self.noise),)

    def learn(self, batch: npt.NDArray[np.int32], first: int, before: int) -> int:
        """Learn from sentences numbered from ``first`` on, ``before`` tokens after the beginning; how many pairs."""
        head = (batch, first, before, self.key, self.keep, *self._rest, self.window)
        if self.hierarchical:
            return int(self._kernel(*head, self.schedule, self.x, self.y))
        targets = (0,) * (self.negatives + 1)
        return int(self._kernel(*head, self.shared, self.schedule, self.x, self.y, targets))

    def tables(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The vectors of inputs and of outputs ``[tokens, dim]``."""
        return self.x[:, : self.dim], self.y[:, : self.dim]


def table(rows: int, dim: int, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[np.float32]:
    """Zeros ``[rows, dim or more]``: whole strips a row, so that no row shares a cache line with another."""
    columns = -(-dim // STRIP) * STRIP
    item = np.dtype(dtype).itemsize
    room = np.zeros(rows * columns + _LINE // item, dtype)
    skip = -room.ctypes.data % _LINE // item
    return room[skip : skip + rows * columns].reshape(rows, columns)
