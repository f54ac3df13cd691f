"""Stochastic-gradient Hamiltonian Monte Carlo in the place of an optimizer: `deepgen.samplers.sghmc` for one chain.

    v' = (1 - r) v + lr/2 g~ + N(0, (r - lr/4 V^) lr),      w' = w + v'       g~: of log f, see `PosteriorOptimizer`

SGD with momentum 1 - r, and the noise that makes it sample. Welling and Teh's convention: at r = 1 it is SGLD; ``lr``
is twice Chen et al.'s eta. A fit that works with SGD at rate s and momentum 1 - r on the mean loss corresponds to
lr = 2 s / rows. Source: Chen, Fox & Guestrin 2014.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.errors import check_real
from deepgen.optim.posterior_optimizer import PosteriorOptimizer
from deepgen.samplers.stochastic_hamiltonian import check_friction, kicked


class SGHMC(PosteriorOptimizer):
    """Momentum, friction and noise; its iterates are draws from the posterior, off by O(``lr`` / ``friction``).

    Args:
        params, lr, rows, weight_decay, generator: as for `SGLD`.
        friction: r, in (0, 1]; momentum is 1 - r.
        gradient_noise: V^, the variance of the gradient of log f as the minibatches estimate it, or less.

    Raises:
        ArgumentError: ``friction`` below ``lr * gradient_noise / 4`` of a group, or numbers out of range.

    >>> w = torch.zeros(20_000, requires_grad=True)
    >>> optimizer = SGHMC([w], lr=1.0, friction=0.5, weight_decay=1.0, generator=0)
    >>> for _ in range(40):
    ...     w.grad = torch.zeros_like(w)
    ...     optimizer.step()
    >>> bool((w.var() - 1 / (1 - 1 / 6)).abs() < 0.06)  # the law of the step itself
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        *,
        rows: float = 1,
        weight_decay: float = 0.0,
        friction: float = 0.1,
        gradient_noise: float = 0.0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        settings = {"lr": lr, "rows": rows, "weight_decay": weight_decay, "friction": friction}
        super().__init__(params, {**settings, "gradient_noise": gradient_noise}, generator)

    def check(self, settings: dict[str, Any]) -> None:
        super().check(settings)
        check_real("gradient_noise", settings["gradient_noise"], 0)
        check_friction(settings["friction"], settings["lr"], settings["gradient_noise"])

    def move(self, parameter: Tensor, uphill: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        velocity = state.get("velocity", torch.zeros_like(parameter))
        settings = group["lr"], group["friction"], group["gradient_noise"]
        state["velocity"] = kicked(velocity, uphill, self.noise(parameter), *settings)
        parameter.add_(state["velocity"])
