"""Stochastic-gradient kernels against their own laws, which are known where the target is Gaussian."""

import dataclasses
import itertools
import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError
from deepgen.samplers import Polynomial, constant_sgd, lyapunov, psgld, sample_chain, sghmc, sgld
from deepgen.testing import CheckFailed
from tests.samplers.stochastic import check_law, linear

WIDE = torch.tensor([[0.05, 0.02], [0.02, 0.03]])  # a preconditioner that is neither round nor diagonal


def kernels():
    """Every kernel over minibatches, with its own predicted covariance and the steps that forget a start at rest."""
    posterior, precision, mode = linear()
    batches = posterior.minibatches(5)
    noise = batches.gradient_noise(mode)
    e = 0.6 / float(torch.linalg.eigvalsh(precision)[-1])  # bias and gradient noise both far beyond the resolution
    known = noise.diagonal().float() / 2
    made = {
        "sgld": (sgld(batches, e), 20),
        "sgld, preconditioned": (sgld(batches, 0.3, covariance=WIDE), 20),
        "sgld, centred": (sgld(posterior.minibatches(5, centre=mode), e), 20),
        "sghmc": (sghmc(batches, e, friction=0.3), 600),
        "sghmc, noise known": (sghmc(batches, e / 5, friction=0.3, gradient_noise=known), 800),
        "sghmc, friction 1": (sghmc(batches, e, friction=1.0), 20),
        "constant_sgd": (constant_sgd(batches, e), 20),
        "constant_sgd, preconditioned": (constant_sgd(batches, 0.3, covariance=WIDE), 20),
    }
    return {
        name: (kernel, mode, kernel.stationary(precision, 0.0 if "centred" in name else noise), steps)
        for name, (kernel, steps) in made.items()
    }


@pytest.mark.parametrize("name", kernels())
def test_own_law_on_a_gaussian(name, stream):
    kernel, mode, covariance, steps = kernels()[name]
    precision = linear()[1]
    assert (covariance @ precision.double() - torch.eye(2)).abs().max() > 0.05  # it is not the target's
    check_law(kernel, mode, covariance, steps=steps, generator=stream)


def test_own_law_of_psgld_where_its_scale_has_settled(stream):
    posterior, precision, mode = linear()
    batches = posterior.minibatches(5)
    noise = batches.gradient_noise(mode)
    kernel = psgld(batches, 0.02, decay=1 - 1e-6)
    covariance = kernel.stationary(precision, noise)
    root = 1 / kernel.scale(precision, noise) - kernel.floor
    mean_square = (precision.double() @ covariance @ precision.double() + noise).diagonal()
    assert torch.allclose(root.square(), mean_square, rtol=1e-6)

    def settled(state):
        return state._replace(step=state.step + 10**9, mean_square=mean_square.float().expand_as(state.position))

    check_law(kernel, mode, covariance, steps=30, generator=stream, state=settled)
    x = mode + dg.random.normal((20_000, 2), generator=stream) @ torch.linalg.cholesky(covariance).float().mT
    seen = batches.estimate(x, generator=dg.random.streams(stream))[1].double().square()
    assert bool(((seen.mean(0) - mean_square).abs() < 5.5 * seen.std(0) / 20_000**0.5).all())


def test_what_psgld_neglects_is_a_bias_that_stays(stream):
    # decay 0 and floor 1: G = 1 / (1 + |x|) on N(0, 1), so the law is (1 + |x|) phi(x): phi, or |x| phi (Rayleigh)
    n, e = 20_000, 0.02
    g = dg.random.streams(stream)
    rayleigh = (-2 * g.uniform((n, 1)).log()).sqrt() * (g.uniform((n, 1)) - 0.5).sign()
    share = math.sqrt(2 / math.pi)
    start = torch.where(g.uniform((n, 1)) < share / (1 + share), rayleigh, g.normal((n, 1)))
    kernel = psgld(lambda x: -x.square().sum(-1) / 2, e, decay=0.0, floor=1.0)
    square = dg.samplers.advance(kernel, kernel.init(start), 300, generator=g).position.square()
    predicted = (1 + 2 * share) / (1 + share)  # 1.44, where the target has 1
    assert abs(square.mean() - predicted) < 5.5 * square.std() / n**0.5 + 2 * e


