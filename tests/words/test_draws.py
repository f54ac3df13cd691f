"""Laws of what is drawn: which tokens stay, how far a centre reaches, which tokens are noise."""

import numpy as np
import torch
from scipy import stats

from deepgen.layers.jit import numba
from deepgen.words import draws
from deepgen.words.learner import Learner
from deepgen.words.skipgram_tensors import TensorLearner
from tests.conftest import FALSE_ALARM


@numba.njit
def reaches(key, n, window):
    out = np.zeros(window, np.int64)
    for i in range(n):
        out[draws.below(draws.mixed(draws.following(draws.start(key, i))), window)] += 1
    return out


@numba.njit
def noises(key, n, share, other):
    out, state = np.zeros(len(share), np.int64), draws.start(key, 0)
    for _ in range(n):
        state = draws.following(state)
        out[draws.noise(draws.mixed(state), share, other)] += 1
    return out


@numba.njit
def stays(key, n, keep, row):
    out, tokens = np.zeros(len(keep), np.int64), np.empty(len(row), np.int32)
    for i in range(n):
        kept, came, _ = draws.kept_tokens(row, keep, draws.start(key, i), tokens)
        out[0] += (came - len(keep)) * n  # a wrong count of what came spoils the frequency below
        for token in tokens[:kept]:
            out[token] += 1
    return out


def test_reach_is_uniform(seed):
    assert stats.chisquare(reaches(np.uint64(seed), 200_000, 7)).pvalue > FALSE_ALARM


def test_noise_follows_its_weights(seed):
    weights = np.random.default_rng(seed).gamma(0.3, size=50) + 1e-3
    seen = noises(np.uint64(seed), 500_000, *draws.alias_tables(weights))
    assert stats.chisquare(seen, weights / weights.sum() * 500_000).pvalue > FALSE_ALARM


def test_alias_tables_hold_each_weight():
    weights = np.array([5.0, 0.0, 1.0, 0.5, 3.5, 0.0])
    share, other = draws.alias_tables(weights)
    held = share / 2.0**32
    np.add.at(held, other, 1 - share / 2.0**32)
    np.testing.assert_allclose(held / 6, weights / 10, atol=1e-9)


def test_tokens_stay_with_their_probability(seed):
    counts, n = np.array([60_000, 3000, 400, 30]), 40_000
    keep = draws.keep_probabilities(counts, 1e-2)
    share = counts / counts.sum()
    np.testing.assert_allclose(keep, np.minimum(1, np.sqrt(1e-2 / share) + 1e-2 / share))
    assert 0 < keep[0] < keep[1] < 1
    assert keep[3] == 1
    seen = stays(np.uint64(seed), n, keep, np.array([0, -1, 1, 2, 3, -1], np.int32))
    for came, p in zip(seen, keep, strict=True):
        assert stats.binomtest(int(came), n, p).pvalue > FALSE_ALARM


def test_tensors_draw_the_same_laws(seed):
    window, n = 4, 4000
    learner = Learner(np.array([50.0, 5.0, 1.0]), 4, window, 5, False, False, 1, 0.1, 0.75, seed, (0.1, 0.1, 1.0))
    on = TensorLearner(learner, "cpu")
    rows = torch.tensor([[0, 1, 1, 2, 1, 1, 1, 2, -1]]).repeat(n, 1)
    _, pairs, noise = on.drawn(rows)
    expected = learner.noise / learner.noise.sum() * noise.numel()
    assert stats.chisquare(np.bincount(noise.flatten(), minlength=3), expected).pvalue > FALSE_ALARM
    stayed = pairs.any(2)[:, 3:5].all(1)  # 2 always stays; a neighbour of it may go
    beside = pairs[:, 4, 3][stayed]
    assert beside.all()
    assert not pairs[:, 8].any()
    assert not pairs.diagonal(0, 1, 2).any()
    on.keep.fill_(1)
    far = on.drawn(rows)[1][:, :, 4]  # the centre in the middle, which reaches j away when reach >= j
    reach = far[:, 5:8].sum(1) + far[:, 0]
    assert stats.chisquare(torch.bincount(reach, minlength=window + 1)[1:].numpy()).pvalue > FALSE_ALARM


def test_what_stays_goes_by_shares_whatever_the_counts_are():
    counts = np.array([900, 99, 1])
    for scale in (1, 1e-3, 1e6):
        assert np.allclose(draws.keep_probabilities(counts * scale, 1e-2), draws.keep_probabilities(counts, 1e-2))
