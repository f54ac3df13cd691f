"""Means of metrics over an epoch that are read once, at its end, so that no step waits for the device."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from deepgen.errors import ArgumentError

_STEPS = 64  # between two times that metrics are added up


class Meter:
    """Row-weighted sums of 0-d metrics, and how many steps they stayed finite.

    A step only copies its metrics; they are added up some steps later, one after the other in the order of the steps,
    so that the sums do not depend on when that was.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums = self.finite = torch.zeros(0)
        self.rows = self.steps = 0
        self._room = torch.zeros(0)
        self._places: list[tuple[Tensor, ...]] = []  # of each number in the room; views made once
        self._waiting: list[int] = []  # rows of each step that is not added up yet

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
        if not self._places:
            self._room = self.sums.new_empty(_STEPS, len(metrics))
            self._places = [row.unbind() for row in self._room.unbind()]
        for place, value in zip(self._places[len(self._waiting)], metrics.values(), strict=True):
            place.copy_(value.detach() if value.requires_grad else value)
        self._waiting.append(rows)
        if len(self._waiting) == _STEPS:
            self._sum_up()

    def _sum_up(self) -> None:
        if self._waiting:
            values = self._room[: len(self._waiting)]
            weights = torch.tensor(self._waiting, dtype=values.dtype, device=values.device)
            running = torch.cat([self.sums.unsqueeze(0), values * weights.unsqueeze(1)]).cumsum(0)[1:]
            self.sums = running[-1].clone()
            # A sum once lost stays lost, so this counts the steps before.
            self.finite = self.finite + running.isfinite().all(1).sum()
            self._waiting.clear()

    def read(self) -> dict[str, float]:
        """The means so far."""
        self._sum_up()
        return dict(zip(self.names, (self.sums / max(self.rows, 1)).tolist(), strict=True))

    def lost(self) -> int | None:
        """Which of the steps counted was the first with a non-finite metric; None if all were finite."""
        self._sum_up()
        finite = int(self.finite) if self.names else self.steps
        return None if finite == self.steps else finite + 1

    def state_dict(self) -> dict[str, object]:
        self._sum_up()
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def load_state_dict(self, state: dict[str, object], device: torch.device) -> None:
        self._waiting.clear()
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
