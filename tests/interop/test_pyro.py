"""Flows in Pyro programs: as prior, likelihood and guide, against densities by hand, quadrature, exact posteriors."""

import copy
import math
import pickle

import pyro
import pyro.distributions as law
import pytest
import torch
from pyro import poutine
from pyro.infer import HMC, MCMC, SVI, Predictive, Trace_ELBO
from pyro.infer.autoguide import AutoNormal

import deepgen as dg
from deepgen.distributions import NormalMixture
from deepgen.errors import ArgumentError, DegenerateWeights, ShapeError
from deepgen.evaluate import ess
from deepgen.explicit import MAF, NSF, RealNVP
from deepgen.interop.pyro import as_pyro, evidence
from deepgen.random import lend
from tests.contracts.densities import trained


@pytest.fixture
def flow(stream):
    return trained(RealNVP(2, 2, [8], generator=stream), stream, 0.3)


@pytest.fixture
def given(stream):
    return trained(MAF(2, 2, [8], context=3, generator=stream), stream, 0.3)


def log_prob_of(model, *args, **values):
    """log p of a program with the sites ``values`` given, as Pyro adds it up."""
    return poutine.trace(poutine.condition(model, values)).get_trace(*args).log_prob_sum()


def test_a_site_in_a_plate_scores_rows_given_their_contexts(given, stream):
    context, x = torch.randn(5, 3, generator=stream), torch.randn(5, 2, generator=stream)

    def model(context):
        with pyro.plate("rows", len(context)):
            return pyro.sample("x", as_pyro(given(context)))

    torch.testing.assert_close(log_prob_of(model, context, x=x), given.log_prob(x, context).sum())
    with lend(stream):
        assert model(context).shape == (5, 2)


def test_a_plate_expands_subsamples_and_masks(flow, stream):
    x, keep = torch.randn(4, 3, 2, generator=stream), torch.tensor([True, False, True])

    def model(mask=None):
        with pyro.plate("outer", 20, subsample=torch.arange(4), dim=-2), pyro.plate("inner", 3, dim=-1):
            p = as_pyro(flow())
            pyro.sample("x", p if mask is None else p.mask(mask))

    each = flow.log_prob(x.reshape(-1, 2)).view(4, 3)
    torch.testing.assert_close(log_prob_of(model, x=x), 5 * each.sum())
    torch.testing.assert_close(log_prob_of(model, keep, x=x), 5 * each[:, keep].sum())


def test_shapes_and_the_wrappers_of_pyro(given, stream):
    context, x = torch.randn(4, 3, generator=stream), torch.randn(6, 4, 2, generator=stream)
    p, inside = as_pyro(given(context)), given(context)
    assert (p.batch_shape, p.event_shape, p.event_dim, p.shape()) == ((4,), (2,), 1, (4, 2))
    assert p.expand_by([6]).batch_shape == (6, 4)
    torch.testing.assert_close(p.expand((6, 4)).log_prob(x), inside.log_prob(x))
    assert p.to_event(1).event_shape == (4, 2)
    torch.testing.assert_close(p.to_event(1).log_prob(x), inside.log_prob(x).sum(1))
    mixture = law.MixtureSameFamily(law.Categorical(torch.ones(4)), p)
    torch.testing.assert_close(mixture.log_prob(x[:, 0]), (inside.log_prob(x[:, :1]) - math.log(4)).logsumexp(1))
    squashed = law.TransformedDistribution(p, [law.transforms.SigmoidTransform()])
    slope = (x.sigmoid() * (-x).sigmoid()).log().sum(-1)
    torch.testing.assert_close(squashed.log_prob(x.sigmoid()), inside.log_prob(x) - slope, rtol=1e-3, atol=1e-3)
    for site in (p.to_event(1), mixture, squashed):
        with lend(stream):
            drawn = pyro.sample("x", site)
        assert drawn.shape == site.shape()
        assert bool(site.log_prob(drawn).isfinite().all())


def test_draws_are_the_flows_own_and_scored_in_the_same_pass(given, monkeypatch, stream):
    p, plain = as_pyro(given(torch.zeros(4, 3))), given(torch.zeros(4, 3))
    with lend(dg.random.generator(5)):
        x = p((6,))
    assert torch.equal(x, plain.rsample((6,), generator=5))
    expected = plain.log_prob(x.detach())
    passes = []
    score = given.log_prob
    monkeypatch.setattr(given, "log_prob", lambda *args: passes.append(1) or score(*args))
    torch.testing.assert_close(p.log_prob(x), expected, rtol=1e-3, atol=1e-3)
    assert not passes
    p.log_prob(x)  # asked a second time: nothing was kept
    assert len(passes) == 1


