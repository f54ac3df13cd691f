"""Chains that train energy models: gradients in closed form, laws recovered, runs that resume bit for bit."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.distributions import MultivariateNormal
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.explicit import EnergyModel
from deepgen.layers import ScalarMLP
from deepgen.objectives import AdversarialChains, PersistentCD, PersistentChains
from deepgen.testing import check_random
from tests.energies import Quadratic, binary, grid
from tests.train.runs import equal
from tests.train.test_resume import Power, cut


def test_the_gradient_is_the_difference_of_two_means(stream):
    """f = -w |x - c|^2 over N(0, 1): p = N(2wc / (1 + 2w), 1 / (1 + 2w)); both derivatives of <log p>_d by hand."""
    w, c, n = 0.7, 0.5, 40_000
    precision = 1 + 2 * w
    mean, variance = 2 * w * c / precision, 1 / precision
    model = EnergyModel(Quadratic(1, w, c), base=MultivariateNormal(1))
    x = 0.8 * torch.randn(n, 1, generator=stream) - 0.3
    objective = PersistentChains(k=20, chains=n, step_size=1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    # chains start at the model's own law and must stay there
    state = objective.start(model, x, generator=stream)
    state = state._replace(position=mean + math.sqrt(variance) * torch.randn(n, 1, generator=stream))
    objective.update(model, optimizer)(state, x, generator=stream)
    net = model.net
    expected_weight = -((x - c).square().mean() - (variance + (mean - c) ** 2))
    expected_centre = 2 * w * (x.mean() - mean)
    error_weight = math.sqrt((2 * variance**2 + 4 * variance * (mean - c) ** 2) / n)
    error_centre = 2 * w * math.sqrt(variance / n)
    assert abs(-net.weight.grad - expected_weight) < 5.5 * error_weight
    assert abs(-net.centre.grad[0] - expected_centre) < 5.5 * error_centre


def test_the_fit_finds_the_gaussian_of_the_data(stream):
    x = 0.6 * torch.randn(2000, 1, generator=stream) + 1.0
    model = EnergyModel(Quadratic(1, 0.5, 1.0), base=MultivariateNormal(1))
    dg.fit(
        model, x, PersistentChains(k=5, chains=1000), epochs=60, batch_size=500, progress=False,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.1), schedule=lambda t: 1 - t,
    )  # fmt: skip
    precision = 1 + 2 * model.net.weight.item()
    mean = 2 * model.net.weight.item() * model.net.centre.item() / precision
    # the chains' own noise moves the end by about the rate of the last steps; the data's moments are the answer
    assert abs(mean - float(x.mean())) < 0.05
    assert abs(1 / precision - float(x.var())) < 0.05


def test_a_law_in_the_plane_is_recovered(stream):
    """KL from the truth, by its own draws and a grid for log Z, against that of a Gaussian with the right moments."""
    law = dg.data.gaussian_ring(4, radius=2.0, std=0.6)
    x, test = dg.random.draw(law, (4000,), generator=stream), dg.random.draw(law, (4000,), generator=stream)
    model = EnergyModel(ScalarMLP(2, [32, 32], generator=0), base=MultivariateNormal(2)).initialise(x)
    before, _ = kl(law, model, test)
    dg.fit(
        model, x, PersistentChains(k=5, chains=300), epochs=8, batch_size=100, progress=False,
        optimizer=torch.optim.Adam(model.net.parameters(), lr=1e-2), schedule=lambda t: 1 - t,
    )  # fmt: skip
    after, error = kl(law, model, test)
    assert before > 0.4
    assert -6 * error < after < 0.06 + 6 * error  # nats; 0.017 to 0.029 were measured


def kl(law, model, x):
    points, _, area = grid(model, reach=12.0, points=600)
    with torch.no_grad():
        log_z = model.log_density(points).double().logsumexp(0) + math.log(area)
        gap = law.log_prob(x).double() - (model.log_density(x).double() - log_z)
    return float(gap.mean()), float(gap.std() / len(gap) ** 0.5)


@pytest.mark.parametrize("kernel", ["auto", "gibbs_with_gradients"])
def test_bits(kernel, stream):
    """Six bits drawn from a known model: the fit comes within the data's own error of the best likelihood."""
    _, states, log_p = binary(6)
    rows = torch.multinomial(log_p.exp(), 4000, True, generator=stream)
    model = EnergyModel(
        ScalarMLP(6, [32], generator=0), support="binary", base=dg.distributions.IndependentBernoulli(6)
    )
    x = states[rows].float()
    model.initialise(x)
    start = dg.evaluate.log_likelihood(model, x).value
    optimizer = torch.optim.Adam(model.net.parameters(), lr=0.01)
    dg.fit(
        model, x, PersistentChains(k=12, chains=500, kernel=kernel), epochs=6, batch_size=200, optimizer=optimizer,
        schedule=lambda t: 1 - t, progress=False,
    )  # fmt: skip
    after, best = dg.evaluate.log_likelihood(model, x).value, float(log_p[rows].mean())
    assert best - start > 0.1
    assert best - after < 0.2 * (best - start)


