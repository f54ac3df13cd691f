"""Mean log-likelihood from below, for models that state a bound by drawing (`deepgen.typing.Bound`).

    L_k(x) = log 1/k sum_i w_i(x),   w_i = p(x, z_i) / q(z_i | x),   z_i ~ q(. | x) independent

E[L_k] <= E[L_{k+1}] <= log p(x), and L_k -> log p(x) where weights have a mean (Burda, Grosse & Salakhutdinov 2016).
The error is the jackknife's over the draws of each row; the rows are independent.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deepgen.errors import check_count
from deepgen.evaluate.arguments import check_rows
from deepgen.evaluate.error_bars import standard_error
from deepgen.evaluate.estimate import Estimate
from deepgen.evaluate.importance import row_log_mean_exp
from deepgen.evaluate.latent_rows import at, with_contexts
from deepgen.progress import bar
from deepgen.random import resolve
from deepgen.rest import answered_at_rest
from deepgen.typing import Bound, require

_ROWS = 1000  # of data at a time


@answered_at_rest
def importance_bound(
    model: Bound,
    x: Tensor,
    draws: int = 50,
    *,
    context: Tensor | None = None,
    generator: torch.Generator | int | None = None,
    progress: bool = False,
) -> Estimate:
    """The mean of L_k over rows ``[rows, *event]``, in nats/example: an `Estimate` that lies below.

    Args:
        model: with ``bound(x, samples=, generator=)``.
        x: rows of data.
        draws: k, at least 2.
        context: ``[rows, ...]``, or one for all, of a conditional model; ``model(context)`` serves as well.
        generator: a generator, a seed, or None for fresh entropy.
        progress: show a bar with the time left.

    Raises:
        MissingCapability: the model has no ``bound``.
        ShapeError, SupportError: ``x`` is no tensor of rows that the model can take.

    >>> import deepgen as dg
    >>> unit = dg.transforms.Chain([dg.transforms.Logit(), dg.transforms.Affine(2)])
    >>> model = dg.explicit.Dequantised(dg.explicit.Flow(unit, base=2), levels=4)
    >>> importance_bound(model, torch.zeros(10, 2), generator=0).side
    'below'
    """
    check_count(2, draws=draws)
    require(model, Bound, "average bounds of log-likelihoods")
    check_rows(model, x, context)
    whole, context = with_contexts(model, len(x), context)
    stream = resolve(generator, x.device)
    parts = x.split(_ROWS)
    contexts = [None] * len(parts) if context is None else context.split(_ROWS)
    values, variance = [], 0.0
    with bar(what="bound", unit="row", show=progress, total=len(x)) as moved:
        for rows, beside in zip(parts, contexts, strict=True):
            view = at(whole, beside)
            weights = torch.stack([view.bound(rows, generator=stream) for _ in range(draws)], 1)
            value, spread = row_log_mean_exp(weights)
            values.append(value)
            variance += float(spread.sum())
            moved.update(len(rows))
    each = torch.cat(values)
    return Estimate(
        float(each.mean()),
        math.sqrt(variance) / len(each),
        "below",
        f"importance-weighted bound, k = {draws}",
        n=draws * len(each),
        unit="nats/example",
        stderr_data=standard_error(each),
        settings={"k": draws},
        each=each,
    )
