"""torch's Distributions as Pyro's: what `deepgen.interop.pyro.as_pyro` returns.

Pyro asks a distribution for more than torch's own have: a call that draws, ``to_event``, ``mask``, expansion in plates.
A wrapper passes on what the distribution inside can do, the closed forms of its divergences included
(``TraceMeanField_ELBO`` asks for them). That of a flow keeps the density of what it has just drawn.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from pyro.distributions import TorchDistribution
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor
from torch.distributions import Distribution, kl_divergence, register_kl

from deepgen.distributions.flow import FlowDistribution
from deepgen.errors import ArgumentError


class _Draw(NamedTuple):
    """A draw and its density, while nothing that the density depends on has changed since."""

    value: Tensor
    log_prob: Tensor
    moves: list[int]


class PyroLaw(TorchDistribution):
    """A Distribution of torch with Pyro's methods; made by `as_pyro`."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, inside: Distribution) -> None:
        self.inside: Any = inside
        super().__init__(inside.batch_shape, inside.event_shape, validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.inside.has_rsample

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self.inside.has_enumerate_support

    @property
    def support(self) -> Any:
        return self.inside.support

    @property
    def mean(self) -> Tensor:
        return self.inside.mean

    @property
    def variance(self) -> Tensor:
        return self.inside.variance

    @property
    def mode(self) -> Tensor:
        return self.inside.mode

    def entropy(self) -> Tensor:
        return self.inside.entropy()

    def cdf(self, value: Tensor) -> Tensor:
        return self.inside.cdf(value)

    def icdf(self, value: Tensor) -> Tensor:
        return self.inside.icdf(value)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.inside.sample(torch.Size(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.inside.rsample(torch.Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return self.inside.log_prob(value)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self.inside.enumerate_support(expand)

    def expand(self, batch_shape: Any, _instance: Any = None) -> PyroLaw:
        return type(self)(self.inside.expand(torch.Size(batch_shape)))


class PyroFlow(PyroLaw):
    """A `FlowDistribution` with Pyro's methods; made by `as_pyro`."""

    def __init__(self, inside: FlowDistribution) -> None:
        self._last: _Draw | None = None
        super().__init__(inside)

    def __call__(self, sample_shape: Any = ()) -> Tensor:
        """A draw, and its density kept for the `log_prob` of that very tensor, which Pyro asks for next."""
        if not self.has_rsample:
            return self.inside.sample(sample_shape)
        value, log_prob = self.inside.rsample_and_log_prob(sample_shape)
        moves = self._moves(value)
        self._last = None if moves is None else _Draw(value, log_prob, moves)
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        last, self._last = self._last, None
        if last is not None and value is last.value and last.moves == self._moves(value):
            return last.log_prob
        return self.inside.log_prob(value)

    def _moves(self, value: Tensor) -> list[int] | None:
        """How often each tensor that the density depends on has been written to, and whether gradients are on.

        None where one was made under `torch.inference_mode`, which keeps no count.
        """
        context = () if self.inside.context is None else (self.inside.context,)
        tensors = (value, *context, *self.inside.flow.parameters(), *self.inside.flow.buffers())
        if any(tensor.is_inference() for tensor in tensors):
            return None
        return [int(torch.is_grad_enabled()), *(tensor._version for tensor in tensors)]

    def __getstate__(self) -> dict[str, Any]:
        """Copies leave the kept draw behind: it belongs to a graph, which cannot be copied."""
        return self.__dict__ | {"_last": None}


def as_pyro(distribution: Distribution) -> Any:
    """Return ``distribution``, of torch or of a flow, as a Pyro distribution, for ``pyro.sample``.

    It expands in plates, takes ``to_event`` and ``mask``, and stands inside Pyro's and torch's mixtures, independent
    and transformed distributions. It draws from torch's global stream, as everything in Pyro does. One that is Pyro's
    already comes back as it is.

    >>> import deepgen as dg, pyro
    >>> flow = dg.explicit.IAF(2, hidden=[16], generator=0)
    >>> with dg.random.lend(dg.random.generator(0)):
    ...     pyro.sample("z", as_pyro(flow())).shape
    torch.Size([2])
    """
    if isinstance(distribution, TorchDistributionMixin):
        return distribution
    if not isinstance(distribution, Distribution):
        raise ArgumentError(
            f"as_pyro takes a Distribution, such as what calling a flow returns, as in as_pyro(flow()) or "
            f"as_pyro(flow(context)); got {type(distribution).__name__}"
        )
    return PyroFlow(distribution) if isinstance(distribution, FlowDistribution) else PyroLaw(distribution)


@register_kl(PyroLaw, PyroLaw)  # type: ignore[untyped-decorator]
def _kl(p: PyroLaw, q: PyroLaw) -> Tensor:
    return kl_divergence(p.inside, q.inside)
