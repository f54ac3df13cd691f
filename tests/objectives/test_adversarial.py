"""Losses and steps of adversarial training against hand and quadrature."""

import itertools
import math
import warnings
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Normal
from torch.nn.utils import parameters_to_vector

import deepgen as dg
from deepgen.errors import ArgumentError, DivergenceError, MissingCapability, ShapeError
from deepgen.implicit import (
    GAN,
    Concatenated,
    ConvEncoder,
    DCGANDiscriminator,
    DCGANGenerator,
    Dense,
    Projected,
    ResNetDiscriminator,
    ResNetGenerator,
    SpectralNorm,
)
from deepgen.layers import P4Encoder
from deepgen.objectives import (
    R1,
    R2,
    Adversarial,
    AdversarialWarning,
    GradientPenalty,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    Wasserstein,
)
from deepgen.objectives import adversarial_watch as watch
from deepgen.testing import check_random
from tests.train.runs import equal
from tests.train.test_resume import Power, cut


def small(**options):
    options = {"latent": 2, **options}
    G, D = (Dense(2, [8], out, activation="leaky_relu", generator=seed) for seed, out in enumerate((2, ())))
    return GAN(G, D, **options)


def steps(gan, objective, x, n, optimizer=None, seed=0):
    g = dg.random.generator(seed)
    update, state = objective.update(gan, optimizer or objective.optimizer(gan)), objective.start(gan, x, generator=g)
    for _ in range(n):
        state, metrics = update(state, x, generator=g)
    return metrics


