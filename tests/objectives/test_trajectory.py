"""Trajectory tempering: laws that swaps leave alone, log Z with its error, modes kept, rollback, resumed bits."""

from dataclasses import replace

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, DivergenceError, MissingCapability
from deepgen.evaluate.bennett import leave_one_out
from deepgen.objectives import EquilibriumWarning, PersistentCD, TrajectoryTempering
from deepgen.objectives.chain_memory import ChainMemory
from deepgen.objectives.contrastive_step import ContrastiveState
from deepgen.objectives.trajectory_ladder import (
    Partners,
    Rung,
    carry,
    gibbs,
    hidden_free_energy,
    parameters_of,
    put,
    twin,
)
from deepgen.objectives.trajectory_meeting import meet, refreshed, swaps
from deepgen.objectives.trajectory_start import first_rung
from deepgen.objectives.trajectory_step import _spread, trusted
from deepgen.objectives.trajectory_weights import caught_up, least_log_z, weights
from deepgen.testing import Exact, check_estimate, same_law
from deepgen.train import Checkpoint
from tests.contracts.layers import machine
from tests.evaluate.test_annealed import reach
from tests.objectives.steps import still
from tests.train.runs import equal
from tests.train.test_resume import Power, cut


def weaker(rbm, factor=0.6):
    other = twin(rbm)
    with torch.no_grad():
        other.weight.mul_(factor)
    return other


def rung_of(frozen, count, stream):
    """Draws of a machine from its exact law, and its exact log Z."""
    exact, zero = Exact(frozen), torch.zeros(())
    each, told = torch.arange(count), torch.zeros(count).double()
    sets = []
    for _ in range(2):
        draws = exact.sample(count, generator=stream)[1]
        sets.append(Partners(draws, hidden_free_energy(frozen, draws), each))
    log_z = exact.log_z.detach().double()
    return Rung(parameters_of(frozen), *sets[0], sets[1], log_z, told, *zero.double().expand(3), zero.long())


