"""The annealing loop: exact weights of one step, exact laws of the moves, refusals."""

from itertools import pairwise
from statistics import NormalDist

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.evaluate import log_density
from deepgen.explicit import RBM
from deepgen.samplers import Exactness, KernelPath, RBMPath, anneal
from deepgen.samplers.annealing import check_betas, equal_length, spread
from deepgen.samplers.binary_path import BinaryPath
from deepgen.samplers.block_gibbs import BlockGibbs
from deepgen.samplers.sparse_path import SparsePath


def machine(nv, nh, scale, stream):
    model = RBM(nv, nh, generator=stream)
    with torch.no_grad():
        model.weight.normal_(0.0, scale, generator=stream)
        model.visible_bias.normal_(generator=stream)
        model.hidden_bias.normal_(generator=stream)
    return model


def log_f(model, base, v, beta):
    tempered = RBM(v.shape[1], model.hidden.width).double()
    with torch.no_grad():
        tempered.weight.copy_(beta * model.weight)
        tempered.hidden_bias.copy_(beta * model.hidden_bias)
        tempered.visible_bias.copy_(beta * model.visible_bias + (1 - beta) * base)
    return log_density(tempered, v)


@pytest.mark.parametrize(
    ("old", "new", "scale"),
    [(0.3, 0.301, 0.5), (0.3, 0.31, 0.5), (0.31, 0.3, 0.5), (0.0, 1.0, 2.0), (1.0, 0.0, 2.0), (0.01, 0.0, 1.0),
     (0.0, 0.001, 1.0), (0.9, 0.9, 1.0), (0.9, 0.95, 0.1)],
)  # fmt: skip
@pytest.mark.parametrize("kind", [BinaryPath, SparsePath, RBMPath])
def test_weight_of_one_step_is_the_ratio_of_densities(kind, old, new, scale, stream):
    model = machine(40, 30, scale, stream)
    base = torch.randn(40, generator=stream)
    path = kind(model, base)
    v = path.start(20, generator=stream)
    expected = log_f(model, base, v, new) - log_f(model, base, v, old)
    _, found = path.step(path.init(v), old, new, generator=stream)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=3e-5)


@pytest.mark.parametrize("old", [0.5, 1.0])
@pytest.mark.parametrize("step", [5e-5, -5e-5])
@pytest.mark.parametrize("kind", [BinaryPath, SparsePath])
def test_many_temperatures_add_up_to_no_error_in_either_direction(kind, step, old, stream):
    """Weights of 20,000 steps like this one: rounded to float32 they gained a tenth of a nat, and more downwards."""
    model = machine(60, 1000, 0.5, stream)
    with torch.no_grad():
        model.hidden_bias.sub_(5.0)  # most units are off, as in trained machines
    path, general = (one(model, model.visible_bias) for one in (kind, RBMPath))
    v, old = path.start(200, generator=stream), old - max(step, 0.0)
    _, expected = general.step(general.init(v.clone()), old, old + step, generator=stream)
    _, found = path.step(path.init(v), old, old + step, generator=stream)
    assert abs(float((found - expected).mean())) / abs(step) < 2e-3


