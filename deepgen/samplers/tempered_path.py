"""The path from a reference law to a target, moved by the target's own kernel: annealing in one line.

    f_beta = f^beta r^(1 - beta),      log Z_0 = 0,      exact draws of r at beta = 0

The kernel's state goes along, so that a step costs what it costs in sampling; `deepgen.samplers.KernelPath` is for
paths and kernels of other kinds.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.errors import MissingCapability
from deepgen.samplers.annealing import Path
from deepgen.samplers.temperature import log_ratio, require_temperable, target_of


class TemperedPath:
    """The path of `kernel_path`.

    Args:
        kernel: exact, with ``at(beta)``, over a `Target` with a ``reference``.

    >>> import deepgen as dg
    >>> target = dg.samplers.Target(lambda x: -x.square().sum(-1), reference=dg.data.mixture([[0.0, 0.0]], 1.0))
    >>> TemperedPath(dg.samplers.mala(target, 0.5)).log_base
    0.0
    """

    log_base = 0.0

    def __init__(self, kernel: Any) -> None:
        self.kernel, self.target = require_temperable(kernel, "annealed importance sampling"), target_of(kernel)
        if self.target is None or self.target.reference is None:
            raise MissingCapability(
                "the path to this kernel's target has no beginning: give it a reference law, "
                "Target(log_density, reference=a Distribution), and make the kernel of that"
            )

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        assert self.target is not None
        return self.target.start(n, generator=generator)

    def init(self, position: Tensor) -> Any:
        return self.kernel.init(position)

    @torch.no_grad()
    def step(self, state: Any, old: float, new: float, *, generator: torch.Generator) -> tuple[Any, Tensor]:
        gain = log_ratio(self.kernel, state, old, new).double()
        moved, _info = self.kernel.at(new).step(state, generator=generator)
        return moved, gain


def kernel_path(kernel: Any) -> Path:
    """The path that ``kernel`` moves along, from the reference law of its target to the target.

    Args:
        kernel: an exact one with ``at(beta)``: `Metropolis` with any proposal, say, or a `mixture` of such.

    Raises:
        MissingCapability: a biased kernel, one without ``at``, or a target without a reference.

    >>> import math, deepgen as dg
    >>> target = dg.samplers.Target(lambda x: -x.square().sum(-1) / 2, reference=dg.data.mixture([[0.0, 0.0]], 2.0))
    >>> log_z = dg.evaluate.log_partition(dg.samplers.mala(target, 0.5), method="ais", temperatures=50, generator=0)
    >>> abs(log_z.value - math.log(2 * math.pi)) < 0.2, log_z.side  # which anneals along it
    (True, 'below')
    """
    return TemperedPath(kernel)
