"""A Gaussian posterior whose every number is known, by minibatches whose noise is the same everywhere."""

import torch
from torch.distributions import Independent, Normal

import deepgen as dg
from deepgen.samplers import Posterior
from tests.conftest import FALSE_ALARM


def linear(rows=60, size=2, seed=0):
    """Rows y_i ~ N(x, K) with a correlated K of unequal scales, prior N(0, 1): (posterior, A, mode).

    The gradient of a row is K^-1 (y_i - x), so its covariance over rows does not depend on x, and A = 1 + N K^-1.
    """
    stream = torch.Generator().manual_seed(seed)
    root = torch.tensor([[2.0, 0.0], [1.5, 0.7]])[:size, :size]
    y = torch.randn(rows, size, generator=stream) @ root.mT + 0.3
    inverse = torch.linalg.inv(root @ root.mT)

    def log_likelihood(x, y):
        away = y - x.unsqueeze(1)
        return -((away @ inverse) * away).sum(-1) / 2

    prior = Independent(Normal(torch.zeros(size), 1.0), 1)
    precision = torch.eye(size) + rows * inverse
    return Posterior(prior, log_likelihood, y), precision, torch.linalg.solve(precision, inverse @ y.sum(0))


def moment_p_values(x, mean, covariance):
    """p-values that independent rows x ``[n, D]`` have this mean and this covariance, by their own standard errors.

    Mean squares are compared by their cube roots, which are all but normal (Wilson & Hilferty 1931).
    """
    z = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance.double()), (x - mean).double().mT, upper=False)
    products = torch.einsum("in,jn->ijn", z, z)[torch.ones(len(z), len(z)).tril(-1).bool()]
    terms, squares = torch.cat([z, products]), z.square()
    size = squares.mean(1)
    scores = torch.cat([terms.mean(1) / terms.std(1), 3 * (size.pow(1 / 3) - 1) * size / squares.std(1)])
    scores = scores * x.shape[0] ** 0.5
    return torch.erfc(scores.abs() / 2**0.5).tolist()


def check_moments(x, mean, covariance):
    """Fail if a correct sample would do as badly once in ten million."""
    assert min(moment_p_values(x, mean, covariance)) > 1e-7


def check_law(kernel, mean, covariance, *, steps, generator, state=None, n=4096):
    """Chains that start with the moments of the kernel's own law must keep them: the recursion of moments is exact."""
    factor = torch.linalg.cholesky(covariance.double()).float()

    def rounds(count, g):
        g = dg.random.streams(g)
        begun = kernel.init(mean + g.normal((count, len(mean))) @ factor.mT)
        end = dg.samplers.advance(kernel, begun if state is None else state(begun), steps, generator=g)
        return moment_p_values(end.position, mean, covariance)

    name = type(kernel).__name__
    return dg.testing.sequential(
        rounds, what=f"{name} has not its own law", n=n, alpha=FALSE_ALARM, generator=generator
    )
