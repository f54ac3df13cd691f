"""Does a generator repeat its training rows? Its distances to them against those of held-out rows.

For each row the distance to the nearest training row. If fakes and held-out reals have one law, so have their
distances, and the two sets are exchangeable (Meehan, Chaudhuri & Dasgupta 2020, for the data-copying test).

    value = P(fake nearer than held-out) + P(equally near) / 2          0.5 for equal laws, 1 if all fakes are nearer

p-value, one-sided: twice the smaller of Mann & Whitney's test of all distances, and of the hypergeometric test of the
nearest 2 % among fakes and held-out rows together: a few copies among many good samples move only those.

Limits: it is about the features that it is given. Fakes of bad quality are far from everything, and hide copies from
the first test but not from the second.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deepgen.evaluate.score import Score, feature_rows
from deepgen.evaluate.squared_distances import centred, squared_distances, tolerance

TAIL = 0.02  # of all distances


def memorisation_test(*, train: Tensor, held_out: Tensor, fake: Tensor) -> Score:
    """Whether fakes lie nearer to the training rows than held-out rows of the same law do.

    Args:
        train: features ``[n, d]`` of the rows that the generator was fitted to.
        held_out: features ``[m, d]`` of real rows that it was not, at least 20.
        fake: features ``[l, d]`` of generated rows, at least 20.

    Returns:
        A `Score` with ``n_real`` the held-out rows; its note counts the copies, and the held-out rows that are training
        rows themselves: with continuous values there should be none.

    Raises:
        ShapeError, SupportError, ArgumentError: see `deepgen.evaluate.score.feature_rows`.

    >>> from deepgen.random import generator, normal
    >>> x = normal((600, 4), generator=generator(0))
    >>> copies = torch.cat([x[:20], x[400:580]])  # every tenth
    >>> score = memorisation_test(train=x[:200], held_out=x[200:400], fake=copies)
    >>> score.p_value < 1e-3, score.note
    (True, '20 of 200 fakes are training rows')
    """
    from scipy.stats import hypergeom, mannwhitneyu

    feature_rows(held_out=held_out, fake=fake, least=20)
    base, real, made = centred(*feature_rows(train=train, held_out=held_out, fake=fake, least=1))
    far, near = _nearest(real, base), _nearest(made, base)
    m, n = len(far), len(near)
    order = far.sort().values
    below = torch.searchsorted(order, near).double() / m  # held-out rows that are nearer
    upto = torch.searchsorted(order, near, right=True).double() / m
    each = 1 - (below + upto) / 2
    own = near.sort().values
    turn = (torch.searchsorted(own, far).double() + torch.searchsorted(own, far, right=True).double()) / (2 * n)
    stderr = math.sqrt(float(each.var()) / n + float(turn.var()) / m)  # DeLong, DeLong & Clarke-Pearson 1988
    ranks = float(mannwhitneyu(near.numpy(), far.numpy(), alternative="less", method="asymptotic").pvalue)
    pooled = torch.cat([near, far])
    edge = pooled.sort().values[max(1, math.ceil(TAIL * (m + n))) - 1]
    ours, all_ = int((near <= edge).sum()), int((pooled <= edge).sum())  # with all that are tied with the last
    tail = float(hypergeom.sf(ours - 1, m + n, n, all_))
    copies, known = int((near == 0).sum()), int((far == 0).sum())
    also = f", and {known:,} of {m:,} held-out rows" if known else ""
    return Score(
        "nearer to training",
        float(each.mean()),
        stderr,
        m,
        n,
        p_value=min(1.0, 2 * ranks, 2 * tail) if ranks == ranks else min(1.0, 2 * tail),
        floor=0.5,
        floor_spread=math.sqrt((m + n + 1) / (12 * m * n)),  # of Mann and Whitney's statistic, without ties
        note=f"{copies:,} of {n:,} fakes are training rows{also}",
    )


def _nearest(x: Tensor, base: Tensor) -> Tensor:
    """Squared distance of each row to the nearest of ``base``, [n] on the CPU; 0 within rounding."""
    found = torch.cat([squares.amin(1) for _, squares in squared_distances(x, base)])
    return torch.where(found <= tolerance(x), 0.0, found).cpu()