def test_no_density_is_stale(given, stream):
    """Computed afresh after a step of the parameters, the context or the value, and where gradients were off."""
    context = torch.zeros(4, 3)
    p = as_pyro(given(context))

    def drawn():
        with lend(stream):
            return p()

    def fresh(x):
        return given.log_prob(x.detach(), context)

    with torch.no_grad():
        x = drawn()
        next(given.parameters()).add_(0.5)
        torch.testing.assert_close(p.log_prob(x), fresh(x))
        x = drawn()
        context.add_(1.0)
        torch.testing.assert_close(p.log_prob(x), fresh(x))
        x = drawn()
        x.mul_(0.5)
        torch.testing.assert_close(p.log_prob(x), fresh(x))
        x = drawn()
    assert p.log_prob(x).requires_grad


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))], ids=["deepcopy", "pickle"])
def test_copies_between_a_draw_and_its_score(given, copied, stream):
    p, x = as_pyro(given(torch.randn(4, 3, generator=stream))), torch.randn(4, 2, generator=stream)
    with lend(stream):
        p()
    assert torch.equal(copied(p).log_prob(x), p.log_prob(x))


def test_it_moves_with_the_module(flow):
    p = as_pyro(flow())
    flow.double()
    with lend(dg.random.generator(0)):
        assert p().dtype == torch.float64
    assert p.log_prob(torch.zeros(2, dtype=torch.float64)).dtype == torch.float64


def test_a_base_without_rsample_is_a_site_too(stream):
    p = as_pyro(MAF(2, 2, [8], base=NormalMixture(2, 3, generator=stream), generator=stream)())
    assert not p.has_rsample
    with lend(stream):
        trace = poutine.trace(lambda: pyro.sample("x", p)).get_trace()
    torch.testing.assert_close(trace.log_prob_sum(), p.inside.log_prob(trace.nodes["x"]["value"]))


@pytest.mark.parametrize(("contexts", "size"), [(5, 7), (7, 5), (5, 1)])
def test_a_plate_must_have_as_many_rows_as_contexts(given, contexts, size):
    """Pyro itself says which plate and site disagree; one context, or none, serves a plate of any size."""

    def model(rows):
        with pyro.plate("rows", size):
            return pyro.sample("x", as_pyro(given(torch.zeros(rows, 3))))

    with pytest.raises(ValueError, match=rf"plate\('rows'\) at site x dim -1, {size} vs {contexts}"):
        model(contexts)
    with lend(dg.random.generator(0)):
        assert model(1).shape == (size, 2)


def test_observed_rows_that_do_not_fit_the_contexts_are_refused(given):
    def model():
        with pyro.plate("rows", 5):
            pyro.sample("x", as_pyro(given(torch.zeros(5, 3))), obs=torch.zeros(7, 2))

    with pytest.raises(ValueError, match=r"(?s)site 'x'.*value must broadcast to \[..., 5, 2\], got \[7, 2\]"):
        poutine.trace(model).get_trace().log_prob_sum()


@pytest.mark.parametrize("shape", [(7,), (5, 1), (5, 7), ()])
def test_a_batch_of_flows_expands_only_as_tensors_do(flow, given, shape):
    for p in (as_pyro(given(torch.zeros(5, 3))), as_pyro(flow()).expand((5,))):
        assert p.expand((4, 5)).batch_shape == (4, 5)
        with pytest.raises(ShapeError, match=r"batch \[5\] does not expand to"):
            p.expand(shape)


def test_only_flows_are_taken(flow):
    with pytest.raises(ArgumentError, match=r"as_pyro\(flow\(\)\)"):
        as_pyro(flow)


