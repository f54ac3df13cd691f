"""Means of metrics over an epoch that are read once, at its end, so that no step waits for the device."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from deepgen.errors import ArgumentError


class Meter:
    """Row-weighted sums of 0-d metrics, and how many steps they stayed finite."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums = self.finite = torch.zeros(0)
        self.rows = self.steps = 0

    def add(self, metrics: dict[str, Tensor], rows: int) -> None:
        """Count ``metrics``, means over ``rows`` examples."""
        self.rows += rows
        self.steps += 1
        if not metrics:
            return
        if self.steps == 1:
            self.names = list(metrics)
            device = metrics[self.names[0]].device
            self.sums = torch.zeros(len(metrics), dtype=torch.float64, device=device)
            self.finite = torch.zeros((), dtype=torch.int64, device=device)
        if list(metrics) != self.names:
            raise ArgumentError(f"every step must return the same metrics: expected {self.names}, got {list(metrics)}")
        self.sums.add_(torch.stack(list(metrics.values())).detach(), alpha=rows)
        self.finite.add_(self.sums.isfinite().all())  # a sum once lost stays lost, so this counts the steps before

    def read(self) -> dict[str, float]:
        """The means so far."""
        return dict(zip(self.names, (self.sums / max(self.rows, 1)).tolist(), strict=True))

    def lost(self) -> int | None:
        """Which of the steps counted was the first with a non-finite metric; None if all were finite."""
        finite = int(self.finite) if self.names else self.steps
        return None if finite == self.steps else finite + 1

    def state_dict(self) -> dict[str, object]:
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, object], device: torch.device) -> None:
        vars(self).update({k: v.to(device) if isinstance(v, Tensor) else v for k, v in state.items()})


class Clock:
    """Seconds on the wall and of this process, on top of those of earlier parts of the run."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self._wall

    def cpu_seconds(self) -> float:
        return time.process_time() - self._cpu

    def add(self, seconds: float, cpu_seconds: float) -> None:
        """Count time spent before."""
        self._wall -= seconds
        self._cpu -= cpu_seconds