class Quadratic(nn.Module):
    """D(x) = w_1 x + w_2 x^2 + w_0: the log ratio of two Gaussians lies in it."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return self.w[0] + self.w[1] * x + self.w[2] * x.square()


GRID = torch.linspace(-14, 16, 3001, dtype=torch.float64)
REAL, FAKE = Normal(0.0, 1.0), Normal(1.0, 2.0)
SPACING = GRID[1] - GRID[0]
P, Q = (law.log_prob(GRID).exp() * SPACING for law in (REAL, FAKE))
RATIO = REAL.log_prob(GRID) - FAKE.log_prob(GRID)


def minimised(expected):
    D = Quadratic().double()
    optimizer = torch.optim.LBFGS(D.parameters(), max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = expected(D(GRID))
        value.backward()
        return value

    optimizer.step(closure)
    return D(GRID).detach(), float(expected(D(GRID).detach()))


@pytest.mark.parametrize("loss", [Minimax(), NonSaturating()])
def test_the_best_discriminator_is_the_log_ratio_and_its_loss_the_divergence(loss):
    """The value of the game: -<loss> = 2 JSD - 2 log 2."""
    two = 2 * math.log(2)
    d, value = minimised(lambda d: P @ loss.discriminator(d, d * 0) + Q @ loss.discriminator(d * 0, d) - two)
    inside = GRID.abs() < 4
    assert torch.allclose(d[inside], RATIO[inside], atol=1e-3)
    log_m = torch.logaddexp(REAL.log_prob(GRID), FAKE.log_prob(GRID)) - math.log(2)
    jsd = (P @ (REAL.log_prob(GRID) - log_m) + Q @ (FAKE.log_prob(GRID) - log_m)) / 2
    assert -value == pytest.approx(float(2 * jsd) - two, abs=1e-6)
    assert float(jsd) > 0.1  # so that a factor of two would be seen


def test_the_best_relativistic_discriminator_is_the_log_ratio_up_to_a_constant():
    thin = slice(None, None, 30)

    def expected(d):
        d, p, q = d[thin], P[thin] * 30, Q[thin] * 30
        return p @ Relativistic().discriminator(d.unsqueeze(1), d.unsqueeze(0)) @ q

    d, _ = minimised(expected)
    inside = GRID.abs() < 4
    off = d[inside] - RATIO[inside]
    assert float(off.std()) < 1e-3


def test_the_gradient_of_pairs_by_hand():
    real, fake = torch.tensor([3.0, 0.0], requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    loss = Relativistic()
    wrong = torch.sigmoid(fake - real).detach()  # the chance that the draw is the real one
    a, b = torch.autograd.grad(loss.discriminator(real, fake).sum(), (real, fake))
    assert torch.allclose(a, -wrong)
    assert torch.allclose(b, wrong)
    a, b = torch.autograd.grad(loss.generator(real, fake).sum(), (real, fake))
    assert torch.allclose(a, 1 - wrong)
    assert torch.allclose(b, wrong - 1)
    shifted = loss.discriminator(real + 5, fake + 5)
    assert torch.allclose(shifted, loss.discriminator(real, fake))


def test_a_discriminator_of_the_context_alone_is_refused_in_words(stream):
    class Blind(nn.Module):
        def __init__(self):
            super().__init__()
            self.level = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            return self.level.expand(len(x))

    gan, x = GAN(Dense(2, [8], 2, generator=0), Blind(), latent=2), torch.randn(30, 2, generator=stream)
    with pytest.raises(ArgumentError, match=r"penalty=\(\)"):
        steps(gan, Adversarial(), x, 1)
    assert steps(gan, Adversarial(penalty=()), x, 1)["told_apart"] == 0.5


def test_a_half_step_moves_its_own_network_alone_and_the_generator_is_due_every_nth(stream):
    gan, x = small(), torch.randn(16, 2, generator=stream)
    objective = Adversarial(critic_steps=3)
    update, g = objective.update(gan, objective.optimizer(gan)), dg.random.generator(0)
    state = objective.start(gan, x, generator=g)
    moved = []
    for _ in range(6):
        before = [p.detach().clone() for p in gan.generator.parameters()]
        judge = gan.discriminator.layers[-1].weight.detach().clone()
        state, metrics = update(state, x, generator=g)
        moved.append(any(not torch.equal(a, b) for a, b in zip(before, gan.generator.parameters(), strict=True)))
        assert not torch.equal(judge, gan.discriminator.layers[-1].weight)
    assert moved == [False, False, True, False, False, True]
    assert int(gan.updates) == 2
    assert all(value.ndim == 0 and value.isfinite() for value in metrics.values())


@pytest.mark.parametrize(("done", "factor"), [(0, 16.0), (2, 4.0), (4, 1.0), (9, 1.0)])
def test_penalties_come_down_geometrically_and_are_logged_as_they_are_named(done, factor, stream):
    x = torch.randn(16, 2, generator=stream)

    def after(objective):
        gan, g = small(), dg.random.generator(0)
        update = objective.update(gan, torch.optim.SGD(gan.parameters(), lr=0.1))
        state = objective.start(gan, x, generator=g)._replace(steps=torch.tensor(done))
        return gan, update(state, x, generator=g)[1]["penalty"]

    one, paid = after(Adversarial(penalty=R1(0.5), early=16.0, warmup=4))
    two, larger = after(Adversarial(penalty=R1(0.5 * factor)))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
    assert torch.allclose(paid * factor, larger)
    assert equal(one, after(Adversarial(penalty=R1(0.5)))[0]) == (factor == 1)


def test_the_two_networks_have_rates_of_their_own():
    objective = Adversarial(generator_rate=1e-3, discriminator_rate=4e-3)
    assert [group["lr"] for group in objective.optimizer(small()).param_groups] == [1e-3, 4e-3]


CELLS = {
    "default": (Adversarial(), {}),
    "coming down": (Adversarial(early=100.0, warmup=7), {}),
    "wgan-gp": (Adversarial(Wasserstein(), GradientPenalty(), critic_steps=3), {}),
    "hinge, spectral": (Adversarial(Hinge(), ()), {"spectral": True}),
    "conditional": (Adversarial(), {"classes": 3}),
}


def cell(spectral=False, classes=0):
    G = Dense(2, [8], 2, context=classes, generator=0)
    D = Dense(2, [8], 8 if classes else (), generator=1)
    if spectral:
        D = SpectralNorm(D, generator=2)
    if classes:
        return GAN(Concatenated(G, classes=3), Projected(D, 8, classes=3, generator=2), latent=2, classes=3)
    return GAN(G, D, latent=2)


JUDGES = {
    "dense": lambda g: Dense((8, 8), [8], (), activation="leaky_relu", generator=g),
    "dcgan": lambda g: DCGANDiscriminator((8, 8), 4, generator=g),
    "resnet": lambda g: ResNetDiscriminator((8, 8), 8, generator=g),
    "convolutions": lambda g: ConvEncoder((1, 8, 8), 1, features=[4], hidden=8, generator=g),
    "turns": lambda g: P4Encoder((1, 8, 8), (), features=[4], hidden=8, generator=g),
}


@pytest.mark.parametrize("name", JUDGES)
@pytest.mark.parametrize("objective", [Adversarial(Hinge(), ()), Adversarial()], ids=["hinge", "default"])
def test_every_network_learns_under_the_spectral_norm(name, objective, stream):
    """A residual block starts with weights of 0, which no norm can divide."""
    D, x = SpectralNorm(JUDGES[name](stream), generator=stream), torch.rand(20, 1, 8, 8, generator=stream)
    gan = GAN(Dense(3, [8], (1, 8, 8), generator=stream), D, latent=3)
    assert bool(gan.logit(x).isfinite().all())
    before = [p.detach().clone() for p in D.parameters()]
    history = dg.fit(gan, x, objective, epochs=1, batch_size=20, progress=False, seed=0)
    assert all(math.isfinite(value) for value in history[-1].metrics.values())
    assert all(bool(p.isfinite().all()) for p in gan.parameters())
    weights = [(a, b) for a, b in zip(before, D.parameters(), strict=True) if a.ndim > 1]
    assert all(not torch.equal(a, b) for a, b in weights)


LOSSES = [Minimax(), NonSaturating(), LeastSquares(), Hinge(), Wasserstein(), Relativistic()]
PENALTIES = {"none": (), "gradient": GradientPenalty(), "R1": R1(), "R2": R2(), "spectral norm": ()}
KINDS = {
    "dense": (lambda z, **o: Dense(z, [4], (1, 8, 8), **o), lambda c, out, **o: Dense((c, 8, 8), [4], out, **o)),
    "dcgan": (
        lambda z, **o: DCGANGenerator(z, (1, 8, 8), 2, norm=False, **o),
        lambda c, out, **o: DCGANDiscriminator((c, 8, 8), 2, out, **o),
    ),
    "resnet": (
        lambda z, **o: ResNetGenerator(z, (1, 8, 8), 2, **o),
        lambda c, out, **o: ResNetDiscriminator((c, 8, 8), 2, out, **o),
    ),
}


@pytest.mark.parametrize("condition", ["none", "concatenation", "projection"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_cell_of_the_grid_takes_a_step(kind, condition, stream):
    """Objective x penalty x conditioning x networks: both networks move, and by finite steps."""
    x, labels = torch.rand(6, 1, 8, 8, generator=stream), torch.arange(6) % 3
    k = 0 if condition == "none" else 3
    maker, judge = KINDS[kind]
    for loss, (name, penalty) in itertools.product(LOSSES, PENALTIES.items()):
        joined, projected = condition == "concatenation", condition == "projection"
        G = maker(2 + k, generator=stream)
        D = judge(1 + k if joined else 1, 4 if projected else (), generator=stream)
        D = SpectralNorm(D, generator=stream) if name == "spectral norm" else D
        G = Concatenated(G, classes=k) if k else G
        D = Concatenated(D, classes=k) if joined else D
        D = Projected(D, 4, classes=k, generator=stream) if projected else D
        gan = GAN(G, D, latent=2, classes=k)
        objective = Adversarial(loss, penalty)
        batch = (x, labels) if k else x
        step = objective.update(gan, objective.optimizer(gan))
        before = [parameters_to_vector(network.parameters()).detach().clone() for network in (G, D)]
        _, metrics = step(objective.start(gan, batch, generator=stream), batch, generator=stream)
        assert all(bool(value.isfinite()) for value in metrics.values()), (loss, name)
        for was, network in zip(before, (G, D), strict=True):
            moved = parameters_to_vector(network.parameters()).detach() - was
            assert 0 < float(moved.norm()) < math.inf, (loss, name)


@pytest.mark.parametrize("name", CELLS)
def test_a_run_cut_and_resumed_is_the_uninterrupted_run(name, tmp_path, stream):
    objective, options = CELLS[name]
    x = torch.randn(60, 2, generator=stream)
    data = torch.utils.data.TensorDataset(x, torch.arange(60) % 3) if options.get("classes") else x

    def run(objective, out):
        gan = cell(**options)
        keeper = dg.train.Checkpoint(steps=2)
        dg.fit(gan, data, objective, epochs=3, batch_size=20, callbacks=[keeper], out=out, progress=False)
        return gan

    whole = run(objective, tmp_path / "whole")
    with pytest.raises(Power):
        run(cut(objective, 5), tmp_path / "cut")
    again = run(objective, tmp_path / "cut")
    assert equal(again, whole)
    assert not equal(again, cell(**options))
    assert equal(dg.load(tmp_path / "cut"), whole)


def test_a_run_with_another_penalty_is_not_taken_for_this_one(tmp_path, stream):
    x = torch.randn(20, 2, generator=stream)
    dg.fit(small(), x, Adversarial(penalty=R1(1.0)), epochs=1, out=tmp_path, progress=False)
    with pytest.raises(dg.errors.CheckpointError, match="gamma"):
        dg.fit(small(), x, Adversarial(penalty=R1(2.0)), epochs=1, out=tmp_path, progress=False)


def test_randomness(stream):
    x = torch.randn(30, 2, generator=stream)

    def play(generator):
        gan, g = small(), dg.random.resolve(generator)
        objective = Adversarial(Wasserstein(), (GradientPenalty(), R1()))
        update = objective.update(gan, objective.optimizer(gan))
        return update(objective.start(gan, x, generator=g), x, generator=g)[1]

    check_random(play, generator=stream)


def test_what_is_refused(stream):
    x = torch.randn(30, 1, 28, 28, generator=stream)
    judge = DCGANDiscriminator((28, 28), 4, norm=True, generator=0)
    gan = GAN(Dense(2, [8], (1, 28, 28), generator=0), judge, latent=2)
    with pytest.raises(ArgumentError, match="batch norm"):
        Adversarial().start(gan, x, generator=stream)
    Adversarial(penalty=()).start(gan, x, generator=stream)
    with pytest.raises(ShapeError, match="one shape"):
        Adversarial(penalty=()).start(gan, x.flatten(1), generator=stream)
    with pytest.raises(MissingCapability, match="GAN"):
        Adversarial().start(nn.Linear(1, 1), x, generator=stream)
    with pytest.raises(ArgumentError, match="discriminator"):
        Adversarial().update(gan, torch.optim.SGD(gan.generator.parameters(), lr=0.1))
    wrongs = [
        {"loss": Hinge},
        {"penalty": R1},
        {"critic_steps": 0},
        {"penalty": 3.0},
        {"betas": (1.0, 0.9)},
        {"betas": (0.0,)},
    ]
    for wrong in (*wrongs, {"early": 0.5}, {"early": 2.0}, {"warmup": -1}):
        with pytest.raises(ArgumentError):
            Adversarial(**wrong)


def test_divergence_is_an_error(stream):
    x = torch.randn(40, 2, generator=stream)
    with pytest.raises(DivergenceError):
        dg.fit(
            small(), x, Adversarial(generator_rate=1e30, discriminator_rate=1e30), epochs=3, batch_size=10,
            progress=False,
        )  # fmt: skip


def test_a_collapsed_generator_is_named(stream, monkeypatch):
    monkeypatch.setattr(watch, "EARLIEST", 1)
    x, gan = torch.randn(40, 2, generator=stream), small()
    with torch.no_grad():
        gan.generator.layers[-1].weight.zero_()
    objective = Adversarial(generator_rate=0.0)
    with pytest.warns(AdversarialWarning, match="generator has collapsed") as caught:
        history = dg.fit(gan, x, objective, epochs=3, progress=False)
    assert len([w for w in caught if "collapsed" in str(w.message)]) == 1
    assert history[-1].metrics["diversity"] < 1e-3


class Own(nn.Module):
    """A discriminator of a user's own, with dropout and a sigmoid that no list of layers shows."""

    def __init__(self, squash):
        super().__init__()
        self.net, self.squash = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1)), squash

    def forward(self, x):
        return torch.sigmoid(self.net(x)) if self.squash else self.net(x)