def test_chains_of_bits_move_from_the_first_update_on(stream):
    """By the first step size most chains have moved after two updates of four moves; it grows to 100, no further."""
    model = EnergyModel(ScalarMLP(100, [8], generator=0), 100, support="binary")
    x = (torch.rand(50, 100, generator=stream) < 0.1).float()
    objective = PersistentChains(k=4, chains=60)
    state = begun = objective.start(model, x, generator=stream)
    step = objective.update(model, torch.optim.SGD(model.parameters(), lr=0.0))
    for _ in range(2):
        state, _ = step(state, x, generator=stream)
    assert float((state.position != begun.position).any(1).float().mean()) > 0.9
    for _ in range(150):  # nothing pulls on these bits, so that every move is accepted
        state, metrics = step(state, x, generator=stream)
    assert float(metrics["acceptance"]) > 0.9
    assert float(state.log_step.exp()) == pytest.approx(100.0)


def flow_pair(learn):
    flow = dg.explicit.RealNVP(2, transforms=2, hidden=[16], generator=1)
    model = EnergyModel(Quadratic(2, 1.5, 1.5), base=MultivariateNormal(2), proposal=flow)
    return model, AdversarialChains(k=2, chains=200, learn=learn)


@pytest.mark.parametrize("learn", ["forward", "reverse"])
def test_the_generator_learns_the_energys_law(learn, stream):
    """With the energy held, q goes to p = N(2wc / (1 + 2w), 1 / (1 + 2w)): KL falls, its draws are accepted."""
    model, objective = flow_pair(learn)
    x = 1.125 + 0.5 * torch.randn(1000, 2, generator=stream)
    before = [p.clone() for p in model.net.parameters()]
    model.net.requires_grad_(False)
    optimizer = torch.optim.Adam(model.proposal.parameters(), lr=3e-3)
    state, update = objective.start(model, x, generator=stream), objective.update(model, optimizer)
    history = []
    for _ in range(300):
        state, metrics = update(state, x[:100], generator=stream)
        history.append(float(metrics["far"]))
    assert all(torch.equal(a, b) for a, b in zip(before, model.net.parameters(), strict=True))
    assert sum(history[:10]) / 10 < 0.6 < 0.85 < sum(history[-50:]) / 50
    drawn = model.proposal.sample(4000, generator=stream)
    mean, sd = 2 * 1.5 * 1.5 / 4, 0.5
    assert (drawn.mean(0) - mean).abs().max() < 0.1
    assert (drawn.std(0) - sd).abs().max() < 0.1


def test_the_generator_gets_no_gradient_from_the_energys_loss_nor_the_energy_from_its(stream):
    model, objective = flow_pair("reverse")
    plain = EnergyModel(model.net, base=model.base)
    x = torch.randn(100, 2, generator=stream)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    state = objective.start(model, x, generator=stream)
    moved, _ = objective.update(model, optimizer)(state, x, generator=stream)
    got = model.net.weight.grad.clone()
    value = plain.log_density(x).mean() - plain.log_density(moved.position).mean()
    (expected,) = torch.autograd.grad(-value, model.net.weight)
    torch.testing.assert_close(got, expected)
    assert all(p.grad is not None for p in model.proposal.parameters())


@pytest.mark.parametrize("learn", [None, "forward", "reverse"])
def test_a_run_cut_anywhere_and_resumed_is_the_uninterrupted_run(tmp_path, learn, stream):
    x = torch.randn(60, 2, generator=stream)

    def run(objective, out):
        flow = dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=1) if learn else None
        model = EnergyModel(ScalarMLP(2, [8], generator=0), base=MultivariateNormal(2), proposal=flow)
        keeper = dg.train.Checkpoint(steps=2)
        dg.fit(model, x, objective, epochs=4, batch_size=20, callbacks=[keeper], out=out, progress=False)
        return model

    options = {"k": 2, "chains": 15, "restart": 0.1, "decay": 0.01}
    objective = AdversarialChains(learn=learn, **options) if learn else PersistentChains(**options)
    whole = run(objective, tmp_path / "whole")
    for steps in (1, 4, 3):
        with pytest.raises(Power):
            run(cut(objective, steps), tmp_path / "cut")
    again = run(objective, tmp_path / "cut")
    assert equal(whole, again)
    assert equal(dg.load(tmp_path / "cut"), whole)


