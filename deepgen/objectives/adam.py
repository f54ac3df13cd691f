"""Adam as objectives begin it where no other optimizer is given: torch's, in one pass through memory where it can.

Of small networks torch's plain Adam takes longer than all the rest of a step: some ten operations for each parameter.
The fused form does them in one loop, on CPUs too, and differs in rounding alone where gradients are laid out in memory
as their parameters, which those of `backward` are and `deepgen.objectives.give` sees to for others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

FUSED = ("cpu", "cuda", "xpu")


def adam(
    parameters: nn.Module | Iterable[Any], lr: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Adam:
    """Adam over what a module learns, or over parameters or groups of them.

    >>> adam(nn.Linear(2, 3), 1e-3).defaults["fused"]
    True
    """
    if isinstance(parameters, nn.Module):
        parameters = [p for p in parameters.parameters() if p.requires_grad]
    groups = list(parameters)
    every = [p for group in groups for p in ([group] if isinstance(group, Tensor) else group["params"])]
    fused = all(p.is_floating_point() and p.device.type in FUSED for p in every)
    return torch.optim.Adam(groups, lr=lr, betas=betas, fused=fused or None)
