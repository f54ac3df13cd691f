"""The linear-Gaussian VAE, whose density and posterior are known: probabilistic PCA (Tipping & Bishop 1999).

z ~ N(0, I),  x | z ~ N(W z + b, s^2 I):   p(x) = N(b, W W' + s^2 I),   p(z | x) = N(M^-1 W' (x - b), s^2 M^-1),
M = W' W + s^2 I
"""

import torch
from torch import nn
from torch.distributions import MultivariateNormal

import deepgen as dg

D, LATENT, SIGMA = 5, 2, 0.6


def linear_vae(stream, posterior="full", spread=1.0):
    """A VAE in float64 with the exact posterior, or a diagonal one beside it, ``spread`` times as wide."""
    decoder, full = nn.Linear(LATENT, D).double(), posterior == "full"
    law = dg.implicit.FullGaussian(LATENT) if full else dg.implicit.DiagonalGaussian(LATENT)
    encoder = nn.Linear(D, law.inputs).double()
    with torch.no_grad():
        decoder.weight.normal_(generator=stream)
        decoder.bias.normal_(generator=stream)
        gain, covariance = exact_posterior(decoder)
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


def exact_posterior(decoder):
    """The gain M^-1 W' and the covariance s^2 M^-1."""
    w = decoder.weight.detach()
    inverse = torch.linalg.inv(w.t() @ w + SIGMA**2 * torch.eye(LATENT, dtype=w.dtype))
    return inverse @ w.t(), SIGMA**2 * inverse


def true_posterior(vae, x):
    """p(z | x), batch ``[rows]``."""
    gain, covariance = exact_posterior(vae.decoder)
    return MultivariateNormal((x - vae.decoder.bias.detach()) @ gain.t(), covariance)


def log_marginal(vae, x):
    """log p(x), ``[rows]``."""
    w = vae.decoder.weight.detach()
    covariance = w @ w.t() + SIGMA**2 * torch.eye(D, dtype=w.dtype)
    return MultivariateNormal(vae.decoder.bias.detach(), covariance).log_prob(x)


def exact_elbo(vae, x):
    """The ELBO of a diagonal posterior in closed form, differentiable: ``[rows]``."""
    mean, log_scale = vae.encoder(x).chunk(2, -1)
    variance, w = (2 * log_scale).exp(), vae.decoder.weight
    square = (x - vae.decoder(mean)).square().sum(1) + variance @ w.square().sum(0)
    fit = -square / (2 * SIGMA**2) - D / 2 * torch.tensor(2 * torch.pi * SIGMA**2, dtype=x.dtype).log()
    return fit - 0.5 * (mean.square() + variance - 1 - 2 * log_scale).sum(1)
