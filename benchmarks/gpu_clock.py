"""What the accelerator benchmarks share: wall time that waits for the device, and errors in units of rounding."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Check(NamedTuple):
    """A number that a correct device keeps at or below ``limit``."""

    name: str
    value: float
    limit: float

    @property
    def good(self) -> bool:
        return self.value <= self.limit  # and NaN is not


def wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def seconds(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median wall time of a call, waiting for the device, after two calls that are not counted."""
    times = []
    for i in range(repeats + 2):
        wait(device)
        start = time.perf_counter()
        call()
        wait(device)
        if i >= 2:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def roundings(got: Tensor, narrow: Tensor, exact: Tensor) -> float:
    """The largest error of ``got`` over that of float32 on the CPU, ``narrow``, both against float64 there."""
    usual = (narrow.double() - exact).abs().max() + torch.finfo(torch.float32).eps * exact.abs().max()
    return float((got.cpu().double() - exact).abs().max() / usual)
