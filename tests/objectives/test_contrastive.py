"""Contrastive gradients against enumeration, their invariance under flipped data, and what training reaches."""

import math

import pytest
import torch
from scipy.stats import t as student
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, SupportError
from deepgen.explicit import Bernoulli, Gaussian, Spin
from deepgen.objectives import ContrastiveDivergence, PersistentCD
from deepgen.testing import Exact, same_law
from tests.contracts.layers import machine
from tests.objectives.steps import named_gradients, still

PAIRS = [
    "bernoulli-bernoulli",
    "spin-bernoulli",
    "softmax-spin",
    "learned-bernoulli",
    "bernoulli-learned",
    "mixed-mixed",
]
REPEATS = 60


def z_scores(draws, expected):
    """(mean - expected) / standard error of every coordinate, over independent repeats of a dict of tensors."""
    stacks = {name: torch.stack([draw[name].double() for draw in draws]) for name in expected}
    scores = [(stacks[n].mean(0) - e) / (stacks[n].std(0) / math.sqrt(len(draws)) + 1e-7) for n, e in expected.items()]
    return torch.cat([score.flatten() for score in scores])


def largest(scores, alpha):
    """The |z| that one of these coordinates exceeds with probability ``alpha``."""
    return student.isf(alpha / (2 * len(scores)), REPEATS - 1)


def assert_means(draws, expected, alpha):
    """The means of ``draws`` are ``expected``, and would be told from its double."""
    scores = z_scores(draws, expected)
    assert scores.abs().max() < largest(scores, alpha)
    assert z_scores(draws, {name: 2 * e for name, e in expected.items()}).abs().max() > 2 * largest(scores, alpha)


def centred(gradient, mu, offset):
    """The gradient of the machine in (W, a + W offset, b + W' mu) by the chain rule, mapped back to (W, a, b)."""
    ordinary = [gradient[name] for name in ("weight", "visible_bias", "hidden_bias")]
    weight, moved_a, moved_b = (torch.zeros_like(g).requires_grad_() for g in ordinary)
    parameters = weight.clone(), moved_a - weight @ offset, moved_b - weight.t() @ mu
    dw, da, db = torch.autograd.grad(parameters, (weight, moved_a, moved_b), ordinary)
    return gradient | {"weight": dw, "visible_bias": da - dw @ offset, "hidden_bias": db - dw.t() @ mu}


@pytest.mark.parametrize("shift", [True, False], ids=["centred", "uncentred"])
@pytest.mark.parametrize(("pair", "binary"), [*((pair, False) for pair in PAIRS), ("bernoulli-bernoulli", True)])
def test_gradient_is_that_of_the_likelihood(pair, binary, shift, stream, alpha):
    """With chains that are exact draws; they stay at the model."""
    rbm = machine(pair, torch.float32 if binary else torch.float64)
    x = rbm.visible.sample(torch.full((7, rbm.visible.width), 2.0).to(rbm.weight), generator=stream)
    objective, exact = PersistentCD(k=2, chains=400, centred=shift, binary=binary), Exact(rbm)
    step, state = objective.update(rbm, still(rbm)), objective.start(rbm, x, generator=stream)
    gradients, chains = [], []
    for _ in range(REPEATS):
        start = state._replace(chains=exact.sample(400, generator=stream)[1])
        after, _ = step(start, x, generator=stream)
        gradients.append(named_gradients(rbm))
        chains.append(after.chains)
    expected = exact.gradient(x)
    if shift:
        expected = centred(expected, state.visible_mean.double(), state.hidden_mean.double())
    assert_means(gradients, {name: -g for name, g in expected.items()}, alpha / 2)
    fresh = exact.sample(400 * REPEATS, generator=stream)[1]
    p = same_law(torch.cat(chains), fresh, generator=stream)
    assert len(p) * min(p) > alpha / 2