@pytest.mark.parametrize("make", [sgld, lambda target, e: sghmc(target, e, friction=0.4)])
def test_bias_is_proportional_to_the_step(make, stream):
    target = dg.samplers.Target(lambda x: -x.square().sum(-1) / 2)
    biases, g = {}, dg.random.streams(stream)
    for e in (0.2, 0.4, 0.8):
        kernel = make(target, e)
        end = dg.samplers.advance(kernel, kernel.init(g.normal((200_000, 1))), 60, generator=g).position
        predicted = float(kernel.stationary(torch.eye(1)))
        assert abs(float(end.var()) - predicted) < 5.5 * predicted * (2 / 200_000) ** 0.5
        biases[e] = (float(end.var()) - 1, predicted - 1)
    measured, predicted = (biases[0.8][i] / biases[0.4][i] for i in (0, 1))
    assert 2 < predicted < 2.4  # O(e), and a little of the next order
    spread = math.hypot(1 + biases[0.8][1], predicted * (1 + biases[0.4][1])) * (2 / 200_000) ** 0.5
    assert abs(measured - predicted) < 5.5 * spread / biases[0.4][1] < 0.9  # so O(1) and O(e^2) would show


def test_closed_forms_of_one_dimension():
    target, a, v, e, r = dg.samplers.Target(lambda x: -x.square().sum(-1)), 2.0, 3.0, 0.3, 0.2
    one = torch.tensor([[a]])
    expected = (1 + e * v / 4) / (1 - e * a / 4) / a
    assert float(sgld(target, e).stationary(one, v)) == pytest.approx(expected, rel=1e-9)
    assert float(sgld(target, e, covariance=torch.tensor([0.5])).stationary(one, v)) == pytest.approx(
        (1 + e * 0.5 * v / 4) / (1 - e * 0.5 * a / 4) / a, rel=1e-6
    )
    expected = (1 + e * (v - 1.0) / (4 * r)) / (1 - e * a / (4 * (2 - r))) / a
    assert float(sghmc(target, e, friction=r, gradient_noise=1.0).stationary(one, v)) == pytest.approx(expected)
    assert float(sghmc(target, e, friction=1.0).stationary(one, v)) == pytest.approx(
        float(sgld(target, e).stationary(one, v)), rel=1e-9
    )
    with pytest.raises(ArgumentError, match="lower step_size"):
        sgld(target, 2.1).stationary(one)  # e A / 4 > 1
    with pytest.raises(MissingCapability, match="constant step size"):
        sgld(target, Polynomial(0.1)).stationary(one)


def test_mandts_prediction_is_the_limit_of_small_steps():
    posterior, precision, mode = linear()
    batches = posterior.minibatches(5)
    noise = batches.gradient_noise(mode)
    apart = []
    for e in (1e-3, 1e-4):
        kernel = constant_sgd(batches, e)
        exact, limit = kernel.stationary(precision, noise), kernel.stationary(precision, noise, limit=True)
        a = precision.double()
        assert torch.allclose(a @ limit + limit @ a, e / 2 * noise, rtol=1e-6)  # AC + CA = e/2 V
        apart.append(float((exact / limit - 1).abs().max()))
    assert apart[1] == pytest.approx(apart[0] / 10, rel=0.1)
    assert torch.allclose(lyapunov(precision, noise), limit / (1e-4 / 2), rtol=1e-6)


def test_the_optimal_rate_is_the_least_divergence_from_the_posterior():
    posterior, precision, mode = linear()
    batches = posterior.minibatches(5)
    noise, a = batches.gradient_noise(mode), precision.double()

    def divergence(kernel):  # KL(N(m, C) || N(m, A^-1))
        product = a @ kernel.stationary(precision, noise, limit=True)
        return float(product.trace() - product.logdet() - 2) / 2

    for covariance in (None, WIDE):
        best = constant_sgd(batches, at=mode, covariance=covariance)
        for factor in (0.9, 1.1):
            other = constant_sgd(batches, factor * best.step_size, covariance=covariance)
            assert divergence(best) < divergence(other)
    assert constant_sgd(batches, at=mode).step_size == pytest.approx(4 * 2 / float(noise.trace()))
    whole = constant_sgd(batches, 1.0, covariance=dg.samplers.optimal_preconditioner(noise))
    assert torch.allclose(whole.stationary(precision, noise, limit=True), torch.linalg.inv(a), rtol=1e-4)
    diagonal = dg.samplers.optimal_preconditioner(noise, diagonal=True)
    for k in range(2):
        for factor in (0.9, 1.1):
            other = diagonal.clone()
            other[k] *= factor
            assert divergence(constant_sgd(batches, 1.0, covariance=diagonal)) < divergence(
                constant_sgd(batches, 1.0, covariance=other)
            )


