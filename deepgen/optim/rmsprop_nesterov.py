"""RMSProp with Nesterov momentum: each weight at a rate of its own, and gradients taken ahead of where it is.

    g   = grad f(theta + momentum v)
    r   <- alpha r + (1 - alpha) g^2
    v   <- momentum v - lr g / sqrt(eps + r)
    theta <- theta + v

A torch optimizer finds gradients where the parameters are, so they are held at p = theta + momentum v, ahead:

    p   <- p + momentum v' - lr g / sqrt(eps + r'),         theta = p - momentum v

which is the same path. At momentum 0 it is the lectures' RMSProp; torch.optim.RMSprop divides by sqrt(r) + eps, and its
momentum is the plain one. As r starts from 0, first steps are up to 1 / sqrt(1 - alpha) times as long.

Sources: Tieleman & Hinton 2012 (RMSProp); Sutskever et al. 2013 (Nesterov momentum); Goodfellow, Bengio & Courville
2016, algorithm 8.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from deepgen.errors import check_real
from deepgen.optim.settings import evaluated, some


class RMSpropNesterov(Optimizer):
    """RMSProp with Nesterov momentum; the names of the arguments are those of torch.optim.RMSprop.

    Args:
        params: parameters or groups of them, as in torch.optim.
        lr: the rate.
        momentum: of the velocity, in [0, 1).
        alpha: of the running mean of squares, in [0, 1).
        eps: what is added to that mean under the root.

    Raises:
        ArgumentError: no parameters, ``lr`` negative, ``eps`` not positive, ``momentum`` or ``alpha`` outside [0, 1).

    >>> w = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> optimizer = RMSpropNesterov([w], lr=0.01)
    >>> for _ in range(200):
    ...     optimizer.zero_grad()
    ...     (w * torch.tensor([100.0, 1.0]) * w).sum().backward()  # as steep as it likes in one direction
    ...     optimizer.step()
    >>> bool(w.abs().max() < 0.05)
    True
    """

    def __init__(
        self, params: Any, lr: float = 0.01, *, momentum: float = 0.9, alpha: float = 0.99, eps: float = 1e-6
    ) -> None:
        params = some(params, "model.parameters()")
        super().__init__(params, {"lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's, which does so with every group from the first on; its settings are checked."""
        settings = {**self.defaults, **param_group}
        check_real("lr", settings["lr"], 0)
        check_real("eps", settings["eps"], 1e-300)
        for name in ("momentum", "alpha"):
            check_real(name, settings[name], 0, below=1)
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One move of all parameters that have a gradient. ``closure`` computes the loss anew, and is returned."""
        loss = evaluated(closure)
        for group in self.param_groups:
            momentum, alpha = group["momentum"], group["alpha"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                mean = state["square_avg"] if "square_avg" in state else torch.zeros_like(p)
                state["square_avg"] = mean.lerp(p.grad.square(), 1 - alpha)
                move = p.grad * (state["square_avg"] + group["eps"]).rsqrt_() * -group["lr"]
                state["velocity"] = move + momentum * state["velocity"] if "velocity" in state else move
                p.add_(move).add_(state["velocity"], alpha=momentum)
        return loss