@pytest.mark.parametrize("pair", ["learned-bernoulli", "bernoulli-learned"])
def test_the_layers_own_parameters_follow_k_gibbs_steps_too(pair, stream, alpha):
    """Against a long run of the library's own kernel from the same rows, differentiated by autograd."""
    rbm, k, many = machine(pair, torch.float64), 2, 100_000
    x = rbm.visible.sample(torch.full((400, rbm.visible.width), 1.0).to(rbm.weight), generator=stream)
    objective = ContrastiveDivergence(k=k, centred=False)
    step, state = objective.update(rbm, still(rbm)), objective.start(rbm, x, generator=stream)
    draws = []
    for _ in range(REPEATS):
        step(state, x, generator=stream)
        draws.append(named_gradients(rbm))
    kernel, rows = rbm.gibbs(), x.repeat(many // len(x), 1)
    chains = kernel.init(rows)
    for _ in range(k):
        chains, _ = kernel.step(chains, generator=stream)
    (name,) = (name for name, _ in rbm.named_parameters() if name.endswith("log_precision"))
    loss = rbm.free_energy(rows).mean() - rbm.free_energy(chains.position).mean()
    (expected,) = torch.autograd.grad(loss, rbm.get_parameter(name))
    assert_means([{name: draw[name]} for draw in draws], {name: expected}, alpha)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("binary", [True, False])
def test_contrastive_divergence_is_the_difference_to_k_gibbs_steps(binary, k, stream, alpha):
    rbm = machine("bernoulli-bernoulli")
    with torch.no_grad():
        rbm.weight.add_(1.5)  # mostly all on or all off, so that chains take their time
        rbm.visible_bias.sub_(2.25)
        rbm.hidden_bias.sub_(2.25)
    x = torch.ones(1200, 3)
    objective = ContrastiveDivergence(k=k, centred=False, binary=binary)
    step, state = objective.update(rbm, still(rbm)), objective.start(rbm, x, generator=stream)
    draws = []
    for _ in range(REPEATS):
        step(state, x, generator=stream)
        draws.append(named_gradients(rbm))
    rbm.double()
    v, h = rbm.visible.enumerate(0, 8), rbm.hidden.enumerate(0, 8)
    with torch.no_grad():
        down = torch.stack([rbm.visible_given(h).log_prob(row) for row in v], -1).exp()  # [h, v']
        up = torch.stack([rbm.hidden_given(v).log_prob(row) for row in h], -1).exp()  # [v, h]
        start = (x.unsqueeze(1) == v).all(-1).double().mean(0)
        means = rbm.hidden.mean(rbm.hidden_field(v))

    def expected(steps):
        change = start @ torch.linalg.matrix_power(up @ down, steps) - start
        weight = v.t() @ (change.unsqueeze(1) * means)
        return {"weight": weight, "visible_bias": change @ v, "hidden_bias": change @ means}

    assert_means(draws, expected(k), alpha)
    for wrong in (k - 1, k + 1):
        scores = z_scores(draws, expected(wrong))
        assert scores.abs().max() > 1.5 * largest(scores, alpha)


class Mirrored(nn.Module):
    """Bernoulli units drawn as u < p or, ``flipped``, as u > 1 - p: the draw at field -f is then the other value."""

    def __init__(self, width, flipped):
        super().__init__()
        self.own, self.flipped = Bernoulli(width), flipped

    def __getattr__(self, name):
        return super().__getattr__(name) if name == "own" else getattr(self.own, name)

    def sample(self, field, *, generator):
        u = torch.empty_like(field).uniform_(generator=generator)
        return ((u > 1 - field.sigmoid()) if self.flipped else (u < field.sigmoid())).to(field)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("objective", [PersistentCD, ContrastiveDivergence])
def test_flipped_data_are_learnt_alike(objective, momentum, seed):
    """v -> 1 - v maps W, a, b to -W, -a, b + sum W; centred training maps along step by step, uncentred does not."""
    nv, nh = 8, 5
    x = (torch.rand(30, nv, generator=dg.random.generator(seed)) < 0.2).double()
    x[:, 0] = 1.0  # a mean far from its mirror image

    def train(flipped, centre):
        stream = dg.random.generator(seed)
        rbm = dg.RBM(Mirrored(nv, flipped), nh, generator=stream).double()
        with torch.no_grad():
            rbm.weight.normal_(0.0, 0.5, generator=stream)
            if flipped:
                rbm.hidden_bias.copy_(rbm.weight.sum(0))
                rbm.weight.neg_()
        rows = 1 - x if flipped else x
        method = objective(k=2, centred=centre, sliding=0.1)
        state = method.start(rbm, rows, generator=stream)
        step = method.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.1, momentum=momentum))
        for batch in rows.split(10) * 2:
            state, _ = step(state, batch, generator=stream)
        weight, a, b = (p.detach() for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias))
        return (-weight, -a, b + weight.sum(0)) if flipped else (weight, a, b)

    for here, there in zip(train(False, True), train(True, True), strict=True):
        torch.testing.assert_close(here, there, rtol=0, atol=1e-12)
    assert max(float((a - b).abs().max()) for a, b in zip(train(False, False), train(True, False), strict=True)) > 1e-3


