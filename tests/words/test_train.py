"""What the trainer promises: the same bits, the optimum, Ctrl-C, typed errors."""

import signal

import numpy as np
import pytest

from deepgen.errors import ArgumentError, DivergenceError, ShapeError
from deepgen.words import LearningStopped, train_embeddings

QUICK = {"dim": 16, "progress": False}


def walks(seed, rows=300, width=20, tokens=30):
    """Sequences over tokens on a ring, so that there is something to learn."""
    generator = np.random.default_rng(seed)
    steps = generator.integers(-2, 3, (rows, width)).cumsum(1) + generator.integers(0, tokens, (rows, 1))
    return (steps % tokens).astype(np.int32)


def learned(batch, pieces=1, **options):
    def batches(epoch):
        return np.array_split(batch, pieces)

    return train_embeddings(batches, np.bincount(batch[batch >= 0]), **{**QUICK, **options})


def same(a, b):
    return a.vectors.tobytes() == b.vectors.tobytes() and (
        a.context is b.context is None or a.context.tobytes() == b.context.tobytes()
    )


MODES = [{}, {"cbow": True}, {"hierarchical": True}, {"cbow": True, "hierarchical": True}]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_deterministic_gives_the_same_bits_for_any_threads_and_batches(mode, seed):
    batch = walks(seed)
    options = {"deterministic": True, "seed": seed, "sample": 0.02, **mode}
    first = learned(batch, threads=1, **options)
    assert same(first, learned(batch, threads=4, pieces=7, **options))
    assert same(first, learned(batch, threads=1, **{**options, "deterministic": False}))
    assert not same(first, learned(batch, **{**options, "seed": seed + 1}))


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_neighbours_on_the_ring_are_nearest(mode, seed):
    emb = learned(walks(seed), epochs=20, rate=0.1, window=3, sample=0, threads=1, **mode)
    near = [min((a - b) % 30, (b - a) % 30) for a in range(30) for b, _ in emb.most_similar(a, 2)]
    assert np.mean(np.array(near) <= 3) > 0.8  # by chance 6 of 29


def test_padding_is_no_token(seed):
    batch = walks(seed)
    padded = np.full((len(batch), 29), -1, np.int32)
    padded[:, 4:24] = batch
    assert same(learned(batch, threads=1), learned(padded, threads=1))


def test_the_optimum_is_the_shifted_mutual_information():
    """At full rank x_n . y_c = log #(n, c) - log [k q(c) (#n - #(n, c))], as a noise token that is c does not count.

    Steps are small at the end and sentences are pairs, so that the counts are known; what is left is the noise of the
    last steps, which is read off from runs that differ in their seed alone.
    """
    table = np.array([[0, 8, 4, 2], [8, 0, 2, 6], [4, 2, 0, 3], [2, 6, 3, 0]])
    rows = [[a, b] for a in range(4) for b in range(a) for _ in range(table[a, b])]
    batch = np.array(rows * 100, np.int32)
    batch = batch[np.random.default_rng(0).permutation(len(batch))]
    k = 2
    q = np.bincount(batch.ravel()) ** 0.75
    optimum = np.log(table + (table == 0)) - np.log(k * q / q.sum() * (table.sum(1, keepdims=True) - table))
    options = {"window": 1, "negatives": k, "sample": 0, "epochs": 60, "rate": 0.1, "last_rate": 1e-4, "threads": 1}
    runs = [learned(batch, seed=s, dim=8, **options) for s in range(6)]
    dots = np.array([emb.vectors @ emb.context.T for emb in runs])
    off = (dots.mean(0) - optimum)[table > 0]
    error = (dots.std(0, ddof=1) / np.sqrt(len(runs)))[table > 0]
    print(off.round(3), error.round(3))
    assert error.max() < 0.1  # log 2 and the missing centre (up to 0.8) would be seen
    assert (np.abs(off) < 5 * error + 0.03).all()  # 0.03: the rate is not yet zero


