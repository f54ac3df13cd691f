"""Pyro programs as targets: densities by hand, posteriors in closed form or by quadrature, what is refused."""

import math

import pyro
import pyro.distributions as law
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive
from pyro.infer.autoguide.initialization import init_to_uniform, init_to_value
from pyro.infer.reparam import LocScaleReparam
from torch.autograd.functional import jacobian

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError
from deepgen.interop.pyro import as_pyro
from deepgen.interop.pyro_program import program_target
from tests.contracts.densities import trained
from tests.interop import programs
from tests.interop.programs import HEADS, TOSSES, Y, coin, hierarchy, logged, normal_posterior, normals, scales, simplex


def grid(value, size, points=(4001, 601)):
    """log of the integral of exp(value) over one or two unconstrained coordinates."""
    axis = torch.linspace(-12, 12, points[size - 1], dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * size).reshape(-1, size)
    return float(value(z).logsumexp(0)) + size * math.log(float(axis[1] - axis[0]))


def test_density_of_a_share_is_that_by_hand(stream):
    target = program_target(coin, HEADS)
    z = torch.randn(7, 1, generator=stream)
    p = z[:, 0].sigmoid()
    by_hand = law.Beta(2.0, 3.0).log_prob(p) + law.Binomial(TOSSES, p).log_prob(HEADS) + (p * (1 - p)).log()
    torch.testing.assert_close(target.value(z), by_hand)


def test_density_of_a_hierarchy_and_its_gradient_are_those_by_hand(stream):
    target = program_target(hierarchy)
    assert target.batched
    z = torch.randn(7, 6, generator=stream, dtype=torch.float64, requires_grad=True)
    mean, scale, effect = z[:, 0], z[:, 1].exp(), z[:, 2:]
    by_hand = law.Normal(0.0, 1.0).log_prob(mean) + law.HalfNormal(1.0).log_prob(scale) + z[:, 1]
    by_hand = by_hand + law.Normal(mean[:, None], scale[:, None]).log_prob(effect).sum(1)
    by_hand = by_hand + law.Normal(effect, 0.5).log_prob(Y).sum(1)
    value, gradient = target.slope(z)
    torch.testing.assert_close(value, by_hand.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(by_hand.sum(), z)[0])


def test_density_on_a_simplex_has_the_jacobian_of_its_map(stream):
    target = program_target(simplex)
    z = torch.randn(5, 2, generator=stream, dtype=torch.float64)
    for row in z:
        w = target.unflatten(row)["w"]
        assert abs(float(w.sum()) - 1) < 1e-9
        volume = jacobian(lambda z: target.unflatten.__wrapped__(target, z)["w"][:2], row).det().abs().log()
        likelihood = w.log()[programs.COUNTS].sum()
        by_hand = law.Dirichlet(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)).log_prob(w) + likelihood + volume
        torch.testing.assert_close(target.value(row[None])[0], by_hand)


def test_plates_scales_masks_and_factors_count_as_the_program_says(stream):
    keep = torch.tensor([True, False, True, True])

    def model():
        with poutine.scale(scale=0.5):
            a = pyro.sample("a", law.Normal(torch.zeros(2), 1.0).to_event(1))
        with pyro.plate("rows", 20, subsample=torch.arange(4)), poutine.mask(mask=keep):
            pyro.sample("y", law.Normal(a.sum(), 1.0), obs=Y)
        pyro.factor("bend", -(a[0] ** 4))

    target = program_target(model)
    z = torch.randn(5, 2, generator=stream)
    rows = law.Normal(z.sum(1, keepdim=True), 1.0).log_prob(Y)[:, keep].sum(1)
    by_hand = 0.5 * law.Normal(0.0, 1.0).log_prob(z).sum(1) + 5 * rows - z[:, 0] ** 4
    torch.testing.assert_close(target.value(z), by_hand)
    assert target.reference is None  # a law to the power 1/2 is not normalised


