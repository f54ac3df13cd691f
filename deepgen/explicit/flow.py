"""Normalizing flow: a base distribution seen through an invertible map.

    log p(x | c) = log p_base(z) + log |det dz/dx|,     z = encode(x, c)

A `Flow` is its transform and its base; the named families beside this file (`NICE`, `RealNVP`, `MAF`, `IAF`, `NSF`,
`PlanarFlow`) only choose them. Sources: Tabak & Vanden-Eijnden 2010; Rezende & Mohamed 2015; Papamakarios et al. 2021.

Limits: a flow is continuous and maps all of the base's space onto its own, so supports with holes or of lower dimension
are only approached; and a density at discrete values (pixels, counts) can be pushed to infinity: dequantise them first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from deepgen.distributions.base import StandardNormal
from deepgen.distributions.flow import FlowDistribution
from deepgen.errors import MISSING, ArgumentError, ShapeError, SupportError, check_count, is_whole, not_by_name
from deepgen.explicit.contexts import check_context, check_pair, each_context
from deepgen.random import draw, resolve
from deepgen.rest import answered_at_rest
from deepgen.transforms.base import Solved, cost, solve

_BASES = [
    f"deepgen.distributions.{name}" for name in ("StandardNormal", "StandardLogistic", "StudentT", "NormalMixture")
]


class Drawn(NamedTuple):
    """x ``[n, *event]``, log p(x) ``[n]``, and the sweeps of each autoregressive part (None where it was not swept)."""

    x: Tensor
    log_prob: Tensor
    sweeps: tuple[int | None, ...]


class Flow(nn.Module):
    """A normalizing flow; `LogProb`, `Samples`, and `Conditional` where its transform takes a context.

    Args:
        transform: with ``encode`` and ``decode``, see `deepgen.transforms`; several go into a ``Chain``.
        base: a module whose ``forward(context)`` returns a torch Distribution over ``[features]``, or the number of
            features of a standard Gaussian.
        event_shape: of one example; ``[features]`` if None.
        context: width of a context row, 0 if the flow takes none.

    >>> from deepgen.transforms import Affine
    >>> flow = Flow(Affine(2, shift=1.0), base=2)
    >>> flow.log_prob(torch.ones(1, 2)).item()  # -log 2 pi
    -1.837...
    >>> flow.sample(5, generator=0).shape
    torch.Size([5, 2])
    """

    _arguments: dict[str, Any]

    def __init__(
        self,
        transform: nn.Module,
        base: nn.Module | int,
        *,
        event_shape: tuple[int, ...] | None = None,
        context: int = 0,
    ) -> None:
        super().__init__()
        check_count(0, context=context)
        given: Any = base
        if isinstance(given, str):
            raise not_by_name("base", given, _BASES)
        if not is_whole(given) and not isinstance(given, nn.Module):
            width = given.event_shape[-1] if isinstance(given, Distribution) and given.event_shape else "features"
            raise ArgumentError(
                f"base must be a module such as deepgen.distributions.StandardNormal({width}), StudentT or "
                "NormalMixture, or your own whose forward(context) returns a torch Distribution, "
                f"got {type(given).__name__}"
            )
        self.transform = transform
        self.base: nn.Module = base if isinstance(base, nn.Module) else StandardNormal(int(base))
        self.event_shape = torch.Size(self.base(None).event_shape if event_shape is None else event_shape)
        self.context = int(context)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        if type(self) is not Flow:  # a named family builds its transform from these
            return {**self._arguments, "base": self.base}
        return {"transform": self.transform, "base": self.base, "event_shape": list(self.event_shape),
                "context": self.context}  # fmt: skip

    @property
    def device(self) -> torch.device:
        return self._like().device

    @property
    def support(self) -> Any:
        """Where the density lives: the transform's own ``domain`` if it has one, else all real vectors."""
        first = next(iter(getattr(self.transform, "transforms", ())), self.transform)
        domain = getattr(first, "domain", constraints.real)
        return constraints.independent(domain, len(self.event_shape))

    def check(self, x: Any) -> None:
        """Raise a typed error unless ``x`` are finite rows ``[n, *event]``; rows with a context come as a pair."""
        rows, context = x if isinstance(x, (tuple, list)) and len(x) == 2 else (x, None)
        if not isinstance(rows, Tensor) or rows.ndim < 1 or rows.shape[1:] != self.event_shape or len(rows) == 0:
            got = list(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
            raise ShapeError(
                f"x must be [batch, {', '.join(map(str, self.event_shape))}] with at least one row, got {got}"
            )
        if not bool(rows.isfinite().all()):
            row, column = (~rows.isfinite()).flatten(1).nonzero()[0].tolist()
            advice = MISSING if bool(rows[row].isnan().any()) else "drop those rows or replace them"
            raise SupportError(f"x holds NaN or infinite values, first in row {row}, column {column}: {advice}")
        inside = self.support.check(rows)
        if not bool(inside.all()):
            bad = (~inside).nonzero()[0].item()
            raise SupportError(f"x must lie in {self.support}, and row {bad} does not: rescale or clip the data first")
        check_pair(context, self.context, len(rows))

    def forward(self, context: Tensor | None = None) -> FlowDistribution:
        """p(x | context) as a torch Distribution: context ``[*batch, context]``, or none for a flow without."""
        check_context(context, self.context, None)
        return FlowDistribution(self, context)

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z and log |det dz/dx|: ``[batch, *event] -> ([batch, *event], [batch])``."""
        try:
            z, log_det, _ = solve(self.transform, x, context, towards="encode", method="auto")
        except (RuntimeError, TypeError):
            self._check_dtypes(x, context)
            raise
        if log_det.dtype != x.dtype:  # integers and half precision may come through, and not to the right value
            self._check_dtypes(x, context)
        return z, log_det

    def decode(self, z: Tensor, context: Tensor | None = None, *, method: str = "auto") -> tuple[Tensor, Tensor]:
        """x and log |det dx/dz|, by one of the methods of `deepgen.transforms.Autoregressive` where it has a choice."""
        return self.solve(z, context, method=method)[:2]

    def solve(self, z: Tensor, context: Tensor | None = None, *, method: str = "auto") -> Solved:
        """`decode`, with the number of sweeps of each autoregressive part."""
        try:
            return solve(self.transform, z, context, towards="decode", method=method)
        except (RuntimeError, TypeError):
            self._check_dtypes(z, context)
            raise

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x | context) in nats, both in the flow's own dtype: ``[batch, *event] -> [batch]``."""
        if not isinstance(x, Tensor) or x.ndim < 1 or x.shape[1:] != self.event_shape:
            self.check(x)
        check_context(context, self.context, len(x))
        z, log_det = self.encode(x, context)
        return _score(self.base(context), z) + log_det

    @answered_at_rest
    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        method: str = "auto",
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """``n`` independent exact draws ``[n, *event]``, one for each row of ``context`` or all for one."""
        check_count(n=n)
        return self.draw(n, context, method=method, generator=generator).x

    def draw(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        method: str = "auto",
        generator: torch.Generator | int | None = None,
    ) -> Drawn:
        """Draws with their log-density and sweep counts, from one pass; differentiable where gradients are on."""
        context = each_context(context, self.context, n)
        base = self.base(context)
        shape = (n,) if base.batch_shape == torch.Size() else ()
        stream = resolve(generator, self.device)
        z = draw(base, shape, generator=stream, reparametrised=torch.is_grad_enabled() and base.has_rsample)
        x, log_det, sweeps = self.solve(z, context, method=method)
        return Drawn(x, _score(base, z) - log_det, sweeps)

    def extra_repr(self) -> str:
        way = cost(self.transform)
        return f"log_prob: {way.encode}; sample: {way.decode}"

    def _check_dtypes(self, x: Tensor, context: Tensor | None) -> None:
        """Raise unless both have the flow's dtype; called where something went wrong, so a right call costs nothing."""
        dtype = self._like().dtype
        for name, given in (("the rows", x), ("the context", context)):
            if given is not None and given.dtype != dtype:
                remedy = ", or convert the flow by flow.double()" if given.dtype == torch.float64 else ""
                raise ArgumentError(
                    f"{name} must have the flow's dtype {dtype}, got {given.dtype}: pass .to({dtype}){remedy}"
                ) from None

    def _like(self) -> Tensor:
        return next(self.parameters(), None) if any(True for _ in self.parameters()) else next(self.buffers())  # type: ignore[return-value]


def _score(base: Distribution, z: Tensor) -> Tensor:
    """log p(z); `torch.distributions.Independent` fails where there are no rows."""
    return base.log_prob(z) if len(z) else z.flatten(1).sum(1)