def met(rbm, frozen, stream, count, steps=3):
    """Chains of the model and draws of the frozen machine from their exact laws, after some meetings."""
    rung, chains = rung_of(frozen, count, stream), Exact(rbm).sample(count, generator=stream)[1]
    family = torch.arange(count)
    for _ in range(steps):
        state = meet(rbm, frozen, rung, chains, family, count, moves=count // 2, generator=stream)
        chains, family, rung = state.chains, state.family, state.rung
    return state


@pytest.mark.parametrize("pair", ["bernoulli-bernoulli", "softmax-spin", "spin-learned"])
def test_meetings_leave_both_laws_alone(pair, stream, alpha):
    rbm = twin(machine(pair))
    frozen = weaker(rbm)
    state = met(rbm, frozen, stream, 20_000)
    p = [
        *Exact(rbm).visible_law().p_values(rbm.visible.sample(rbm.visible_field(state.chains), generator=stream)),
        *Exact(frozen)
        .visible_law()
        .p_values(frozen.visible.sample(frozen.visible_field(state.rung.partners.draws), generator=stream)),
        *same_law(state.chains, Exact(rbm).sample(20_000, generator=stream)[1], generator=stream),
    ]
    assert len(p) * min(p) > alpha
    assert 0.2 < state.chance.mean() < 0.99
    for part in (state.rung, state.rung.partners):
        torch.testing.assert_close(part.energy, hidden_free_energy(frozen, part.draws))
    torch.testing.assert_close(state.level, hidden_free_energy(rbm, state.probe))


def test_swaps_are_in_detailed_balance(stream):
    """By enumeration of the hidden layers: p(x) q(y) a(x, y) is symmetric; by half of the log ratio it is not."""
    rbm = machine("bernoulli-bernoulli", torch.float64)
    frozen = weaker(rbm)
    h = rbm.hidden.enumerate(0, 2**rbm.hidden.width).double()
    with torch.no_grad():
        p, q = (-hidden_free_energy(rbm, h), -hidden_free_energy(frozen, h))
    n = len(h)

    def flow(scale):
        ratio = scale * (p - q)
        pairs = torch.stack([ratio.repeat(n), ratio.repeat_interleave(n)])  # of draw y, of chain x
        _, chance = swaps(pairs, generator=stream)
        return p.softmax(0).unsqueeze(1) * q.softmax(0) * chance.reshape(n, n)

    torch.testing.assert_close(flow(1.0), flow(1.0).t(), rtol=1e-9, atol=1e-15)
    assert (flow(0.5) / flow(0.5).t() - 1).abs().max() > 0.05


def test_draws_take_the_steps_that_they_are_given(stream, alpha):
    """From exact draws they stay at their law, and from one state they forget it, as many as there are steps."""
    frozen = twin(machine("bernoulli-bernoulli"))
    rung = rung_of(frozen, 20_000, stream)
    after = refreshed(frozen, rung, 50_000, generator=stream)
    p = same_law(after.draws, Exact(frozen).sample(20_000, generator=stream)[1], generator=stream)
    assert len(p) * min(p) > alpha
    torch.testing.assert_close(after.energy, hidden_free_energy(frozen, after.draws))
    far = twin(dg.RBM(30, 30, generator=0))
    ones = rung_of(frozen, 100, stream)._replace(draws=torch.ones(100, 30))
    moved = refreshed(far, ones, 40, generator=stream).draws  # where a step that leaves all ones has a chance of 2^-30
    assert int((moved != 1).any(1).sum()) == 40


@pytest.mark.parametrize("shift", [0.1, 1.0, 3.0])
def test_the_spread_behind_an_acceptance_is_that_of_normal_laws(shift):
    """p = N(shift, 1), q = N(0, 1): l has the deviation ``shift`` under both, and the acceptance is an integral."""
    d = torch.distributions.Normal(-(shift**2), 2**0.5 * shift)  # l(y) - l(x) = shift (y - x)
    at = d.mean + d.stddev * torch.linspace(-9, 9, 20_001).double()
    acceptance = torch.trapezoid(d.log_prob(at).exp() * at.exp().clamp(max=1), at)
    assert _spread(float(acceptance)) == pytest.approx(shift, rel=1e-4)


def test_a_new_rung_has_the_law_of_the_model_and_its_log_z(stream, alpha):
    """One rung, carried over from exact draws and exact chains."""
    rbm = twin(machine("bernoulli-bernoulli"))
    frozen, count = weaker(rbm), 20_000
    rung, chains = rung_of(frozen, count, stream), Exact(rbm).sample(2000, generator=stream)[1]
    after, family = carry(rbm, frozen, rung, chains, torch.arange(2000), least=0.1, generator=stream)
    error = float(after.told.square().sum().sqrt())
    assert 0 < error < 0.05
    assert abs(float(after.log_z - Exact(rbm).log_z)) < 5 * error
    assert abs(float(after.gap)) < 10 * error
    h = rbm.hidden.enumerate(0, 2**rbm.hidden.width).float()
    truth = (-hidden_free_energy(rbm, h)).double().softmax(0)
    for part in (after, after.partners):
        law = torch.bincount(_number(part.draws), minlength=2**rbm.hidden.width).double() / count
        assert (law - truth).abs().max() < 6 * (0.25 / 5000) ** 0.5  # weights are worth some fewer draws than there are
        torch.testing.assert_close(part.energy, hidden_free_energy(rbm, part.draws))
    assert torch.equal(family, torch.arange(2000))
    assert gibbs(rbm, after.draws, stream).shape == after.draws.shape


@pytest.mark.parametrize("s", [0.0, 0.3, 1.0])
def test_chains_that_lag_are_weighted_by_how_far_they_are(s, stream):
    """Chains of f_phi^(1-s) f_theta^s, by enumeration: exact at s = 1, about half of the lag's error below."""
    rbm, m, n = twin(machine("bernoulli-bernoulli", torch.float64)), 60_000, 20_000
    rbm.weight.mul_(2.0)
    frozen = weaker(rbm, 0.3)
    h = rbm.hidden.enumerate(0, 2**rbm.hidden.width).double()
    q, p = (-hidden_free_energy(frozen, h), -hidden_free_energy(rbm, h))
    truth, ratio = float(p.logsumexp(0) - q.logsumexp(0)), p - q

    def draw(log_law, count):
        return ratio[torch.multinomial(log_law.softmax(0), count, replacement=True, generator=stream)]

    up, down = draw(q, m), draw((1 - s) * q + s * p, n)
    assert float(caught_up(up, down)) == pytest.approx(s, abs=0.05)
    error = abs(float(weights(up, down).logsumexp(0)) - truth)
    taken_for_theta = abs(float(leave_one_out(up.unsqueeze(0), down.unsqueeze(0))[0]) - truth)
    noise = 5 * float((up.softmax(0) - 1 / m).norm())  # that of draws alone, which is more
    assert error < 0.6 * taken_for_theta + noise
    assert s == 1 or taken_for_theta > 5 * noise


def _number(h):
    return (h.long() * 2 ** torch.arange(h.shape[1])).sum(1)


@pytest.mark.filterwarnings("ignore:log Z was")
@pytest.mark.parametrize("pair", ["bernoulli-bernoulli", "gaussian-bernoulli", "mixed-spin"])
def test_log_z_up_the_ladder_is_that_of_enumeration(pair, stream):
    """From no weights up to a machine far away, over repeats: value, error and coverage, of the ladder alone.

    Draws meet nearly all hidden layers of a machine so small, so that the lower bound is log Z itself, nearly.
    """
    rbm = machine(pair)
    with torch.no_grad():
        rbm.weight.mul_(1.0 if "gaussian" in pair or "mixed" in pair else 3.0)
    objective, truth = (
        TrajectoryTempering(chains=40, depth=10, trust=1e9, temperatures=2),
        float(Exact(rbm).log_z.detach()),
    )

    def estimate(generator):
        state = objective.start(rbm, rbm.sample(5, steps=1, generator=generator), generator=generator)
        log_z, told = (part.detach() for part in state.rung.reach(state.rung.bridge(rbm)[1]))
        bounded = objective.log_partition(rbm, state=state)
        assert float(log_z) <= bounded.value <= max(float(log_z), truth + 1e-4)
        return replace(bounded, value=float(log_z), stderr=float((state.rung.variance + told.square().sum()).sqrt()))

    check_estimate(estimate, truth, seeds=200, slack=0.05, generator=stream)


def test_the_first_rung_is_exact_without_weights(stream):
    rbm = machine("mixed-mixed", torch.float64)
    with torch.no_grad():
        rbm.weight.zero_()
    offsets = (torch.ones(rbm.visible.width).double(), torch.ones(rbm.hidden.width).double())
    rung = first_rung(rbm, offsets, 80, least=0.3, generator=stream)
    assert torch.allclose(rung.log_z, Exact(rbm).log_z.detach(), atol=1e-9)


@pytest.mark.filterwarnings("ignore:epoch")
def test_likelihoods_in_training_are_those_of_enumeration(seed):
    """Along one run, with rungs frozen on the way: within the errors that are stated, and over many nats of log Z."""
    x = dg.data.bars_and_stripes(4)
    objective = TrajectoryTempering(chains=100, trust=1e9)
    rbm, estimates, scores, nats = dg.RBM(16, 8, generator=seed).initialise(x), [], [], []

    def look(record, model):
        if record.epoch % 200 == 0:
            truth = dg.evaluate.log_likelihood(model, x, method="exact").value
            found = objective.log_likelihood(model, x)
            estimates.append(found)
            scores.append((found.value - truth) / max(found.stderr, 0.01))
            nats.append(truth)

    history = dg.fit(
        rbm, x, objective, epochs=1000, callbacks=[look], seed=seed % 2**31, progress=False,
        optimizer=torch.optim.SGD(rbm.parameters(), lr=0.3),
    )  # fmt: skip
    assert history[-1].metrics["rungs"] >= 2
    assert nats[-1] - nats[0] > 0.3
    assert max(abs(score) for score in scores) < 6
    assert max(found.stderr for found in estimates[-2:]) < 3  # nats, so that the scores say something


def two_modes():
    """12 x 4 bits, all alike: symmetric under flipping every unit, with two modes that block Gibbs does not join."""
    rbm = dg.RBM(12, 4, generator=0)
    with torch.no_grad():
        rbm.weight.fill_(1.8)
        rbm.visible_bias.fill_(-1.8 * 4 / 2)
        rbm.hidden_bias.fill_(-1.8 * 12 / 2)
    return rbm


def upper(rbm):
    """p(more than half of the visible units are on), exactly (half of those that have half of them on)."""
    law = Exact(rbm).visible_law()
    p, ones = law.log_weight.double().softmax(0), law.rows.sum(1)
    return float(p[ones > 6].sum() + p[ones == 6].sum() / 2)


def test_modes_are_kept_where_persistent_chains_lose_one(stream):
    """The data are the model's own, so nothing is to be learned. 70 % of the chains of PCD are in one mode, for good:

    it cannot but take that mode for too probable, at every step. Swaps put the chains right.
    """
    truth = two_modes()
    exact, steps, rate = Exact(truth), 300, 0.02
    h, v = truth.hidden.enumerate(0, 16).float(), truth.visible.enumerate(0, 4096).float()
    with torch.no_grad():
        down = truth.visible_given(h).log_prob(v.unsqueeze(1)).t().exp().double()  # [h, v]
        up = truth.hidden_given(v).log_prob(h.unsqueeze(1)).t().exp().double()  # [v, h]
    crossed = (torch.eye(16).double()[15] @ torch.linalg.matrix_power(down @ up, steps))[h.sum(1) < 2].sum()
    assert crossed < 0.05  # the share of chains that would change sides in all of the run if the model stood still
    x = exact.sample(4000, generator=stream)[0]

    def trained(objective, skewed):
        rbm = two_modes()
        state = objective.start(rbm, x, generator=stream)
        if skewed:
            hidden = exact.sample(4000, generator=stream)[1]
            high, low = hidden[hidden.sum(1) > 2], hidden[hidden.sum(1) < 2]
            state = state._replace(chains=torch.cat([high[:70], low[:30]]))
        step = objective.update(rbm, torch.optim.SGD(rbm.parameters(), lr=rate))
        for i in range(steps):
            state, metrics = step(state, x[i % 40 * 100 :][:100], generator=stream)
        return upper(rbm), metrics

    lost, _ = trained(PersistentCD(chains=100), skewed=True)
    kept, metrics = trained(TrajectoryTempering(chains=100), skewed=False)
    again, _ = trained(TrajectoryTempering(chains=100), skewed=True)
    assert lost < 0.02
    assert 0.2 < kept < 0.8
    assert 0.2 < again < 0.8
    assert metrics["rungs"] >= 1


def wide():
    """Enough units that a change of every bias leaves no overlap."""
    return dg.RBM(30, 30, generator=0)


@torch.no_grad()
def throw(rbm):
    """Far away, to where one draw of the rung outweighs the others: each unit by a step of its own, so none tie."""
    rbm.hidden_bias.add_(torch.linspace(30, 90, 30))


def test_many_meetings_leave_the_shares_of_modes_alone(stream, alpha):
    """Where neither machine's Gibbs steps join the modes. A chain that met the same draws over and over would go over

    to their shares, 0.74 in place of 0.80 with three for each chain, and jump more often than it should.
    """
    rbm, frozen, rounds = twin(two_modes()), twin(two_modes()), 30
    with torch.no_grad():
        rbm.visible_bias.add_(0.12)
    shares, wanted = [], upper(rbm)
    assert wanted - upper(frozen) > 0.25
    for _ in range(40):
        rung, chains = rung_of(frozen, 300, stream), Exact(rbm).sample(100, generator=stream)[1]
        family = torch.zeros(100, dtype=torch.long)
        for _ in range(10 * rounds):
            state = meet(rbm, frozen, rung, chains, family, 10, generator=stream)
            rung, chains, family = state.rung, state.chains, state.family
        v = rbm.visible.sample(rbm.visible_field(chains), generator=stream)
        shares.append(float((v.sum(1) > 6).double().mean() + (v.sum(1) == 6).double().mean() / 2))
    share = torch.tensor(shares).double()
    error = float(share.std()) / len(share) ** 0.5
    assert error < 0.01
    # self-normalised weights of n draws err by their share times their spread over n: below 0.001 here
    assert abs(float(share.mean()) - wanted) < reach(alpha) * error + 0.001


def test_a_step_too_far_is_taken_back(stream):
    rbm = wide()
    x = rbm.sample(50, steps=5, generator=stream)
    objective = TrajectoryTempering(chains=40, every=1, pace=1)
    optimizer = torch.optim.SGD(rbm.parameters(), lr=0.05, momentum=0.9)
    state, update = objective.start(rbm, x, generator=stream), objective.update(rbm, optimizer)
    state, _ = update(state, x, generator=stream)
    rung = state.rung
    throw(rbm)
    held = torch.optim.SGD(rbm.parameters(), lr=0.0, momentum=0.9)
    held.state[rbm.weight]["momentum_buffer"] = torch.ones_like(rbm.weight)
    after, metrics = objective.update(rbm, held)(state, x, generator=stream)
    assert all(torch.equal(a, b) for a, b in zip(parameters_of(rbm), rung.parameters, strict=True))
    assert (int(after.counts.rollbacks), int(after.counts.halved), int(metrics["rollbacks"])) == (1, 1, 1)
    assert float(held.state[rbm.weight]["momentum_buffer"].max()) < 1  # begun anew from this step's gradient
    moved = []
    for factor, given in ((1, after._replace(counts=after.counts._replace(halved=torch.tensor(0)))), (0.5, after)):
        put(rbm, rung.parameters)
        plain = torch.optim.SGD(rbm.parameters(), lr=0.4)
        waits = given._replace(counts=given.counts._replace(wait=torch.tensor(9)))
        objective.update(rbm, plain)(waits, x, generator=dg.random.generator(3))
        moved.append((rbm.weight.detach() - rung.parameters[0]) / factor)
        assert plain.param_groups[0]["lr"] == 0.4  # whoever schedules the rate sees its own
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("before", "after"), [(0, 1), (2, 3)])
def test_the_rate_is_halved_again_where_a_rung_is_due_at_once(before, after, stream):
    """Sooner than ``pace`` steps after the last; it is doubled where a look finds little to do."""
    x, objective = dg.data.bars_and_stripes(3), TrajectoryTempering(chains=50, every=1, pace=10, freeze=0.9)
    rbm = dg.RBM(9, 4, generator=stream).initialise(x)
    state = objective.start(rbm, x, generator=stream)
    state = state._replace(counts=state.counts._replace(halved=torch.tensor(before)))
    calm, _ = objective.update(rbm, still(rbm))(
        state._replace(counts=state.counts._replace(since=torch.tensor(100))), x, generator=stream
    )
    assert int(calm.counts.halved) == max(before - 1, 0)
    with torch.no_grad():
        rbm.hidden_bias.add_(1.0)
    hasty, metrics = objective.update(rbm, still(rbm))(state, x, generator=stream)
    assert (int(hasty.counts.halved), float(metrics["slowed"])) == (after, 2.0**after)


