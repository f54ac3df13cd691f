"""ELBO and IWAE: expected gradients in closed form, doubly reparametrised ones beside plain ones, and metrics."""

import copy
from statistics import NormalDist

import pytest
import torch
from torch.distributions import kl_divergence

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, SupportError
from deepgen.implicit.latent import draw_terms
from deepgen.implicit.semi_supervised import SemiSupervised
from deepgen.objectives import (
    ELBO,
    IWAE,
    Adversarial,
    GradientNoise,
    Hybrid,
    PersistentCD,
    Reconstruction,
    SemiSupervisedELBO,
    gradient_noise,
)
from tests.implicit.linear import SIGMA, D, exact_elbo, linear_vae


def batch(stream, rows, copies):
    """A few rows many times each: an average over draws within one gradient."""
    x = 1.5 * torch.randn(rows, D, generator=stream, dtype=torch.float64)
    return x.repeat(copies, 1)


def limit(alpha, count):
    return 1.1 * NormalDist().inv_cdf(
        1 - alpha / 2 / count
    )  # 1.1: the error itself is estimated, of 100 to 200 repeats


@pytest.mark.parametrize(
    "objective",
    [
        ELBO(),
        ELBO(closed_form=False),
        ELBO(samples=3),
        ELBO(gradient="score", samples=4),
        ELBO(gradient="score", closed_form=False),
    ],
    ids=str,
)
def test_expected_gradients_are_those_of_the_closed_form(objective, stream, alpha):
    vae = linear_vae(stream, "diagonal", spread=1.3)
    x = batch(stream, 3, 100)
    exact = torch.autograd.grad(-exact_elbo(vae, x).mean(), list(vae.parameters()))
    truth = torch.cat([g.flatten() for g in exact])
    noise = gradient_noise(objective, vae, x, repeats=150, generator=stream)
    close = (noise.mean - truth).abs() <= limit(alpha, len(truth)) * noise.stderr() + 1e-10
    assert close.all()


def test_beta_and_free_bits_weigh_the_gradient_and_not_the_metrics(stream):
    vae = linear_vae(stream, "diagonal")
    x, seed = batch(stream, 8, 1), 3

    def gradient(objective, step=0):
        loss = objective.loss(vae, x, step=step, generator=dg.random.generator(seed))
        grads = torch.autograd.grad(loss.value, list(vae.parameters()), materialize_grads=True)
        return torch.cat([g.flatten() for g in grads]), loss.metrics

    plain, logged = gradient(ELBO())
    fit, _ = gradient(ELBO(beta=0.0))
    kl = plain - fit
    for objective, step, weight in [
        (ELBO(beta=4.0), 0, 4.0),
        (ELBO(warmup=10), 5, 0.5),
        (ELBO(beta=2.0, warmup=10), 0, 0.0),
        (ELBO(beta=2.0, warmup=10), 99, 2.0),
        (ELBO(free_bits=1e3), 0, 0.0),  # every latent costs less than that, so its KL has no gradient
        (ELBO(free_bits=1e-6), 0, 1.0),
    ]:
        got, metrics = gradient(objective, step)
        assert torch.allclose(got, fit + weight * kl, atol=1e-10), objective
        for name, value in logged.items():  # sums in another order differ in the last digit
            assert float(metrics[name]) == pytest.approx(float(value), rel=1e-12), objective


@pytest.mark.parametrize("closed_form", [True, False])
def test_free_bits_are_nats_of_each_latent_averaged_over_the_batch(closed_form, stream):
    """Threshold above one latent's mean KL and below the other's: the value of the objective by hand."""
    vae = linear_vae(stream, "diagonal", spread=1.3)
    x = batch(stream, 8, 1)
    terms = draw_terms(vae, x, 2, generator=dg.random.generator(3))
    q, p = terms.q.base_dist, terms.p.base_dist
    drawn = (q.log_prob(terms.z) - p.log_prob(terms.z)).mean((0, 1))
    each = kl_divergence(q, p).mean(0) if closed_form else drawn
    bits = float(each.detach().mean())
    assert each.min() < bits < each.max()
    objective = ELBO(free_bits=bits, beta=3.0, samples=2, closed_form=closed_form)
    loss = objective.loss(vae, x, generator=dg.random.generator(3))
    expected = terms.reconstruction.mean() - 3.0 * (each.max() + bits)
    assert torch.isclose(-loss.value, expected)
    assert torch.isclose(loss.metrics["kl"], each.sum())


