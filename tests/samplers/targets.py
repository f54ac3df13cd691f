"""Targets that can be drawn from exactly, for tests of kernels."""

import torch

from deepgen.testing import ks

COVARIANCE = torch.tensor([[4.0, 1.2, 0.0], [1.2, 1.0, 0.3], [0.0, 0.3, 0.25]])
FACTOR = torch.linalg.cholesky(COVARIANCE.double())
PRECISION = torch.linalg.inv(COVARIANCE.double())


def normal(x):
    """Log density of N(0, COVARIANCE) but for a constant."""
    return -((x @ PRECISION.to(x)) * x).sum(-1) / 2


def draw_normal(n, *, generator, dtype=torch.float32):
    return torch.randn(n, 3, generator=generator, dtype=dtype) @ FACTOR.mT.to(dtype)


def normal_law(x):
    z = torch.linalg.solve_triangular(FACTOR, x.double().mT, upper=False)
    radius = ks(z.square().sum(0), lambda r: torch.special.gammainc(torch.full_like(r, 1.5), r / 2))
    return [radius, *(ks(row, torch.special.ndtr) for row in z)]


def image(x):
    """Standard normal values of standard deviation 0.5 on [chains, 2, 2, 2]."""
    return -2 * x.square().flatten(1).sum(1)


def draw_image(n, *, generator):
    return torch.randn(n, 2, 2, 2, generator=generator) / 2
