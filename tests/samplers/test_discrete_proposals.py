"""Gibbs with gradients and discrete Langevin: exact on every support by enumeration, and what dula is off by."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch.distributions import Bernoulli, Independent, constraints

import deepgen as dg
from deepgen.distributions import OneHotGroups, spin
from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError
from deepgen.explicit import Gaussian, Product, Softmax, Spin
from deepgen.explicit.units import digits
from deepgen.random import Streams
from deepgen.samplers import (
    DiscreteLangevin,
    GibbsWithGradients,
    Metropolis,
    Target,
    advance,
    dmala,
    dula,
    gibbs_with_gradients,
    metropolis,
)  # fmt: skip
from deepgen.samplers.alphabet import alphabet_of, tempered_moves
from deepgen.samplers.metropolis import Slope
from deepgen.testing import CheckFailed, Exact, check_kernel, check_random, integrate
from tests.grids import draws_of, fit_of, ising, potts
from tests.machines import machine

# Gibbs with gradients has no step size to bring its acceptance to 0.4 - 0.7; what it might hide, planted defects show.
pytestmark = pytest.mark.filterwarnings("ignore:.*passed at a mean acceptance")


@dataclass
class Case:
    """A target with its law, and a step size of acceptance 0.4 to 0.7."""

    target: object
    draw: object
    fit: object
    step: float
    support: object = None


def of_grid(model, step, beta=1.0):
    return Case(model, draws_of(model, beta), fit_of(model, beta), step)


def of_machine(visible, step):
    rbm = machine(visible, 3, 1.3)
    exact = Exact(rbm)
    draw = lambda n, generator: exact.sample(n, generator=generator)[0]  # noqa: E731
    return Case(rbm, draw, exact.visible_law().p_values, step)


def of_function(function, rows, support, step):
    law = integrate(lambda z: -function(z), rows, [])
    return Case(function, lambda n, generator: law.sample(n, generator=generator).float(), law.p_values, step, support)


def bent(x):
    """Not linear in any variable, so that gains are wrong, skewed."""
    return torch.sin(1.7 * x).cumsum(-1).square().sum(-1) / 4 + 0.3 * x[..., 0] * x[..., 1] - 0.2 * x[..., -1] ** 3


def milder(share):
    """`bent` with its hills so low that chains cross them: most move within 20 steps."""
    return lambda x: bent(x) / share


def by_row(x):
    """One-hot rows with a pull between neighbours."""
    weights = torch.sin(torch.arange(9.0) * 2.4).reshape(3, 3).to(x)
    return ((x[..., 0, :] @ weights) * x[..., 1, :]).sum(-1) + 0.5 * (x[..., 0, 1] - x[..., 1, 2])


CASES = {
    "ising": lambda: of_grid(ising(), 2.5),
    "odd ising": lambda: of_grid(ising((3, 3)), 3.0),
    "potts": lambda: of_grid(potts(), 1.5),
    "rbm": lambda: of_machine(5, 1.0),
    "spin rbm": lambda: of_machine(Spin(4), 8.0),
    "softmax rbm": lambda: of_machine(Softmax(2, 3), 3.0),
    "bent binary": lambda: of_function(milder(3), digits(0, 32, 2, 5).double(), constraints.boolean, 0.5),
    "bent spins": lambda: of_function(milder(4), digits(0, 32, 2, 5).double() * 2 - 1, spin, 3.0),
    "ordinal": lambda: of_function(bent, digits(0, 125, 5, 3).double(), constraints.integer_interval(0, 4), 1.2),
    "from -1": lambda: of_function(bent, digits(0, 64, 4, 3).double() - 1, constraints.integer_interval(-1, 2), 1.5),
    "one-hot": lambda: of_function(by_row, torch.eye(3).double()[digits(0, 9, 3, 2)], constraints.one_hot, 2.0),
}


@pytest.fixture(params=CASES)
def case(request):
    found = CASES[request.param]()
    if request.param == "one-hot":  # rows of two axes
        flat = integrate(
            lambda z: -by_row(z.reshape(-1, 2, 3)), torch.eye(3).double()[digits(0, 9, 3, 2)].flatten(1), []
        )
        found.draw = lambda n, generator: flat.sample(n, generator=generator).reshape(n, 2, 3).float()
        found.fit = lambda x: flat.p_values(x.flatten(1))
    return found


@pytest.mark.parametrize("flips", [1, 3])
def test_gibbs_with_gradients_is_exact(case, flips, stream, alpha):
    kernel = gibbs_with_gradients(case.target, flips=flips, support=case.support)
    assert kernel.exactness == dg.samplers.EXACT
    check_kernel(kernel, case.draw, p_values=case.fit, steps=20, reversible=True, alpha=alpha, generator=stream)


def test_dmala_is_exact(case, stream, alpha):
    kernel = dmala(case.target, case.step, support=case.support)
    check_kernel(kernel, case.draw, p_values=case.fit, steps=20, reversible=True, alpha=alpha, generator=stream)
    _state, info = kernel.step(kernel.init(case.draw(4000, generator=stream)), generator=stream)
    assert 0.25 < float(info.acceptance.mean()) < 0.85  # where bugs of rejection are seen


@pytest.mark.parametrize("name", ["ising", "potts", "bent binary", "ordinal"])
def test_the_step_size_of_dmala_is_found_and_what_comes_out_is_exact(name, stream, alpha):
    case = CASES[name]()
    start = case.draw(256, generator=stream)
    kernel, _state = dmala(case.target, support=case.support).tune(start, 300, generator=dg.random.streams(stream))
    assert kernel.proposal.scale is None
    passed = [kernel.step(kernel.init(case.draw(4000, generator=stream)), generator=stream)[1] for _ in range(5)]
    assert abs(float(torch.stack([info.acceptance for info in passed]).mean()) - 0.574) < 0.06
    check_kernel(kernel, case.draw, p_values=case.fit, steps=20, reversible=True, alpha=alpha, generator=stream)


def test_a_scale_of_dmala_is_kept_and_free_coins_end_its_search(stream):
    scale = torch.tensor([1.0, 2.0, 3.0])
    free = dmala(lambda x: 0 * x.sum(-1), scale=scale, support=constraints.boolean)
    trace = dg.samplers.sample_chain(free, torch.zeros(200, 3), draws=50, warmup=400, generator=stream)
    assert trace.kernel.proposal.scale is scale
    assert float(trace.kernel.proposal.step_size) > 1e6  # accepted whatever it is
    assert trace.info["acceptance"].min() > 0.999
    assert abs(float(trace.draws.mean()) - 0.5) < 4.9 * 0.5 / (200 * 50 * 3) ** 0.5


def test_gibbs_with_gradients_moves_as_many_sites_as_it_says(stream):
    kernel = gibbs_with_gradients(ising(), flips=3)
    start = draws_of(ising())(2000, generator=stream)
    moved = (kernel.step(kernel.init(start), generator=stream)[0].position != start).sum((1, 2))
    assert set(moved.tolist()) <= {0, 1, 2, 3}
    assert int(moved.max()) == 3


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["ising", "flat", "ordinal"])
def test_gibbs_with_gradients_reaches_every_state_from_one_start(name, count, stream):
    """Exact starts hide what is never reached: of two values an even number of flips keeps the parity."""
    grid = ising((2, 2), coupling=0.2)
    function, states, support = {
        "ising": (lambda z: grid.log_density(z.reshape(-1, 2, 2)), digits(0, 16, 2, 4) * 2 - 1, spin),
        "flat": (lambda z: 0 * z.sum(-1), digits(0, 16, 2, 4) * 2 - 1, spin),
        "ordinal": (milder(3), digits(0, 64, 4, 3), constraints.integer_interval(0, 3)),
    }[name]
    kernel = gibbs_with_gradients(function, flips=count, support=support)
    state = kernel.init(states[:1].float().expand(8000, -1))
    ends = advance(kernel, state, 60, generator=dg.random.streams(stream)).position
    with torch.no_grad():
        law = integrate(lambda z: -function(z.float()).double(), states.double(), [])
    assert min(law.p_values(ends)) > 1e-6


@pytest.mark.parametrize("size", [0.5, 3.0])
def test_scales_and_step_sizes_one_a_chain_keep_the_law(size, stream, alpha):
    model = ising((2, 3))
    scale = torch.linspace(0.3, 1.5, 6)
    kernel = dmala(model, size, scale=scale.reshape(2, 3))
    check_kernel(
        kernel, draws_of(model), p_values=fit_of(model), steps=20, reversible=True, alpha=alpha, generator=stream
    )
    start = draws_of(model)(20_000, generator=stream)
    sizes = torch.tensor([0.8, 3.0]).repeat(10_000)
    kernel = dmala(model, sizes)
    ends = advance(kernel, kernel.init(start), 20, generator=stream).position
    assert min(fit_of(model)(ends[::2])) > 1e-6
    assert min(fit_of(model)(ends[1::2])) > 1e-6


@pytest.mark.parametrize("make", [lambda t: gibbs_with_gradients(t, flips=2), lambda t: dmala(t, 1.5)])
@pytest.mark.parametrize("model", [ising((2, 3)), potts((2, 3))], ids=["ising", "potts"])
def test_temperatures_are_one_a_chain(make, model, stream):
    betas = torch.tensor([0.3, 1.6]).repeat(8_000)
    kernel = make(model).at(betas)
    cold, hot = draws_of(model, 1.6), draws_of(model, 0.3)
    start = torch.stack([hot(8_000, generator=stream), cold(8_000, generator=stream)], 1).flatten(0, 1)
    state = kernel.init(start)
    ends = advance(kernel, state, 20, generator=stream)
    for beta, x in ((0.3, ends.position[::2]), (1.6, ends.position[1::2])):
        assert min(fit_of(model, beta)(x)) > 1e-6
    # what is kept is that of f itself
    assert torch.allclose(ends.log_density, model.log_density(ends.position).detach(), atol=1e-4)


def test_a_reference_takes_the_other_share(stream, alpha):
    """f^beta r^(1 - beta) with r of independent coins."""
    model, logits = machine(4, 3), torch.tensor([1.0, -1.0, 0.5, 2.0])
    reference = Independent(Bernoulli(logits=logits), 1)
    target = Target(model.log_density, support=constraints.boolean, reference=reference)
    rows = digits(0, 16, 2, 4).double()
    for beta in (0.0, 0.4):

        def tempered(z, beta=beta):
            with torch.no_grad():
                return beta * model.log_density(z.float()).double() + (1 - beta) * (z @ logits.double())

        law = integrate(lambda z, f=tempered: -f(z), rows, [])
        draw = lambda n, generator, law=law: law.sample(n, generator=generator).float()  # noqa: E731
        for kernel in (gibbs_with_gradients(target), dmala(target, 2.0)):
            check_kernel(
                kernel.at(beta), draw, p_values=law.p_values, steps=20, reversible=True, alpha=alpha, generator=stream
            )
    # at beta = 0 gains are those of the coins, so that one site's proposal is locally balanced for it
    state = gibbs_with_gradients(target).init(torch.zeros(1, 4))
    gain, _ = tempered_moves(alphabet_of(target, state.position), target, state, 0.0)
    assert torch.allclose(gain.flatten(), logits)


def test_streams_keep_chains_apart(seed, case, stream):
    start = case.draw(6, generator=stream)
    for kernel in (
        gibbs_with_gradients(case.target, flips=2, support=case.support),
        dmala(case.target, case.step, support=case.support),
        dula(case.target, case.step, support=case.support),
    ):
        whole = advance(kernel, kernel.init(start), 5, generator=Streams(seed)).position
        part = advance(kernel, kernel.init(start[4:]), 5, generator=Streams(seed, first=4)).position
        assert torch.equal(whole[4:], part)
        check_random(lambda generator, k=kernel: k.step(k.init(start), generator=generator), seeds=False)


@pytest.mark.parametrize("pull", [1e3, 1e6, 1e30])
@pytest.mark.parametrize(
    ("support", "top"),
    [
        (constraints.boolean, 1.3),
        (spin, 2.8),
        (constraints.integer_interval(0, 3), 3.9),
        (constraints.one_hot, 1.0),
    ],
    ids=["boolean", "spin", "integers", "one-hot"],
)
def test_steep_targets_overflow_nothing(pull, support, top, stream):
    """exp(g) / (1 + exp(g)) is NaN from g = 89 on; log(p + 1e-10) says -23 where the truth is -500,000."""
    weights = pull * torch.tensor([1.0, -0.4, 0.3, -1.1])
    start = torch.eye(4)[[1, 2, 3]] if support is constraints.one_hot else torch.ones(3, 4)
    single = gibbs_with_gradients(lambda x: x @ weights, support=support)
    several = gibbs_with_gradients(lambda x: x @ weights, flips=2, support=support)
    for kernel in (single, several, dmala(lambda x: x @ weights, 2.0, support=support)):
        state = kernel.init(start)
        for _ in range(40):
            state, info = kernel.step(state, generator=stream)
            assert not info.nan.any()
            assert state.log_density.isfinite().all()
        if kernel is single:  # uphill by the steepest flip, and never down again
            assert torch.allclose(state.log_density, torch.full((3,), top * pull), rtol=1e-6)
    kernel = dula(lambda x: x @ weights, 2.0, support=support)
    for _ in range(5):
        state, info = kernel.step(kernel.init(start), generator=stream)
        assert not info.nan.any()


@pytest.mark.parametrize("support", [constraints.boolean, spin])
def test_a_steep_way_back_is_not_cut_off(support, stream):
    """Lone coins that are pulled over by g nats each: the way back has log density -g / 2 - d^2 / (2 h) for each."""
    pull, h = 1000.0, 4.0
    low, gap = (0.0, 1.0) if support is constraints.boolean else (-1.0, 2.0)
    target = Target(lambda x: pull * x.sum(-1) / gap, support=support)
    proposal = DiscreteLangevin(h)
    new, log_q = proposal.propose(target, proposal.init(target, torch.full((5, 3), low)), 1.0, generator=stream)
    assert bool((new.position == low + gap).all())
    assert torch.allclose(log_q, torch.full((5,), -3 * (pull / 2 + gap**2 / (2 * h))), rtol=1e-6)


def test_the_ratio_of_the_proposals_is_that_of_their_probabilities(stream):
    """log q(x | x') - log q(x' | x) by products of plain probabilities, where these do not overflow."""
    model, x = ising((2, 3)), draws_of(ising((2, 3)))(500, generator=stream)
    target, h = dg.samplers.as_target(model), 1.7
    new, found = DiscreteLangevin(h).propose(target, DiscreteLangevin(h).init(target, x), 1.0, generator=stream)

    def log_q(a, b, gradient):
        weight = torch.stack([(gradient * (v - a) / 2 - (v - a) ** 2 / (2 * h)).exp() for v in (-1.0, 1.0)], -1)
        chance = weight / weight.sum(-1, keepdim=True)
        return torch.where(b > 0, chance[..., 1], chance[..., 0]).log().sum((1, 2))

    slope = model.value_and_gradient
    expected = log_q(new.position, x, slope(new.position)[1]) - log_q(x, new.position, slope(x)[1])
    assert torch.allclose(found, expected.detach(), atol=1e-4)


@pytest.mark.parametrize("h", [0.5, 1.0, 2.0])
def test_dula_has_the_law_that_its_transition_matrix_has(h, stream, alpha):
    """A biased kernel against its own stationary law; its bias falls like exp(-distance^2 / (2 h))."""
    model = ising((2, 2), coupling=0.2)
    stationary, _exact, rows = law_of_dula(model, h)
    law = integrate(lambda z: -stationary.log()[row_of(z)], rows.double(), [])
    check_kernel(
        dula(model, h),
        lambda n, generator: law.sample(n, generator=generator).reshape(n, 2, 2).float(),
        p_values=lambda x: law.p_values(x.flatten(1)),
        steps=20,
        alpha=alpha,
        generator=stream,
    )
    assert stationary.sum() == pytest.approx(1)


def test_the_bias_of_dula_falls_with_the_step():
    model = ising((2, 2), coupling=0.2)
    bias = []
    for h in (0.4, 0.2):
        stationary, exact, _ = law_of_dula(model, h)
        bias.append(float((stationary - exact).abs().sum() / 2))
    slope = (math.log(bias[0]) - math.log(bias[1])) / (2 / 0.4 - 2 / 0.2)  # distance^2 / 2 = 2 for spins
    assert slope == pytest.approx(-1, abs=0.15)


def law_of_dula(model, h):
    """(stationary law, the target's, rows) on a 2 x 2 grid: the transition matrix by plain probabilities, float64."""
    rows = digits(0, 16, 2, 4).double() * 2 - 1
    with torch.no_grad():
        value, gradient = model.double().value_and_gradient(rows.reshape(16, 2, 2))
    model.float()
    gradient = gradient.flatten(1)
    pull = torch.stack([gradient * (v - rows) / 2 - (v - rows) ** 2 / (2 * h) for v in (-1.0, 1.0)], -1)
    chance = pull.softmax(-1)
    to = ((rows + 1) / 2).long()
    matrix = torch.stack(
        [torch.stack([chance[i, torch.arange(4), to[j]].prod() for j in range(16)]) for i in range(16)]
    )
    stationary = torch.linalg.matrix_power(matrix, 2**30)[0]
    return stationary / stationary.sum(), value.softmax(0), rows


def row_of(z):
    return (((z + 1) / 2).long() * 2 ** torch.arange(4)).sum(-1)


def test_dula_is_refused_where_exactness_is_needed():
    kernel = dula(ising(), 0.5)
    with pytest.raises(MissingCapability, match=r"UnadjustedDiscreteLangevin is biased \(O\(exp"):
        dg.samplers.require_exact(kernel, "tempering")


@dataclass(frozen=True)
class PlantedLangevin(DiscreteLangevin):
    defect: str = ""

    def propose(self, target, state, beta, *, generator):
        new, log_q = super().propose(target, state, beta, generator=generator)
        if self.defect == "reverse density dropped":
            log_q = torch.zeros_like(log_q)
        if self.defect == "half the ratio":
            log_q = log_q / 2
        if self.defect == "ratio upside down":
            log_q = -log_q
        if self.defect == "stale gradient":
            new = new._replace(gradient=state.gradient)
        return new, log_q


@dataclass(frozen=True)
class PlantedGibbs(GibbsWithGradients):
    defect: str = ""

    def propose(self, target, state, beta, *, generator):
        new, log_q = super().propose(target, state, beta, generator=generator)
        if self.defect == "reverse density dropped":
            log_q = torch.zeros_like(log_q)
        if self.defect == "half the ratio":
            log_q = log_q / 2
        return new, log_q


PLANTED = CASES | {"potts": lambda: of_grid(potts((2, 3)), 1.5)}  # a smaller grid shows defects as well
DEFECTS = ["reverse density dropped", "half the ratio"]
MORE = ["ratio upside down", "stale gradient"]


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("name", ["ising", "potts", "rbm", "ordinal"])
def test_planted_defects_of_gibbs_with_gradients_are_caught(name, defect, stream):
    case = PLANTED[name]()
    target = dg.samplers.as_target(case.target, case.support)
    with pytest.raises(CheckFailed):
        check_kernel(
            Metropolis(target, PlantedGibbs(defect=defect)),
            case.draw, p_values=case.fit, steps=20, n=65536, generator=stream,
        )  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS + MORE)