@pytest.mark.parametrize("kind", [BinaryPath, SparsePath, RBMPath])
def test_log_base_is_the_sum_at_beta_zero(kind, stream):
    model = machine(6, 4, 1.0, stream)
    base = torch.randn(6, generator=stream)
    every = model.visible.enumerate(0, 64).float()
    assert kind(model, base).log_base == pytest.approx(float(log_f(model, base, every, 0.0).logsumexp(0)), rel=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("kind", [BinaryPath, SparsePath, RBMPath])
def test_moves_leave_their_density_invariant(kind, beta, stream, alpha):
    """Chains that start at exact draws of p_beta are still at p_beta two moves later: every one of 32 states."""
    model = machine(5, 4, 1.5, stream)
    base = torch.randn(5, generator=stream)
    path, chains = kind(model, base), 20_000
    every = model.visible.enumerate(0, 32).float()
    p = log_f(model, base, every, beta).softmax(0)
    start = every[torch.multinomial(p, chains, replacement=True, generator=stream)]
    state, log_weights = anneal(path, path.init(start), torch.full((3,), beta), generator=stream)
    index = (state.position @ (2.0 ** torch.arange(5))).long()
    found = torch.bincount(index, minlength=32).double() / chains
    error = (p * (1 - p) / chains).sqrt()
    assert bool(((found - p).abs() < NormalDist().inv_cdf(1 - alpha / 64) * 1.1 * error + 3 / chains).all())
    assert float(log_weights.abs().max()) < 1e-4


@pytest.mark.parametrize("kind", [BinaryPath, SparsePath])
def test_binary_moves_forget_and_reach_the_model(kind, stream, alpha):
    model = machine(5, 4, 0.5, stream)
    path, chains = kind(model, torch.zeros(5)), 20_000
    state, _ = anneal(path, path.init(torch.ones(chains, 5)), torch.ones(40), generator=stream)
    every = model.visible.enumerate(0, 32).float()
    truth = log_density(model, every).softmax(0) @ every.double()
    error = (truth * (1 - truth) / chains).sqrt()
    limit = NormalDist().inv_cdf(1 - alpha / 10) * 1.1
    assert bool(((state.position.double().mean(0) - truth).abs() < limit * error).all())


@pytest.mark.parametrize("bias", [-2.5, 2.5])
def test_sums_of_rows_and_products_weigh_alike(bias, stream):
    """Few and many ones take the two ways through `SparsePath`; both weigh as the cumulants do, step after step."""
    model = machine(300, 250, 0.02, stream)
    with torch.no_grad():
        model.visible_bias.add_(bias)
        model.hidden_bias.add_(bias)
    path, general = SparsePath(model, model.visible_bias), RBMPath(model, model.visible_bias)
    state = path.init(path.start(50, generator=stream))
    betas = [0.0, 0.004, 0.3, 0.8, 0.83, 1.0]
    for old, new in pairwise(betas):
        _, expected = general.step(general.init(state.position.clone()), old, new, generator=stream)
        state, found = path.step(state, old, new, generator=stream)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=3e-5)
        assert (state.ones < 0.2 * state.position.numel()) == (bias < 0)
        assert state.ones == int(state.position.sum())


def test_large_machines_give_the_same_log_z_either_way(stream, alpha):
    model = machine(6554, 10, 0.01, stream)  # as many weights as choose the kernels; the hidden side is enumerated
    assert SparsePath.fits(model)
    path = dg.samplers.rbm_path(model)
    assert isinstance(path, SparsePath)
    truth = dg.evaluate.log_partition(model, "exact").value
    _, log_weights = anneal(
        path, path.init(path.start(400, generator=stream)), torch.linspace(0, 1, 20), generator=stream
    )
    mean = dg.evaluate.log_mean_exp(log_weights)
    assert abs(path.log_base + mean.value - truth) < 1.2 * NormalDist().inv_cdf(1 - alpha / 2) * mean.stderr + 2e-3
    assert mean.stderr < 0.1


@pytest.mark.parametrize("kind", [BinaryPath, SparsePath])
def test_units_of_a_chain_are_drawn_independently(kind, stream, alpha):
    """Fields far from zero and between: rates and covariances of the binary path's own uniforms."""
    model = RBM(6, 2)
    rates = torch.tensor([1e-3, 0.1, 0.25, 0.5, 0.9, 0.999])
    with torch.no_grad():
        model.weight.zero_()
        model.visible_bias.copy_(rates.logit())
    path, chains = kind(model, torch.zeros(6)), 1000
    state, moves = path.init(torch.zeros(chains, 6)), 300
    total, products = torch.zeros(6), torch.zeros(6, 6)
    for _ in range(moves):
        state, _ = path.step(state, 1.0, 1.0, generator=stream)
        total += state.position.sum(0)
        products += (state.position - rates).t() @ (state.position - rates)
    n, limit = chains * moves, NormalDist().inv_cdf(1 - alpha / 40) * 1.1
    variance = rates * (1 - rates)
    assert bool(((total / n - rates).abs() < limit * (variance / n).sqrt() + 1e-6).all())
    covariance = products / n - variance.diag()
    scale = (variance.unsqueeze(1) * variance).sqrt()
    off = ~torch.eye(6, dtype=torch.bool)
    assert bool((covariance[off].abs() < 1.2 * limit * (scale / n**0.5)[off] + 1e-5).all())