def test_a_model_that_cannot_be_followed_ends_in_words(stream):
    rbm = wide()
    x = rbm.sample(50, steps=5, generator=stream)
    objective = TrajectoryTempering(chains=20, every=1, pace=1)

    class Wild(torch.optim.SGD):
        def step(self, closure=None):
            throw(rbm)

    start, update = objective.start(rbm, x, generator=stream), objective.update(rbm, Wild(rbm.parameters(), lr=0.1))

    def train(state=start):
        for _ in range(500):  # of ten draws two may still weigh the same by chance, and the count begins anew
            state, _ = update(state, x, generator=stream)

    with pytest.raises(DivergenceError, match="the chains lost the model 31 times in a row"):
        train()


@pytest.mark.filterwarnings("ignore:epoch")
@pytest.mark.parametrize("trust", [1e9, 0.0])
def test_a_run_cut_anywhere_and_resumed_is_the_uninterrupted_run(seed, tmp_path, trust):
    """With rungs and rollbacks on the way, momentum, and a schedule; and with chains that part from the draws."""
    x = (torch.rand(60, 1, generator=dg.random.generator(seed)) < 0.5).float().repeat(1, 30)

    def run(objective, out):
        rbm = dg.RBM(30, 4, generator=0)
        history = dg.fit(
            rbm, x, objective, epochs=10, batch_size=15, seed=seed % 2**31, out=out, progress=False,
            optimizer=torch.optim.SGD(rbm.parameters(), lr=3.0, momentum=0.5), schedule=lambda done: 1 - done,
            callbacks=[Checkpoint(steps=3)],
        )  # fmt: skip
        return rbm, history

    objective = TrajectoryTempering(chains=20, depth=2, every=3, pace=2, freeze=0.9, lost=0.8, trust=trust)
    whole, history = run(objective, tmp_path / "whole")
    assert history[-1].metrics["rollbacks" if trust > 1 else "apart"] > 0
    for steps in (4, 9, 11):
        with pytest.raises(Power):
            run(cut(objective, steps), tmp_path / "cut")
    again, resumed = run(objective, tmp_path / "cut")
    assert equal(whole, again)
    assert [record.metrics for record in resumed] == [record.metrics for record in history]


