"""Several models as one: the mean of their probabilities.

    log p(x) = log 1/K sum_k p_k(x) = logsumexp_k log p_k(x) - log K

It lies nowhere below the mean of the models' log p(x), by Jensen's inequality, and is a normalised law again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.random import resolve
from deepgen.rest import answered_at_rest
from deepgen.typing import LogProb, Samples, require


class Ensemble(nn.Module):
    """The equal mixture of ``models``, each with `LogProb`; its rows come each from one of them, drawn at random.

    Raises:
        ArgumentError: no models.
        MissingCapability: a model without a normalised ``log_prob``; of ``sample``, without exact draws.

    >>> import deepgen as dg
    >>> models = [dg.explicit.MADE(4, hidden=[8], generator=seed) for seed in range(3)]
    >>> both = Ensemble(models)
    >>> x = both.sample(100, generator=0)
    >>> bool((both.log_prob(x) >= sum(m.log_prob(x) for m in models) / 3 - 1e-5).all())
    True
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        if not models:
            raise ArgumentError("an ensemble needs at least one model, got none")
        for model in models:
            require(model, LogProb, "average probabilities")
        self.models = nn.ModuleList(models)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"models": list(self.models)}

    @property
    def support(self) -> Any:
        """That of the first model."""
        return getattr(self.models[0], "support", None)

    def check(self, x: Tensor) -> None:
        """Typed errors for rows that a model does not take."""
        for model in self.models:
            check: Any = getattr(model, "check", None)
            if check is not None:
                check(x)

    def log_prob(self, x: Tensor) -> Tensor:
        """``[batch, *event] -> [batch]``, normalised, in nats."""
        each = torch.stack([model.log_prob(x) for model in self.models])  # type: ignore[operator]
        return each.logsumexp(0) - math.log(len(self.models))

    @answered_at_rest
    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """``[n, *event]``, independent exact draws."""
        check_count(n=n)
        for model in self.models:
            require(model, Samples, "draw from an ensemble")
        stream = resolve(generator, next(self.parameters(), torch.zeros(0)).device)
        which = torch.randint(len(self.models), (n,), generator=stream, device=stream.device)
        counts = which.bincount(minlength=len(self.models)).tolist()
        each: Any = zip(self.models, counts, strict=True)
        out = torch.cat([model.sample(count, generator=stream) for model, count in each if count])
        # rows of one model stand together; each goes to a place where it was drawn
        return out[which.argsort(stable=True).argsort()]
