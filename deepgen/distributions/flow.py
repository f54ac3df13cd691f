"""A flow, with its context bound, as a torch Distribution.

It holds the module itself and nothing derived from it: no cache of past values and no weak reference, so it stays right
after the parameters move, pickles, deep-copies, and works inside ``MixtureSameFamily``, ``Independent`` and
``TransformedDistribution``. Like every torch Distribution it draws from torch's global stream, unless a ``generator``
is handed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from deepgen.errors import MissingCapability, ShapeError
from deepgen.share import tiled

if TYPE_CHECKING:
    from deepgen.explicit.flow import Flow


class FlowDistribution(Distribution):
    """p(x | context) of a `deepgen.explicit.Flow`: what ``flow(context)`` returns.

    ``batch_shape`` is that of the context, ``event_shape`` that of one example. ``mean``, ``variance``, ``stddev``,
    ``entropy``, ``cdf`` and ``icdf`` have no closed form: they raise torch's NotImplementedError, which is a
    `MissingCapability` too, with the line that estimates them from draws.

    >>> import deepgen as dg
    >>> flow = dg.explicit.MAF(2, transforms=2, context=3, generator=0)
    >>> p = flow(torch.zeros(4, 3))
    >>> p.batch_shape, p.event_shape, p.log_prob(torch.zeros(2)).shape
    (torch.Size([4]), torch.Size([2]), torch.Size([4]))
    >>> p.rsample((5,)).shape
    torch.Size([5, 4, 2])

    The entropy, in nats, and its standard error:

    >>> p = dg.explicit.MAF(2, transforms=2, generator=0)()
    >>> surprise = -p.log_prob(p.sample((10_000,), generator=0))
    >>> entropy, stderr = surprise.mean(), surprise.std() / 10_000**0.5
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (the base class declares it a property)

    def __init__(self, flow: Flow, context: Tensor | None = None, batch_shape: torch.Size | None = None) -> None:
        self.flow, self.context = flow, context
        if batch_shape is None:
            batch_shape = torch.Size() if context is None else context.shape[:-1]
        super().__init__(batch_shape, torch.Size(flow.event_shape), validate_args=False)

    @property
    def support(self) -> Any:
        return self.flow.support

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return bool(self.flow.base(None).has_rsample)

    def expand(self, batch_shape: Any, _instance: Any = None) -> FlowDistribution:
        """The same law repeated over a larger batch, nothing copied."""
        shape, own = torch.Size(batch_shape), self.batch_shape
        kept = shape[len(shape) - len(own) :]
        if len(kept) != len(own) or any(a not in (1, b) for a, b in zip(own, kept, strict=True)):
            raise ShapeError(f"a batch {list(own)} does not expand to {list(shape)}: give as many contexts")
        context = None if self.context is None else self.context.expand(*shape, -1)
        return type(self)(self.flow, context, shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """In nats: ``[*sample, *batch, *event] -> [*sample, *batch]``, by broadcasting."""
        lead = value.ndim - len(self.event_shape)
        if lead < 0 or value.shape[lead:] != self.event_shape:
            raise ShapeError(f"value must end in {list(self.event_shape)}, got {list(value.shape)}")
        try:
            shape = torch.broadcast_shapes(value.shape[:lead], self.batch_shape)
        except RuntimeError:
            wanted = [*self.batch_shape, *self.event_shape]
            raise ShapeError(
                f"value must broadcast to [..., {', '.join(map(str, wanted))}], got {list(value.shape)}"
            ) from None
        rows = value.expand(*shape, *self.event_shape).reshape(-1, *self.event_shape)
        return self.flow.log_prob(rows, self._rows(shape)).reshape(shape)

    @torch.no_grad()
    def sample(self, sample_shape: Any = (), *, generator: torch.Generator | int | None = None) -> Tensor:
        """Draws without gradients: ``[*sample, *batch, *event]``."""
        return self._draw(sample_shape, generator)[0]

    def rsample(self, sample_shape: Any = (), *, generator: torch.Generator | int | None = None) -> Tensor:
        """Draws with gradients to the parameters and the context."""
        return self.rsample_and_log_prob(sample_shape, generator=generator)[0]

    def rsample_and_log_prob(
        self, sample_shape: Any = (), *, generator: torch.Generator | int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draws with gradients and their log-density, from one pass."""
        if not self.has_rsample:
            raise MissingCapability(
                f"the base {type(self.flow.base).__name__} has no rsample: draw with sample, or choose another base"
            )
        return self._draw(sample_shape, generator)

    @property
    def mean(self) -> Tensor:
        raise _no_closed_form("mean", "x.mean(0)")

    @property
    def variance(self) -> Tensor:
        raise _no_closed_form("variance", "x.var(0)")

    def entropy(self) -> Tensor:
        raise _no_closed_form("entropy", "-p.log_prob(x).mean(0)")

    def cdf(self, value: Tensor) -> Tensor:
        raise _no_closed_form("cdf", "(x <= value).all(-1).double().mean(0)")

    def icdf(self, value: Tensor) -> Tensor:
        raise _no_closed_form("icdf", "x.quantile(value, 0), column by column")

    def _draw(self, sample_shape: Any, generator: torch.Generator | int | None) -> tuple[Tensor, Tensor]:
        shape = torch.Size(sample_shape) + self.batch_shape
        with tiled(torch.Size(sample_shape).numel()):
            drawn = self.flow.draw(shape.numel(), self._rows(shape), generator=_stream(generator, self.flow.device))
        return drawn.x.reshape(*shape, *self.event_shape), drawn.log_prob.reshape(shape)

    def _rows(self, shape: torch.Size) -> Tensor | None:
        if self.context is None:
            return None
        width = self.context.shape[-1]
        return self.context.expand(*shape, width).reshape(-1, width)

    def __repr__(self) -> str:
        return f"FlowDistribution({type(self.flow).__name__}, batch_shape={tuple(self.batch_shape)})"


class NoClosedForm(MissingCapability, NotImplementedError):
    """What a flow cannot state: torch's own error for it, so that code which falls back on draws still does."""


def _no_closed_form(what: str, estimate: str) -> NoClosedForm:
    return NoClosedForm(
        f"a flow has no {what} in closed form, as its map is a network: estimate it from draws, "
        f"x = p.sample((10_000,), generator=0), by {estimate}"
    )


def _stream(source: torch.Generator | int | None, device: torch.device) -> torch.Generator:
    from deepgen.random import default_generator, resolve

    return default_generator(device) if source is None else resolve(source, device)