def test_general_kernels_and_their_refusal(stream, alpha):
    """A Gaussian widened from variance 1 to 4 by its own exact draws: log Z_1 = log 2 + log Z_0."""

    class Redraw:
        exactness = Exactness("exact")

        def __init__(self, beta):
            self.scale = (1 - 0.75 * beta) ** -0.5

        def init(self, position):
            from deepgen.samplers.annealing import PathState

            return PathState(position)

        def step(self, state, *, generator):
            return state._replace(position=self.scale * torch.randn(state.position.shape, generator=generator)), None

    class Biased(Redraw):
        exactness = Exactness("biased", "O(step size)")

    def density(x, beta):
        return -0.5 * (1 - 0.75 * beta) * x.square().sum(1)

    def base(n, generator):
        return torch.randn(n, 1, generator=generator)

    path = KernelPath(density, Redraw, base, 0.0)
    state = path.init(path.start(4000, generator=stream))
    _, log_weights = anneal(path, state, torch.linspace(0, 1, 40), generator=stream)
    mean = dg.evaluate.log_mean_exp(log_weights)
    assert abs(mean.value - 0.6931472) < 1.2 * NormalDist().inv_cdf(1 - alpha / 2) * mean.stderr
    assert mean.stderr < 0.02
    with pytest.raises(MissingCapability, match="O\\(step size\\)"):
        KernelPath(density, Biased, base, 0.0)


def test_gibbs_kernel_gives_the_same_log_z(stream, alpha):
    model = machine(6, 5, 0.7, stream)
    truth = dg.evaluate.log_partition(model, "exact").value

    def density(x, beta):
        return log_f(model, model.visible_bias * 0, x, beta)

    def kernel(beta):
        return BlockGibbs(model, beta)

    def base(n, generator):
        return (torch.rand(n, 6, generator=generator) < 0.5).float()

    path = KernelPath(density, kernel, base, 11 * 0.6931471805599453)
    _, log_weights = anneal(path, path.init(base(500, stream)), torch.linspace(0, 1, 50), generator=stream)
    mean = dg.evaluate.log_mean_exp(log_weights)
    assert abs(path.log_base + mean.value - truth) < 1.2 * NormalDist().inv_cdf(1 - alpha / 2) * mean.stderr
    assert mean.stderr < 0.1


def test_equal_length_spreads_a_known_length():
    """All the spread lies in the first tenth: nine tenths of the temperatures go there, a tenth stays uniform."""
    betas = torch.linspace(0, 1, 101, dtype=torch.float64)
    spreads = (betas[:-1] < 0.1 - 1e-9).double()
    placed = equal_length(betas, spreads, 1001)
    assert placed[0] == 0
    assert placed[-1] == 1
    assert bool((placed.diff() > 0).all())
    assert int((placed < 0.1).sum()) == pytest.approx(1001 * 0.91, abs=2)


def test_spread_is_the_standard_deviation_of_the_ratio(stream):
    model = machine(6, 5, 1.0, stream)
    path = BinaryPath(model, torch.zeros(6))
    every = model.visible.enumerate(0, 64).float()
    ratio = log_f(model, torch.zeros(6), every, 0.2) - log_f(model, torch.zeros(6), every, 0.0)
    found = spread(path, torch.tensor([0.0, 0.2]), 20_000, generator=stream)
    assert float(found) == pytest.approx(float(ratio.std(correction=0)), rel=0.1)


def test_temperatures_are_checked():
    assert check_betas(torch.tensor([0, 1])).dtype == torch.float64
    for wrong in ([0.0, 0.9], [0.1, 1.0], [0.0, 0.8, 0.5, 1.0], [1.0], [[0.0, 1.0]], [0.0, float("nan"), 1.0]):
        with pytest.raises(ArgumentError, match="temperatures"):
            check_betas(torch.tensor(wrong))
