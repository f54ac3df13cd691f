"""Hidden levels of a deep belief network drawn by the way up, with what makes importance weights of them.

w = product over l < L - 1 of p(x_l | x_(l+1)) / q(x_(l+1) | x_l),       E_q[ w f_top(x_(L-1)) ] = sum_h f(v, h)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ShapeError, check_count
from deepgen.explicit.units import as_values
from deepgen.random import resolve

if TYPE_CHECKING:
    from deepgen.explicit.dbn import DBN


class Proposed(NamedTuple):
    """Draws of hidden levels given rows, and what makes importance weights of them.

    position: what the undirected part takes ``[rows * draws, width]``, the draws of one row one after the other;
    log_weight: ``[rows, draws]``, so that exp(log_weight) f(position) has the mean sum_h f(v, h) under the draws.
    """

    position: Tensor
    log_weight: Tensor


@torch.no_grad()
def propose(dbn: DBN, v: Tensor, draws: int, *, generator: torch.Generator | int | None) -> Proposed:
    """Levels up to that below the top, ``draws`` times for each row ``[rows, visible]``; see `DBN.propose`."""
    check_count(draws=draws)
    x = as_values(dbn.visible, v, "v", dbn.top.weight).to(dbn.top.weight.device)
    if x.ndim != 2:
        raise ShapeError(f"v must be [rows, {dbn.visible.width}], got {list(x.shape)}")
    stream = resolve(generator, x.device)
    x = x.repeat_interleave(draws, 0)
    log_weight = x.new_zeros(len(x), dtype=torch.float64)
    for level in range(len(dbn.rbms) - 1):
        guess = dbn.above(level, x)
        y = guess.units.sample(guess.field, generator=stream)
        log_weight += (dbn.below(level, y).log_prob(x) - guess.log_prob(y)).double()
        x = y
    return Proposed(x, log_weight.view(-1, draws))
