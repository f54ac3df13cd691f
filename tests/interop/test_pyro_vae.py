"""VAEs as Pyro programs: the loss, gradients and steps of our own objectives, and probabilistic PCA."""

import math
from statistics import NormalDist

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, RenyiELBO, Trace_ELBO, TraceMeanField_ELBO

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, SupportError
from deepgen.implicit import mlp_cvae, mlp_vae
from deepgen.interop.pyro import as_pyro, evidence, vae_program
from deepgen.objectives import ELBO, IWAE
from deepgen.random import lend
from tests.implicit.linear import D, exact_elbo, linear_vae, log_marginal

ROWS = 7


def bits(stream, n=ROWS):
    return torch.randint(2, (n, 6), generator=stream).double()


def iaf(g):
    return dg.explicit.IAF(2, 1, [8], context=6, base=dg.implicit.DiagonalGaussian(2, inputs=6, generator=g))


KINDS = {
    "plain": lambda g: {},
    "full posterior": lambda g: {"posterior": dg.implicit.FullGaussian(2)},
    "flow posterior": lambda g: {"posterior": iaf(g)},
    "mixture prior": lambda g: {"prior": dg.distributions.NormalMixture(2, 3, generator=g)},
    "VampPrior": lambda g: {"prior": dg.implicit.VampPrior(6, 4, generator=g)},
    "flow prior": lambda g: {"prior": dg.explicit.MAF(2, 1, [8], generator=g)},
    "sigma": lambda g: {"likelihood": dg.implicit.Gaussian(1.0, "decoder")},
    "shared sigma": lambda g: {"likelihood": dg.implicit.Gaussian(1.0, "shared")},
    "levels": lambda g: {"likelihood": dg.implicit.Categorical(3)},
    "logistic": lambda g: {"likelihood": dg.implicit.LogisticMixture(4, 2)},
}


def linear(stream, *options, **wide):
    """torch's layers draw their first weights, which are then overwritten, from the global stream."""
    with lend(dg.random.generator(0)):
        return linear_vae(stream, *options, **wide)


def agree(pyro_elbo, objective, model, x, context=None, scale=1.0):
    """Loss and gradients by Pyro and by ours from the same noise."""
    program = vae_program(model)
    given = (x,) if context is None else (x, context)
    with lend(dg.random.generator(5)):
        theirs = pyro_elbo.differentiable_loss(program.model, program.guide, *given)
    batch = x if context is None else given
    ours = scale * objective.loss(model, batch, generator=dg.random.generator(5)).value
    assert torch.allclose(theirs, ours, rtol=1e-10), (theirs, ours)
    parameters = [p for p in model.parameters() if p.requires_grad]
    slopes = [torch.autograd.grad(value, parameters, materialize_grads=True) for value in (theirs, ours)]
    assert any(bool(g.abs().max() > 1e-3) for g in slopes[1])
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_ours_from_the_same_noise(kind, stream):
    vae, x = mlp_vae(6, [8], latent=2, generator=stream, **KINDS[kind](stream)).double(), bits(stream)
    agree(Trace_ELBO(), ELBO(closed_form=False), vae, x, scale=ROWS)
    agree(TraceMeanField_ELBO(), ELBO(), vae, x, scale=ROWS)


def test_several_draws_are_particles(stream):
    vae, x = mlp_vae(6, [8], latent=2, generator=stream).double(), bits(stream)
    many = {"num_particles": 3, "vectorize_particles": True, "max_plate_nesting": 1}
    agree(Trace_ELBO(**many), ELBO(samples=3, closed_form=False), vae, x, scale=ROWS)