def test_a_ladder_may_have_one_rung(stream):
    """With freeze=0 no model is frozen, however far chains are from the machine that training began with."""
    rbm, x = machine("bernoulli-bernoulli"), torch.eye(3).repeat(20, 1)
    objective = TrajectoryTempering(chains=20, freeze=0.0, lost=0.0)
    sgd = torch.optim.SGD(rbm.parameters(), lr=0.1)
    history = dg.fit(rbm, x, objective, epochs=20, batch_size=20, optimizer=sgd, seed=1, progress=False)
    assert history[-1].metrics["rungs"] == 1
    assert all(p.isfinite().all() for p in rbm.parameters())


def test_all_chains_have_their_turn_however_often_rungs_come(stream):
    """Each meets draws once in as many meetings as there are groups, though every meeting leads to a new rung."""
    rbm, x = machine("bernoulli-bernoulli"), torch.eye(3)
    objective = TrajectoryTempering(chains=40, meeting=10, every=1, pace=1, freeze=1.0, lost=0.0)
    state = TrajectoryTempering(chains=40).start(rbm, x, generator=stream)
    update = objective.update(rbm, still(rbm))
    groups = []
    for _ in range(4):
        groups.append(int(state.rung.turn))
        with torch.no_grad():
            rbm.hidden_bias.add_(0.1)
        state, metrics = update(state, x, generator=stream)
    assert metrics["rungs"] > 2
    assert groups == [0, 1, 2, 3]