@pytest.mark.parametrize(
    ("model", "exact"),
    [
        (coin, law.BetaBinomial(2.0, 3.0, TOSSES).log_prob(HEADS)),
        (
            normals,
            law.MultivariateNormal(torch.ones(4), 4 * torch.ones(4, 4) + 0.25 * torch.eye(4)).log_prob(Y),
        ),
        (scales, law.MultivariateStudentT(6.0, torch.zeros(4), math.sqrt(2 / 3) * torch.eye(4)).log_prob(Y)),
        (
            simplex,
            law.DirichletMultinomial(torch.tensor([1.0, 2.0, 3.0]), torch.tensor(7.0)).log_prob(
                torch.bincount(programs.COUNTS).float()
            )
            - math.log(math.factorial(7) / (2 * 1 * math.factorial(4))),  # of one order, not of any
        ),
        (logged, torch.tensor(0.0)),
    ],
    ids=["beta-binomial", "normal", "inverse gamma", "dirichlet", "support of another site"],
)
def test_the_integral_over_positions_is_the_evidence(model, exact):
    """With the Jacobian, and nothing else, in it; and that of the reference is 1."""
    target = program_target(model)
    assert grid(target.value, target.size) == pytest.approx(float(exact), abs=2e-4)
    assert grid(target.reference.log_prob, target.size) == pytest.approx(0.0, abs=2e-4)


def run(target, stream, draws=200, chains=256):
    start = target.begin(chains, generator=stream)
    return dg.samplers.sample_chain(dg.samplers.mala(target), start, draws, warmup=200, generator=stream)


def check_moments(draws, mean, square):
    """Mean and mean square of ``[draws, chains, *shape]`` within six of their own standard errors."""
    for x, exact in ((draws, mean), (draws.square(), square)):
        error = dg.evaluate.mcse(x)
        assert bool((dg.evaluate.rhat(x) < 1.02).all())
        assert bool((error < 0.02 * x.double().std(dim=(0, 1))).all())  # so that a factor of two would show
        exact = torch.as_tensor(exact, dtype=torch.float64)
        assert bool(((x.double().mean((0, 1)) - exact).abs() < 6 * error).all()), (x.mean((0, 1)), exact, error)


def of_law(known):
    return known.mean, known.variance + known.mean.square()


@pytest.mark.parametrize(
    ("model", "site", "moments"),
    [
        (coin, "p", of_law(law.Beta(9.0, 6.0))),
        (normals, "m", of_law(normal_posterior())),
        (simplex, "w", of_law(law.Dirichlet(torch.tensor([3.0, 3.0, 7.0])))),
        (logged, "u", (math.exp(0.5 + 0.7**2 / 2) / 2, math.exp(1 + 2 * 0.7**2) / 3)),
    ],
    ids=["beta", "normal", "dirichlet", "support of another site"],
)
def test_moments_in_closed_form(model, site, moments, stream):
    target = program_target(model)
    assert target.batched
    trace = run(target, stream)
    check_moments(target.unflatten(trace.draws)[site], *moments)


def test_moments_of_a_scale(stream):
    """Of s^-2 a Gamma: E s^-2 = a / b and E s^2 = b / (a - 1)."""
    a, b = 3 + len(Y) / 2, float(2 + Y.square().sum() / 2)
    s = program_target(scales)
    inverse = 1 / s.unflatten(run(s, stream).draws)["s"].square()
    check_moments(inverse, a / b, a * (a + 1) / b**2)
    check_moments(inverse.rsqrt(), math.sqrt(b) * math.exp(math.lgamma(a - 0.5) - math.lgamma(a)), b / (a - 1))


def test_moments_of_a_hierarchy_against_quadrature(stream):
    """With the effects integrated out the rows are normal given mean and scale: two dimensions are left."""
    target = program_target(poutine.reparam(hierarchy, {"effect": LocScaleReparam(0.0)}))
    mean, z = torch.linspace(-4, 4, 801).double(), torch.linspace(-9, 2, 1101).double()
    m, s = mean[:, None], z.exp()[None]
    log_f = law.Normal(0.0, 1.0).log_prob(m) + law.HalfNormal(1.0).log_prob(s) + z
    for y in Y.double():
        log_f = log_f + law.Normal(m, (s.square() + 0.25).sqrt()).log_prob(y)
    weight = log_f.flatten().softmax(0).reshape(log_f.shape)
    sites = target.unflatten(run(target, stream, draws=300).draws)
    assert list(sites) == ["mean", "scale", "effect_decentered", "effect", "spread"]
    shrink = s.square() / (s.square() + 0.25)
    for name, x in {"mean": m, "scale": s, "effect": m + shrink * (Y[0] - m)}.items():
        found = sites[name][..., 0] if name == "effect" else sites[name]
        error = dg.evaluate.mcse(found)
        assert float(error) < 0.04 * float(found.std())
        assert abs(float(found.double().mean()) - float((weight * x).sum())) < 6 * float(error), name


