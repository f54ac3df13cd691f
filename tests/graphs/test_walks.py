"""Walks: their law by chi-square for all p and q, and that a walk depends on its seed, epoch, node and number alone."""

import numpy as np
import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.graphs import graph, walks
from deepgen.testing import check_walks
from tests.graphs.zoo import BIASES, ZOO


def gathered(source, *args, **options):
    return np.concatenate(list(walks(source, *args, **options)))


def in_order(found, length):
    """Walks in the order of their nodes, those of one node in the order they came."""
    return found[found[:, 0].argsort(kind="stable")].reshape(-1, length)


@pytest.mark.parametrize("q", BIASES)
@pytest.mark.parametrize("p", BIASES)
@pytest.mark.parametrize("name", ZOO)
def test_walks_follow_the_law(name, p, q, alpha, stream):
    found = ZOO[name]()

    def sampler(per_node, seed):
        return walks(found, p, q, length=8, per_node=per_node, seed=seed, threads=1)

    check_walks(sampler, found, p, q, n=400, alpha=alpha, generator=stream)


@pytest.mark.parametrize(("p", "q"), [(1e-4, 1e-4), (1e4, 1e4), (1e4, 1e-4), (3.0, 1e-6)])
def test_extreme_biases_sum_the_row(p, q, alpha, stream):
    found = ZOO["weighted hub"]()
    check_walks(
        lambda per_node, seed: walks(found, p, q, length=6, per_node=per_node, seed=seed, threads=1),
        found, p, q, n=400, alpha=alpha, generator=stream,
    )  # fmt: skip


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("name", ["hub", "weighted web"])
def test_every_node_starts_its_walks_and_only_dead_ends_stop_them(name, device, seed):
    found = ZOO[name]()
    made = torch.cat(
        [torch.as_tensor(b) for b in walks(found, 0.5, 2.0, length=6, per_node=3, seed=seed, device=device)]
    )
    made = made.numpy()
    assert made.dtype == np.int32
    assert made.shape == (3 * len(found), 6)
    for i in range(3):
        assert sorted(made[i * len(found) : (i + 1) * len(found), 0]) == list(range(len(found)))
    lone = np.flatnonzero(np.diff(found.indptr) == 0)
    assert len(lone)
    assert (made[np.isin(made[:, 0], lone), 1:] == -1).all()
    ended = made[:, :-1][(made[:, 1:] == -1) & (made[:, :-1] >= 0)]
    assert np.isin(ended, lone).all()


def test_walks_are_the_same_for_any_threads_and_batches(seed):
    found = ZOO["weighted hub"]()
    options = {"length": 30, "per_node": 4, "seed": seed}
    one = gathered(found, 0.25, 4.0, threads=1, **options)
    for threads, batch in ((2, 8192), (5, 7), (1, 1), (64, 8)):
        assert np.array_equal(gathered(found, 0.25, 4.0, threads=threads, batch=batch, **options), one)


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (0.01, 4.0), (4.0, 0.25), (100.0, 100.0)])
def test_tensors_give_the_same_walks(name, p, q, seed):
    found = ZOO[name]()
    options = {"length": 6, "per_node": 2, "seed": 2**63 + seed, "epoch": 7}
    kernels = gathered(found, p, q, threads=1, **options)
    tensors = torch.cat(list(walks(found, p, q, device="cpu", batch=len(found), **options)))
    assert tensors.dtype == torch.int32
    assert np.array_equal(tensors.numpy(), kernels)


def test_a_walk_is_its_seed_epoch_node_and_number(seed):
    rng = np.random.default_rng(seed)
    matrix = np.triu(rng.random((40, 40)) < 0.5, 1)
    found = graph(matrix | matrix.T)
    few = in_order(gathered(found, 2.0, 0.5, length=20, per_node=2, seed=seed), 20).reshape(40, 2, 20)
    many = in_order(gathered(found, 2.0, 0.5, length=25, per_node=5, seed=seed), 25).reshape(40, 5, 25)
    assert np.array_equal(many[:, :2, :20], few)
    distinct = {tuple(walk) for walk in many.reshape(-1, 25)}
    assert len(distinct) == 200
    for other in ({"seed": seed + 1}, {"seed": seed + 2**32}, {"seed": seed, "epoch": 1}):
        again = in_order(gathered(found, 2.0, 0.5, length=25, per_node=5, **other), 25)
        assert not distinct & {tuple(walk) for walk in again}


def test_epochs_and_rounds_have_orders_of_their_own(seed):
    found = ZOO["hub"]()
    starts = [gathered(found, length=1, per_node=2, seed=seed, epoch=e)[:, 0] for e in (0, 1)]
    orders = {tuple(s[half]) for s in starts for half in (slice(0, len(found)), slice(len(found), None))}
    assert len(orders) == 4
    assert (gathered(found, length=1, per_node=2, seed=seed)[:, 0] == starts[0]).all()


def test_alike_weights_are_no_weights(seed):
    plain = gathered(["a b", "b c", "c a", "c d"], 0.5, 2.0, length=9, seed=seed)
    assert np.array_equal(gathered(["a b 7", "b c 7", "c a 7", "c d 7"], 0.5, 2.0, length=9, seed=seed), plain)


@pytest.mark.parametrize(
    "wrong",
    [
        {"p": 0}, {"q": -1}, {"p": float("nan")}, {"q": float("inf")}, {"p": 1e-320}, {"length": 0}, {"per_node": 0},
        {"seed": -1}, {"seed": 2**64}, {"epoch": 2**32}, {"batch": 0}, {"threads": 0}, {"q": "1"},
    ],
)  # fmt: skip
def test_arguments_are_checked_before_the_first_walk(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        walks(["a b"], **wrong)
