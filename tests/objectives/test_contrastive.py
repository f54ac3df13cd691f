"""Contrastive gradients against enumeration, the centred form against autodiff, and what training reaches."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from deepgen import RBM
from deepgen.errors import ArgumentError, MissingCapability, SupportError
from deepgen.explicit import Bernoulli, Gaussian, Product, Softmax, Spin
from deepgen.objectives import ContrastiveDivergence, PersistentCD
from deepgen.objectives.products import BinaryProducts, Products
from deepgen.random import generator

PAIRS = {
    "bernoulli-bernoulli": lambda: (Bernoulli(5), Bernoulli(3)),
    "spin-bernoulli": lambda: (Spin(4), Bernoulli(3)),
    "softmax-spin": lambda: (Softmax(2, 3), Spin(3)),
    "gaussian-bernoulli": lambda: (Gaussian(3, precision=1.5, learned=True), Bernoulli(3)),
    "bernoulli-gaussian": lambda: (Bernoulli(4), Gaussian(2, precision=2.0, learned=True)),
    "product-product": lambda: (Product(Bernoulli(2), Gaussian(2, learned=True)), Product(Spin(2), Softmax(1, 3))),
}


def machine(pair: str, seed: int, dtype: torch.dtype = torch.float64) -> RBM:
    rbm = RBM(*PAIRS[pair](), generator=seed).to(dtype)
    stream = generator(seed)
    with torch.no_grad():
        for parameter in (rbm.weight, rbm.visible_bias, rbm.hidden_bias):
            parameter.normal_(0.0, 0.6, generator=stream)
    return rbm


def hidden_log_weights(rbm: RBM) -> tuple[Tensor, Tensor]:
    """All hidden states and log p(h) + log Z."""
    h = rbm.hidden.enumerate(0, rbm.hidden.states).to(rbm.weight.dtype)
    return h, h @ rbm.hidden_bias - rbm.hidden.energy(h) + rbm.visible.cumulant(rbm.visible_bias + h @ rbm.weight.t())


def log_partition(rbm: RBM) -> Tensor:
    if rbm.hidden.states is not None and rbm.hidden.states <= (rbm.visible.states or math.inf):
        return hidden_log_weights(rbm)[1].logsumexp(0)
    v = rbm.visible.enumerate(0, rbm.visible.states).to(rbm.weight.dtype)
    return rbm.log_density(v).logsumexp(0)


def log_likelihood(rbm: RBM, x: Tensor) -> Tensor:
    return (rbm.log_density(x.to(rbm.weight)) - log_partition(rbm)).mean()


@torch.no_grad()
def exact_chains(rbm: RBM, n: int, stream: torch.Generator) -> Tensor:
    """Independent draws of the hidden layer from the model."""
    if rbm.hidden.states is not None:
        h, logits = hidden_log_weights(rbm)
        return h[torch.multinomial(logits.softmax(0), n, replacement=True, generator=stream)]
    v = rbm.visible.enumerate(0, rbm.visible.states).to(rbm.weight.dtype)
    v = v[torch.multinomial(rbm.log_density(v).softmax(0), n, replacement=True, generator=stream)]
    return rbm.hidden.sample(rbm.hidden_field(v), generator=stream)


def exact_gradient(rbm: RBM, x: Tensor, mu: Tensor, offset: Tensor) -> list[Tensor]:
    """Minus the centred gradient: the ordinary one of the machine in (W, a + W offset, b + W' mu), mapped back."""
    names = dict(rbm.named_parameters())
    weight = names["weight"].detach().clone().requires_grad_()
    moved_a = (names["visible_bias"] + weight @ offset).detach().requires_grad_()
    moved_b = (names["hidden_bias"] + weight.t() @ mu).detach().requires_grad_()
    own = [p for name, p in names.items() if "." in name]
    parameters = {**names, "weight": weight}
    parameters["visible_bias"], parameters["hidden_bias"] = moved_a - weight @ offset, moved_b - weight.t() @ mu
    value = -torch.func.functional_call(Likelihood(rbm), {f"rbm.{k}": v for k, v in parameters.items()}, (x,))
    dw, da, db, *rest = torch.autograd.grad(value, [weight, moved_a, moved_b, *own])
    return [dw, da - dw @ offset, db - dw.t() @ mu, *rest]


class Likelihood(nn.Module):
    def __init__(self, rbm: RBM) -> None:
        super().__init__()
        self.rbm = rbm

    def forward(self, x: Tensor) -> Tensor:
        return log_likelihood(self.rbm, x)


def trained(rbm: RBM) -> list[nn.Parameter]:
    own = [p for name, p in rbm.named_parameters() if "." in name]
    return [rbm.weight, rbm.visible_bias, rbm.hidden_bias, *own]


def still(rbm: RBM) -> torch.optim.Optimizer:
    """An optimizer that moves nothing and, having momentum, wants the gradients in p.grad."""
    return torch.optim.SGD(rbm.parameters(), lr=0.0, momentum=0.5)


def z_scores(draws: list[list[Tensor]], expected: list[Tensor]) -> Tensor:
    """(mean - expected) / standard error of every coordinate, over independent repeats."""
    scores = []
    for parts, truth in zip(zip(*draws, strict=True), expected, strict=True):
        stack = torch.stack(parts)
        error = stack.std(0) / math.sqrt(len(parts))
        scores.append(((stack.mean(0) - truth) / (error + 1e-7)).flatten())
    return torch.cat(scores)


@torch.no_grad()
def data(rbm: RBM, n: int, stream: torch.Generator) -> Tensor:
    return rbm.visible.sample(torch.zeros(n, rbm.visible.width, dtype=rbm.weight.dtype), generator=stream)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("pair", PAIRS)
def test_gradient_is_that_of_the_likelihood(pair: str, centred: bool) -> None:
    rbm, stream = machine(pair, seed=1), generator(2)
    x = data(rbm, 7, stream)
    objective = PersistentCD(k=2, chains=400, centred=centred)
    step = objective.update(rbm, still(rbm))
    state = objective.start(rbm, x, generator=stream)
    draws = []
    for _ in range(60):
        step(state._replace(chains=exact_chains(rbm, 400, stream)), x, generator=stream)
        draws.append([p.grad.clone() for p in trained(rbm)])
    zero = (torch.zeros_like(state.visible_mean), torch.zeros_like(state.hidden_mean))
    expected = exact_gradient(rbm, x, *((state.visible_mean, state.hidden_mean) if centred else zero))
    # |t| of 59 degrees of freedom exceeds 5.5 in one of a million coordinates; a factor of two is tens of them.
    scores = z_scores(draws, expected)
    assert scores.abs().max() < 5.5
    assert z_scores(draws, [2 * e for e in expected]).abs().max() > 15


@pytest.mark.parametrize("binary", [True, False])
def test_binary_and_dense_paths_have_the_same_law(binary: bool) -> None:
    rbm, stream = machine("bernoulli-bernoulli", seed=3, dtype=torch.float32), generator(4)
    x = data(rbm, 9, stream)
    objective = PersistentCD(chains=500, binary=binary)
    step, state = objective.update(rbm, still(rbm)), objective.start(rbm, x, generator=stream)
    draws, hidden = [], []
    for _ in range(60):
        after, _ = step(state._replace(chains=exact_chains(rbm, 500, stream)), x, generator=stream)
        draws.append([p.grad.clone() for p in trained(rbm)])
        hidden.append([after.chains.mean(0)])
    rbm.double()
    expected = exact_gradient(rbm, x, state.visible_mean.double(), state.hidden_mean.double())
    assert z_scores(draws, [e.float() for e in expected]).abs().max() < 5.5
    h, logits = hidden_log_weights(rbm)
    assert (
        z_scores(hidden, [(logits.softmax(0) @ h).float().detach()]).abs().max() < 5.5
    )  # the chains stay at the model


@pytest.mark.parametrize("binary", [True, False])
def test_contrastive_divergence_is_the_difference_to_k_gibbs_steps(binary: bool) -> None:
    rbm, stream = machine("bernoulli-bernoulli", seed=5, dtype=torch.float32), generator(6)
    x = data(rbm, 400, stream)
    objective = ContrastiveDivergence(k=2, centred=False, binary=binary)
    step, state = objective.update(rbm, still(rbm)), objective.start(rbm, x, generator=stream)
    draws = []
    for _ in range(60):
        step(state, x, generator=stream)
        draws.append([p.grad.clone() for p in trained(rbm)])
    v = rbm.visible.enumerate(0, 2**5).float()
    h = rbm.hidden.enumerate(0, 2**3).float()
    with torch.no_grad():
        down = torch.stack([rbm.visible_given(h).log_prob(row) for row in v], -1).exp()  # [h, v']
        up = torch.stack([rbm.hidden_given(v).log_prob(row) for row in h], -1).exp()  # [v, h]
        gibbs = up @ down
        start = (x.unsqueeze(1) == v).all(-1).float().mean(0)
        end = start @ gibbs @ gibbs
        means = rbm.hidden.mean(rbm.hidden_field(v))
        change = end - start
        expected = [v.t() @ (change.unsqueeze(1) * means), change @ v, change @ means]
    assert z_scores(draws, expected).abs().max() < 5.5


@pytest.mark.parametrize("make", [Products, BinaryProducts])
def test_centred_gradient_ignores_flipped_data(make: type[Products]) -> None:
    """v -> 1 - v maps W, a, b to -W, -a, b + sum W; the centred gradient maps along, the uncentred one does not."""
    stream = generator(7)
    rbm = RBM(6, 4, generator=stream)
    rows = (torch.rand(9, 6, generator=stream) < 0.3).float()
    hidden = torch.rand(9, 4, generator=stream)
    mu, offset = torch.rand(6, generator=stream), torch.rand(4, generator=stream)

    def gradient(visible: Tensor, mu: Tensor, centred: bool) -> list[Tensor]:
        products = make(rbm, 5, 4)
        products.load(visible[:5])
        if isinstance(products, BinaryProducts):
            products.kernels.list_rows(visible[5:].numpy(), 5, products.rows)
        else:
            products.free.visible.copy_(visible[5:])
        products.both.hidden.copy_(hidden)
        weight, biases = torch.full((6, 4), math.nan), [torch.empty(6), torch.empty(4)]
        products.descend(mu, offset, sliding=0.0, centred=centred, biases=biases, weight=weight, alpha=1.0, beta=0.0)
        return [weight, *biases]

    def mismatch(centred: bool) -> float:
        weight, a, b = gradient(rows, mu, centred)
        flipped_weight, flipped_a, flipped_b = gradient(1 - rows, 1 - mu, centred)
        return max(
            float((flipped_weight + weight).abs().max()),
            float((flipped_a + a).abs().max()),
            float((flipped_b - (b + weight.sum(0))).abs().max()),
        )

    assert mismatch(centred=True) < 1e-5
    assert mismatch(centred=False) > 1e-2


def bars_and_stripes(size: int) -> Tensor:
    patterns = Bernoulli(size).enumerate(0, 2**size).float()
    bars = patterns.unsqueeze(1).expand(-1, size, -1).reshape(-1, size * size)
    stripes = patterns.unsqueeze(2).expand(-1, -1, size).reshape(-1, size * size)
    return torch.cat((bars, stripes)).unique(dim=0)


def train(x: Tensor, hidden: int, steps: int, rate: float, seed: int, k: int = 1, **options: object) -> float:
    """The exact mean log-likelihood after PCD on full batches, with the rate falling to zero."""
    stream = generator(seed)
    rbm = RBM(x.shape[1], hidden, generator=stream).initialise(x)
    objective = PersistentCD(k=k, chains=100, **options)
    optimizer = torch.optim.SGD(rbm.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    step, state = objective.update(rbm, optimizer), objective.start(rbm, x, generator=stream)
    for _ in range(steps):
        state, _ = step(state, x, generator=stream)
        schedule.step()
    with torch.no_grad():
        return float(log_likelihood(rbm.double(), x))


def test_bars_and_stripes_are_learnt_to_near_the_ceiling() -> None:
    x = bars_and_stripes(3)  # all on and all off are both a bar and a stripe: 14 distinct rows
    ceiling = -math.log(len(x))
    reached = train(x, hidden=32, steps=1500, rate=0.4, seed=8, k=5)
    assert ceiling - 0.3 < reached <= ceiling


def test_flipped_data_are_learnt_as_well() -> None:
    """Eight lines of a 4x4 grid, a quarter of the pixels on, and their negatives; 6.9 short without hidden units."""
    eye = torch.eye(4)
    across, along = eye.unsqueeze(1).expand(-1, 4, -1), eye.unsqueeze(2).expand(-1, -1, 4)
    lines = torch.cat((across.reshape(4, 16), along.reshape(4, 16)))
    plain, flipped = (train(x, hidden=10, steps=800, rate=0.3, seed=9) + math.log(8) for x in (lines, 1 - lines))
    assert min(plain, flipped) > -2.5
    assert abs(plain - flipped) < 1.0


def snapshot(rbm: RBM) -> list[Tensor]:
    return [p.detach().clone() for p in rbm.parameters()]


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
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_step_depends_on_nothing_but_its_arguments(objective: PersistentCD, momentum: float) -> None:
    """A run resumed in a new step function, with ragged batches before and after, gives the same bits."""
    rows = (torch.rand(40, 11, generator=generator(12)) < 0.3).float()
    batches = [rows[:16], rows[16:32], rows[32:], rows[:16], rows[5:6], rows[32:], rows[:40]]

    def run(resume_at: int | None) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        stream = generator(13)
        rbm = RBM(11, 5, generator=stream)
        optimizer = torch.optim.SGD(rbm.parameters(), lr=0.1, momentum=momentum)
        state = objective.start(rbm, rows, generator=stream)
        step = objective.update(rbm, optimizer)
        for i, batch in enumerate(batches):
            if i == resume_at:
                other = RBM(11, 5, generator=99)
                other.load_state_dict(rbm.state_dict())
                fresh = torch.optim.SGD(other.parameters(), lr=0.1, momentum=momentum)
                fresh.load_state_dict(optimizer.state_dict())
                rbm, optimizer, step = other, fresh, objective.update(other, fresh)
                state = type(state)(*(t.clone() for t in state))
                stream.set_state(stream.get_state())
            before = [t.clone() for t in state]
            kept = state
            state, _ = step(state, batch, generator=stream)
            assert all(torch.equal(a, b) for a, b in zip(before, kept, strict=True)), (
                "the old state must stay as it was"
            )
        return snapshot(rbm), tuple(state)

    (weights, state), (again, state_again) = run(None), run(4)
    assert all(torch.equal(a, b) for a, b in zip(weights, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(state, state_again, strict=True))
    assert not torch.equal(weights[0], RBM(11, 5, generator=generator(13)).weight)


@pytest.mark.parametrize("binary", [True, False])
def test_plain_sgd_in_the_outer_product_is_sgd(binary: bool) -> None:
    rows = (torch.rand(20, 11, generator=generator(14)) < 0.3).float()
    objective = PersistentCD(chains=10, binary=binary, weight_decay=0.1, sparsity=(0.1, 0.2))

    def after(momentum: float) -> list[Tensor]:
        rbm, stream = RBM(11, 5, generator=15), generator(16)
        step = objective.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.3, momentum=momentum))
        step(objective.start(rbm, rows, generator=stream), rows, generator=stream)
        return snapshot(rbm)

    for fused, plain in zip(after(0.0), after(0.5), strict=True):  # the first step with momentum is a plain one
        torch.testing.assert_close(fused, plain, rtol=0, atol=1e-6)


def gradients(objective: PersistentCD, x: Tensor) -> tuple[RBM, list[Tensor], Tensor]:
    rbm, stream = machine("bernoulli-bernoulli", seed=17), generator(18)
    step = objective.update(rbm, still(rbm))
    state, _ = step(objective.start(rbm, x, generator=stream), x, generator=stream)
    return rbm, [p.grad.clone() for p in trained(rbm)], state.hidden_mean


def test_weight_decay_and_sparsity_add_their_gradients() -> None:
    x = (torch.rand(8, 5, generator=generator(19)) < 0.5).double()
    rbm, bare, _ = gradients(PersistentCD(chains=9), x)
    _, decayed, _ = gradients(PersistentCD(chains=9, weight_decay=0.3), x)
    torch.testing.assert_close(decayed[0] - bare[0], 0.3 * rbm.weight.detach())
    torch.testing.assert_close(decayed[1:], bare[1:])
    _, sparse, mean = gradients(PersistentCD(chains=9, sparsity=(0.1, 0.7)), x)
    torch.testing.assert_close(sparse[2] - bare[2], 0.7 * (mean - 0.1))
    torch.testing.assert_close(sparse[:2], bare[:2])


def test_offsets_are_running_means_of_the_data() -> None:
    x = (torch.rand(8, 5, generator=generator(20)) < 0.5).double()
    rbm, stream = machine("bernoulli-bernoulli", seed=21), generator(22)
    objective = PersistentCD(chains=3, sliding=0.25)
    state = objective.start(rbm, x, generator=stream)
    torch.testing.assert_close(state.visible_mean, x.mean(0))
    after, _ = objective.update(rbm, still(rbm))(state, x[:2], generator=stream)
    torch.testing.assert_close(after.visible_mean, 0.75 * x.mean(0) + 0.25 * x[:2].mean(0))
    torch.testing.assert_close(after.hidden_mean, 0.75 * state.hidden_mean + 0.25 * rbm.transform(x[:2]).mean(0))


@pytest.mark.parametrize("kind", [torch.uint8, torch.bool, torch.float64])
@pytest.mark.parametrize("binary", [True, False])
def test_packed_batches_train_like_float_ones(kind: torch.dtype, binary: bool) -> None:
    rows = (torch.rand(12, 7, generator=generator(23)) < 0.4).float()

    def after(x: Tensor) -> list[Tensor]:
        rbm, stream = RBM(7, 3, generator=24), generator(25)
        objective = PersistentCD(chains=5, binary=binary)
        step = objective.update(rbm, objective.optimizer(rbm))
        step(objective.start(rbm, x, generator=stream), x, generator=stream)
        return snapshot(rbm)

    assert all(torch.equal(a, b) for a, b in zip(after(rows), after(rows.to(kind)), strict=True))


def test_frozen_parameters_stay() -> None:
    rbm, stream = RBM(7, 3, generator=26), generator(27)
    rbm.hidden_bias.requires_grad_(False)
    x = torch.ones(4, 7)
    step = PersistentCD(chains=5).update(rbm, torch.optim.SGD([rbm.weight, rbm.visible_bias], lr=0.1))
    before = snapshot(rbm)
    step(PersistentCD(chains=5).start(rbm, x, generator=stream), x, generator=stream)
    same = [torch.equal(a, b) for a, b in zip(before, snapshot(rbm), strict=True)]
    assert same == [False, False, True]


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ArgumentError, match="k must be"):
        PersistentCD(k=0)
    with pytest.raises(ArgumentError, match="chains"):
        PersistentCD(chains=0)
    with pytest.raises(ArgumentError, match="sparsity"):
        ContrastiveDivergence(sparsity=(0.1,))
    rbm = RBM(Spin(3), 2, generator=0)
    with pytest.raises(ArgumentError, match="Bernoulli"):
        PersistentCD(binary=True).update(rbm, still(rbm))
    with pytest.raises(MissingCapability, match="Linear"):
        PersistentCD().update(nn.Linear(2, 2), torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1))
    with pytest.raises(SupportError):
        PersistentCD().start(RBM(3, 2, generator=0), torch.tensor([[0.3, 0.0, 1.0]]), generator=generator(0))
