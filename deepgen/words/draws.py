"""What the kernels of words draw: a stream for every sentence, kept tokens, windows and negatives.

    keep(w)    = min(1, sqrt(t / f) + t / f)             f: the share of token w in the corpus, t = ``sample``
    reach      uniform on 1..window, for each centre     (a neighbour at distance d counts with 1 - (d - 1) / window)
    noise(w)   ~ count^power, power = 3/4                 drawn in two look-ups (Walker's alias method)

Numbers depend on the key, which is made of seed and epoch, on the number of the sentence and on the place in it; so
they are the same for any number of threads. The generator is Weyl's sequence under a 64-bit mixer (SplitMix64).

Sources: Mikolov, Sutskever, Chen, Corrado & Dean 2013, "Distributed representations of words and phrases and their
compositionality" (whose programs keep sqrt(t / f) + t / f, and not the paper's sqrt(t / f)); Steele, Lea & Flood 2014,
"Fast splittable pseudorandom number generators"; `deepgen.alias_kernels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deepgen.alias_kernels import fill_row
from deepgen.layers.jit import numba

_inline = numba.njit(inline="always")
_U64 = np.uint64
_STEP, _M1, _M2 = _U64(0x9E3779B97F4A7C15), _U64(0xBF58476D1CE4E5B9), _U64(0x94D049BB133111EB)
_HALF, _LOW = _U64(32), _U64(0xFFFFFFFF)


@_inline
def mixed(state):  # type: ignore[no-untyped-def]
    """64 bits that look random, of a number that need not."""
    z = (state ^ (state >> _U64(30))) * _M1
    z = (z ^ (z >> _U64(27))) * _M2
    return z ^ (z >> _U64(31))


@_inline
def following(state):  # type: ignore[no-untyped-def]
    """The next state of a stream; its number is ``mixed(state)``."""
    return state + _STEP


@_inline
def start(key, sentence):  # type: ignore[no-untyped-def]
    """The stream of a sentence."""
    return mixed(_U64(key) + mixed(_U64(sentence) * _STEP + _STEP))


@_inline
def below(bits, n):  # type: ignore[no-untyped-def]
    """A number in 0..n - 1, n < 2^31, from the upper half of the bits."""
    return np.int64(((bits >> _HALF) * _U64(n)) >> _HALF)


@_inline
def noise(bits, share, other):  # type: ignore[no-untyped-def]
    """A token by the tables of `alias_tables`, from one number."""
    token = below(bits, len(share))
    return token if (bits & _LOW) < share[token] else np.int64(other[token])


@numba.njit(cache=True, nogil=True)
def alias_tables(weights: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """Tables for `noise`: each token keeps a share of 2^32 of its own column and leaves the rest to one other."""
    n = len(weights)
    chance, other = np.empty(n), np.empty(n, np.int32)
    fill_row(weights * (n / weights.sum()), chance, other, np.empty(n, np.int64))
    return (chance * 2.0**32).astype(np.uint64), other


def keep_probabilities(counts: npt.NDArray[Any], sample: float) -> npt.NDArray[np.float64]:
    """How likely an occurrence of each token stays in its sentence; 1 for all where ``sample`` is 0.

    >>> keep_probabilities(np.array([900, 99, 1]), 1e-2).round(3)
    array([0.117, 0.419, 1.   ])
    """
    if sample == 0:
        return np.ones(len(counts))
    ratio = sample * counts.sum() / np.where(counts > 0, counts, 1)  # shares will do
    return np.minimum(1, np.sqrt(ratio) + ratio)


@numba.njit(cache=True, nogil=True)
def kept_tokens(row, keep, state, tokens):  # type: ignore[no-untyped-def]
    """Write the tokens of a sentence that stay to ``tokens``: how many, how many came, and the stream's state."""
    n = came = 0
    for i in range(len(row)):
        token = row[i]
        if token < 0:  # padding, or no token of the vocabulary
            continue
        came += 1
        if keep[token] < 1:
            state = following(state)
            if np.float64(mixed(state) >> _U64(11)) * 2.0**-53 >= keep[token]:
                continue
        tokens[n] = token
        n += 1
    return n, came, state