MUTANTS = {
    "noise e for its root": ("sgld", "langevin_move", lambda g, noise, e: e / 2 * g + e * noise),
    "noise 2 e": ("sgld", "langevin_move", lambda g, noise, e: e / 2 * g + (2 * e) ** 0.5 * noise),
    "drift e": ("sgld", "langevin_move", lambda g, noise, e: e * g + e**0.5 * noise),
    "friction forgotten": ("sghmc", "kicked", lambda v, g, noise, e, r, k: v + e / 2 * g + (r * e) ** 0.5 * noise),
    "noise 2 r e": ("sghmc", "kicked", lambda v, g, xi, e, r, k: (1 - r) * v + e / 2 * g + (2 * r * e) ** 0.5 * xi),
    "noise r e for its root": ("sghmc", "kicked", lambda v, g, xi, e, r, k: (1 - r) * v + e / 2 * g + r * e * xi),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_wrong_scales_are_caught(name, stream, monkeypatch):
    which, function, wrong = MUTANTS[name]
    kernel, mode, covariance, steps = kernels()[which]
    home = {"sgld": "stochastic_gradient", "sghmc": "stochastic_hamiltonian"}[which]
    monkeypatch.setattr(f"deepgen.samplers.{home}.{function}", wrong)
    with pytest.raises(CheckFailed):
        check_law(kernel, mode, covariance, steps=steps, generator=stream)


def test_a_batch_that_is_not_weighted_is_caught(stream, monkeypatch):
    kernel, mode, covariance, steps = kernels()["sgld"]
    monkeypatch.setattr(type(kernel.source.posterior), "__len__", lambda self: 5)  # N / n = 1
    with pytest.raises(CheckFailed):
        check_law(kernel, mode, covariance, steps=steps, generator=stream)


def test_sgld_of_a_whole_gradient_keeps_the_contract_of_kernels(stream, alpha):
    target = dg.samplers.Target(lambda x: -(x * torch.tensor([1.0, 2.0])).square().sum(-1) / 2)
    for kernel in (sgld(target, 0.3), sghmc(target, 0.3, friction=1.0)):
        sd = kernel.stationary(torch.tensor([1.0, 4.0]).diag()).diagonal().sqrt().float()
        draw = lambda n, generator: torch.randn(n, 2, generator=generator) * sd  # noqa: B023, E731
        dg.testing.check_kernel(kernel, draw, alpha=alpha, generator=stream)


def every():
    batches = linear()[0].minibatches(5)
    falling = Polynomial.between(1e-2, 1e-3, 10)
    return [sgld(batches, falling), psgld(batches, falling), sghmc(batches, falling), constant_sgd(batches, 1e-3)]


@pytest.mark.parametrize("kernel", every(), ids=lambda kernel: type(kernel).__name__)
def test_a_stopped_run_goes_on_bit_for_bit(kernel, seed):
    start = torch.randn(4, 2, generator=dg.random.generator(seed))
    whole = sample_chain(kernel, start, draws=9, generator=seed)
    first = sample_chain(kernel, start, draws=4, generator=seed)
    second = sample_chain(first.kernel, first.state, draws=5, generator=first.generator)
    assert torch.equal(torch.cat([first.draws, second.draws]), whole.draws)
    assert torch.equal(torch.cat([first.info["step_size"], second.info["step_size"]]), whole.info["step_size"])
    anew = sample_chain(first.kernel, first.state.position, draws=5, generator=first.generator)
    assert not torch.equal(anew.draws, second.draws)  # without its place in the schedule it is another run


@pytest.mark.parametrize("kernel", every(), ids=lambda kernel: type(kernel).__name__)
def test_steps_are_pure_and_refuse_other_states(kernel, stream):
    state = dg.samplers.advance(kernel, kernel.init(torch.ones(3, 2)), 2, generator=stream)
    before = [part.clone() for part in state]
    after, info = kernel.step(state, generator=stream)
    assert all(torch.equal(a, b) for a, b in zip(state, before, strict=True))
    assert not torch.equal(after.position, state.position)
    assert info.log_density.shape == info.step_size.shape == info.nan.shape == (3,)
    assert kernel.exactness.kind == "biased"
    with pytest.raises(ShapeError, match="init or the last step"):
        kernel.step(torch.ones(3, 2), generator=stream)
    with pytest.raises(MissingCapability, match="cannot be used for tempering"):
        dg.samplers.require_exact(kernel, "tempering")


def test_the_schedule_falls_as_stated():
    schedule = Polynomial.between(0.01, 1e-4, 10_000, gamma=0.55)
    assert schedule(0) == pytest.approx(0.01)
    assert schedule(10_000) == pytest.approx(1e-4)
    kernel = sgld(linear()[0].minibatches(5), schedule)
    trace = sample_chain(kernel, torch.zeros(2, 2), draws=3, thin=2, generator=0)
    expected = torch.tensor([schedule(t) for t in (1, 3, 5)]).unsqueeze(1).expand(3, 2)
    assert torch.allclose(trace.info["step_size"], expected)
    for wrong in ({"a": 0.0}, {"a": 1.0, "b": -1.0}, {"a": 1.0, "gamma": 1.5}):
        with pytest.raises(ArgumentError):
            Polynomial(**wrong)
    with pytest.raises(ArgumentError, match="falls"):
        Polynomial.between(1e-4, 0.01, 100)


def test_what_is_refused():
    batches = linear()[0].minibatches(5)
    for make in (sgld, psgld, sghmc, lambda source, e: constant_sgd(source, e, at=torch.zeros(2))):
        for wrong in (0.0, -0.1, math.nan, "x", True):
            with pytest.raises(ArgumentError, match="step_size must be"):
                make(batches, wrong)
    for make in (sgld, psgld, sghmc):
        with pytest.raises(ArgumentError, match="step_size must be"):
            make(batches, None)
    with pytest.raises(ArgumentError, match="decay"):
        psgld(batches, 0.1, decay=1.0)
    with pytest.raises(MissingCapability, match="needs minibatches"):
        constant_sgd(linear()[0], 0.1)
    with pytest.raises(MissingCapability, match="at="):
        constant_sgd(batches)


@pytest.mark.parametrize("step_size", [0.1, torch.tensor([0.05, 0.1]), Polynomial(0.1)])
@pytest.mark.parametrize("noise", [100.0, torch.tensor(100.0), torch.tensor([1.0, 100.0])])
def test_friction_takes_up_the_noise_that_is_known(step_size, noise):
    with pytest.raises(ArgumentError, match=r"friction must be at least .* = 2.5, got 0.1"):
        sghmc(lambda x: -x.square().sum(-1) / 2, step_size, friction=0.1, gradient_noise=noise)
    sghmc(lambda x: -x.square().sum(-1) / 2, step_size, friction=0.1, gradient_noise=noise / 25)


def test_the_noise_that_is_known_has_the_shape_of_an_event():
    target = dg.samplers.Target(lambda x: -x.square().flatten(1).sum(-1) / 2)
    for wrong in (torch.eye(3), torch.ones(3, 1), torch.ones(2), torch.ones(1)):  # three chains: all would broadcast
        with pytest.raises(ShapeError, match=r"gradient_noise must be a number or \[3\]"):
            sghmc(target, 0.1, gradient_noise=wrong).init(torch.zeros(3, 3))
    for wrong in (-1.0, math.nan, "x", torch.tensor([1.0, -1.0, 1.0]), torch.tensor([1.0, torch.nan, 1.0])):
        with pytest.raises(ArgumentError, match="gradient_noise must be"):
            sghmc(target, 0.1, gradient_noise=wrong)


def test_the_noise_that_is_known_of_events_with_axes_and_of_numbers(stream):
    precision, noise = torch.tensor([2.0, 1.0, 0.5, 3.0]), torch.tensor([[1.0, 0.5], [0.2, 0.3]])
    target = dg.samplers.Target(lambda x: -(precision * x.flatten(1).square()).sum(-1) / 2)
    law = (
        sghmc(target, 0.3, friction=0.5, gradient_noise=noise).stationary(precision.diag(), noise.flatten()).diagonal()
    )
    assert torch.allclose(law.float(), 1 / precision / (1 - 0.3 * precision / (4 * 1.5)))  # V - V^ = 0
    kernel = sghmc(target, 0.3, friction=0.5, gradient_noise=noise)
    end = dg.samplers.advance(kernel, kernel.init(torch.zeros(20_000, 2, 2)), 80, generator=dg.random.streams(stream))
    own = kernel.stationary(precision.diag()).diagonal().float()  # of a whole gradient, which has no noise
    assert bool(((end.position.flatten(1).var(0) / own - 1).abs() < 5.5 * (2 / 20_000) ** 0.5).all())
    one = sghmc(target, 0.3, gradient_noise=0.1).stationary(precision.diag())
    assert torch.equal(sghmc(target, 0.3, gradient_noise=torch.tensor(0.1)).stationary(precision.diag()), one)


def scalar_posterior():
    """Rows y ~ N(x, 1) and x ~ N(0, 1): an event is a number, and a position of chains ``[chains]``."""
    y = torch.linspace(-2.0, 3.0, 30)
    return dg.samplers.Posterior(lambda x: -x.square() / 2, lambda x, y: -(y - x.unsqueeze(1)).square() / 2, y)


@pytest.mark.parametrize("make", [
    lambda source: sgld(source, 0.01),
    lambda source: sgld(source, torch.full((5,), 0.01), covariance=torch.tensor([2.0])),
    lambda source: psgld(source, 0.01),
    lambda source: sghmc(source, 0.01, gradient_noise=torch.tensor(3.0)),
    lambda source: constant_sgd(source, at=torch.zeros(())),
])  # fmt: skip
@pytest.mark.parametrize("centre", [None, torch.tensor(0.5)])
def test_events_that_are_numbers_are_vectors_of_one(make, centre, seed):
    posterior = scalar_posterior()
    batches = posterior.minibatches(4, centre=centre)
    kernel = dataclasses.replace(make(posterior.minibatches(4)), source=batches)  # a rate that is measured: without c
    start = torch.linspace(-1, 1, 5)
    numbers = sample_chain(kernel, start, draws=6, generator=seed)
    assert numbers.draws.shape == (6, 5)
    of_vectors = dg.samplers.Posterior(
        lambda x: posterior.log_prior(x.squeeze(1)), lambda x, y: posterior.log_likelihood(x.squeeze(1), y),
        posterior.rows,
    )  # fmt: skip
    vectors = dataclasses.replace(
        kernel, source=of_vectors.minibatches(4, centre=None if centre is None else centre[None])
    )
    assert torch.equal(sample_chain(vectors, start[:, None], draws=6, generator=seed).draws[..., 0], numbers.draws)
    assert numbers.info["nan"].shape == (6, 5)


def test_the_noise_of_a_number_s_gradient_is_one_by_one():
    y = torch.linspace(-2.0, 3.0, 30).double()
    noise = scalar_posterior().minibatches(4).gradient_noise(torch.tensor(0.5))
    assert torch.allclose(noise, (30**2 / 4 * y.var(correction=0)).reshape(1, 1), rtol=1e-6)


def test_psgld_corrects_its_mean_in_the_precision_of_positions():
    square, t = torch.full((2, 3), 0.1, dtype=torch.float64), torch.tensor([[0], [1]])
    root = dg.samplers.rmsprop_langevin.root_of_scale(square, t, 0.9, 1.0)
    expected = [(1 + (0.1 / (1 - 0.9 ** (k + 1))) ** 0.5) ** -0.5 for k in (0, 1)]
    assert torch.allclose(root, torch.tensor(expected, dtype=torch.float64).unsqueeze(1).expand(2, 3), rtol=1e-14)


def test_sizes_that_do_not_fit_are_refused():
    for wrong in (torch.ones(2), torch.ones(1), torch.ones(3, 2), torch.ones(3, 3, 3)):
        with pytest.raises(ShapeError, match=r"expected a matrix \[3, 3\], its diagonal \[3\] or a number, got"):
            dg.samplers.stationary.matrix(wrong, 3)
    with pytest.raises(ShapeError, match="its diagonal"):
        sgld(dg.samplers.Target(lambda x: x.sum(-1)), 0.1).stationary(torch.eye(3), torch.ones(2))


def test_mandts_diagonal_rule_is_best_where_noise_is_diagonal_or_like_the_curvature():
    root = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.7, 0.0], [-0.3, 0.4, 1.5]], dtype=torch.float64)
    batches, a = linear()[0].minibatches(5), root @ root.mT

    def divergence(scale, noise):  # KL(N(m, C) || N(m, A^-1))
        law = constant_sgd(batches, 1.0, covariance=scale).stationary(a, noise, limit=True)
        return float((a @ law).trace() - (a @ law).logdet() - 3) / 2

    def rule(noise):
        return dg.samplers.optimal_preconditioner(noise, diagonal=True)

    def nearby(noise):
        factors = (torch.tensor(f, dtype=torch.float64) for f in itertools.product((0.9, 1.0, 1.1), repeat=3))
        return min(divergence(rule(noise) * factor, noise) for factor in factors if not bool((factor == 1).all()))

    separate = torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64).diag()
    assert abs(divergence(rule(separate), separate)) < 1e-9  # C = A^-1 although A is not diagonal
    assert nearby(3 * a) > divergence(rule(3 * a), 3 * a) + 1e-4
    other = torch.tensor([[2.0, -1.0, 0.5], [-1.0, 1.0, 0.1], [0.5, 0.1, 3.0]], dtype=torch.float64)
    assert nearby(other) < divergence(rule(other), other) - 1e-4


