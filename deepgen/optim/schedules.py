"""The schedule of the classic lectures that torch lacks: a rate that falls as one over time.

    lr_t = lr_0 / (1 + k t)^power

Where noise stays, sum lr_t = inf and sum lr_t^2 < inf make SGD converge (Robbins & Monro 1951): so with power in
(1/2, 1]; 1 is for strongly convex losses, 1/2 for convex ones. The others of the lectures are torch's:

    linear until tau      lr_0 + min(t / tau, 1) (lr_tau - lr_0)     LinearLR(opt, 1.0, lr_tau / lr_0, total_iters=tau)
    steps                 lr_0 gamma^floor(t / n)                    StepLR(opt, step_size=n, gamma=gamma)
    exponential           lr_0 e^(-k t)                              ExponentialLR(opt, gamma=math.exp(-k))

t counts calls of ``scheduler.step()``; `deepgen.fit` makes one after every epoch.
"""

from __future__ import annotations

import torch
from torch.optim.lr_scheduler import LRScheduler

from deepgen.errors import ArgumentError, check_real


class InverseTimeLR(LRScheduler):
    """lr_0 / (1 + k t)^power after t calls of ``step()``.

    Args:
        optimizer: any of torch's form.
        k: how fast it falls: at power 1 the rate is halved after 1 / k calls.
        power: of the fall.
        last_epoch: as of torch's schedulers, -1 to begin.

    Raises:
        ArgumentError: a negative ``k`` or ``power``, or no optimizer.

    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = InverseTimeLR(optimizer, k=0.5)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: torch.optim.Optimizer, k: float, power: float = 1.0, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise ArgumentError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
        check_real("k", k, 0)
        check_real("power", power, 0)
        self.k, self.power = float(k), float(power)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """The rate of each group now, from its first one and the time alone."""
        return [rate / (1 + self.k * self.last_epoch) ** self.power for rate in self.base_lrs]