def test_the_importance_weighted_bound_is_renyis(stream):
    """Pyro's weighs all rows together, so one row is compared at a time."""
    vae, x = mlp_vae(6, [8], latent=2, generator=stream).double(), bits(stream, 1)
    renyi = RenyiELBO(alpha=0, num_particles=4, vectorize_particles=True, max_plate_nesting=1)
    program = vae_program(vae)
    with lend(dg.random.generator(5)):
        theirs = renyi.loss(program.model, program.guide, x)
    ours = IWAE(4).loss(vae, x, generator=dg.random.generator(5)).value
    assert math.isclose(theirs, ours.item(), rel_tol=1e-10)


@pytest.mark.parametrize("kind", ["labels", "vectors", "one for all", "prior"])
def test_contexts(kind, stream):
    options = {"context": 3} if kind == "vectors" else {"classes": 3}
    if kind == "prior":
        options["prior"] = dg.implicit.DiagonalGaussian(2, inputs=3, generator=stream)
    model, x = mlp_cvae(6, [8], latent=2, generator=stream, **options).double(), bits(stream)
    context = torch.randint(3, (ROWS,), generator=stream)
    if kind == "vectors":
        context = torch.randn(ROWS, 3, generator=stream).double()
    if kind == "one for all":
        context = context[:1]
    agree(Trace_ELBO(), ELBO(closed_form=False), model, x, context, scale=ROWS)
    agree(TraceMeanField_ELBO(), ELBO(), model, x, context, scale=ROWS)


def test_the_linear_model_at_its_posterior_has_the_likelihood_of_probabilistic_pca(stream):
    vae = linear(stream)
    x = 1.5 * torch.randn(ROWS, D, generator=stream, dtype=torch.float64)
    program = vae_program(vae)
    with lend(stream):
        loss = Trace_ELBO().loss(program.model, program.guide, x)
    assert math.isclose(-loss, float(log_marginal(vae, x).detach().sum()), rel_tol=1e-7)


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")  # of all rows together; the ELBO has none
def test_beside_its_posterior_it_has_the_bound_in_closed_form(stream, alpha):
    vae = linear(stream, "diagonal", spread=1.3)
    x = 1.5 * torch.randn(ROWS, D, generator=stream, dtype=torch.float64)
    elbo = evidence(*vae_program(vae), x, draws=5000, generator=stream).elbo
    truth, limit = float(exact_elbo(vae, x).detach().sum()), NormalDist().inv_cdf(1 - alpha / 2)
    assert abs(elbo.value - truth) < limit * elbo.stderr
    assert elbo.stderr < 0.1 * (float(log_marginal(vae, x).detach().sum()) - truth)  # so that the gap is seen


def test_steps_change_the_module_in_place_and_are_those_of_our_loop(stream):
    vae, x = mlp_vae(6, [8], latent=2, generator=3).double(), bits(stream, 40)
    twin, before = mlp_vae(6, [8], latent=2, generator=3).double(), [*vae.parameters()]
    svi = SVI(*vae_program(vae), pyro.optim.Adam({"lr": 0.01}), TraceMeanField_ELBO())
    with lend(dg.random.generator(5)):
        losses = [svi.step(x) for _ in range(20)]
    adam, ours = torch.optim.Adam(twin.parameters(), lr=0.01), dg.random.generator(5)
    for loss in losses:
        adam.zero_grad()
        value = len(x) * ELBO().loss(twin, x, generator=ours).value
        assert math.isclose(value.item(), loss, rel_tol=1e-8)
        value.backward()
        adam.step()
    assert all(one is other for one, other in zip(vae.parameters(), before, strict=True))
    start = mlp_vae(6, [8], latent=2, generator=3).double()
    for one, other, first in zip(vae.parameters(), twin.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)
        assert not torch.equal(one, first)
    assert {key.partition("$")[0] for key in pyro.get_param_store()} == {"vae"}


def test_a_minibatch_counts_for_all_the_rows(stream):
    vae, x = mlp_vae(6, [8], latent=2, generator=stream).double(), bits(stream)
    with lend(dg.random.generator(5)):
        alone = Trace_ELBO().loss(*vae_program(vae), x)
    with lend(dg.random.generator(5)):
        counted = Trace_ELBO().loss(*vae_program(vae, size=100 * ROWS), x)
    assert math.isclose(counted, 100 * alone, rel_tol=1e-12)