def loss(emb, batch, seed):
    """Nats a pair over all neighbours within 2, with noise of its own."""
    generator = np.random.default_rng(seed)
    p = emb.counts**0.75
    total = []
    for shift in (1, 2):
        for a, b in ((batch[:, shift:], batch[:, :-shift]), (batch[:, :-shift], batch[:, shift:])):
            x, y = emb.vectors[a.ravel()], emb.context[b.ravel()]
            noise = generator.choice(len(p), (len(x), 5), p=p / p.sum())
            far = np.einsum("nd,nkd->nk", x, emb.context[noise])
            total.extend(np.logaddexp(0, -(x * y).sum(1)) + np.logaddexp(0, far).sum(1))
    return float(np.mean(total))


def test_threads_that_do_not_lock_learn_as_well(seed):
    """Of few tokens a thread that the system has put to sleep undoes what another did meanwhile: 1 % less of 300."""
    batch, held = walks(seed, 8000, tokens=3000), walks(seed + 1, 500, tokens=3000)
    one, two = ([loss(learned(batch, seed=s, threads=n, rate=0.1), held, 1) for s in range(5)] for n in (1, 2))
    error = np.sqrt((np.var(one, ddof=1) + np.var(two, ddof=1)) / 5)
    start = 6 * np.log(2)
    assert np.mean(one) < start - 0.5
    assert abs(np.mean(two) - np.mean(one)) < 6 * error + 0.005 * (start - np.mean(one))


def test_ctrl_c_keeps_what_was_learned(seed):
    batch = walks(seed)

    def batches(epoch):
        if epoch == 2:
            signal.raise_signal(signal.SIGINT)
        return [batch]

    counts = np.bincount(batch.ravel())
    with pytest.raises(KeyboardInterrupt, match="after 50% of the tokens") as stopped:
        train_embeddings(batches, counts, epochs=4, threads=1, **QUICK)
    assert isinstance(stopped.value, LearningStopped)
    assert np.abs(stopped.value.embeddings.context).max() > 0.01


def test_the_bar_says_that_kernels_are_compiled(seed, capsys):
    from deepgen.progress import compiles

    batch = walks(seed)

    def batches(epoch):
        compiles()
        return [batch]

    train_embeddings(batches, np.bincount(batch.ravel()), threads=1, dim=4)
    assert "compiling kernels" in capsys.readouterr().err


def test_tensors_learn_the_same_neighbours(seed):
    emb = learned(walks(seed, 1500, tokens=300), epochs=4, window=3, sample=0, device="cpu")  # many tokens, see there
    near = [min((a - b) % 300, (b - a) % 300) for a in range(300) for b, _ in emb.most_similar(a, 2)]
    assert np.mean(np.array(near) <= 3) > 0.9  # by chance 6 of 299


def test_too_large_a_rate_is_told(seed):
    with pytest.raises(DivergenceError, match="lower rate"):
        learned(walks(seed), rate=1e30, last_rate=1e30, threads=1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dim": 0}, "dim"), ({"window": 0}, "window"), ({"negatives": 0}, "negatives"), ({"shared": 0}, "shared"),
        ({"epochs": 0}, "epochs"), ({"seed": -1}, "seed"), ({"threads": 0}, "threads"), ({"sample": -1.0}, "sample"),
        ({"rate": float("nan")}, "rate"), ({"tokens": ["a"]}, "tokens must name all 30"),
        ({"device": "cpu", "cbow": True}, "skip-gram"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(options, says):
    with pytest.raises(ArgumentError, match=says):
        learned(walks(0), **options)


def test_bad_batches_are_refused():
    good = walks(0)
    with pytest.raises(ShapeError, match="int32"):
        train_embeddings(lambda epoch: [good.astype(np.int64)], np.ones(30), **QUICK)
    with pytest.raises(ShapeError, match="below 9"):
        train_embeddings(lambda epoch: [good], np.ones(9), threads=1, **QUICK)
    with pytest.raises(ArgumentError, match="no token"):
        train_embeddings(lambda epoch: [], np.ones(9), **QUICK)
    for counts in (np.array([3.0]), np.array([3.0, 0.0]), np.array([1.0, np.nan])):
        with pytest.raises(ArgumentError):
            train_embeddings(lambda epoch: [good], counts, **QUICK)
