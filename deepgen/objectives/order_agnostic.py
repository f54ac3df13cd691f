"""Training for all orders of the variables at once, for models that can be asked in any of several orders.

    maximise  the mean over orders o of  1/N sum_n log p_o(x_n),  in nats per example

by one random order (`deepgen.explicit.MADE`) or one random set of known variables a row (`deepgen.explicit.DeepNADE`)
at a time: an unbiased estimate whose cost does not depend on the number of orders. It is a lower bound on the mean
log-likelihood of the ensemble, as the mean of logarithms is at most the logarithm of the mean.

Sources: Uria, Murray & Larochelle 2014; Germain et al. 2015, section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from deepgen.objectives.adam import adam
from deepgen.objectives.bounds import Loss, descend
from deepgen.objectives.likelihood import Nothing
from deepgen.typing import Update, require


@runtime_checkable
class OrderLogProb(Protocol):
    """``order_log_prob(x, *, generator)``: ``[batch, *event] -> [batch]``, unbiased for the mean over orders."""

    def order_log_prob(self, x: Tensor, *, generator: torch.Generator | int | None = None) -> Tensor: ...


@dataclass(frozen=True)
class OrderAgnostic:
    """Gradient ascent on the mean over orders of log p_o(x), for `DeepNADE` and for `MADE` with several orders.

    The metric is ``order_log_likelihood``, that mean in nats per example, estimated from the orders drawn, of each
    batch before its step. It is no log-likelihood of the ensemble but, in expectation, lies below it.

    >>> import deepgen as dg
    >>> model = dg.explicit.DeepNADE(3, hidden=[8], generator=0)
    >>> before = model.log_prob(torch.ones(1, 3)).item()  # -3 log 2 or so
    >>> history = dg.fit(model, torch.ones(20, 3), OrderAgnostic(), epochs=50, batch_size=5, progress=False)
    >>> before, model.log_prob(torch.ones(1, 3)).item() > before + 0.5
    (-2..., True)
    """

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Nothing:
        require(model, OrderLogProb, "train for all orders at once")
        return Nothing()

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        require(model, OrderLogProb, "train for all orders at once")
        return descend(partial(self.loss, model), optimizer)

    def loss(self, model: Any, batch: Any, *, generator: torch.Generator) -> Loss:
        """Minus the mean of log p_o(x) over a batch, ``x`` or ``x`` and its context, in the orders that are drawn."""
        rows = batch if isinstance(batch, (tuple, list)) else (batch,)
        value = model.order_log_prob(*rows, generator=generator).mean()
        return Loss(-value, {"order_log_likelihood": value.detach()})

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return adam(model, lr=1e-3)
