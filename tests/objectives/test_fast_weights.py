"""Fast weights: only the chains see them, and they follow the gradient and decay as the paper writes it."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError
from deepgen.objectives import FastPersistentCD, ParallelTempering, PersistentCD, TrajectoryTempering
from deepgen.testing import Exact, same_law
from deepgen.train import Checkpoint
from tests.contracts.layers import machine
from tests.objectives.steps import named_gradients, snapshot, still
from tests.objectives.test_contrastive import REPEATS, assert_means
from tests.train.runs import equal
from tests.train.test_resume import Power, cut

NAMES = ("weight", "visible_bias", "hidden_bias")


def rows(stream, n, width):
    return (torch.rand(n, width, generator=stream) < 0.3).float()


@pytest.mark.parametrize("binary", [True, False])
def test_without_a_rate_it_is_persistent_cd(binary, seed):
    def after(objective):
        stream = dg.random.generator(seed)
        rbm, x = dg.RBM(11, 5, generator=stream), rows(stream, 20, 11)
        step, state = (
            objective.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.1)),
            objective.start(rbm, x, generator=stream),
        )
        for batch in x.split(7) * 2:
            state, _ = step(state, batch, generator=stream)
        return [*snapshot(rbm), state.chains]

    options = {"chains": 9, "k": 2, "binary": binary, "weight_decay": 0.01, "sparsity": (0.2, 0.1)}
    plain, fast = after(PersistentCD(**options)), after(FastPersistentCD(fast_rate=0.0, **options))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, fast, strict=True))


@pytest.mark.parametrize(
    "penalties",
    [
        {},
        {"weight_decay": 0.3, "sparsity": (0.1, 0.7)},
        {"weight_decay": 0.3, "sparsity": (0.1, 0.7), "centred": False},
    ],
)
def test_the_fast_part_takes_the_likelihoods_gradient_and_decays(penalties, stream):
    rbm = machine("bernoulli-bernoulli", torch.float64)
    x = rows(stream, 8, 3).double()
    objective = FastPersistentCD(chains=9, fast_rate=0.2, decay=0.6, **penalties)
    step, state = objective.update(rbm, still(rbm)), objective.start(rbm, x, generator=stream)
    first, _ = step(state, x, generator=stream)
    second, metrics = step(first, x, generator=stream)
    gradient = named_gradients(rbm)
    if penalties:
        gradient["weight"] -= 0.3 * rbm.weight.detach()
        if penalties.get("centred", True):
            gradient["visible_bias"] += 0.3 * rbm.weight.detach() @ first.hidden_mean
            gradient["hidden_bias"] += 0.3 * rbm.weight.detach().T @ first.visible_mean
        gradient["hidden_bias"] -= 0.7 * (second.hidden_mean - 0.1)
    for name, before, after in zip(NAMES, first.fast, second.fast, strict=True):
        torch.testing.assert_close(after, 0.6 * before - 0.2 * gradient[name])
    torch.testing.assert_close(metrics["fast"], second.fast[0].norm())


@pytest.mark.parametrize("pair", ["bernoulli-bernoulli", "spin-softmax"])
def test_the_gradient_is_of_data_at_the_model_and_chains_at_the_sum(pair, stream, alpha):
    """By enumeration of both machines, with chains that are exact draws of the sum."""
    rbm, both = machine(pair, torch.float64), machine(pair, torch.float64)
    fast = tuple(0.7 * torch.cos(torch.arange(p.numel()).double()).reshape(p.shape) for p in snapshot(rbm))
    with torch.no_grad():
        for p, part in zip(both.parameters(), fast, strict=True):
            p.add_(part)
    x = rbm.visible.sample(torch.full((7, rbm.visible.width), 1.0).to(rbm.weight), generator=stream)
    own, exact, gradients = Exact(rbm), Exact(both), []
    objective = FastPersistentCD(k=2, chains=400, centred=False)
    state, step = objective.start(rbm, x, generator=stream), objective.update(rbm, still(rbm))
    for _ in range(REPEATS):
        step(state._replace(chains=exact.sample(400, generator=stream)[1], fast=fast), x, generator=stream)
        gradients.append(named_gradients(rbm))
    data = torch.autograd.grad(own.log_density(x).mean(), list(own.model.parameters()))
    chains = torch.autograd.grad(exact.log_z, list(exact.model.parameters()))
    expected = {name: c - d for (name, _), d, c in zip(rbm.named_parameters(), data, chains, strict=True)}
    assert_means(gradients, expected, alpha)


@pytest.mark.parametrize("pair", ["bernoulli-bernoulli", "spin-softmax", "mixed-mixed"])
def test_chains_are_of_the_sum_and_data_of_the_model(pair, stream, alpha):
    """Exact draws of the machine with the fast part added stay its draws, and are not those of the machine alone."""
    rbm, count = machine(pair, torch.float64), 8000
    fast = tuple(0.7 * torch.cos(torch.arange(p.numel()).double()).reshape(p.shape) for p in
                 (rbm.weight, rbm.visible_bias, rbm.hidden_bias))  # fmt: skip
    both = machine(pair, torch.float64)
    with torch.no_grad():
        for name, part in zip(NAMES, fast, strict=True):
            both.get_parameter(name).add_(part if pair != "mixed-mixed" else 0.1 * part)
    fast = fast if pair != "mixed-mixed" else tuple(0.1 * part for part in fast)
    exact = Exact(both)
    x = rbm.visible.sample(torch.zeros(5, rbm.visible.width).to(rbm.weight), generator=stream)
    objective = FastPersistentCD(k=2, chains=count, centred=False)
    state = objective.start(rbm, x, generator=stream)
    state = state._replace(chains=exact.sample(count, generator=stream)[1], fast=fast)
    after, _ = objective.update(rbm, still(rbm))(state, x, generator=stream)
    p = same_law(after.chains, exact.sample(count, generator=stream)[1], generator=stream)
    assert len(p) * min(p) > alpha
    if pair == "bernoulli-bernoulli":
        p = same_law(after.chains, Exact(rbm).sample(count, generator=stream)[1], generator=stream)
        assert min(p) < 1e-9


def test_a_run_cut_anywhere_and_resumed_is_the_uninterrupted_run(seed, tmp_path):
    x = rows(dg.random.generator(seed), 40, 7)

    def run(objective, out):
        rbm = dg.RBM(7, 4, generator=0)
        dg.fit(rbm, x, objective, epochs=5, batch_size=15, seed=seed % 2**31, out=out, progress=False,
               callbacks=[Checkpoint(steps=3)])  # fmt: skip
        return rbm

    objective = FastPersistentCD(chains=6)
    for steps in (4, 5):
        with pytest.raises(Power):
            run(cut(objective, steps), tmp_path / "cut")
    assert equal(run(objective, tmp_path / "whole"), run(objective, tmp_path / "cut"))


@pytest.mark.parametrize("kind", [FastPersistentCD, ParallelTempering, TrajectoryTempering])
@pytest.mark.parametrize("options", [{"turns": 3}, {"tolerance": 0.1}, {"posterior_steps": 5}])
def test_options_of_a_deep_machine_are_refused_where_they_would_do_nothing(kind, options):
    with pytest.raises(
        ArgumentError, match=f"{next(iter(options))} is of a DBM of several hidden levels, and {kind.__name__}"
    ):
        kind(**options)


def test_a_decay_may_come_as_near_to_one_as_numbers_do():
    assert FastPersistentCD(decay=0.9999999).decay == 0.9999999


@pytest.mark.parametrize(("options", "says"), [({"fast_rate": -1}, "fast_rate"), ({"decay": 1.0}, "decay")])
def test_odd_options_are_refused(options, says):
    with pytest.raises(ArgumentError, match=says):
        FastPersistentCD(**options)
