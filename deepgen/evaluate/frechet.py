"""Fréchet distance of two samples: between the Gaussians of their means and covariances, in float64.

    d^2 = |m - m'|^2 + tr S + tr S' - 2 tr (S^1/2 S' S^1/2)^1/2          (Dowson & Landau 1982)

m, S are the mean and covariance (divided by n - 1) of ``real`` features ``[n, d]``, m', S' of ``fake``. With Inception
features it is the FID of Heusel et al. 2017. With any A A^T = S and B B^T = S' (Bhatia, Jain & Lim 2019, theorem 1)

    d^2 = |m - m'|^2 + min_U |A - B U|^2,    U orthogonal; at the minimum V W^T of the decomposition A^T B = W D V^T

which is how it is computed: nothing large is subtracted, nothing complex arises, covariances without full rank need no
jitter. A, B are triangular factors of the centred rows, never squared, with the widest column first, so that columns of
deviations from 1 to 1e8 keep their digits.

The plug-in value lies above the distance of the laws, by about c/n + c'/n'. For equal Gaussian laws with eigenvalues l

    E d^2 = (1/n + 1/n') (sum_i l_i + 1/2 sum_ij (1 + [i = j]) l_i l_j / (l_i + l_j)) + O(1/n^2)

which grows with d^2: values at different n do not compare. `frechet_infinity` takes the 1/n term off, by the line
through the samples and the samples without one block each (Quenouille's jackknife; Chong & Forsyth 2020 fit it through
several n). It needs n well above d, and can be negative.

Limits: two moments only, so laws that differ elsewhere can be at distance 0. Columns count in their own units: of raw
values, one with a far larger variance than the others is all that the figure sees, so divide columns by the deviations
of the real rows first. Rows must be independent for the errors.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError
from deepgen.evaluate.score import BLOCKS, Score, blocks_of, feature_rows, jackknife
from deepgen.explicit.units import check_support


def frechet_distance(*, real: Tensor, fake: Tensor) -> Score:
    """The plug-in Fréchet distance (squared, as is usual) with its jackknife standard error; it lies above the truth.

    Args:
        real: features ``[n_real, d]``, n_real at least 20.
        fake: features ``[n_fake, d]``.

    Raises:
        ShapeError, SupportError, ArgumentError: see `deepgen.evaluate.score.feature_rows`.

    >>> from deepgen.random import generator, normal
    >>> x = normal((4000, 2), generator=generator(0))
    >>> score = frechet_distance(real=x[:2000], fake=x[2000:] + torch.tensor([3.0, 4.0]))
    >>> abs(score.value - 25) < 5 * score.stderr
    True
    """
    return _plug_in(_values(real, fake), real, fake)


def frechet_infinity(*, real: Tensor, fake: Tensor) -> Score:
    """The Fréchet distance without its bias of order 1/n, both samples extrapolated; negative by chance near 0.

    Args:
        real: features ``[n_real, d]``, n_real at least 20 and above d + 1 after a block is left out.
        fake: features ``[n_fake, d]``.

    Raises:
        ArgumentError: n is not above 1.2 (d + 2), where the bias is not of order 1/n.
        ShapeError, SupportError: see `deepgen.evaluate.score.feature_rows`.

    >>> from deepgen.random import generator, normal
    >>> x = normal((600, 8), generator=generator(0))
    >>> one, other = frechet_distance(real=x[:300], fake=x[300:]), frechet_infinity(real=x[:300], fake=x[300:])
    >>> other.value < one.value
    True
    """
    return _extrapolated(_values(real, fake), real, fake)


def frechet_both(*, real: Tensor, fake: Tensor) -> tuple[Score, Score]:
    """`frechet_distance` and `frechet_infinity`, in the time of one."""
    values = _values(real, fake)
    return _plug_in(values, real, fake), _extrapolated(values, real, fake)


def frechet_least(width: int) -> int:
    """The rows that `frechet_infinity` needs for so many features."""
    return max(2 * BLOCKS, int(1.2 * (width + 2)) + 1)


def gaussian_frechet(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> Tensor:
    """The squared distance of two Gaussians: means ``[d]``, covariances ``[d, d]`` (symmetric, of any rank) -> 0-d.

    Raises:
        ShapeError: other shapes.
        SupportError: NaN or infinite values.

    >>> one, zero = torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    >>> gaussian_frechet(zero, 9 * one, zero + 2, 4 * one)  # 2 * 2^2 + 2 (3 - 2)^2
    tensor(10., dtype=torch.float64)
    """
    d, given = mean.numel(), (mean, covariance, other_mean, other_covariance)
    if [list(x.shape) for x in (mean, other_mean, covariance, other_covariance)] != [[d], [d], [d, d], [d, d]]:
        got = [list(x.shape) for x in given]
        raise ShapeError(f"means must be [d] and covariances [d, d] of one d, got {got}")
    for x in given:
        check_support(x, x.isfinite(), "finite")
    dtype = functools.reduce(torch.promote_types, (x.dtype for x in given), torch.float32)
    mean, covariance, other_mean, other_covariance = (x.to(dtype) for x in given)
    order = (covariance + other_covariance).diagonal().argsort(descending=True)
    one, other = (
        _Law(centre[order], _root(square[order][:, order]))
        for centre, square in ((mean, covariance), (other_mean, other_covariance))
    )
    return _gap(one, other)


class _Law(NamedTuple):
    mean: Tensor
    factor: Tensor  # A [d, rank or more], A A^T the covariance


def _gap(one: _Law, other: _Law) -> Tensor:
    """The squared distance of two Gaussians."""
    a, b = one.factor, other.factor
    if a.shape[1] < b.shape[1]:  # U must keep the length of what it turns
        a, b = b, a
    left, _, right = torch.linalg.svd(a.mT @ b, full_matrices=False)
    return (one.mean - other.mean).square().sum() + (a - b @ (left @ right).mT).square().sum()


def _root(covariance: Tensor) -> Tensor:
    """A triangular factor of a covariance, by its correlations: what is rounding there is so in every unit."""
    scale = covariance.diagonal().clamp_min(0).sqrt()
    unit = torch.where(scale > 0, scale, 1.0)
    values, vectors = torch.linalg.eigh(covariance / unit / unit.unsqueeze(1))
    noise = len(values) * torch.finfo(values.dtype).eps * values.abs().max()
    roots = torch.where(values > noise, values, 0.0).sqrt()  # of rounding they would not be small
    return _triangular((scale.unsqueeze(1) * vectors * roots).mT)


def _triangular(x: Tensor) -> Tensor:
    """The lower triangle L with L L^T = x^T x."""
    return torch.linalg.qr(x, mode="r")[1].mT


class _Values(NamedTuple):
    whole: float
    less_real: Tensor  # [blocks], without each block of the one sample
    less_fake: Tensor


def _values(real: Tensor, fake: Tensor) -> _Values:
    x, y = feature_rows(real=real, fake=fake, least=2 * BLOCKS)
    centre = x.mean(0)
    order = (x.var(0) + y.var(0)).argsort(descending=True)
    x, y = (x - centre)[:, order], (y - centre)[:, order]
    one, other = _law(x), _law(y)
    of_x, of_y = blocks_of(x), blocks_of(y)
    less_real = torch.stack([_gap(_law(x[of_x != b]), other) for b in range(BLOCKS)])
    less_fake = torch.stack([_gap(one, _law(y[of_y != b])) for b in range(BLOCKS)])
    return _Values(float(_gap(one, other)), less_real, less_fake)


def _law(x: Tensor) -> _Law:
    mean = x.mean(0)
    return _Law(mean, _triangular(x - mean) / (len(x) - 1) ** 0.5)


def _plug_in(values: _Values, real: Tensor, fake: Tensor) -> Score:
    stderr = jackknife(values.less_real, values.less_fake)
    n, m, note = len(real), len(fake), "plug-in: falls with n"
    return Score("Fréchet distance", values.whole, stderr, n, m, side="above", replicates=BLOCKS, note=note)


def _extrapolated(values: _Values, real: Tensor, fake: Tensor) -> Score:
    least = frechet_least(real.shape[1])
    for name, x in (("real", real), ("fake", fake)):
        if len(x) < least:
            raise ArgumentError(f"{name} needs at least {least:,} rows of {real.shape[1]} features, got {len(x):,}")
    bias = (BLOCKS - 1) * float((values.less_real - values.whole).mean() + (values.less_fake - values.whole).mean())
    stderr = jackknife(values.less_real, values.less_fake)
    n, m, note = len(real), len(fake), "1/n bias removed"
    return Score("Fréchet distance, n → ∞", values.whole - bias, stderr, n, m, replicates=BLOCKS, note=note)