def test_bars_and_stripes_are_learnt_to_near_the_ceiling(stream):
    """PCD on full batches, the rate falling to zero, comes near the entropy of the 14 patterns."""
    x, steps = dg.data.bars_and_stripes(3), 1500
    rbm = dg.RBM(9, 32, generator=stream).initialise(x)
    objective, optimizer = PersistentCD(k=5), torch.optim.SGD(rbm.parameters(), lr=0.4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    step, state = objective.update(rbm, optimizer), objective.start(rbm, x, generator=stream)
    for _ in range(steps):
        state, _ = step(state, x, generator=stream)
        schedule.step()
    reached, ceiling = dg.evaluate.log_likelihood(rbm.double(), x, method="exact").value, dg.data.ceiling(x)
    assert ceiling - 0.3 < reached <= ceiling


@pytest.mark.parametrize("objective", [PersistentCD, ContrastiveDivergence])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, "k must be an integer of at least 1, got 0"),
        ({"k": 1.5}, "k must be an integer of at least 1, got 1.5"),
        ({"k": True}, "k must be an integer of at least 1, got True"),
        ({"centred": "no"}, "centred must be True or False, got 'no'"),
        ({"sliding": 1.5}, "sliding must be a finite number from 0 to 1, got 1.5"),
        ({"sliding": "0.1"}, "sliding must be a finite number from 0 to 1, got '0.1'"),
        ({"sliding": None}, "sliding must be a finite number from 0 to 1, got None"),
        ({"weight_decay": -1e-3}, "weight_decay must be a finite number of at least 0, got -0.001"),
        ({"weight_decay": math.inf}, "weight_decay must be a finite number of at least 0, got inf"),
        ({"weight_decay": math.nan}, "weight_decay must be a finite number of at least 0, got nan"),
        ({"sparsity": (0.1,)}, r"sparsity must be \(target, cost\) or None, got \(0.1,\)"),
        ({"sparsity": 0.1}, r"sparsity must be \(target, cost\) or None, got 0.1"),
        ({"sparsity": "ab"}, r"sparsity must be \(target, cost\) or None, got 'ab'"),
        ({"sparsity": (math.nan, 0.1)}, "the target of sparsity must be a finite number, got nan"),
        ({"sparsity": ("low", 0.1)}, "the target of sparsity must be a finite number, got 'low'"),
        ({"sparsity": (0.1, -1)}, "the cost of sparsity must be a finite number of at least 0, got -1"),
        ({"sparsity": (0.1, True)}, "the cost of sparsity must be a finite number of at least 0, got True"),
        ({"binary": "yes"}, "binary must be True, False or 'auto', got 'yes'"),
        ({"binary": 1}, "binary must be True, False or 'auto', got 1"),
    ],
    ids=str,
)
def test_odd_options_are_refused(objective, options, says):
    with pytest.raises(ArgumentError, match=says):
        objective(**options)


@pytest.mark.parametrize("chains", [0, 2.5, True, "many", None])
def test_odd_numbers_of_chains_are_refused(chains):
    with pytest.raises(ArgumentError, match=f"chains must be an integer of at least 1, got {chains!r}"):
        PersistentCD(chains=chains)


def test_options_by_position_are_k_and_chains():
    assert PersistentCD(2, 30) == PersistentCD(k=2, chains=30)
    assert ContrastiveDivergence(3).k == 3


def test_the_default_rate_is_smaller_for_real_units():
    for layer, rate in ((3, 0.05), (Gaussian(3), 0.005)):
        assert PersistentCD().optimizer(dg.RBM(layer, 2)).param_groups[0]["lr"] == rate


def test_models_and_data_that_cannot_be_trained_are_refused(stream):
    rbm, linear = dg.RBM(Spin(3), 2), nn.Linear(2, 2)
    with pytest.raises(ArgumentError, match="both layers must be Bernoulli"):
        PersistentCD(binary=True).update(rbm, still(rbm))
    for call in (
        lambda: PersistentCD().update(linear, still(linear)),
        lambda: PersistentCD().start(linear, torch.zeros(1, 2), generator=stream),
        lambda: PersistentCD().optimizer(linear),
    ):
        with pytest.raises(MissingCapability, match="trains an RBM, got Linear"):
            call()
    with pytest.raises(SupportError, match=r"got 0\.3"):
        PersistentCD().start(dg.RBM(3, 2), torch.tensor([[0.3, 0.0, 1.0]]), generator=stream)
