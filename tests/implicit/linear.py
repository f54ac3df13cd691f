"""The VAE whose networks are linear, beside the oracle with the same weights: `deepgen.testing.LinearGaussian`."""

import torch
from torch import nn

import deepgen as dg
from deepgen.testing import LinearGaussian

D, LATENT, SIGMA = 5, 2, 0.6


def linear_vae(stream, posterior="full", spread=1.0):
    """A VAE in float64 with the exact posterior, or a diagonal one beside it, ``spread`` times as wide."""
    decoder, full = nn.Linear(LATENT, D).double(), posterior == "full"
    law = dg.implicit.FullGaussian(LATENT) if full else dg.implicit.DiagonalGaussian(LATENT)
    encoder = nn.Linear(D, law.inputs).double()
    with torch.no_grad():
        decoder.weight.normal_(generator=stream)
        decoder.bias.normal_(generator=stream)
        exact = of(decoder)
        at = exact.exact_posterior(torch.cat([exact.bias[None], exact.bias + torch.eye(D, dtype=torch.float64)]))
        gain, covariance = (at.mean[1:] - at.mean[:1]).t(), at.covariance_matrix[0]
        encoder.weight.zero_()
        encoder.weight[:LATENT] = gain
        encoder.bias[:LATENT] = -gain @ decoder.bias
        if full:
            factor = torch.linalg.cholesky(covariance)
            encoder.bias[LATENT : 2 * LATENT] = factor.diagonal().log()
            encoder.bias[2 * LATENT :] = factor[1:, 0]
        else:
            encoder.weight[:LATENT] += 0.05 * torch.randn(LATENT, D, generator=stream, dtype=torch.float64)
            encoder.bias[LATENT:] = covariance.diagonal().sqrt().log() + torch.tensor(spread).log()
    return dg.implicit.VAE(
        encoder, decoder, latent=LATENT, likelihood=dg.implicit.Gaussian(SIGMA), posterior=law
    ).double()


def of(decoder):
    """Probabilistic PCA with the weights of a linear decoder."""
    oracle = LinearGaussian(D, LATENT, sigma=SIGMA).double().requires_grad_(False)
    oracle.weight.copy_(decoder.weight)
    oracle.bias.copy_(decoder.bias)
    oracle.log_sigma.copy_(torch.tensor(SIGMA, dtype=torch.float64).log())  # not rounded to float32
    return oracle


def true_posterior(vae, x):
    """p(z | x), batch ``[rows]``."""
    return of(vae.decoder).exact_posterior(x)


def log_marginal(vae, x):
    """log p(x), ``[rows]``."""
    return of(vae.decoder).log_prob(x)


def exact_elbo(vae, x):
    """The ELBO of a diagonal posterior in closed form, differentiable: ``[rows]``."""
    mean, log_scale = vae.encoder(x).chunk(2, -1)
    variance, w = (2 * log_scale).exp(), vae.decoder.weight
    square = (x - vae.decoder(mean)).square().sum(1) + variance @ w.square().sum(0)
    fit = -square / (2 * SIGMA**2) - D / 2 * torch.tensor(2 * torch.pi * SIGMA**2, dtype=x.dtype).log()
    return fit - 0.5 * (mean.square() + variance - 1 - 2 * log_scale).sum(1)
