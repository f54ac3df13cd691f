"""Layer-wise and up-down training of deep belief networks."""

import copy

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.explicit import DBN, RBM, Product
from deepgen.objectives import (
    ContrastiveDivergence,
    EquilibriumWarning,
    LayerWise,
    PersistentCD,
    TrajectoryTempering,
    UpDown,
)
from deepgen.testing import Exact
from deepgen.train import Record
from tests.evaluate.deep import deep, rows
from tests.objectives.steps import still
from tests.objectives.test_contrastive import REPEATS, assert_means


def test_with_one_level_layer_wise_training_is_that_of_the_rbm():
    x = (torch.rand(40, 6, generator=dg.random.generator(1)) < 0.4).float()
    rbm, dbn = RBM(6, 4, generator=0), DBN(6, [4], generator=0)
    for model, objective in ((rbm, PersistentCD(chains=10)), (dbn, LayerWise(PersistentCD(chains=10)))):
        dg.fit(model, x, objective, epochs=3, batch_size=7, seed=2, progress=False)
    assert torch.equal(dbn.top.weight, rbm.weight)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_each_machine_takes_one_step_a_batch(momentum, stream):
    """Whatever the optimizer: a machine's gradient is not taken again in the steps of the others."""
    dbn, x = deep("three levels", stream, dtype=torch.float32), torch.ones(5, 4)
    optimizer = torch.optim.SGD(dbn.parameters(), lr=0.1, momentum=momentum)
    before = [rbm.weight.detach().clone() for rbm in dbn.rbms]
    objective = LayerWise(ContrastiveDivergence())
    steps = objective.update(dbn, optimizer)
    state = objective.start(dbn, x, generator=stream)
    copies = [copy.deepcopy(rbm) for rbm in dbn.rbms]
    alone = [torch.optim.SGD(rbm.parameters(), lr=0.1, momentum=momentum) for rbm in copies]
    first = dg.random.generator(7)
    steps(state, x, generator=first)
    second, batch = dg.random.generator(7), x
    for level, (rbm, optimizer_alone) in enumerate(zip(copies, alone, strict=True)):
        below = batch
        if level + 1 < len(copies):
            batch = rbm.hidden.sample(rbm.hidden_field(below), generator=second)
        ContrastiveDivergence().update(rbm, optimizer_alone)(state.levels[level], below, generator=second)
        assert torch.allclose(dbn.rbms[level].weight, rbm.weight, atol=1e-6)
        assert not torch.equal(before[level], rbm.weight)


def wide_bars():
    return dg.data.load("bars_and_stripes").train


def test_trained_networks_are_far_above_independent_columns():
    """The stack, then all levels together, and these from nothing."""
    x = wide_bars()
    base = dg.evaluate.log_likelihood(dg.explicit.BernoulliMixture(16).initialise(x), x).value

    def exact(dbn):
        return dg.evaluate.log_likelihood(dbn, x, "exact").value

    def train(dbn, objective, rate, epochs):
        optimizer = torch.optim.SGD(dbn.parameters(), lr=rate)
        dg.fit(dbn, x.repeat(10, 1), objective, epochs=epochs, batch_size=8, optimizer=optimizer,
               schedule=lambda done: 1 - done, seed=0, progress=False)  # fmt: skip
        return exact(dbn)

    dbn = DBN(16, [12, 8], generator=0).initialise(x)
    stack = train(dbn, LayerWise(PersistentCD(chains=50)), 0.3, 60)
    assert stack > base + 4
    assert train(dbn.untie(), UpDown(chains=50), 0.05, 5) > stack - 0.2
    alone = DBN(16, [8, 6], generator=0, untied=True).initialise(x)
    assert train(alone, UpDown(chains=50), 0.3, 25) > base + 1


def test_a_run_that_was_stopped_ends_the_same(tmp_path):
    x = wide_bars()
    for name, make in (
        ("layers", lambda: (DBN(16, [5, 4], generator=0), LayerWise(PersistentCD(chains=6)))),
        ("up and down", lambda: (DBN(16, [5, 4], generator=0, untied=True), UpDown(chains=6))),
        ("contrastive", lambda: (DBN(16, [5, 4], generator=0, untied=True), UpDown(chains=None))),
    ):
        (whole, objective), (parts, _) = make(), make()
        dg.fit(whole, x, objective, epochs=4, batch_size=8, seed=1, progress=False)
        out = tmp_path / name
        dg.fit(parts, x, objective, epochs=4, batch_size=8, seed=1, progress=False, out=out, max_seconds=1e-9)
        again = make()[0]
        dg.fit(again, x, objective, epochs=4, batch_size=8, seed=1, progress=False, out=out)
        for p, q in zip(whole.parameters(), again.parameters(), strict=True):
            assert torch.equal(p, q)