def test_free_bits_of_a_law_that_does_not_part_are_those_of_all_its_latents(stream):
    vae = linear_vae(stream)
    x = batch(stream, 8, 1)
    terms = draw_terms(vae, x, 1, generator=dg.random.generator(3))
    kl, fit = (terms.log_posterior - terms.log_prior).mean(), terms.reconstruction.mean()
    for share, cost in ((0.99, kl), (1.01, kl * 1.01)):  # of two latents
        loss = ELBO(free_bits=share * float(kl.detach()) / 2).loss(vae, x, generator=dg.random.generator(3))
        assert torch.isclose(-loss.value, fit - cost)


def test_free_bits_hold_each_latent_apart(stream):
    vae = linear_vae(stream, "diagonal")
    with torch.no_grad():  # the second latent knows nothing: KL 0
        vae.encoder.weight[1::2].zero_()
        vae.encoder.bias[1::2].zero_()
    x = batch(stream, 8, 1)
    for closed_form in (True, False):
        free, bare = (
            torch.autograd.grad(
                ELBO(free_bits=bits, beta=beta, closed_form=closed_form)
                .loss(vae, x, generator=dg.random.generator(5))
                .value,
                vae.encoder.bias,
            )[0]
            for bits, beta in ((0.05, 1.0), (0.0, 0.0))
        )
        assert torch.allclose(free[1::2], bare[1::2], atol=1e-12)
        assert not torch.allclose(free[::2], bare[::2], atol=1e-3)


def test_the_step_is_counted_and_warm_up_ends(stream):
    vae = linear_vae(stream, "diagonal")
    objective = ELBO(warmup=2)
    x = batch(stream, 4, 1)
    update, state = objective.update(vae, objective.optimizer(vae)), objective.start(vae, x, generator=stream)
    for count in (1, 2, 3):
        state, metrics = update(state, x, generator=stream)
        assert int(state.step) == count
        assert set(metrics) == {"bound", "reconstruction", "kl"}


def test_doubly_reparametrised_gradients_have_the_mean_of_the_plain_ones(stream, alpha):
    vae = linear_vae(stream, "diagonal", spread=1.3)
    x = batch(stream, 3, 100)
    for k in (1, 6):
        plain, doubly = (gradient_noise(IWAE(k, dreg), vae, x, repeats=150, generator=stream) for dreg in (False, True))
        error = (plain.variance / plain.repeats + doubly.variance / doubly.repeats).sqrt()
        assert ((plain.mean - doubly.mean).abs() <= limit(alpha, len(error)) * error + 1e-10).all()
        assert (plain.mean.abs() > 8 * plain.stderr()).any()  # so that equality says something


def test_only_the_doubly_reparametrised_signal_grows_with_draws(stream):
    # one model for all seeds: of those that could be drawn, some have a q so far off that 16 draws are few for the law
    vae = linear_vae(dg.random.generator(0), "diagonal", spread=1.5)
    x, at = batch(stream, 3, 20), list(vae.encoder.parameters())

    def signal(k, dreg):
        noise = gradient_noise(IWAE(k, dreg), vae, x, repeats=150, parameters=at, generator=stream)
        return noise.signal_to_noise()

    few, many, plain = signal(16, True), signal(256, True), signal(256, False)
    print(f"signal to noise: DReG {few:.3f} at 16 draws, {many:.3f} at 256 (theory: 4 times as much), IWAE {plain:.3f}")
    assert many > 2 * few  # 3.8 to 4.2 over five streams
    assert plain < many / 3