def test_rows_stay_apart_in_the_plate(stream):
    vae, x = mlp_vae(6, [8], latent=2, generator=stream).double(), bits(stream)
    program = vae_program(vae)
    with lend(dg.random.generator(5)):
        drawn = poutine.trace(program.guide).get_trace(x)
        trace = poutine.trace(poutine.replay(program.model, drawn)).get_trace(x)
    trace.compute_log_prob()
    z = trace.nodes["z"]["value"]
    assert trace.nodes["x"]["log_prob"].shape == trace.nodes["z"]["log_prob"].shape == (ROWS,)
    for i in range(ROWS):
        alone = vae.likelihood(z[i : i + 1]).log_prob(x[i : i + 1])
        torch.testing.assert_close(trace.nodes["x"]["log_prob"][i : i + 1], alone)


def test_the_optimal_sigma_follows_training_and_nothing_else(stream):
    x = 0.3 * torch.randn(200, 3, generator=stream)
    vae = mlp_vae(3, [4], latent=1, likelihood=dg.implicit.Gaussian(1.0, "optimal"), generator=stream)
    svi = SVI(*vae_program(vae), pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
    sigma = vae.observation.log_sigma
    with lend(stream):
        svi.evaluate_loss(x)
        assert float(sigma) == 0.0
        svi.step(x)
        learned = float(sigma)
        vae.eval()
        svi.step(x)
    assert learned != 0.0
    assert float(sigma) == learned


def test_integers_are_rows_too(stream):
    vae, x = mlp_vae(6, [8], latent=2, generator=stream), bits(stream)
    program = vae_program(vae)
    found = []
    for rows in (x.long(), x.float()):
        with lend(dg.random.generator(5)):
            found.append(Trace_ELBO().loss(*program, rows))
    assert found[0] == found[1]


def test_laws_of_torch_keep_their_numbers(stream):
    inside = dg.implicit.FullGaussian(2)(torch.randn(4, 5, generator=stream))
    law, z = as_pyro(inside), torch.randn(3, 4, 2, generator=stream)
    assert torch.equal(law.log_prob(z), inside.log_prob(z))
    assert torch.equal(law.mean, inside.mean)
    assert torch.equal(law.variance, inside.variance)
    assert (law.has_rsample, law.has_enumerate_support) == (True, False)
    torch.testing.assert_close(law.to_event(1).log_prob(z), inside.log_prob(z).sum(1))
    coin = as_pyro(torch.distributions.Bernoulli(torch.tensor([0.2, 0.7])))
    assert coin.enumerate_support().tolist() == [[0, 0], [1, 1]]
    assert as_pyro(coin) is coin


def test_what_is_refused(stream):
    vae, x = mlp_vae(6, [8], latent=2, generator=stream), bits(stream)
    program = vae_program(vae)
    with pytest.raises(SupportError, match="0 or 1"):
        program.model(x / 2)
    cvae = vae_program(mlp_cvae(6, [8], latent=2, classes=3, generator=stream), name="other")
    with pytest.raises(ArgumentError, match="context"):
        cvae.guide(x)
    with pytest.raises(ArgumentError, match="Module"):
        vae_program("vae")
    with pytest.raises(ArgumentError, match="size"):
        vae_program(vae, size=0)
    with pytest.raises(MissingCapability, match="Latent"):
        vae_program(dg.implicit.Dense(6, [], 2, generator=stream)).guide(x)
    with lend(stream):
        program.guide(x)
        with pytest.raises(ArgumentError, match=r"clear_param_store.*another name"):
            vae_program(mlp_vae(6, [8], latent=2, generator=stream)).guide(x)
        vae_program(mlp_vae(6, [8], latent=2, generator=stream), name="second").guide(x)