def test_a_kernel_leaves_the_posterior_invariant(stream, alpha):
    """From exact starts, which also tests that flatten inverts unflatten."""
    target = program_target(coin)

    def draw(n, generator):
        return target.flatten({"p": dg.random.draw(law.Beta(9.0, 6.0), (n,), generator=generator)})

    dg.testing.check_kernel(dg.samplers.mala(target, 1.4), draw, alpha=alpha, generator=stream)


def test_tempering_finds_the_evidence(stream):
    target = program_target(normals)
    kernel = dg.samplers.tempering(dg.samplers.mala(target), 5)
    trace = dg.samplers.sample_chain(kernel, target.begin(64, generator=stream), 100, warmup=150, generator=stream)
    found = dg.samplers.ladder(trace).log_partition()
    exact = law.MultivariateNormal(torch.ones(4), 4 * torch.ones(4, 4) + 0.25 * torch.eye(4)).log_prob(Y)
    assert abs(found.value - float(exact)) < 6 * found.stderr < 3


def test_sites_have_their_names_and_shapes_everywhere(stream):
    target = program_target(hierarchy)
    trace = run(target, stream, draws=20, chains=8)
    sites = target.unflatten(trace.draws)
    assert {name: x.shape[2:] for name, x in sites.items()} == {"mean": (), "scale": (), "effect": (4,), "spread": ()}
    assert torch.equal(sites["scale"], trace.draws[..., 1].exp())
    torch.testing.assert_close(sites["spread"], sites["effect"].amax(-1) - sites["effect"].amin(-1))
    torch.testing.assert_close(target.flatten(sites), trace.draws)
    torch.testing.assert_close(target.join(target.parts(trace.draws)), trace.draws)
    table = trace.summary(target.unflatten)
    assert table.index == ["mean", "scale", *(f"effect[{i}]" for i in range(4)), "spread"]
    torch.testing.assert_close(table["r_hat"][1], dg.evaluate.rhat(sites["scale"]))
    assert "effect[2]" in str(table)
    posterior = trace.to_arviz(target.unflatten)["posterior"]
    assert posterior["effect"].shape == (8, 20, 4)
    assert torch.equal(torch.as_tensor(posterior["scale"].values), sites["scale"].mT)
    with dg.random.lend(stream):
        again = Predictive(hierarchy, target.unflatten(trace.draws[-1]), return_sites=["spread"])()
    torch.testing.assert_close(again["spread"].squeeze(), sites["spread"][-1])


def test_a_position_of_one_chain_and_none_at_all(stream):
    target = program_target(simplex)
    assert target.unflatten(torch.zeros(2))["w"].shape == (3,)
    torch.testing.assert_close(target.flatten({"w": torch.full((3,), 1 / 3)}), torch.zeros(2), atol=1e-6, rtol=0)
    with pytest.raises(ShapeError, match=r"\[\.\.\., 2\]"):
        target.unflatten(torch.zeros(4, 3))
    with pytest.raises(ShapeError, match=r"w must be .*\[3\], got \[4, 2\]"):
        target.flatten({"w": torch.zeros(4, 2)})
    with pytest.raises(ShapeError, match="w must be"):
        target.flatten({})


def test_starts_are_draws_from_the_prior_and_come_again(seed):
    target = program_target(logged)
    x = target.begin(400, generator=seed)
    sites = target.unflatten(x)
    assert torch.equal(x, target.begin(400, generator=seed))
    assert not torch.equal(x, target.begin(400, generator=seed + 1))
    share = sites["u"] / sites["s"]
    assert dg.testing.ks(share.double(), lambda u: u) > 1e-6
    assert dg.testing.ks((sites["s"].log().double() - 0.5) / 0.7, torch.special.ndtr) > 1e-6
    assert target.begin(5, init=init_to_uniform(radius=0.1), generator=seed).abs().max() <= 0.1
    fixed = init_to_value(values={"s": torch.tensor(2.0), "u": torch.tensor(1.0)})
    torch.testing.assert_close(target.begin(1, init=fixed)[0], torch.tensor([math.log(2.0), 0.0]))