def test_decoder_gradients_are_the_same_to_the_bit_of_the_draws(stream):
    vae = linear_vae(stream, "diagonal", spread=1.3)
    x = batch(stream, 4, 1)
    one, two = (
        torch.autograd.grad(
            IWAE(5, dreg).loss(vae, x, generator=dg.random.generator(1)).value, list(vae.decoder.parameters())
        )
        for dreg in (False, True)
    )
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(one, two, strict=True))


def test_score_function_needs_no_rsample_and_costs_variance(stream):
    vae = linear_vae(stream, "diagonal", spread=1.3)
    x, at = batch(stream, 3, 10), list(vae.encoder.parameters())
    paths, score, baseline = (
        gradient_noise(objective, vae, x, repeats=60, parameters=at, generator=stream).total_variance()
        for objective in (ELBO(), ELBO(gradient="score"), ELBO(gradient="score", samples=4))
    )
    assert score > 3 * paths
    assert baseline < score / 4  # less than four independent gradients averaged


def test_the_noise_of_any_loss_can_be_had_and_nothing_moves(stream):
    ae, x = dg.implicit.mlp_autoencoder(6, [8], latent=2, likelihood=dg.implicit.Gaussian(kind="optimal")), torch.eye(6)
    before = {name: value.clone() for name, value in ae.state_dict().items()}
    noise = gradient_noise(Reconstruction(dg.implicit.Masking(0.2)), ae, x, repeats=3, generator=stream)
    assert noise.total_variance() > 0
    assert all(torch.equal(value, before[name]) for name, value in ae.state_dict().items())
    half = SemiSupervised(dg.implicit.mlp_cvae(6, [8], latent=2, classes=3), dg.implicit.Dense(6, [8], 3))
    pairs = x, torch.tensor([0, 1, 2, -1, -1, -1])
    assert gradient_noise(SemiSupervisedELBO(), half, pairs, repeats=3, generator=stream).total_variance() > 0


@pytest.mark.parametrize("objective", [PersistentCD(), Hybrid(), Adversarial()])
def test_without_a_loss_of_a_batch_there_is_no_noise_to_tell(objective):
    with pytest.raises(MissingCapability, match=r"has no loss\(model, batch, generator=\)"):
        gradient_noise(objective, dg.RBM(3, 2), torch.eye(3))


def test_noise_alone_has_no_signal(stream):
    """An estimated mean of pure noise is of the size of its error, which a ratio that ignores it takes for signal."""
    g = torch.randn(100, 400, generator=stream, dtype=torch.float64)
    pure = GradientNoise(g.mean(0), g.var(0), 100)
    assert pure.signal_to_noise() < 0.07  # not 1 / sqrt(100)
    loud = GradientNoise(g.mean(0) + 0.5, g.var(0), 100)
    assert loud.signal_to_noise() == pytest.approx(0.5, rel=0.1)


def test_gradient_noise_leaves_the_model_as_it_was(stream):
    vae = linear_vae(stream, "diagonal")
    vae.observation = dg.implicit.Gaussian(SIGMA, "optimal").double()  # which steps alone move
    before = copy.deepcopy(vae.state_dict())
    gradient_noise(IWAE(3), vae, batch(stream, 4, 1), repeats=3, generator=stream)
    assert all(torch.equal(before[name], value) for name, value in vae.state_dict().items())
    assert all(p.grad is None for p in vae.parameters())


def test_every_posterior_and_prior_trains_by_every_objective(stream):
    flow = dg.explicit.IAF(2, 1, [8], context=6, base=dg.implicit.DiagonalGaussian(2, inputs=6, generator=stream))
    x = torch.randint(2, (40, 6), generator=stream).float()
    for posterior in (dg.implicit.DiagonalGaussian(2), dg.implicit.FullGaussian(2), flow):
        for prior in (
            None,
            dg.distributions.NormalMixture(2, 3, generator=stream),
            dg.implicit.VampPrior(6, 5, generator=stream).initialise(x),
            dg.explicit.MAF(2, 1, [8], generator=stream),
        ):
            vae = dg.implicit.mlp_vae(6, [8], latent=2, posterior=posterior, prior=prior, generator=stream)
            for objective in (ELBO(free_bits=0.1), ELBO(gradient="score"), IWAE(3), IWAE(3, dreg=True)):
                loss = objective.loss(vae, x, generator=stream)
                grads = torch.autograd.grad(loss.value, list(vae.parameters()), allow_unused=True)
                assert all(g is not None and g.isfinite().all() for g in grads)


