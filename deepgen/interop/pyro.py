"""deepgen's models in Pyro programs: a flow as a ``pyro.sample`` site and as the guide of an SVI.

Pyro asks a few things of a distribution that torch's own lack; `as_pyro` gives them to a `FlowDistribution`, and
the density and the draw come from one pass through the flow, as a guide needs both.

    def guide(x):
        flow = pyro.module("posterior", posterior)                  # its parameters join Pyro's store
        pyro.sample("z", as_pyro(flow(x)))
"""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from deepgen.distributions.flow import FlowDistribution
from deepgen.errors import ArgumentError


class PyroFlow(TorchDistribution):
    """A `FlowDistribution` with Pyro's methods; made by `as_pyro`."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, inside: FlowDistribution) -> None:
        self.inside = inside
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(inside.batch_shape, inside.event_shape, validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.inside.has_rsample

    @property
    def support(self) -> Any:
        return self.inside.support

    def __call__(self, sample_shape: Any = ()) -> Tensor:
        """A draw, and its density kept for the `log_prob` of that very tensor, which Pyro asks for next."""
        if not self.has_rsample:
            return self.inside.sample(sample_shape)
        value, log_prob = self.inside.rsample_and_log_prob(sample_shape)
        self._last = (value, log_prob)
        return value

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.inside.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.inside.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        last, self._last = self._last, None
        if last is not None and value is last[0]:
            return last[1]
        return self.inside.log_prob(value)

    def expand(self, batch_shape: Any, _instance: Any = None) -> PyroFlow:
        return PyroFlow(self.inside.expand(torch.Size(batch_shape)))


def as_pyro(distribution: FlowDistribution) -> PyroFlow:
    """Return ``distribution`` as a Pyro distribution, for ``pyro.sample``.

    It draws from torch's global stream, as everything in Pyro does: ``pyro.set_rng_seed`` governs it.

    >>> import deepgen as dg, pyro
    >>> flow = dg.explicit.IAF(2, hidden=[16], generator=0)
    >>> pyro.sample("z", as_pyro(flow())).shape
    torch.Size([2])
    """
    if not isinstance(distribution, FlowDistribution):
        raise ArgumentError(
            f"as_pyro takes what calling a flow returns, as in as_pyro(flow()) or as_pyro(flow(context)); "
            f"got {type(distribution).__name__}"
        )
    return PyroFlow(distribution)