def test_gradients_of_an_elbo_are_those_by_hand(given, stream):
    """A flow as prior and another as guide: loss and gradients by Trace_ELBO and from rsample_and_log_prob alone."""
    prior, x = trained(NSF(2, 2, [8], generator=stream), stream, 0.3), torch.randn(4, 3, generator=stream)
    guide_flow, prior = given.double(), prior.double()
    x = x.double()

    def model(x):
        with pyro.plate("rows", len(x)):
            z = pyro.sample("z", as_pyro(prior()))
            pyro.sample("x", law.Normal(z @ torch.ones(2, 3, dtype=x.dtype), 1.0).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("rows", len(x)):
            pyro.sample("z", as_pyro(guide_flow(x)))

    with lend(dg.random.generator(7)):
        loss = Trace_ELBO().differentiable_loss(model, guide, x)
    z, log_q = guide_flow(x).rsample_and_log_prob(generator=7)
    likelihood = torch.distributions.Normal(z @ torch.ones(2, 3, dtype=x.dtype), 1.0).log_prob(x).sum(1)
    expected = -(prior.log_prob(z) + likelihood - log_q).sum()
    torch.testing.assert_close(loss, expected)
    parameters = [*prior.parameters(), *guide_flow.parameters()]
    for one, other in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_svi_of_a_conditional_flow_finds_the_exact_posteriors(stream):
    """z ~ N(0, I), x | z ~ N(z, 1/4): the posterior N(4x/5, 1/5) of every row at once, and its evidence N(0, 5/4)."""
    flow = MAF(2, 1, [16], context=2, generator=stream)
    x = 1.1 * torch.randn(64, 2, generator=stream)

    def model(x):
        with pyro.plate("rows", len(x)):
            z = pyro.sample("z", law.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("x", law.Normal(z, 0.5).to_event(1), obs=x)

    def guide(x):
        pyro.module("posterior", flow)
        with pyro.plate("rows", len(x)):
            pyro.sample("z", as_pyro(flow(x)))

    svi = SVI(model, guide, pyro.optim.ClippedAdam({"lr": 0.03, "lrd": 0.995}), Trace_ELBO())
    with lend(stream):
        for _ in range(900):
            svi.step(x)
    assert {name.partition("$")[0] for name in pyro.get_param_store()} == {"posterior"}
    exact = torch.distributions.Normal(0.0, 1.25**0.5).log_prob(x).sum().item()
    elbo, weighted = evidence(model, guide, x, draws=500, generator=stream)
    assert elbo.side == "below"
    assert -5 * elbo.stderr < exact - elbo.value < 64 * 0.05 + 5 * elbo.stderr  # nats of 64 rows together
    assert elbo.value <= weighted.value  # Jensen's inequality holds for any weights
    with lend(stream):
        drawn = Predictive(model, guide=guide, num_samples=2000, parallel=True, return_sites=["z"])(x[:4])["z"].detach()
    drawn = drawn.reshape(2000, 4, 2)
    torch.testing.assert_close(drawn.mean(0), 0.8 * x[:4], atol=0.15, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.full((4, 2), 0.2**0.5), atol=0.1, rtol=0)


def test_evidence_of_normals_is_in_closed_form(stream):
    """q = N(m, s^2) for the posterior N(0, 1/2) of z + noise = 0: KL = -log(s sqrt 2) + s^2 + m^2 - 1/2."""
    m, s = 0.3, 0.9

    def model():
        z = pyro.sample("z", law.Normal(0.0, 1.0))
        pyro.sample("x", law.Normal(z, 1.0), obs=torch.tensor(0.0))

    elbo, weighted = evidence(
        model, lambda: pyro.sample("z", law.Normal(m, s)), draws=20_000, plates=0, generator=stream
    )
    exact = -0.5 * math.log(4 * math.pi)
    kl = -math.log(s * 2**0.5) + s**2 + m**2 - 0.5
    assert abs(exact - elbo.value - kl) < 5.5 * elbo.stderr
    assert abs(weighted.value - exact) < 5.5 * weighted.stderr
    assert elbo.stderr < 0.02
    a, b = (evidence(model, AutoNormal(model), draws=10, plates=0, generator=3) for _ in range(2))
    assert a.elbo.n == 10
    assert a.elbo.method == b.elbo.method == "ELBO, 10 draws"


@pytest.mark.parametrize(("m", "s"), [(0.0, 0.5), (-1.0, 0.3), (0.0, 0.5**0.5)], ids=["narrow", "beside", "exact"])
@pytest.mark.parametrize("plates", [0, 1])
def test_a_defensive_share_finds_what_the_guide_misses(m, s, plates, stream):
    """Two rows of z ~ N(0, 1), seen as 0 with unit noise in one plate: p(x) = N(0; 0, 2)^2, weights up to a bound."""
    rows = [2] * plates

    def model():
        with pyro.plate_stack("rows", rows):
            z = pyro.sample("z", law.Normal(0.0, 1.0))
            pyro.sample("x", law.Normal(z, 1.0), obs=torch.zeros(rows))

    def guide():
        with pyro.plate_stack("rows", rows):
            pyro.sample("z", law.Normal(m, s))

    exact = -0.5 * math.log(4 * math.pi) * 2**plates
    elbo, weighted = evidence(model, guide, draws=20_000, plates=plates, defensive=0.25, generator=stream)
    assert (elbo.n, weighted.n) == (15_000, 20_000)
    assert abs(weighted.value - exact) < 5.5 * weighted.stderr
    highest = -0.5 * math.log(2 * math.pi) * 2**plates - math.log(0.25) - exact  # of a weight over its mean
    assert weighted.stderr < math.exp(highest / 2) / 20_000**0.5
    assert "5000 of them from the prior" in weighted.method


def test_a_defensive_share_needs_the_guides_density(stream):
    def model():
        pyro.sample("x", law.Normal(pyro.sample("z", law.Normal(0.0, 1.0)), 1.0), obs=torch.tensor(0.0))

    with pytest.raises(ArgumentError, match=r"z_unconstrained.*are not the model's"):
        evidence(model, AutoNormal(model), plates=0, defensive=0.1, generator=stream)
    with pytest.raises(ArgumentError, match="in \\[0, 1\\), got 1"):
        evidence(model, AutoNormal(model), plates=0, defensive=1.0, generator=stream)


def test_evidence_warns_of_a_guide_beside_the_posterior(stream):
    def model():
        pyro.sample("z", law.Normal(0.0, 1.0))

    with pytest.warns(DegenerateWeights, match="train the guide"):
        evidence(model, lambda: pyro.sample("z", law.Normal(9.0, 1.0)), draws=500, plates=0, generator=stream)


def test_mcmc_under_a_flow_as_prior(flow, stream):
    """HMC with a flow as prior of z, z + noise seen: moments against quadrature."""
    seen = torch.tensor([0.5, -0.3])

    def model():
        z = pyro.sample("z", as_pyro(flow()))
        pyro.sample("x", law.Normal(z, 0.7).to_event(1), obs=seen)

    axis = torch.linspace(-3.5, 3.5, 141)
    grid = torch.cartesian_prod(axis, axis) + seen
    with torch.no_grad():
        log_p = flow.log_prob(grid) + torch.distributions.Normal(grid, 0.7).log_prob(seen).sum(1)
    share = log_p.double().softmax(0)
    mean = share @ grid.double()
    square = share @ (grid.double() - mean).square()
    with lend(stream):
        mcmc = MCMC(HMC(model, step_size=0.4, num_steps=3), num_samples=200, warmup_steps=50, disable_progbar=True)
        mcmc.run()
    z = mcmc.get_samples()["z"].double()
    effective = ess(z.unsqueeze(1))
    assert bool(((z.mean(0) - mean).abs() < 5.5 * (square / effective).sqrt()).all())
    spread = (z - mean).square()
    error = spread.std(0) / ess(spread.unsqueeze(1)).sqrt()
    assert bool(((spread.mean(0) - square).abs() < 5.5 * error).all())


@pytest.mark.gpu
def test_on_an_accelerator(given):
    p = as_pyro(given.cuda()(torch.zeros(4, 3, device="cuda")))
    with lend(dg.random.generator(0, "cuda")):
        x = pyro.sample("x", p)
    assert x.device.type == "cuda"
    assert p.log_prob(x).shape == (4,)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_evidence_of_a_program_on_a_device_repeats(device, seed):
    one = torch.ones((), device=device)

    def program():
        pyro.sample("z", law.Normal(0 * one, one))
        pyro.sample("w", law.Normal(0.0, 1.0))  # on the host

    def guide():
        pyro.sample("z", law.Normal(0.1 * one, one))
        pyro.sample("w", law.Normal(0.1, 1.0))

    for source in (lambda: seed, lambda: dg.random.generator(seed), lambda: dg.random.generator(seed, device)):
        first, again = (evidence(program, guide, draws=50, plates=0, generator=source()).elbo.value for _ in range(2))
        assert first == again


@pytest.mark.filterwarnings("ignore:.*inference mode.*")
def test_a_flow_draws_under_inference_mode(flow, stream):
    with torch.inference_mode(), lend(stream):
        p = as_pyro(flow())
        z = pyro.sample("z", p)
        torch.testing.assert_close(p.log_prob(z), flow.log_prob(z.unsqueeze(0))[0])


def test_what_the_law_inside_can_do_is_passed_on():
    inside = torch.distributions.Normal(torch.tensor([0.0, 1.0]), 2.0)
    wrapped, x = as_pyro(inside), torch.tensor([0.3, 0.6])
    for name in ("cdf", "icdf"):
        assert torch.equal(getattr(wrapped, name)(x), getattr(inside, name)(x))
    assert torch.equal(wrapped.entropy(), inside.entropy())
    assert torch.equal(wrapped.mode, inside.mode)
    assert torch.equal(wrapped.stddev, inside.stddev)
