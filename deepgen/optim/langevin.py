"""Langevin dynamics in the place of an optimizer: `deepgen.samplers.sgld` and `psgld` for one chain of weights.

    SGLD:   w' = w + lr/2 g~ + N(0, lr)                                  g~: of log f, see `PosteriorOptimizer`
    PSGLD:  w' = w + lr/2 G g~ + N(0, lr G),    G = 1 / (floor + sqrt(m^)),   m: RMSprop's mean of g~^2

Welling and Teh's convention: ``lr`` is the variance of the noise. It is in units of the whole posterior, so a fit that
works with SGD at rate r on the mean loss corresponds to lr = 2 r / rows. Their schedule a (b + t)^-gamma is
``torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: (1 + t / b) ** -gamma)`` from lr = a b^-gamma.

Sources: Welling & Teh 2011; Li et al. 2016. What PSGLD neglects: `deepgen.samplers.rmsprop_langevin`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.optim.posterior_optimizer import PosteriorOptimizer
from deepgen.samplers.rmsprop_langevin import check_scale, root_of_scale
from deepgen.samplers.stochastic_gradient import langevin_move


class SGLD(PosteriorOptimizer):
    """Stochastic-gradient Langevin dynamics; its iterates are draws from the posterior, off by O(``lr``).

    Args:
        params: parameters or groups of them, as in torch.optim.
        lr: the variance of the noise.
        rows: N, the rows of the whole data, where the loss is a mean; 1 where it is minus the log posterior.
        weight_decay: as in torch.optim.SGD; the prior N(0, 1 / (rows weight_decay)).
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        ArgumentError: ``lr`` not positive, ``rows`` below 1, ``weight_decay`` negative.

    >>> w = torch.zeros(20_000, requires_grad=True)  # as many chains, each a draw from N(0, 1)
    >>> optimizer = SGLD([w], lr=0.5, weight_decay=1.0, generator=0)
    >>> for _ in range(20):
    ...     w.grad = torch.zeros_like(w)  # no data, only the prior
    ...     optimizer.step()
    >>> bool((w.var() - 1 / (1 - 0.5 / 4)).abs() < 0.06)  # the law of the step itself
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        *,
        rows: float = 1,
        weight_decay: float = 0.0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "rows": rows, "weight_decay": weight_decay}, generator)

    def move(self, parameter: Tensor, uphill: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        parameter.add_(langevin_move(uphill, self.noise(parameter), group["lr"]))


class PSGLD(PosteriorOptimizer):
    """SGLD with RMSprop's preconditioner.

    Args:
        params, lr, rows, weight_decay, generator: as for `SGLD`; ``lr`` G is the variance of the noise.
        decay: of the mean square, in [0, 1).
        floor: what is added to the root mean square of the gradient of log f, in its units.

    >>> from deepgen.layers.linear import linear
    >>> net = linear(3, 1, generator=torch.Generator().manual_seed(0))
    >>> optimizer = PSGLD(net.parameters(), lr=0.01, rows=1000, weight_decay=1e-3, generator=0)
    >>> net(torch.ones(5, 3)).square().mean().backward()
    >>> optimizer.step()
    >>> sorted(optimizer.state_dict())
    ['generator', 'param_groups', 'state']
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        *,
        rows: float = 1,
        weight_decay: float = 0.0,
        decay: float = 0.99,
        floor: float = 1.0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        settings = {"lr": lr, "rows": rows, "weight_decay": weight_decay, "decay": decay, "floor": floor}
        super().__init__(params, settings, generator)

    def check(self, settings: dict[str, Any]) -> None:
        super().check(settings)
        check_scale(settings["decay"], settings["floor"])

    def move(self, parameter: Tensor, uphill: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        if not state:
            state["step"], state["mean_square"] = 0, torch.zeros_like(parameter)
        state["mean_square"].mul_(group["decay"]).add_((1 - group["decay"]) * uphill.square())
        root = root_of_scale(state["mean_square"], state["step"], group["decay"], group["floor"])
        parameter.add_(root * langevin_move(root * uphill, self.noise(parameter), group["lr"]))
        state["step"] += 1