def test_starts_outside_the_posterior_are_drawn_again(seed):
    def model(high=0.0):
        x = pyro.sample("x", law.Normal(0.0, 1.0))
        pyro.factor("cut", torch.where(x > high, 0.0, -torch.inf))

    assert program_target(model).begin(50, generator=seed).min() > 0
    with pytest.raises(ArgumentError, match="init="):
        program_target(model, high=100.0).begin(2, generator=seed)


def test_a_program_that_cannot_be_batched_runs_one_by_one(stream):
    def branching(y):
        m = pyro.sample("m", law.Normal(1.0, 2.0))
        if m < 1e6:  # a question to a number that a batch does not have
            pyro.sample("y", law.Normal(m, 0.5).expand([4]).to_event(1), obs=y)

    with pytest.warns(UserWarning, match="one after another.*vmap"):
        target = program_target(branching, Y)
    assert not target.batched
    fast, z = program_target(normals), torch.randn(3, 1, generator=stream)
    for one, other in zip(target.slope(z), fast.slope(z), strict=True):
        torch.testing.assert_close(one, other)
    assert torch.equal(target.unflatten(z)["m"], z[:, 0])
    assert torch.equal(target.flatten({"m": z[:, 0]}), z)


def test_reparametrised_flat_and_neural_sites(stream):
    flow = trained(dg.explicit.RealNVP(2, 2, [8], generator=stream), stream, 0.3)
    z = torch.randn(6, 2, generator=stream)

    def neural():
        pyro.sample("x", as_pyro(flow()))

    torch.testing.assert_close(program_target(neural).value(z), flow.log_prob(z).detach())

    def flat():
        x = pyro.sample("x", law.ImproperUniform(law.constraints.positive, (), (2,)))
        pyro.sample("y", law.Gamma(2.0, 1.0).expand([2]).to_event(1), obs=x)

    target = program_target(flat)
    torch.testing.assert_close(target.value(z), (law.Gamma(2.0, 1.0).log_prob(z.exp()) + z).sum(1))
    assert target.reference is None

    @poutine.reparam(config={"x": LocScaleReparam(0.0)})
    def shifted():
        m = pyro.sample("m", law.Normal(0.0, 1.0))
        pyro.sample("x", law.Normal(m, 3.0))

    sites = program_target(shifted).unflatten(z)
    torch.testing.assert_close(sites["x"], z[:, 0] + 3 * z[:, 1])

    def mixed():
        pyro.sample(
            "x", law.MixtureSameFamily(law.Categorical(torch.ones(2)), law.Normal(torch.tensor([-3.0, 3]), 1.0))
        )

    assert grid(program_target(mixed).value, 1) == pytest.approx(0.0, abs=2e-4)


def discrete():
    pyro.sample("k", law.Categorical(torch.ones(3)))


def subsampled():
    m = pyro.sample("m", law.Normal(0.0, 1.0))
    with pyro.plate("rows", 4, subsample_size=2) as rows:
        pyro.sample("y", law.Normal(m, 1.0), obs=Y[rows])


def hidden():
    m = pyro.sample("m", law.Normal(0.0, 1.0))
    pyro.sample("y", law.Normal(m + torch.randn(()), 1.0), obs=Y[0])


def nothing():
    pyro.sample("y", law.Normal(0.0, 1.0), obs=Y[0])


def sphere():
    pyro.sample("x", law.ProjectedNormal(torch.ones(3)))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (discrete, "k is latent and discrete .*MixtureSameFamily"),
        (subsampled, "plate rows takes a fresh subsample"),
        (hidden, "two densities"),
        (nothing, "no latent site"),
        (sphere, "x lies on .*bijection"),
    ],
)
def test_what_is_refused(model, says):
    with pytest.raises(MissingCapability, match=says):
        program_target(model)


def test_sites_that_come_and_go_are_refused():
    more = [False]

    def model():
        pyro.sample("m", law.Normal(0.0, 1.0))
        if more[0]:
            pyro.sample("n", law.Normal(0.0, 1.0))

    target = program_target(model)
    more[0] = True
    with pytest.raises(MissingCapability, match="n is a latent site in some runs only"):
        target.value(torch.zeros(2, 1))
    target = program_target(model)
    more[0] = False
    with pytest.raises(MissingCapability, match=r"\['n'\] are not reached"):
        target.value(torch.zeros(2, 2))


def test_a_nan_is_a_chains_own():
    value = program_target(coin).value(torch.tensor([[0.0], [torch.nan], [torch.inf]]))
    assert value.isfinite().tolist() == [True, False, False]