def test_a_step_changes_no_state_that_it_was_given(stream):
    rbm, x = machine("bernoulli-bernoulli"), torch.eye(3)
    objective = TrajectoryTempering(chains=20, every=1)
    state, update = objective.start(rbm, x, generator=stream), objective.update(rbm, still(rbm))
    for _ in range(3):
        kept = [t.clone() for t in (state.chains, state.family, state.rung.energy, state.rung.draws)]
        after, _ = update(state, x, generator=stream)
        now = (state.chains, state.family, state.rung.energy, state.rung.draws)
        assert all(torch.equal(a, b) for a, b in zip(kept, now, strict=True))
        state = after


@pytest.mark.parametrize("gap", [0.3, 0.7])
def test_chains_are_left_to_themselves_where_log_z_is_not_to_be_trusted(gap, stream):
    """At a rung, by its error; the rate, halved before, is whole again."""
    x, objective = dg.data.bars_and_stripes(3), TrajectoryTempering(chains=50, freeze=0.99, pace=1, trust=0.5)
    rbm = dg.RBM(9, 4, generator=stream).initialise(x)
    state = objective.start(rbm, x, generator=stream)
    state = state._replace(rung=state.rung._replace(gap=torch.tensor(gap).double()))
    slow = state._replace(counts=state.counts._replace(halved=torch.tensor(2)))
    assert int(trusted(slow, 0.5).counts.halved) == (0 if gap > 0.5 else 2)
    step = objective.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.01))
    while int(state.counts.rungs) == 1:
        assert int(state.counts.apart) == 0
        state, metrics = step(state, x, generator=stream)
    assert int(state.counts.apart) == float(metrics["apart"]) == (gap > 0.5)


