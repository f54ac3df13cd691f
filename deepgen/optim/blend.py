"""One step of an average of weights: an older network moved a part of the way to a newer one.

    w' <- w' + s (w - w')        s_t = (1 - beta) / (1 - beta^t)  (exponential, `share`),   s_t = 1 / t  (all alike)

By the first, w'_t = (1 - beta) sum_{i=1}^{t} beta^(t-i) w_i / (1 - beta^t): an exponential moving average without a
share of the initial weights, as Adam corrects its moments. By the second w'_t is the mean of w_1 .. w_t. Running
statistics of batch norms are averaged alike, integers are copied. The singular vectors of spectral norms are left out,
as an average of unit vectors is none: they follow the averaged weights by power iteration.

Sources: Polyak & Juditsky 1992; Kingma & Ba 2015 (the correction).
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm

Number = TypeVar("Number", float, Tensor)


def share(decay: float | None, updates: Number) -> Number:
    """s_t, what weights number ``updates`` (from 1) have in the average; a ``decay`` of None weighs all alike.

    >>> share(0.9, 1.0), round(share(0.9, 1000.0), 3), share(None, 4.0)
    (1.0, 0.1, 0.25)
    """
    return 1 / updates if decay is None else (1 - decay) / (1 - decay**updates)


@torch.no_grad()
def blend(average: nn.Module, latest: nn.Module, weight: float | Tensor) -> None:
    """Move ``average`` towards ``latest``, a module of the same names and shapes, by ``weight`` of the way.

    >>> one, other = nn.Linear(2, 1), nn.Linear(2, 1)
    >>> middle = (one.weight + other.weight) / 2
    >>> blend(one, other, 0.5)
    >>> torch.allclose(one.weight, middle)
    True
    """
    new, left = latest.state_dict(keep_vars=True), own_vectors(average)
    moved: set[int] = set()  # tied weights have several names, and move once
    for name, mean in average.state_dict(keep_vars=True).items():
        if name in left or id(mean) in moved:
            continue
        moved.add(id(mean))
        if mean.is_floating_point():
            part = weight.to(mean.dtype) if isinstance(weight, Tensor) else weight
            mean.data.lerp_(new[name].data, part)
        else:
            mean.data.copy_(new[name].data)
    follow_weights(average)


def own_vectors(net: nn.Module) -> set[str]:
    """The names, in ``net.state_dict()``, of the u and v of all spectral norms in it."""
    found = ((name, part) for name, part in net.named_modules() if isinstance(part, _SpectralNorm))
    return {f"{name}.{buffer}" for name, part in found for buffer, _ in part.named_buffers()}


@torch.no_grad()
def follow_weights(net: nn.Module) -> None:
    """One power iteration of every spectral norm in ``net``, in whatever mode it is: u and v after a move of weights.

    >>> import deepgen as dg
    >>> net = dg.implicit.SpectralNorm(nn.Linear(5, 3), generator=0).eval()
    >>> _ = net.net.parametrizations.weight.original.data.normal_(generator=torch.Generator().manual_seed(0))
    >>> for _ in range(100):
    ...     follow_weights(net)
    >>> float(torch.linalg.matrix_norm(net.net.weight, 2).detach().round(decimals=3))
    1.0
    """
    for part in net.modules():
        if isinstance(part, nn.utils.parametrize.ParametrizationList):
            for step in part:
                if isinstance(step, _SpectralNorm):
                    mode = step.training
                    step.train()(part.original)
                    step.train(mode)