SIGMOIDS = {
    "dense": lambda on: Dense(2, [8], (), last="sigmoid" if on else None, generator=1),
    "sequential": lambda on: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1), *[nn.Sigmoid()] * on),
    "own": Own,
    "normalised": lambda on: SpectralNorm(Dense(2, [8], (), last="sigmoid" if on else None, generator=1), generator=0),
}


@pytest.mark.parametrize("kind", SIGMOIDS)
def test_a_sigmoid_at_the_end_of_a_discriminator_is_told_and_logits_are_not(kind, stream):
    x = torch.rand(100, 2, generator=stream)
    with pytest.warns(AdversarialWarning, match="NonSaturating takes logits.*leave the sigmoid out"):
        dg.fit(GAN(Dense(2, [8], 2), SIGMOIDS[kind](True), latent=2), x, Adversarial(NonSaturating()), epochs=1,
               progress=False)  # fmt: skip
    gan = GAN(Dense(2, [8], 2), SIGMOIDS[kind](False), latent=2)
    before, state = torch.get_rng_state(), [value.clone() for value in gan.discriminator.state_dict().values()]
    with warnings.catch_warnings():
        warnings.simplefilter("error", AdversarialWarning)
        Adversarial()._warn_of_sigmoid(gan, x, None)
    assert torch.equal(torch.get_rng_state(), before)  # the look at it leaves no trace
    for old, new in zip(state, gan.discriminator.state_dict().values(), strict=True):
        assert torch.equal(old, new)