def test_chains_left_to_themselves_take_the_steps_of_persistent_cd(stream):
    x, objective = dg.data.bars_and_stripes(3), TrajectoryTempering(chains=50, trust=0.0)
    ours = dg.RBM(9, 4, generator=stream).initialise(x)
    state = objective.start(ours, x, generator=stream)
    assert int(state.counts.apart) == 1
    plain, plainly = twin(ours).requires_grad_(True), PersistentCD(chains=50)
    own = ContrastiveState(state.chains, state.visible_mean, state.hidden_mean, ChainMemory(*state.memory))
    sides = []
    for rbm, options, at in ((ours, objective, state), (plain, plainly, own)):
        step, same = options.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.1)), dg.random.generator(3)
        for _ in range(30):
            at, metrics = step(at, x, generator=same)
        sides.append((at.chains, metrics["autocorrelation"], *rbm.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*sides, strict=True))


@pytest.mark.parametrize("pair", ["bernoulli-bernoulli", "softmax-spin", "gaussian-bernoulli"])
def test_log_z_is_annealed_where_chains_are_left_to_themselves(pair, stream, alpha):
    rbm, objective = machine(pair), TrajectoryTempering(chains=50, trust=0.0)
    x = rbm.sample(200, generator=stream)
    state = objective.start(rbm, x, generator=stream)
    found = objective.log_partition(rbm, state=state)
    assert (found.side, found.n, found.settings["temperatures"]) == ("undetermined", 20, 100)
    assert abs(found.value - float(Exact(rbm).log_z.detach())) < reach(alpha) * max(found.stderr, 1e-3)
    few = x[:2]  # more would bound log Z by what they add up to
    rows = objective.log_likelihood(rbm, few, state=state)
    assert rows.value == pytest.approx(float(rbm.log_density(few).detach().double().mean()) - found.value, abs=1e-5)


def test_chains_left_to_themselves_are_said_in_words():
    from deepgen.objectives.equilibrium_watch import EquilibriumWatch
    from deepgen.train import Record

    watch, model = EquilibriumWatch(), torch.nn.Linear(1, 1)
    metrics = {"rungs": 9.0, "rollbacks": 0.0, "raised": 0.0, "apart": 0.0, "behind": 0.0, "autocorrelation": 4.0}
    watch(Record(1, 1000, 0.0, 0.0, metrics), model)
    with pytest.warns(EquilibriumWarning, match="after 9 rungs log Z .* goes on as PersistentCD"):
        watch(Record(2, 2000, 0.0, 0.0, {**metrics, "apart": 0.3}), model)  # from the middle of the epoch
    watch(Record(3, 3000, 0.0, 0.0, {**metrics, "apart": 1.0}), model)  # once


