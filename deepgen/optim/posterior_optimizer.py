"""What the optimizers that sample share: a loss read as a posterior, a random stream, and a state that holds both.

    log f(w) = - rows (loss(w) + weight_decay |w|^2 / 2),       gradient of log f = - rows (dloss/dw + weight_decay w)

``loss`` is the mean over a minibatch of the negative log-likelihood in nats, as loss functions of torch give it, and
``rows`` is N, how many rows the whole data have: the noise has to be in proportion to the whole posterior. With rows=1
the loss is - log f itself.

``weight_decay`` is that of `torch.optim.SGD`, added to the gradient of the mean loss. It is a prior, exactly: every
weight is N(0, 1 / (rows weight_decay)). Biases too, where they are in the same group of parameters. A prior N(0, s^2)
is weight_decay = 1 / (rows s^2). At 0 the prior is flat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from deepgen.errors import ArgumentError, CheckpointError, check_real
from deepgen.optim.settings import evaluated, some
from deepgen.random import normal, resolve
from deepgen.streams import Streams


class PosteriorOptimizer(Optimizer, ABC):
    """A `torch.optim.Optimizer` that draws from ``generator``, whose state is part of `state_dict`."""

    def __init__(self, params: Any, defaults: dict[str, Any], generator: torch.Generator | int | None) -> None:
        if isinstance(generator, Streams):
            raise ArgumentError("an optimizer has one chain and no Streams: pass dg.random.generator(seed) or a seed")
        super().__init__(some(params, "model.parameters()"), defaults)
        first = some((p for group in self.param_groups for p in group["params"]), "model.parameters()")[0]
        self.generator = resolve(generator, first.device)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One move of all parameters that have a gradient. ``closure`` computes the loss anew, and is returned."""
        loss = evaluated(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    uphill = -group["rows"] * (parameter.grad + group["weight_decay"] * parameter)
                    self.move(parameter, uphill, group, self.state[parameter])
        return loss

    @abstractmethod
    def move(self, parameter: Tensor, uphill: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Move one parameter in place; ``uphill`` is the gradient of log f."""

    def noise(self, like: Tensor) -> Tensor:
        """Standard normal numbers of the shape of ``like``."""
        return normal(like.shape, generator=self.generator, dtype=like.dtype)

    def check(self, settings: dict[str, Any]) -> None:
        """Raise `ArgumentError` for a rate that is not positive, no rows, or a negative prior precision."""
        for name, least in (("lr", 1e-300), ("rows", 1), ("weight_decay", 0)):
            check_real(name, settings[name], least)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's, which does so with every group from the first on; its settings are checked."""
        self.check({**self.defaults, **param_group})
        super().add_param_group(param_group)

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles keep: torch's part, and the random stream."""
        return {**super().__getstate__(), "generator": self.generator}

    def state_dict(self) -> dict[str, Any]:
        """As torch's, and the random stream under ``generator``."""
        return {**super().state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`, bit for bit.

        Raises:
            CheckpointError: it has no random stream, as it is another optimizer's.
        """
        if "generator" not in state_dict:
            raise CheckpointError(f"this state has no random stream, so it is not one of {type(self).__name__}")
        super().load_state_dict(deepcopy({key: value for key, value in state_dict.items() if key != "generator"}))
        self.generator.set_state(state_dict["generator"].cpu())