def test_diversity_is_of_distances(stream):
    """Draws half as wide as the data: 1/2, whatever the means."""
    gan = GAN(nn.Linear(2, 2), Dense(2, [8], (), generator=0), latent=2)
    with torch.no_grad():
        gan.generator.weight.copy_(torch.eye(2) / 2)
        gan.generator.bias.fill_(7.0)
    found = steps(gan, Adversarial(), torch.randn(4000, 2, generator=stream), 1)["diversity"]
    assert float(found) == pytest.approx(0.5, abs=0.04)


def test_a_good_game_is_left_in_peace(stream):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch.Watch()(
            dg.train.Record(
                1, 5000, 0.0, 0.0, {"diversity": 1.0, "told_apart": 0.8, "real_logit": 1.0, "fake_logit": 0.0}
            ),
            nn.Linear(1, 1),
        )


def test_a_critic_that_tells_all_apart_is_no_fault_under_wasserstein(stream):
    metrics = {"diversity": 1.0, "told_apart": 1.0, "real_logit": 1.0, "fake_logit": 0.0}
    record = dg.train.Record(1, 5000, 0.0, 0.0, metrics)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Adversarial(dg.objectives.Wasserstein(), penalty=dg.objectives.GradientPenalty()).watch()(
            record, nn.Linear(1, 1)
        )
    with pytest.warns(dg.objectives.AdversarialWarning, match="has won"):
        Adversarial(dg.objectives.NonSaturating()).watch()(record, nn.Linear(1, 1))


