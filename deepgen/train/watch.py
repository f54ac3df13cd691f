"""The figure that a fit watches: the monitor on the validation data, by default their mean log-likelihood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from deepgen.errors import ArgumentError, MissingCapability
from deepgen.evaluate.estimate import Bracket, Estimate
from deepgen.train.source import Source, as_tensor, check_rows
from deepgen.typing import LogProb

LOOK = 1000  # rows that are looked at together
Monitor = Callable[[nn.Module, Any], float | Estimate | Bracket]


class Watch:
    """``monitor`` on ``valid``, called with the model in evaluation mode: its value, and the estimate behind it."""

    def __init__(self, model: nn.Module, monitor: Monitor | None, valid: Any, source: Source) -> None:
        if monitor is not None and valid is None:
            raise ArgumentError("a monitor needs data: call fit with valid= too")
        if valid is not None and monitor is None:
            if not isinstance(model, LogProb):
                raise MissingCapability(
                    f"valid= was given, and {type(model).__name__} has no normalised log_prob to monitor by default: "
                    "pass monitor=, a function (model, valid) -> float or Estimate"
                )
            monitor = _mean_log_prob
        self.model, self.monitor = model, monitor
        self.valid = as_tensor(valid, source.dtype) if valid is not None else None
        if self.monitor is _mean_log_prob and not isinstance(self.valid, Tensor):
            self.valid = Source(valid, model, None if isinstance(valid, DataLoader) else LOOK, seed=0)
        if isinstance(self.valid, Tensor):
            self.valid = source.cast(self.valid)
            check_rows(model, self.valid)

    @torch.no_grad()
    def __call__(self) -> tuple[float | None, dict[str, Any] | None]:
        if self.monitor is None:
            return None, None
        self.model.eval()
        value = self.monitor(self.model, self.valid)
        if isinstance(value, Bracket):
            return value.below.value, value.to_dict()
        if isinstance(value, Estimate):
            return value.value, value.to_dict()
        return float(value), None


def _mean_log_prob(model: Any, x: Tensor | Source) -> Estimate:
    """Over all rows; of a Source those of its epoch 0, each with its context where it has one."""
    batches = x.split(LOOK) if isinstance(x, Tensor) else x.batches(0)
    found = [model.log_prob(*rows) if isinstance(rows, tuple) else model.log_prob(rows) for rows in batches]
    value = float(torch.cat([part.double() for part in found]).mean())
    return Estimate(value, 0.0, "exact", "mean log_prob", unit="nats/example")
