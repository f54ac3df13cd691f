"""Bounds of the linear-Gaussian VAE against probabilistic PCA."""

from statistics import NormalDist

import torch
from torch.distributions import MultivariateNormal, kl_divergence

from deepgen.implicit.latent import draw_terms
from deepgen.objectives import ELBO
from tests.implicit.linear import D, linear_vae, log_marginal, true_posterior


def rows(stream, n=4):
    return 1.5 * torch.randn(n, D, generator=stream, dtype=torch.float64)


def test_at_the_exact_posterior_every_draw_gives_the_likelihood(stream):
    vae = linear_vae(stream)
    x = rows(stream)
    for samples in (1, 7):
        assert torch.allclose(vae.bound(x, samples=samples, generator=stream), log_marginal(vae, x), atol=1e-10)


def test_the_elbo_lacks_the_divergence_from_the_exact_posterior(stream, alpha):
    vae = linear_vae(stream, "diagonal", spread=1.3)
    x, z = rows(stream), NormalDist().inv_cdf(1 - alpha / 16)
    q = vae.posterior(x).base_dist
    gap = kl_divergence(MultivariateNormal(q.loc, torch.diag_embed(q.scale.square())), true_posterior(vae, x))
    truth = (log_marginal(vae, x) - gap).detach()
    draws = draw_terms(vae, x, 20_000, generator=stream).log_weights().detach()
    assert ((draws.mean(0) - truth).abs() < z * draws.std(0) / len(draws) ** 0.5).all()
    # with its KL in closed form the objective logs the same bound; each batch is a row 20,000 times
    for i in range(len(x)):
        many = x[i].expand(20_000, D)
        metrics = ELBO().loss(vae, many, generator=stream).metrics
        fit = draw_terms(vae, many, 1, generator=stream).reconstruction.std()
        assert abs(metrics["bound"] - truth[i]) < z * fit / len(many) ** 0.5
        assert torch.isclose(metrics["bound"], metrics["reconstruction"] - metrics["kl"])


def test_more_draws_bring_the_bound_up_to_the_likelihood(stream, alpha):
    vae = linear_vae(stream, "diagonal", spread=1.4)
    x = rows(stream)
    log_w = draw_terms(vae, x, 32_000, generator=stream).log_weights().detach() - log_marginal(vae, x)
    z, before, elbo = NormalDist().inv_cdf(1 - alpha / 16), None, None
    for k in (1, 8, 64):
        gap = log_w.reshape(-1, k, len(x)).logsumexp(1) - torch.tensor(float(k)).log()
        mean, error = gap.mean(0), gap.std(0) / len(gap) ** 0.5
        assert (mean < z * error).all()  # below log p(x)
        if before is not None:
            assert (mean - before[0] > -z * (error.square() + before[1].square()).sqrt()).all()
        before = mean, error
        elbo = (mean, error) if k == 1 else elbo
    # it lacks far less than the ELBO: 1/64 where the weights vary little, 0.08 at most in 1,200 rows drawn like these
    assert (before[0] - elbo[0] / 8 > -z * (before[1] + elbo[1] / 8)).all()
    weights = log_w.exp()  # w / p(x) has mean one: no factor is missing
    assert ((weights.mean(0) - 1).abs() < z * weights.std(0) / len(weights) ** 0.5).all()