def test_the_start_leaves_norms_as_they_are(stream):
    """A run that is resumed does not start again, so nothing may have moved by then."""
    G, D = (net((8, 8), 4, norm=True, generator=stream) for net in (partial(DCGANGenerator, 2), DCGANDiscriminator))
    gan = GAN(G, SpectralNorm(D, generator=stream), latent=2)
    before = {name: value.clone() for name, value in gan.state_dict().items()}
    Adversarial(penalty=()).start(gan, torch.rand(10, 8, 8, generator=stream), generator=stream)
    assert all(torch.equal(before[name], value) for name, value in gan.state_dict().items())
    assert all(part.training for part in gan.generator.modules())


def test_the_start_leaves_a_memory_as_it_is(stream):
    """A buffer that grows at every look."""

    class Remembering(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Dense(2, [8], (), generator=stream)
            self.register_buffer("seen", torch.zeros(3, 2))

        def forward(self, x):
            self.seen = torch.cat([self.seen, x.detach()])
            return self.net(x)

    gan = GAN(Dense(3, [8], 2, generator=stream), Remembering(), latent=3)
    Adversarial().start(gan, torch.randn(10, 2, generator=stream), generator=stream)
    assert torch.equal(gan.discriminator.seen, torch.zeros(3, 2))
    dg.fit(gan, torch.randn(10, 2, generator=stream), Adversarial(), epochs=1, batch_size=10, progress=False)
    assert len(gan.discriminator.seen) > 3


@pytest.mark.parametrize("paid", [lambda rows: rows.flatten(1), lambda rows: rows.sum(), lambda rows: 0.0])
def test_a_penalty_gives_a_number_a_row(paid, stream):
    gan, x = small(), torch.randn(5, 2, generator=stream)
    objective = Adversarial(penalty=lambda real, fake, score, *, generator: paid(real.rows))
    step = objective.update(gan, objective.optimizer(gan))
    with pytest.raises(ShapeError, match=r"one number a row, \[5\]"):
        step(objective.start(gan, x, generator=stream), x, generator=stream)


def test_a_missing_context_is_told_at_the_start(stream):
    with pytest.raises(ArgumentError, match="labels as its context"):
        Adversarial().start(cell(classes=3), torch.randn(5, 2, generator=stream), generator=stream)