@pytest.mark.parametrize("options", [{}, {"restart": 0.3}, {"kernel": "ula", "step_size": 0.1}, {"kernel": "hmc"}])
def test_randomness(options, stream):
    x = torch.randn(30, 2, generator=stream)

    def update(generator):
        g = dg.random.resolve(generator)
        model = EnergyModel(ScalarMLP(2, [8], generator=0), base=MultivariateNormal(2))
        objective = PersistentChains(k=2, chains=10, **options)
        step = objective.update(model, objective.optimizer(model))
        state, _ = step(objective.start(model, x, generator=g), x, generator=g)
        return model, state

    check_random(update, generator=stream)


def test_the_decay_draws_the_network_to_zero(stream):
    """With f = w on every row the likelihood has no say, and the gradient of decay (2 w^2) is 4 decay w."""

    class Level(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.level = torch.nn.Parameter(torch.tensor(3.0))

        def forward(self, x):
            return self.level.expand(len(x))

    model = EnergyModel(Level(), base=MultivariateNormal(2))
    objective = PersistentChains(k=1, chains=10, decay=0.5)
    x = torch.randn(20, 2, generator=stream)
    state = objective.start(model, x, generator=stream)
    objective.update(model, torch.optim.SGD(model.parameters(), lr=0.0))(state, x, generator=stream)
    assert float(model.net.level.grad) == pytest.approx(4 * 0.5 * 3.0, rel=1e-5)


def test_full_restarts_are_short_runs_from_the_base(stream):
    """Chains of one step of almost no length, all restarted: they are draws of the base, wherever they were."""
    model = EnergyModel(Quadratic(2, 1.0, 3.0), base=MultivariateNormal(2))
    objective = PersistentChains(k=1, chains=4000, restart=1.0, step_size=1e-8)
    assert "restarts" in str(objective.exactness(model))
    x = torch.full((10, 2), 50.0)
    state = objective.start(model, x, generator=stream)
    step = objective.update(model, torch.optim.SGD(model.parameters(), lr=0.0))
    position = step(state, x, generator=stream)[0].position
    assert position.mean().abs() < 5.5 / math.sqrt(8000)
    assert (position.var() - 1).abs() < 5.5 * math.sqrt(2 / 8000)


@pytest.mark.parametrize("rows", [1, 50])
def test_a_single_chain_of_single_numbers_has_a_step(rows, stream):
    model, x = EnergyModel(ScalarMLP(1, [4], generator=0), 1), torch.randn(rows, 1, generator=stream)
    state = PersistentChains(chains=1).start(model, x, generator=stream)
    assert bool(state.log_step.isfinite())


def test_what_is_refused():
    model, x = EnergyModel(ScalarMLP(2, [4], generator=0), 2), torch.zeros(3, 2)
    g = dg.random.generator(0)
    with pytest.raises(MissingCapability, match="PersistentChains"):
        PersistentCD().start(model, x, generator=g)
    with pytest.raises(MissingCapability, match="PersistentCD"):
        PersistentChains().start(dg.RBM(2, 2), x, generator=g)
    with pytest.raises(MissingCapability, match="no generator to train"):
        AdversarialChains().start(model, x, generator=g)
    f = dg.samplers.velocity_couplings(2, dg.transforms.Shift, hidden=[4], generator=0)
    reversible = EnergyModel(ScalarMLP(2, [4], generator=0), 2, proposal=f)
    for learn in ("forward", "reverse"):
        with pytest.raises(MissingCapability, match="AdversarialMixing"):
            AdversarialChains(learn=learn).start(reversible, x, generator=g)
    flow = dg.explicit.RealNVP(2, transforms=2, hidden=[4], generator=0).requires_grad_(False)
    frozen = EnergyModel(ScalarMLP(2, [4], generator=0), base=MultivariateNormal(2), proposal=flow)
    with pytest.raises(ArgumentError, match="the proposal is frozen"):
        AdversarialChains().start(frozen, x, generator=g)
    with pytest.raises(ArgumentError, match="no kernel 'sample_chain'"):
        PersistentChains(kernel="sample_chain").start(model, x, generator=g)
    with pytest.raises(ArgumentError, match="forward"):
        AdversarialChains(learn="sideways")
    with pytest.raises(ArgumentError, match="step_size"):
        PersistentChains(kernel="ula").start(model, x, generator=g)
    with pytest.raises(ArgumentError, match="restart"):
        PersistentChains(restart=2.0)
    with pytest.raises(ArgumentError, match="name"):
        PersistentChains(kernel=dg.samplers.mala)