def test_nan_gradients_are_counted(stream):
    kernel = sgld(lambda x: x.sum(-1).log(), 0.1)
    _state, info = kernel.step(kernel.init(torch.tensor([[1.0], [torch.nan]])), generator=stream)
    assert info.nan.tolist() == [False, True]


@pytest.mark.parametrize("compose", [dg.samplers.cycle, dg.samplers.mixture])
def test_schedules_scales_and_velocities_go_on_beside_another_kernel(compose, stream):
    """What is kept of the way here is no function of the position: begun anew the schedule would never fall."""
    posterior, _, mode = linear()
    batches, walk = posterior.minibatches(5), dg.samplers.metropolis(posterior, dg.samplers.RandomWalk(1e-3))
    falling = Polynomial.between(1e-3, 1e-5, 20)
    for kernel in (
        sgld(batches, falling),
        psgld(batches, falling),
        sghmc(batches, falling),
        constant_sgd(batches, 1e-3),
    ):
        both = compose(kernel, walk, **({"weights": [3, 1]} if compose is dg.samplers.mixture else {}))
        state, taken = both.init(mode.expand(3, 2)), 0
        for _ in range(20):
            before = state
            state, info = both.step(state, generator=stream)
            ran = compose is dg.samplers.cycle or int(info.which[0]) == 0
            taken += ran
            own = state.states[0]
            assert own.step.tolist() == [taken] * 3
            if ran and hasattr(own, "mean_square"):  # an average that forgets 1 % a step
                assert (own.mean_square >= 0.98 * before.states[0].mean_square).all()
        entered = kernel.enter(own, walk.init(torch.zeros(3, 2)))
        assert not entered.position.any()
        assert all(torch.equal(a, b) for a, b in zip(entered[1:], own[1:], strict=True))


def test_rates_are_of_noise_and_positive():
    batches = linear()[0].minibatches(5)
    for make in (dg.samplers.optimal_rate, dg.samplers.optimal_preconditioner):
        with pytest.raises(ArgumentError, match="no noise"):
            make(torch.zeros(2, 2))
    with pytest.raises(ArgumentError, match="no noise in some direction"):
        dg.samplers.optimal_preconditioner(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), diagonal=True)
    for step in (-1.0, torch.tensor(-1.0)):
        with pytest.raises(ArgumentError, match="positive"):
            constant_sgd(batches, step)
    with pytest.raises(MissingCapability, match="one constant step size"):
        constant_sgd(batches, torch.ones(3))
    with pytest.raises(ArgumentError, match="gamma must be positive"):
        Polynomial.between(0.1, 0.01, 10, gamma=0)
    for solve in (lyapunov, dg.samplers.stationary.stationary_covariance):
        with pytest.raises(ShapeError, match=r"of one size, got \[2, 2\] and \[3, 3\]"):
            solve(torch.eye(2) / 2, torch.eye(3))
