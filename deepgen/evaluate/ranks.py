"""Order and ranks of many columns at once, and what ranks become as normal scores.

    z = Phi^-1((r - 3/8) / (N + 1/4)),      r = 1 ... N the rank among all N draws of all chains, ties at their mean

Whatever the law of the draws, their scores have moments, so diagnostics of the scores hold for heavy tails too.
Sources: Blom 1958; Vehtari, Gelman, Simpson, Carpenter & Buerkner 2021.
"""

from __future__ import annotations

import functools
from types import ModuleType

import torch
from torch import Tensor

from deepgen.compiled import few_threads, kernels, plain_memory


def order(x: Tensor) -> Tensor:
    """The places that sort each row of floating ``x`` ``[rows, n]``: integers.

    >>> order(torch.tensor([[0.5, -1.0, 0.0]])).tolist()
    [[1, 2, 0]]
    """
    compiled = _compiled(x)
    if compiled is None:
        return x.argsort(dim=1, stable=True)
    integer, unsigned = (torch.int32, "uint32") if x.dtype == torch.float32 else (torch.int64, "uint64")
    bits = (x + 0.0).view(integer)  # -0 becomes 0, which it equals
    sign = bits >> (8 * x.element_size() - 1)  # all ones in what is negative, whose order turns around
    keys = bits.bitwise_xor_(sign | torch.iinfo(integer).min)
    places = torch.empty(x.shape, dtype=torch.int32)
    compiled.argsort(keys.numpy().view(unsigned), places.numpy())
    return places


def normal_scores(x: Tensor, places: Tensor | None = None) -> Tensor:
    """The normal scores of each row of ``x`` ``[rows, n]`` among that row: float64.

    Args:
        x: floating numbers.
        places: `order` of them, if it is known already.

    >>> normal_scores(torch.tensor([[3.0, -7.0, 3.0, 1e9]]))
    tensor([[ 0.0000, -1.0491,  0.0000,  1.0491]], dtype=torch.float64)
    """
    places = order(x) if places is None else places
    table = _table(x.shape[1], x.device)
    scores = torch.empty(x.shape, dtype=torch.float64, device=x.device)
    compiled = _compiled(x)
    if compiled is not None and places.dtype == torch.int32:
        compiled.scores(x.numpy(), places.numpy(), table.numpy(), scores.numpy())
        return scores
    return scores.scatter_(1, places.long(), table[_double_ranks(x.gather(1, places.long()))])


def _double_ranks(ranked: Tensor) -> Tensor:
    """Twice the ranks of rows in order, ties at their mean: whole numbers."""
    new, edge = ranked[:, 1:] != ranked[:, :-1], torch.ones_like(ranked[:, :1], dtype=torch.bool)
    at, end = torch.arange(ranked.shape[1], device=ranked.device).expand(ranked.shape), ranked.shape[1] - 1
    first = at.where(torch.cat([edge, new], 1), 0).cummax(1).values
    last = at.where(torch.cat([new, edge], 1), end).flip(1).cummin(1).values.flip(1)
    return first + last + 2


@functools.lru_cache(maxsize=2)  # all coordinates share it
def _table(n: int, device: torch.device) -> Tensor:
    """Scores of the ranks 0, 1/2, 1, ... n among n."""
    ranks = torch.arange(2 * n + 1, dtype=torch.float64, device=device).div_(2)
    return torch.special.ndtri(ranks.sub_(0.375).div_(n + 0.25))


def _compiled(x: Tensor) -> ModuleType | None:
    plain = plain_memory(x, dtype=x.dtype) and x.is_contiguous() and 0 < x.shape[1] < 2**31
    if plain and x.dtype in (torch.float32, torch.float64) and few_threads():
        return kernels("deepgen.evaluate.rank_kernels")
    return None


def quantile(x: Tensor, places: Tensor, share: float) -> Tensor:
    """The quantile ``share`` of each row of ``x``, between draws by a straight line (R's type 7): ``[rows, 1]``,
    float64.

    >>> x = torch.tensor([[4.0, 1.0, 2.0]])
    >>> quantile(x, order(x), 0.75)
    tensor([[3.]], dtype=torch.float64)
    """
    n = x.shape[1]
    at = n * share + (1 - share)  # in this order, as whole ones are to be met as by others
    low = int(min(max(at, 1), max(n - 1, 1)))
    part = min(max(at - low, 0.0), 1.0)
    below, above = (x.gather(1, places[:, i : i + 1].long()).double() for i in (low - 1, min(low, n - 1)))
    return torch.where(below == above, below, (1 - part) * below + part * above)  # equal ones must not be rounded apart


def median(x: Tensor, places: Tensor) -> Tensor:
    """The median of each row of ``x`` in its own type, so that the middle two of an even number are equally far from
    it.

    >>> x = torch.tensor([[4.0, 1.0]])
    >>> median(x, order(x))
    tensor([[2.5000]])
    """
    n = x.shape[1]
    below, above = (x.gather(1, places[:, i : i + 1].long()) for i in ((n - 1) // 2, n // 2))
    return (below + above) / 2 if n % 2 == 0 else below
