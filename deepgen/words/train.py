"""The trainer of embeddings, for words, items and nodes of graphs alike: stochastic gradient ascent on pairs.

    x, y <- x, y + rate grad log-likelihood of the next centre,      rate from ``rate`` to ``last_rate`` along a line

over all tokens of all epochs. x starts uniform in (-1/dim, 1/dim) and y at zero, as in gensim. From half that width,
with which the word2vec program starts, one epoch on BlogCatalog ends .006 of macro-F1 lower (.2108 against .2172, three
seeds each, errors near .001): while y is near zero, nothing is learned faster than x is long.

Threads do not lock: two that touch one row at once may lose a step (Hogwild; Recht, Re, Wright & Niu 2011), which is
rare among many tokens and changes the numbers from run to run. With one thread, or ``deterministic``, a seed gives the
same bits each time.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepgen.embeddings import Embeddings
from deepgen.errors import ArgumentError, DivergenceError, ShapeError, check_count, check_real
from deepgen.progress import Shown
from deepgen.train.interrupt import Interrupted, delayed_interrupt

if TYPE_CHECKING:
    import torch

Batch = npt.NDArray[np.int32]
PIECE = 2**15  # tokens between two looks at the clock and at Ctrl-C
_MASK = 2**64 - 1


class LearningStopped(Interrupted):
    """Ctrl-C while embeddings were learned: ``embeddings`` has what was learned until then.

    A KeyboardInterrupt, so that ``except Exception`` does not swallow it.

    Attributes:
        embeddings: the `Embeddings` so far.
        share: of the tokens, 0 to 1; at 0 the vectors are those of the start.
    """

    def __init__(self, message: str, embeddings: Embeddings, share: float) -> None:
        super().__init__(message)
        self.embeddings = embeddings
        self.share = share


def train_embeddings(
    batches: Callable[[int], Iterable[Batch]],
    counts: npt.ArrayLike,
    *,
    tokens: Sequence[Hashable] | None = None,
    tokens_per_epoch: float | None = None,
    dim: int = 128,
    window: int = 5,
    negatives: int = 5,
    cbow: bool = False,
    hierarchical: bool = False,
    shared: int = 2,
    sample: float = 1e-3,
    power: float = 0.75,
    rate: float = 0.025,
    last_rate: float = 1e-4,
    epochs: int = 1,
    seed: int = 0,
    threads: int | None = None,
    deterministic: bool = False,
    device: torch.device | str | None = None,
    progress: bool | Callable[[float], object] = True,
) -> Embeddings:
    """Learn a vector for each of ``len(counts)`` tokens from sequences of their numbers.

    Args:
        batches: called with the number of the epoch, gives int32 arrays ``[sequences, width]``; what is below 0 is
            padding.
        counts: how often each token comes in an epoch ``[tokens]``: for noise, subsampling and the tree.
        tokens: their names, 0, 1, ... otherwise.
        tokens_per_epoch: how many come in an epoch, the sum of ``counts`` otherwise.
        dim: length of the vectors.
        window: the reach of a centre is uniform on 1..window.
        negatives: noise tokens for each pair.
        cbow: predict the centre from the mean of its neighbours, where skip-gram does so from each of them.
        hierarchical: softmax over Huffman's tree in the place of negative sampling; then there is no ``context``.
        shared: neighbours in a row that have their noise tokens in common (skip-gram): 1 is the textbook's, 2 near
            twice as quick, ``2 * window`` (all of a centre) 2.5 times; on BlogCatalog their macro-F1 is the same within
            the error of three seeds.
        sample: subsampling of tokens with more than this share of the corpus (see `deepgen.words.draws`); 0 is off.
        power: noise tokens come in proportion to count^power.
        rate, last_rate: the step at the first token and at the last.
        epochs: how many times ``batches`` is called.
        seed: of start, windows, subsampling and noise.
        threads: as many as there are cores, if None. They do not lock, so some steps are lost: with two threads and
            300 tokens on a busy machine the loss fell by up to 1 % less, with 3,000 by 0.2 %.
        deterministic: the same bits in every run and for any ``threads``: one thread learns.
        device: None is the compiled kernels on the CPU; a torch device is `deepgen.words.skipgram_tensors` there.
        progress: show a bar with the time left; a function is called with the share that is done instead.

    Raises:
        ArgumentError: an argument outside its range, fewer than two tokens, or batches without any token.
        ShapeError: batches that are no int32 matrices, or numbers beyond the counts.
        DivergenceError: the vectors are no longer finite; lower ``rate``.
        LearningStopped: Ctrl-C; its ``embeddings`` are those until then.

    >>> walks = np.array([[0, 1, 0, 1], [2, 3, 2, 3]] * 100, dtype=np.int32)
    >>> emb = train_embeddings(lambda epoch: [walks], np.bincount(walks.ravel()), dim=16, window=2, sample=0,
    ...     epochs=50, deterministic=True, progress=False)
    >>> emb.most_similar(0, 1)[0][0]
    1
    """
    counts = np.asarray(counts, np.float64)
    _check(counts, locals())
    from deepgen.words.learner import Learner

    total = epochs * float(counts.sum() if tokens_per_epoch is None else tokens_per_epoch)
    key = zlib.crc32(b"deepgen.words") << 32 ^ seed
    learner: Any = Learner(counts, dim, window, negatives, cbow, hierarchical, shared, sample, power, key & _MASK,
                      (rate, last_rate, total))  # fmt: skip
    if device is not None:
        from deepgen.words.skipgram_tensors import TensorLearner

        learner = TensorLearner(learner, device)
        threads = 1
    workers = 1 if deterministic else threads or _cores()
    names = range(len(counts)) if tokens is None else tokens
    with delayed_interrupt() as flag, Shown(total, progress, what="learning", unit="token") as shown:
        done = _run(learner, batches, epochs, workers, len(counts), lambda: flag.pressed, shown)
    x, y = learner.tables()
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DivergenceError(f"the vectors are not finite after {done} tokens: lower rate={rate}", step=done)
    emb = Embeddings(names, x, None if hierarchical else y, counts)
    if flag.pressed:
        share = min(1.0, done / total)
        raise LearningStopped(f"stopped after {share:.0%} of the tokens; .embeddings has what was learned", emb, share)
    if done == 0:
        raise ArgumentError("batches had no token: every number was below 0, or there was no batch")
    return emb


def _run(
    learner: Any,
    batches: Callable[[int], Iterable[Batch]],
    epochs: int,
    workers: int,
    known: int,
    stopped: Callable[[], bool],
    shown: Shown,
) -> int:
    """Hand out pieces to the workers until the end or Ctrl-C: how many tokens were learned from."""
    done, sentence = 0, 0
    waiting: deque[tuple[Future[Any], int]] = deque()
    pool = ThreadPoolExecutor(workers) if workers > 1 else None
    try:
        for epoch in range(epochs):
            for piece in _pieces(batches(epoch), known):
                if stopped():
                    return done
                came = int(np.count_nonzero(piece >= 0))
                if pool is None:
                    learner.learn(piece, sentence, done)
                    shown.advance(came)
                else:
                    waiting.append((pool.submit(learner.learn, piece, sentence, done), came))
                    if len(waiting) > 2 * workers:
                        _settle(waiting, shown)
                done, sentence = done + came, sentence + len(piece)
        return done
    finally:
        while waiting:
            _settle(waiting, shown)
        if pool is not None:
            pool.shutdown()


def _settle(waiting: deque[tuple[Future[Any], int]], shown: Shown) -> None:
    future, came = waiting.popleft()
    future.result()
    shown.advance(came)


def _pieces(batches: Iterable[Batch], known: int) -> Iterator[Batch]:
    for batch in batches:
        if not isinstance(batch, np.ndarray) or batch.ndim != 2 or batch.dtype != np.int32:
            kind = f"{batch.dtype} {list(batch.shape)}" if isinstance(batch, np.ndarray) else type(batch).__name__
            raise ShapeError(f"batches must be int32 arrays [sequences, width], got {kind}")
        if batch.size and batch.max() >= known:
            raise ShapeError(f"batches must hold numbers below {known}, one for each of counts, got {batch.max()}")
        rows = max(1, PIECE // max(1, batch.shape[1]))
        for start in range(0, len(batch), rows):
            yield np.ascontiguousarray(batch[start : start + rows])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check(counts: npt.NDArray[np.float64], given: dict[str, Any]) -> None:
    if counts.ndim != 1 or not np.isfinite(counts).all() or (counts < 0).any():
        raise ArgumentError(f"counts must be finite numbers of at least 0, one a token, got {counts.tolist()[:5]}...")
    if np.count_nonzero(counts) < 2:
        raise ArgumentError(f"there must be at least two tokens that come, got {np.count_nonzero(counts)}")
    if given["tokens"] is not None and len(given["tokens"]) != len(counts):
        raise ArgumentError(f"tokens must name all {len(counts)} of counts, got {len(given['tokens'])}")
    check_count(**{name: given[name] for name in ("dim", "window", "negatives", "shared", "epochs")})
    check_count(0, _MASK, seed=given["seed"])
    if given["threads"] is not None:
        check_count(threads=given["threads"])
    for name in ("sample", "rate", "last_rate", "power"):
        check_real(name, given[name], 0)
    if given["tokens_per_epoch"] is not None:
        check_real("tokens_per_epoch", given["tokens_per_epoch"], 1)
