"""How far a weight of an objective has come over the first updates of a run."""

from __future__ import annotations

import torch
from torch import Tensor


def come_so_far(step: Tensor | int, warmup: int) -> Tensor | float:
    """min(1, ``step`` / ``warmup``), and 1 without a warm-up. ``step``: updates done.

    >>> [float(come_so_far(step, 4)) for step in (0, 1, 4, 9)], come_so_far(0, 0)
    ([0.0, 0.25, 1.0, 1.0], 1.0)
    """
    return (torch.as_tensor(step) / warmup).clamp_max(1) if warmup else 1.0