def test_slow_chains_are_said_in_words():
    from deepgen.objectives.equilibrium_watch import EquilibriumWatch
    from deepgen.train import Record

    watch = EquilibriumWatch()
    metrics = {"rungs": 1.0, "rollbacks": 0.0, "raised": 0.0, "apart": 0.0, "behind": 0.0, "autocorrelation": 4000.0}
    watch(Record(1, 17_000, 0.0, 0.0, metrics), torch.nn.Linear(1, 1))  # less than a quarter of the run
    with pytest.warns(EquilibriumWarning, match="autocorrelation time of 4e\\+03 sweeps in a run of 15000"):
        watch(Record(2, 15_000, 0.0, 0.0, metrics), torch.nn.Linear(1, 1))
    watch(Record(3, 15_100, 0.0, 0.0, metrics), torch.nn.Linear(1, 1))  # once


def test_a_ladder_below_what_rows_prove_is_said_in_words():
    from deepgen.objectives.equilibrium_watch import EquilibriumWatch
    from deepgen.train import Record

    watch, model = EquilibriumWatch(), torch.nn.Linear(1, 1)
    metrics = {"rungs": 1.0, "rollbacks": 0.0, "raised": 0.5, "apart": 0.0, "behind": 0.0, "autocorrelation": 4.0}
    watch(Record(1, 1000, 0.0, 0.0, metrics), model)
    with pytest.warns(EquilibriumWarning, match="fell 4 nats below what distinct rows alone add up to"):
        watch(Record(2, 2000, 0.0, 0.0, {**metrics, "raised": 4.0}), model)
    watch(Record(3, 3000, 0.0, 0.0, {**metrics, "raised": 4.0}), model)  # once


def test_rungs_in_haste_are_said_in_words():
    """On such a ladder log Z was found to be off by many times its error."""
    from deepgen.objectives.equilibrium_watch import EquilibriumWatch
    from deepgen.train import Record

    def seen(epoch, rungs):
        metrics = {"rungs": rungs, "rollbacks": 0.0, "raised": 0.0, "apart": 0.0, "behind": 0.0, "autocorrelation": 2.0}
        return Record(epoch, 100 * epoch, 0.0, 0.0, metrics), torch.nn.Linear(1, 1)

    watch = EquilibriumWatch()
    watch(*seen(1, 1.0))
    watch(*seen(2, 2.5))
    with pytest.warns(EquilibriumWarning, match="a new rung in every 20 steps"):
        watch(*seen(3, 7.5))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"chains": 25, "meeting": 10}, "chains must be a multiple of meeting, got 25 chains of which 10 meet draws"),
        ({"meeting": 0}, "meeting must be"),
        ({"freeze": 1.5}, "freeze must be a finite number from 0 to 1"),
        ({"lost": 0.6}, "lost must be a finite number from 0 to 0.5"),
        ({"depth": 0}, "depth must be"),
        ({"pace": 0}, "pace must be"),
        ({"trust": -1.0}, "trust must be a finite number of at least 0"),
    ],
)
def test_odd_options_are_refused(options, says):
    with pytest.raises(ArgumentError, match=says):
        TrajectoryTempering(**options)


def test_a_run_that_is_only_read_has_no_ladder(tmp_path):
    """Its last state is in the checkpoint, and the first one of `start` would be another model's."""
    x = torch.eye(4)
    for objective in (TrajectoryTempering(chains=20), TrajectoryTempering(chains=20)):
        rbm = dg.RBM(4, 2, generator=0)
        history = dg.fit(rbm, x, objective, epochs=2, out=tmp_path, progress=False)
    assert history.new_steps == 0
    with pytest.raises(MissingCapability, match="has taken no step"):
        objective.log_likelihood(rbm, x)


def test_another_model_has_no_ladder():
    with pytest.raises(MissingCapability, match="has taken no step with that model"):
        TrajectoryTempering().log_likelihood(dg.RBM(3, 2), torch.zeros(1, 3))


def bits(kind, seed, stream):
    """Small sets of training rows whose machines' log Z is a sum."""
    if kind == "bars":
        return dg.data.bars_and_stripes(3), 8
    if kind == "two modes":
        side = (torch.rand(1000, 1, generator=stream) < 0.5).float()
        return (side - (torch.rand(1000, 12, generator=stream) < 0.03).float()).abs(), 4
    centres = (torch.rand(4, 8, generator=stream) < 0.5).float()
    rows = centres[torch.randint(4, (500,), generator=stream)]
    return (rows - (torch.rand(rows.shape, generator=stream) < 0.05).float()).abs(), 6