@pytest.mark.parametrize("name", ["ising", "potts", "rbm"])
def test_planted_defects_of_dmala_are_caught(name, defect, stream):
    case = PLANTED[name]()
    target = dg.samplers.as_target(case.target, case.support)
    with pytest.raises(CheckFailed):
        check_kernel(
            Metropolis(target, PlantedLangevin(case.step, defect=defect)),
            case.draw, p_values=case.fit, steps=20, n=32768, generator=stream,
        )  # fmt: skip


def test_dula_without_its_correction_is_caught_as_biased(stream):
    model = ising()
    with pytest.raises(CheckFailed):
        check_kernel(dula(model, 1.5), draws_of(model), p_values=fit_of(model), steps=20, n=16384, generator=stream)


def test_nan_gains_are_rejected_and_reported(stream):
    def broken(x):
        return torch.where(x[:, 0] > 0, torch.nan, 1.0) * x.sum(-1)

    kernel = dmala(broken, 50.0, support=constraints.boolean)
    state = kernel.init(torch.zeros(200, 3))
    seen = False
    for _ in range(5):
        state, info = kernel.step(state, generator=stream)
        seen = seen or bool(info.nan.any())
    assert seen
    assert bool((state.position[:, 0] == 0).all())


@pytest.mark.parametrize(
    "kernel", [gibbs_with_gradients, lambda t, **k: dmala(t, 1.0, **k), lambda t, **k: dula(t, 1.0, **k)]
)
def test_what_is_refused(kernel):
    flat = lambda x: x.sum(-1)  # noqa: E731
    with pytest.raises(MissingCapability, match="flips the values of a discrete target, and the support is Real"):
        kernel(flat)
    for layer in (Gaussian(3), Product(2, Softmax(1, 3))):
        with pytest.raises(MissingCapability, match="flips the values of a discrete target"):
            kernel(dg.RBM(layer, 2))
    with pytest.raises(SupportError, match="chain 1 has others"):
        kernel(flat, support=constraints.boolean).init(torch.tensor([[0.0, 1.0], [0.5, 1.0]]))
    with pytest.raises(MissingCapability, match="no gradient"):
        kernel(lambda x: x.detach().sum(-1), support=constraints.boolean).init(torch.zeros(2, 3))