@pytest.mark.parametrize("name", ["untied", "one direction"])
def test_up_and_down_gradients_are_those_of_the_two_divergences(name, stream, alpha):
    """Against enumeration, with chains that are exact draws of the top."""
    dbn = deep("untied", stream, scale=0.5) if name == "untied" else deep("two levels", stream, scale=0.5).untie()
    x = rows(dbn, 3, stream)
    for level, weight in enumerate(dbn.up_weights):  # apart from the way down
        weight.data.add_(0.3 * torch.randn(weight.shape, generator=stream, dtype=torch.float64))
        assert not torch.equal(weight, dbn.rbms[level].weight)
    batch, objective = x.repeat(100, 1), UpDown(chains=300)
    step, exact = objective.update(dbn, still(dbn)), Exact(dbn.top)
    gradients = []
    for _ in range(REPEATS):
        begin = type(objective.start(dbn, x, generator=stream))(exact.sample(300, generator=stream)[0])
        step(begin, batch, generator=stream)
        gradients.append({n: p.grad.clone() for n, p in dbn.named_parameters() if p.grad is not None})
    expected = {}
    for parameters, value in ((generative(dbn), bound(dbn, x)), (recognising(dbn), fantasies(dbn))):
        found = torch.autograd.grad(value, list(parameters.values()))
        expected |= {name: -g for name, g in zip(parameters, found, strict=True)}
    assert set(expected) == set(gradients[0])
    assert_means(gradients, expected, alpha)


def generative(dbn):
    named = dict(dbn.named_parameters())
    unused = {f"rbms.{level}.hidden_bias" for level in range(len(dbn.rbms) - 1)}
    return {n: p for n, p in named.items() if not n.startswith("up_") and n not in unused}


def recognising(dbn):
    return {n: p for n, p in dbn.named_parameters() if n.startswith("up_")}


def hidden_states(dbn):
    levels = [rbm.hidden for rbm in dbn.rbms[:-1]]
    h = Product(*levels).enumerate(0, Product(*levels).states)
    return list(h.split([units.width for units in levels], -1))


def joint(dbn, v, h):
    """(log p(v | h_1) ..., log f_top, log q) of rows ``[rows, 1, width]`` and all hidden states."""
    states = [v, *(part.unsqueeze(0) for part in h)]
    down = sum(dbn.below(level, states[level + 1]).log_prob(states[level]) for level in range(len(h)))
    up = sum(dbn.above(level, states[level]).log_prob(states[level + 1]) for level in range(len(h)))
    return down, dbn.top.log_density(states[-1].squeeze(0)), up


def log_z(rbm):
    states = rbm.visible.enumerate(0, rbm.visible.states)
    return rbm.log_density(states).logsumexp(0)


def bound(dbn, x):
    down, top, up = joint(dbn, x.unsqueeze(1), hidden_states(dbn))
    return (up.detach().exp() * (down + top)).sum(1).mean() - log_z(dbn.top)


def fantasies(dbn):
    v = dbn.visible.enumerate(0, dbn.visible.states).unsqueeze(1)
    down, top, up = joint(dbn, v, hidden_states(dbn))
    return ((down + top - log_z(dbn.top)).detach().exp() * up).sum()


def test_each_machine_is_watched_on_its_own():
    watch = LayerWise(TrajectoryTempering()).watch()
    calm = {"rungs": 1.0, "rollbacks": 0.0, "raised": 0.0, "apart": 0.0, "behind": 0.0, "autocorrelation": 2.0}
    upset = {**{f"{name}_2": value for name, value in calm.items()}, "rollbacks_2": 3.0}
    dbn = DBN(6, [4, 3], generator=0)
    with pytest.warns(EquilibriumWarning, match="the run left equilibrium"):
        watch(Record(1, 10, 0.0, 0.0, {**calm, **upset}), dbn)
    watch(Record(2, 20, 0.0, 0.0, {**calm, **upset}), dbn)  # nothing new, or it would raise
    LayerWise().watch()(Record(1, 10, 0.0, 0.0, {"moment_gap": 1.0, "moment_gap_2": 1.0}), dbn)


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="objective must be PersistentCD"):
        LayerWise(UpDown())
    with pytest.raises(MissingCapability, match="this trains a DBN, got RBM"):
        LayerWise().optimizer(RBM(4, 3))
    with pytest.raises(MissingCapability, match=r"call dbn\.untie\(\) first"):
        UpDown().optimizer(DBN(4, [3, 2]))
    with pytest.raises(MissingCapability, match="train it by UpDown"):
        LayerWise().optimizer(DBN(4, [3, 2], untied=True))
    for wrong in ({"k": 0}, {"chains": 0}):
        with pytest.raises(ArgumentError):
            UpDown(**wrong)