@pytest.mark.filterwarnings("ignore:epoch")
def test_both_modes_are_kept_by_default_and_log_z_is_honest(seed, stream):
    """From small weights, with two modes found on the way, 150 passes in which a look every 40 steps lost one."""
    x, hidden = bits("two modes", seed, stream)
    objective, scores = TrajectoryTempering(), []
    rbm = dg.RBM(12, hidden, generator=seed).initialise(x)

    def look(record, model):
        if record.epoch % 50 == 0:
            found = objective.log_likelihood(model, x)
            truth = dg.evaluate.log_likelihood(model, x, method="exact").value
            scores.append((found.value - truth) / found.stderr)

    dg.fit(
        rbm, x, objective, epochs=150, batch_size=100, seed=seed % 2**31, callbacks=[look], progress=False,
        optimizer=torch.optim.SGD(rbm.parameters(), lr=0.1),
    )  # fmt: skip
    assert 0.1 < upper(rbm) < 0.9
    assert max(abs(score) for score in scores) < 6


@pytest.mark.filterwarnings("ignore:epoch")
def test_stated_errors_hold_the_truth_over_runs(seed, stream):
    """Three sets, three seeds and two lengths each: no more beyond three errors than one in 20 runs makes likely."""
    beyond, runs = 0, 0
    for kind in ("bars", "two modes", "mixture"):
        for repeat in range(3):
            x, hidden = bits(kind, seed + repeat, stream)
            objective = TrajectoryTempering(chains=50)
            rbm = dg.RBM(x.shape[1], hidden, generator=seed + repeat).initialise(x)
            state = objective.start(rbm, x, generator=stream)
            step = objective.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.1))
            for number in range(600):
                batch = x[torch.randint(len(x), (50,), generator=stream)]
                state, _ = step(state, batch, generator=stream)
                if number in (299, 599):
                    found = objective.log_likelihood(rbm, x)
                    truth = dg.evaluate.log_likelihood(rbm, x, method="exact").value
                    beyond, runs = beyond + (abs(found.value - truth) > 3 * found.stderr), runs + 1
    assert runs == 18
    assert beyond <= 6  # with one in 20, and the two looks of a run alike, 7 and more have a chance of 1e-4


def test_the_least_log_z_counts_each_row_once():
    rbm = machine("bernoulli-bernoulli", torch.float64)
    h = rbm.hidden.enumerate(0, 2**rbm.hidden.width).double()
    with torch.no_grad():
        energy = hidden_free_energy(rbm, h)
    every = least_log_z(energy.repeat(3), h.repeat(3, 1))
    torch.testing.assert_close(every, Exact(rbm).log_z.detach().double())
    assert least_log_z(energy[:5].repeat(2), h[:5].repeat(2, 1)) < every


def test_rows_are_told_apart_only_where_that_can_matter():
    rows = torch.tensor([[0.0], [1.0], [1.0]])
    assert float(least_log_z(torch.zeros(3), rows, 1.0)) == pytest.approx(0.6931, abs=1e-4)  # log 3 is more than 1
    assert float(least_log_z(torch.zeros(3), rows, 1.1)) == -float("inf")


@pytest.mark.filterwarnings("ignore:epoch")
def test_a_ladder_that_lost_a_mode_is_raised_to_what_rows_prove(stream):
    """Draws of one mode alone, and rows of both: the value can not be above -log(rows), and says what is wrong."""
    rbm, zero = two_modes(), torch.zeros(()).double()
    x = torch.cat([torch.zeros(1, 12), torch.ones(1, 12)])
    with torch.no_grad():
        rbm.visible_bias.add_(0.3)  # the other mode has more of the mass
    objective = TrajectoryTempering(chains=100, trust=1e9)  # the ladder alone: of these rows chains would be left alone
    state = objective.start(rbm, x, generator=stream)
    draws = torch.zeros_like(state.rung.draws)
    told = torch.zeros_like(state.rung.told)
    rung = state.rung._replace(
        draws=draws, energy=hidden_free_energy(rbm, draws), log_z=zero - 50, told=told, variance=zero, gap=zero
    )
    state = state._replace(rung=rung)
    with pytest.warns(EquilibriumWarning, match="nats below what distinct rows alone add up to"):
        found = objective.log_likelihood(rbm, x, state=state)
    assert found.side == "undetermined"
    assert found.value <= -torch.tensor(2.0).log() + 1e-5
    truth = dg.evaluate.log_likelihood(rbm, x, method="exact").value
    assert abs(found.value - truth) < found.stderr