def test_odd_settings_are_refused():
    with pytest.raises(ArgumentError, match="flips must be"):
        GibbsWithGradients(0)
    for step in (0.0, -1.0, math.nan):
        with pytest.raises(ArgumentError, match="step_size must be"):
            dmala(ising(), step)
    kernel = dmala(ising(), 1.0, scale=torch.ones(3))
    with pytest.raises(ShapeError, match="scale is one number a variable, 16, got"):
        kernel.step(kernel.init(torch.ones(2, 4, 4)), generator=dg.random.generator(0))


def test_supports_of_models_are_taken_over():
    assert alphabet_of(dg.samplers.as_target(dg.RBM(Spin(3), 2)), torch.ones(1, 3)).low == -1
    assert alphabet_of(dg.samplers.as_target(dg.RBM(Softmax(2, 5), 2)), torch.ones(1, 10)).size == 5
    assert alphabet_of(dg.samplers.as_target(dg.explicit.MADE(3, hidden=[4])), torch.ones(1, 3)).size == 2
    groups = OneHotGroups(3)
    assert groups.check(torch.eye(3).repeat(1, 2)).all()
    assert not groups.check(torch.full((1, 3), 1 / 3)).any()


def test_proposals_are_proposals_of_metropolis():
    kernel = metropolis(ising(), replace(DiscreteLangevin(1.0), step_size=0.5))
    assert isinstance(kernel.init(torch.ones(2, 4, 4)), Slope)


@pytest.mark.parametrize("make", [dmala, dula])
def test_numbers_of_a_discrete_proposal_are_positive(make):
    model = ising((3, 3))
    for wrong in (-1.0, torch.tensor(-1.0), torch.tensor([1.0, torch.nan])):
        with pytest.raises(ArgumentError, match="positive"):
            make(model, wrong)
    with pytest.raises(ArgumentError, match="scale must be positive numbers, the least is -1"):
        make(model, 1.0, scale=-torch.ones(9))


def test_a_reference_without_a_gradient_is_named(stream):
    target = dg.samplers.Target(
        lambda x: x.sum(1), support=constraints.integer_interval(0, 2),
        reference=Independent(torch.distributions.Categorical(torch.ones(3, 3)), 1),
    )  # fmt: skip
    kernel = gibbs_with_gradients(target).at(0.5)
    with pytest.raises(MissingCapability, match="the reference, Categorical, has no gradient"):
        kernel.step(kernel.init(torch.zeros(2, 3)), generator=stream)