def test_a_model_with_a_bound_alone_is_trained_as_it_is_and_not_weighed(stream):
    unit = dg.transforms.Chain([dg.transforms.Logit(), dg.transforms.Affine(2)])
    model = dg.explicit.Dequantised(dg.explicit.Flow(unit, base=2), levels=4)
    loss = ELBO().loss(model, torch.zeros(5, 2), generator=stream)
    assert list(loss.metrics) == ["bound"]
    for objective in (ELBO(beta=2.0), ELBO(free_bits=0.1), ELBO(gradient="score"), IWAE(3, dreg=True)):
        with pytest.raises(MissingCapability, match="no Latent"):
            objective.start(model, torch.zeros(5, 2), generator=stream)


def test_what_is_refused(stream):
    with pytest.raises(ArgumentError, match="beta"):
        ELBO(beta=-1.0)
    with pytest.raises(ArgumentError, match="free bits"):
        ELBO(free_bits=1.0, gradient="score")
    with pytest.raises(LookupError, match="reparametrised"):
        ELBO(gradient="reparametrized")
    vae = dg.implicit.mlp_vae(6, [8], latent=2, generator=stream)
    with pytest.raises(SupportError, match="0 or 1"):
        ELBO().loss(vae, torch.full((3, 6), 0.5), generator=stream)
    with pytest.raises(ArgumentError, match="pairs"):
        ELBO().loss(dg.implicit.mlp_cvae(6, [8], latent=2, classes=3), torch.zeros(3, 6), generator=stream)
    with pytest.raises(ArgumentError, match="no parameter"):
        gradient_noise(ELBO(), vae, torch.zeros(3, 6), parameters=[], generator=stream)


@pytest.mark.parametrize("objective", [ELBO(), IWAE(5), IWAE(5, dreg=True)], ids=str)
def test_products_in_16_bits_leave_draws_and_sums_in_32(stream, objective):
    vae = dg.implicit.mlp_vae(20, [16], latent=3, generator=stream)
    x = torch.bernoulli(torch.full((30, 20), 0.4), generator=stream)
    found = []
    for low in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            assert vae.posterior(x).mean.dtype == torch.float32
            loss = objective.loss(vae, x, generator=dg.random.generator(1))
        slopes = torch.autograd.grad(loss.value, list(vae.parameters()))
        found.append((loss.metrics["bound"], torch.cat([slope.flatten() for slope in slopes])))
    (bound, slope), (near, near_slope) = found
    assert near.dtype == torch.float32
    assert abs(float(near - bound)) < 0.02  # of some 14 nats: three digits of a logit, twenty times
    assert float((near_slope - slope).norm() / slope.norm()) < 0.03


def test_a_flow_that_knows_its_own_draws_alone_is_for_the_plain_bound(stream):
    flow = dg.explicit.PlanarFlow(2, 2, context=8, fast="sample", generator=stream)
    networks = dg.implicit.Dense(6, [8], 8, generator=stream), dg.implicit.Dense(2, [8], 6, generator=stream)
    vae, x = dg.implicit.VAE(*networks, latent=2, posterior=flow), torch.randint(2, (9, 6), generator=stream).float()
    with pytest.raises(MissingCapability, match=r"use IWAE\(k=3\), or a posterior with both"):
        IWAE(3, dreg=True).loss(vae, x, generator=stream)
    assert bool(IWAE(3).loss(vae, x, generator=stream).value.isfinite())
