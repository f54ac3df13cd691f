"""The mean log-likelihood under a normalised density, and what an estimate says of the rows that it is of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ShapeError
from deepgen.evaluate.error_bars import standard_error
from deepgen.evaluate.estimate import Estimate
from deepgen.typing import LogProb

_NUMBERS = 2**17  # of data that go through a model together


@torch.no_grad()
def exact_mean(model: LogProb, x: Tensor, context: Tensor | None) -> Estimate:
    """Mean of ``log_prob`` over rows ``x``, each with its ``context`` where there is one, in nats/example.

    Raises:
        ShapeError: ``log_prob`` gives no single number a row.
    """
    few = max(1, min(10_000, _NUMBERS // x[0].numel()))  # a network's inner layers are many times as wide as its rows
    if getattr(model, "batch_shape", ()):
        few = len(x)  # a law for each row, which are not to be told from one another by parts
    beside = () if context is None else (context.split(few),)
    each = []
    for parts in zip(x.split(few), *beside, strict=True):
        value, n = model.log_prob(*parts), len(parts[0])
        if value.shape not in ((n,), (n, 1)):
            raise ShapeError(
                f"log_prob(x) must be [{n}], one number a row, got {list(value.shape)}: sum over the event's axes, "
                "torch.distributions.Independent(law, axes)"
            )
        each.append(value.reshape(n))
    rows = torch.cat(each).double()
    settings = {"data": provenance_of(x), "rows": len(x)}
    return Estimate(
        float(rows.mean()), 0.0, "exact", "mean log_prob", unit="nats/example", stderr_data=standard_error(rows),
        settings=settings, each=rows,
    )  # fmt: skip


def provenance_of(x: Tensor) -> dict[str, Any]:
    """Where rows come from, for the settings of an estimate."""
    from deepgen.data import provenance

    return dict(provenance(x))
