"""A contrastive step beside its gradient: what it depends on, penalties, running means, optimizers, kinds of data."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.explicit import Gaussian
from deepgen.objectives import ContrastiveDivergence, FastPersistentCD, ParallelTempering, PersistentCD
from deepgen.train.state import copy_tree
from tests.contracts.layers import machine
from tests.objectives.steps import leaves, named_gradients, snapshot, still


def some_rows(stream, n, width):
    return (torch.rand(n, width, generator=stream) < 0.3).float()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(
    "objective",
    [
        PersistentCD(k=2, chains=7),
        PersistentCD(chains=30, binary=True, sparsity=(0.2, 0.1), weight_decay=1e-3),
        ContrastiveDivergence(k=2),
        ContrastiveDivergence(binary=True, centred=False),
    ],
    ids=str,
)
def test_a_step_depends_on_nothing_but_its_arguments(objective, momentum, seed):
    """A run resumed in a new step function, with ragged batches before and after, gives the same bits."""
    rows = some_rows(dg.random.generator(seed), 40, 11)
    batches = [rows[:16], rows[16:32], rows[32:], rows[:16], rows[5:6], rows[32:], rows[:40]]

    def run(resume_at):
        stream = dg.random.generator(seed)
        rbm = dg.RBM(11, 5, generator=stream)
        optimizer = torch.optim.SGD(rbm.parameters(), lr=0.1, momentum=momentum)
        state, step = objective.start(rbm, rows, generator=stream), objective.update(rbm, optimizer)
        for i, batch in enumerate(batches):
            if i == resume_at:
                other = dg.RBM(11, 5)
                other.load_state_dict(rbm.state_dict())
                fresh = torch.optim.SGD(other.parameters(), lr=0.1, momentum=momentum)
                fresh.load_state_dict(optimizer.state_dict())
                rbm, optimizer, step = other, fresh, objective.update(other, fresh)
                state = copy_tree(state)
                position, stream = stream.get_state(), dg.random.generator()
                stream.set_state(position)
            kept, before = state, copy_tree(state)
            state, _ = step(state, batch, generator=stream)
            assert all(torch.equal(a, b) for a, b in zip(leaves(before), leaves(kept), strict=True)), (
                "the old state must stay"
            )
        return [*snapshot(rbm), *leaves(state)]

    for here, there in zip(run(None), run(4), strict=True):
        assert torch.equal(here, there)
    assert not torch.equal(run(None)[0], dg.RBM(11, 5, generator=seed).weight)


def two_groups(rbm):
    return torch.optim.SGD([{"params": [rbm.weight]}, {"params": [rbm.visible_bias, rbm.hidden_bias]}], lr=0.3)


def hooked(rbm):
    optimizer = torch.optim.SGD(rbm.parameters(), lr=0.3)
    optimizer.register_step_pre_hook(lambda *_: None)
    return optimizer


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    "other",
    [
        lambda rbm: torch.optim.SGD(rbm.parameters(), lr=0.3, momentum=0.5),  # whose first step is a plain one
        lambda rbm: torch.optim.SGD(rbm.parameters(), lr=torch.tensor(0.3)),
        two_groups,
        hooked,
    ],
    ids=["momentum", "tensor rate", "two groups", "hook"],
)
def test_plain_sgd_in_the_outer_product_is_sgd(other, binary, seed):
    objective = PersistentCD(chains=10, binary=binary, weight_decay=0.1, sparsity=(0.1, 0.2))

    def after(make):
        stream = dg.random.generator(seed)
        rbm, rows = dg.RBM(11, 5, generator=stream), some_rows(stream, 20, 11)
        objective.update(rbm, make(rbm))(objective.start(rbm, rows, generator=stream), rows, generator=stream)
        return rbm, snapshot(rbm)

    rbm, fused = after(lambda rbm: torch.optim.SGD(rbm.parameters(), lr=0.3))
    assert rbm.weight.grad is None
    rbm, plain = after(other)
    assert rbm.weight.grad is not None
    for a, b in zip(fused, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("centred", [True, False])
def test_weight_decay_and_sparsity_add_their_gradients(centred, seed):
    """Centred biases b + W' mu and a + W lambda stay while weights decay."""

    def gradients(**options):
        rbm, stream = machine("bernoulli-bernoulli", torch.float64), dg.random.generator(seed)
        x, objective = some_rows(stream, 8, 3).double(), PersistentCD(chains=9, centred=centred, **options)
        start = objective.start(rbm, x, generator=stream)
        state, _ = objective.update(rbm, still(rbm))(start, x, generator=stream)
        return rbm, named_gradients(rbm), start, state.hidden_mean

    rbm, bare, start, _ = gradients()
    _, decayed, *_ = gradients(weight_decay=0.3)
    _, sparse, _, mean = gradients(sparsity=(0.1, 0.7))
    decay = {"weight": 0.3 * rbm.weight.detach()}
    if centred:
        decay |= {"visible_bias": -decay["weight"] @ start.hidden_mean,
                  "hidden_bias": -decay["weight"].T @ start.visible_mean}  # fmt: skip
    added = decay, {"hidden_bias": 0.7 * (mean - 0.1)}
    for found, extra in zip((decayed, sparse), added, strict=True):
        torch.testing.assert_close(found, {name: g + extra.get(name, 0.0) for name, g in bare.items()})


