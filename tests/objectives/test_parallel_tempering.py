"""Tempered chains in training: the swaps against enumeration, the published mistake caught, the gradient's chains."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError
from deepgen.objectives import EquilibriumWarning, ParallelTempering
from deepgen.samplers import replicas
from deepgen.testing import Exact
from tests.contracts.layers import machine
from tests.objectives.steps import still

BETAS = (0.0, 0.3, 1.0)


def crossed(rbm, stream, count, steps=1):
    """Ensembles started at the exact law of every rung, after some updates that move nothing."""
    objective = ParallelTempering(betas=BETAS, chains=count, centred=False)
    x = rbm.visible.sample(torch.zeros(4, rbm.visible.width).to(rbm.weight), generator=stream)
    state = objective.start(rbm, x, generator=stream)
    rungs = torch.stack([Exact(rbm, beta).sample(count, generator=stream)[0] for beta in BETAS], 1)
    state = state._replace(replicas=objective.kernel(rbm).start(rungs))
    update = objective.update(rbm, still(rbm))
    for _ in range(steps):
        state, metrics = update(state, x, generator=stream)
    return state, metrics, x


def p_values(rbm, state):
    """Of the positions on every rung against its own law, found by enumerating the joint energies."""
    by_rung = replicas.by_rung(state.replicas.moving.position, state.replicas.rung)
    return [p for r, beta in enumerate(BETAS) for p in Exact(rbm, beta).visible_law().p_values(by_rung[:, r])]


@pytest.mark.parametrize("pair", ["bernoulli-bernoulli", "softmax-spin", "spin-gaussian"])
def test_every_rung_stays_at_its_law(pair, stream, alpha):
    rbm = machine(pair)
    state, metrics, _ = crossed(rbm, stream, 20_000, steps=4)
    p = p_values(rbm, state)
    assert len(p) * min(p) > alpha
    assert 0.05 < metrics["rare"] < metrics["swap"] + 1e-9  # of the one pair whose turn it was
    assert metrics["swap"] < 1
    cold = state.replicas.rung.argmax(1)
    assert bool((cold == 0).any())  # swaps happened, and the position is that of the replica at beta = 1
    rows = torch.arange(len(cold))
    assert torch.equal(state.replicas.position, state.replicas.moving.position[rows, cold])


def test_the_free_energy_at_one_is_no_swap_rule(stream, monkeypatch):
    """A planted mistake: (beta' - beta) F(v) in place of the change of the marginal. The check sees it at once."""
    rbm = machine("bernoulli-bernoulli")
    with torch.no_grad():
        rbm.weight.mul_(2.5)

    def wrong(kernel, state, old, new):
        return -(new - old) * kernel.model.free_energy(state.position).detach()

    state, _, _ = crossed(rbm, stream, 100_000, steps=4)
    assert min(p_values(rbm, state)) > 1e-7
    monkeypatch.setattr(replicas, "log_ratio", wrong)
    state, _, _ = crossed(rbm, stream, 100_000, steps=4)
    assert min(p_values(rbm, state)) < 1e-12


def test_the_gradient_is_taken_at_the_coldest(stream):
    rbm = machine("bernoulli-bernoulli", torch.float64)
    state, _, x = crossed(rbm, stream, 500)
    v = state.replicas.position
    means = [rbm.hidden.mean(rbm.hidden_field(rows)).detach() for rows in (x, v)]
    expected = x.t() @ means[0] / len(x) - v.t() @ means[1] / len(v)
    torch.testing.assert_close(-rbm.weight.grad, expected)


def test_pairs_swap_in_turn_from_update_to_update(stream):
    rbm = machine("bernoulli-bernoulli")
    objective = ParallelTempering(betas=BETAS, chains=6)
    x = torch.zeros(3, 3)
    state, step = objective.start(rbm, x, generator=stream), objective.update(rbm, still(rbm))
    for expected in (1, 2, 3):
        state, _ = step(state, x, generator=stream)
        assert state.replicas.clock.tolist() == [expected] * 6


def test_runs_are_resumed_bit_for_bit(seed, tmp_path):
    x = (torch.rand(40, 12, generator=dg.random.generator(seed)) < 0.3).float()

    def fitted(out, epochs):
        rbm = dg.RBM(12, 4, generator=0)
        dg.fit(rbm, x, ParallelTempering(chains=5, betas=3), epochs=epochs, batch_size=15, seed=seed % 2**31, out=out,
               progress=False)  # fmt: skip
        return rbm

    whole = fitted(tmp_path / "a", 4)
    fitted(tmp_path / "b", 2)
    assert torch.equal(whole.weight, fitted(tmp_path / "b", 4).weight)


def test_a_broken_ladder_is_said_in_words():
    rbm = dg.RBM(30, 2, generator=0)
    with torch.no_grad():
        rbm.visible_bias.fill_(8.0)  # two rungs whose laws hardly meet
    objective = ParallelTempering(chains=10, betas=2)
    with pytest.warns(EquilibriumWarning, match="the ladder is broken: one pair of rungs swaps in"):
        dg.fit(rbm, torch.ones(10, 30), objective, epochs=210, batch_size=10, progress=False,
               optimizer=torch.optim.SGD(rbm.parameters(), lr=0.0))  # fmt: skip


@pytest.mark.parametrize("betas", [1, True, "many", [0.0, 0.5], [0.5, 0.2, 1.0], None])
def test_odd_ladders_are_refused(betas):
    with pytest.raises(ArgumentError, match="rise"):
        ParallelTempering(betas=betas)