@pytest.mark.parametrize(
    "objective", [PersistentCD(chains=3, sliding=0.25), ContrastiveDivergence(sliding=0.25)], ids=str
)
def test_offsets_are_running_means_of_the_data(objective, stream):
    rbm, x = machine("bernoulli-bernoulli", torch.float64), some_rows(stream, 8, 3).double()
    state = objective.start(rbm, x, generator=stream)
    torch.testing.assert_close(state.visible_mean, x.mean(0))
    after, _ = objective.update(rbm, still(rbm))(state, x[:2], generator=stream)
    torch.testing.assert_close(after.visible_mean, 0.75 * x.mean(0) + 0.25 * x[:2].mean(0))
    torch.testing.assert_close(after.hidden_mean, 0.75 * state.hidden_mean + 0.25 * rbm.transform(x[:2]).mean(0))


@pytest.mark.parametrize("binary", [True, False])
def test_the_moment_gap_is_the_norm_of_the_uncentred_hidden_gradient(binary, stream):
    rbm, x = machine("bernoulli-bernoulli"), some_rows(stream, 8, 3)
    objective = PersistentCD(chains=5, centred=False, binary=binary)
    _, metrics = objective.update(rbm, still(rbm))(objective.start(rbm, x, generator=stream), x, generator=stream)
    torch.testing.assert_close(metrics["moment_gap"], rbm.hidden_bias.grad.norm())


@pytest.mark.parametrize("kind", [torch.uint8, torch.bool, torch.float64])
@pytest.mark.parametrize("binary", [True, False])
def test_packed_batches_train_like_float_ones(kind, binary, seed):
    rows = some_rows(dg.random.generator(seed), 12, 7)

    def after(x):
        rbm, stream = dg.RBM(7, 3, generator=seed), dg.random.generator(seed)
        objective = PersistentCD(chains=5, binary=binary)
        step = objective.update(rbm, objective.optimizer(rbm))
        step(objective.start(rbm, x, generator=stream), x, generator=stream)
        return snapshot(rbm)

    assert all(torch.equal(a, b) for a, b in zip(after(rows), after(rows.to(kind)), strict=True))


@pytest.mark.parametrize("frozen", ["weight", "visible_bias", "hidden_bias", "visible.log_precision"])
@pytest.mark.parametrize("objective", [PersistentCD(chains=5), ContrastiveDivergence()], ids=str)
def test_frozen_parameters_stay(objective, frozen, stream):
    rbm = dg.RBM(Gaussian(7, learned=True), 3, generator=stream)
    dict(rbm.named_parameters())[frozen].requires_grad_(False)
    x = 3 + torch.randn(4, 7, generator=stream)
    step = objective.update(rbm, torch.optim.SGD([p for p in rbm.parameters() if p.requires_grad], lr=0.1))
    before = snapshot(rbm)
    step(objective.start(rbm, x, generator=stream), x, generator=stream)
    moved = {name: not torch.equal(a, b) for (name, a), b in zip(rbm.named_parameters(), before, strict=True)}
    assert moved == {name: name != frozen for name in moved}


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (lambda: dg.RBM(6, 4, generator=0), [PersistentCD, ContrastiveDivergence, FastPersistentCD, ParallelTempering]),
        (lambda: dg.explicit.DBM(6, [4, 3], generator=0), [PersistentCD]),
    ],
    ids=["rbm", "dbm"],
)
def test_projected_weights_want_the_plain_gradient(make, kinds, stream):
    """Biases that follow weights which are put back would move on for ever."""
    model, x = make(), some_rows(stream, 8, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pcd = PersistentCD(chains=5)
    state, step = pcd.start(model, x, generator=stream), pcd.update(model, optimizer)
    step(state, x, generator=stream)
    handle = dg.layers.constrain(optimizer, model, dg.layers.NonNegative())
    with pytest.raises(dg.errors.ArgumentError, match="centred=False"):
        step(state, x, generator=stream)
    for kind in kinds:
        with pytest.raises(dg.errors.ArgumentError, match="centred=False"):
            kind().update(model, optimizer)
        kind(centred=False).update(model, optimizer)
    handle.remove()
    step(state, x, generator=stream)


def test_biases_do_not_follow_a_decay_of_weights_that_stand_still(stream):
    def hidden_gradient(decay):
        rbm, x = dg.RBM(6, 4, generator=0), torch.eye(6)
        rbm.weight.requires_grad_(False)
        optimizer = torch.optim.SGD([rbm.visible_bias, rbm.hidden_bias], lr=0.0)
        pcd, draws = PersistentCD(chains=5, weight_decay=decay), dg.random.generator(1)
        pcd.update(rbm, optimizer)(pcd.start(rbm, x, generator=draws), x, generator=draws)
        return rbm.hidden_bias.grad

    assert torch.equal(hidden_gradient(0.3), hidden_gradient(0.0))


def test_a_non_negative_machine_rests_where_its_constrained_problem_does(stream):
    """Two pixels that are never on together: with no weight below 0 the best is independence, at the base rates."""
    x = torch.eye(2).repeat(50, 1)
    rbm = dg.RBM(2, 1, generator=stream).initialise(x)
    optimizer = torch.optim.SGD(rbm.parameters(), lr=0.2)
    dg.layers.constrain(optimizer, rbm, dg.layers.NonNegative())
    pcd = PersistentCD(chains=1000, centred=False)
    dg.fit(rbm, x, pcd, epochs=300, batch_size=100, optimizer=optimizer, seed=3, progress=False,
           schedule=lambda done: 1 - done)  # fmt: skip
    found = dg.evaluate.log_likelihood(rbm, x)
    assert found.side == "exact"
    independent = 2 * math.log(0.5)
    assert found.value == pytest.approx(independent, abs=1e-3)
    assert bool((rbm.weight >= 0).all())
