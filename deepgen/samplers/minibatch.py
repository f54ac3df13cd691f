"""A posterior over many rows of data, and its estimates from a few of them.

    log f(x) = log prior(x) + sum_{i=1..N} l_i(x),      l_i(x) = log p(row_i | x)
    estimate:  log prior(x) + N/n sum_{i in B} l_i(x),   B: n rows drawn uniformly with replacement

The target owns the data and draws its batch from the generator of the step, so a kernel stays a pure function
``step(state, *, generator)``: what it does is fixed by the state and the place in the random stream, and a run goes
on bit for bit. Each chain draws a batch of its own, so that chains stay independent; ``common=True`` gives all chains
one batch, which reads n rows instead of chains x n but makes the chains move together: their average is then hardly
better than one chain's.

The estimate and its gradient are unbiased. The covariance of the gradient is V = N^2/n Cov_i(grad l_i(x)), with the
rows' population covariance. ``centre=c``, a point near the mode, takes away most of it: with G = sum_i grad l_i(c),

    estimate:  log prior(x) + sum_i l_i(c) + (x - c)'G + N/n sum_{i in B} [l_i(x) - l_i(c) - (x - c)'grad l_i(c)]

has a gradient of variance O(|x - c|^2), at twice the cost. Source: Baker, Fearnhead, Fox & Nemeth 2019, "Control
variates for stochastic gradient MCMC".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from deepgen.errors import MissingCapability, ShapeError, SupportError, check_count
from deepgen.random import shared, uniform
from deepgen.samplers.laws import lenient, unchecked
from deepgen.samplers.target import Estimated, Target, as_target, over_reals, slope_of

Rows = tuple[Tensor, ...]


class Posterior(Target):
    """The `Target` log prior + sum of the rows' log-likelihoods. Exact kernels take it as it is.

    Args:
        prior: a torch Distribution over one event or over one coordinate of it, or a function ``[chains, *event] ->
            [chains]``.
        log_likelihood: ``(x, *rows) -> [chains, n]``, one number a row; x is ``[chains, *event]``, and every tensor of
            rows ``[chains, n, ...]``, or ``[1, n, ...]`` where all chains see the same. A NaN is passed on and
            rejected, so Distributions in it are best made with ``validate_args=False``.
        data: a tensor ``[N, ...]`` or a tuple of them: what the rows are taken from.

    Raises:
        ShapeError: no rows, or tensors of different lengths.

    >>> from torch.distributions import Normal
    >>> posterior = Posterior(Normal(0.0, 1.0), lambda m, x: -(x - m).square() / 2, torch.tensor([1.0, 2.0, 3.0]))
    >>> posterior.slope(torch.tensor([[1.0]]))[1]  # -m + sum (x - m)
    tensor([[2.]])
    """

    def __init__(
        self,
        prior: Distribution | Callable[[Tensor], Tensor],
        log_likelihood: Callable[..., Tensor],
        data: Tensor | Rows,
    ) -> None:
        rows = tuple(data) if isinstance(data, (tuple, list)) else (data,)
        if not all(isinstance(part, Tensor) for part in rows):
            kinds = ", ".join(sorted({type(part).__name__ for part in rows}))
            raise ShapeError(
                f"data must be a tensor [N, ...] or a tuple of them, got {kinds}: torch.as_tensor makes one"
            )
        lengths = [len(part) if part.ndim else 0 for part in rows]
        if not rows or len(set(lengths)) > 1 or lengths[0] == 0:
            raise ShapeError(f"data must be tensors [N, ...] with one number of rows, at least 1; got {lengths} rows")
        known = isinstance(prior, Distribution) and not prior.batch_shape and bool(prior.event_shape)
        super().__init__(self._whole, reference=prior if known else None)  # type: ignore[arg-type]
        self.log_prior = _prior(prior)
        self.log_likelihood, self.rows = log_likelihood, rows

    __hash__, __eq__ = object.__hash__, object.__eq__

    def __len__(self) -> int:
        """N."""
        return len(self.rows[0])

    def on(self, x: Tensor, rows: Rows) -> Tensor:
        """The log-likelihood of each row, ``[chains, n]``, checked."""
        with lenient():
            value = self.log_likelihood(x, *rows)
        expected = (len(x), rows[0].shape[1])
        if value.shape != expected:
            raise ShapeError(
                f"log_likelihood of {expected[0]} chains and {expected[1]} rows must be {list(expected)}, one number a "
                f"row, got {list(value.shape)}"
            )
        return value

    def minibatches(self, size: int, *, common: bool = False, centre: Tensor | None = None) -> Minibatches:
        """Estimates from ``size`` rows, for the stochastic-gradient kernels; see `Minibatches`."""
        return Minibatches(self, size, common, centre)

    def _whole(self, x: Tensor) -> Tensor:
        return self.log_prior(x) + self.on(x, tuple(part[None] for part in self.rows)).sum(1)


@dataclass(frozen=True, eq=False)
class Minibatches:
    """The posterior by estimates from ``size`` rows, drawn anew at every one: what `sgld` and its relatives take.

    Attributes:
        posterior: the `Posterior`.
        size: n, rows of a batch, drawn with replacement.
        common: one batch for all chains.
        centre: None, or c ``[*event]``: the control variate.

    >>> import deepgen as dg
    >>> from torch.distributions import Normal
    >>> posterior = Posterior(Normal(0.0, 1.0), lambda m, x: -(x - m).square() / 2, torch.arange(100.0))
    >>> batches = Minibatches(posterior, 10)
    >>> value, gradient = batches.estimate(torch.zeros(10_000, 1), generator=dg.random.streams(0))
    >>> bool((gradient.mean() - 4950).abs() < 4 * gradient.std() / 100)
    True
    >>> dg.samplers.mala(batches, 0.1)
    Traceback (most recent call last):
    deepgen.errors.MissingCapability: minibatches only estimate a log density, and this kernel needs the density ...
    """

    posterior: Posterior
    size: int
    common: bool = False
    centre: Tensor | None = None
    at_centre: tuple[Tensor, Tensor] | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        check_count(size=self.size)
        if self.centre is not None:
            self._check_centre(self.centre)
            at = self._fixed(self.centre[None], tuple(part[None] for part in self.posterior.rows))
            object.__setattr__(self, "at_centre", at)

    def _check_centre(self, centre: object, event: torch.Size | None = None) -> None:
        reference = self.posterior.reference
        event = reference.event_shape if event is None and reference is not None else event
        if not isinstance(centre, Tensor) or (event is not None and centre.shape != event):
            got = list(centre.shape) if isinstance(centre, Tensor) else type(centre).__name__
            raise ShapeError(f"centre must be one event, {'a tensor' if event is None else list(event)}, got {got}")
        if not centre.is_meta and not bool((centre.isfinite() & centre.is_floating_point()).all()):
            raise SupportError("centre must be finite real numbers, a point near the mode")

    def draw(self, chains: int, *, generator: torch.Generator) -> Rows:
        """A batch for each chain: every tensor of the data as ``[chains, n, ...]``, or ``[1, n, ...]`` if common."""
        count = len(self.posterior)
        if self.common:
            share = shared(self.size, generator=generator, dtype=torch.float64)[None]
        else:
            share = uniform((chains, self.size), generator=generator, dtype=torch.float64)
        index = (share * count).long().clamp_max_(count - 1)
        return tuple(part[index] for part in self.posterior.rows)

    def estimate(self, x: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Unbiased estimates of log f ``[chains]`` and of its gradient ``[chains, *event]``."""
        return self.estimate_on(x, self.draw(len(x), generator=generator))

    def estimate_on(self, x: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """What `estimate` gives for these rows, ``[chains or 1, n, ...]``."""
        posterior, weight = self.posterior, len(self.posterior) / rows[0].shape[1]
        if self.centre is None or self.at_centre is None:
            return slope_of(lambda x: posterior.log_prior(x) + weight * posterior.on(x, rows).sum(1), x)
        value, gradient = self._fixed(self.centre.expand_as(x), rows)
        value, gradient = self.at_centre[0] - weight * value, self.at_centre[1] - weight * gradient
        away = x - self.centre
        near, slope = slope_of(lambda x: posterior.log_prior(x) + weight * posterior.on(x, rows).sum(1), x)
        return near + value + (away * gradient).reshape(len(x), -1).sum(1), slope + gradient

    def probe(self, x: Tensor) -> Tensor:
        """The log density of the first row alone, to check shapes with."""
        if self.centre is not None:
            self._check_centre(self.centre, x.shape[1:])
        return self.posterior.log_prior(x) + self.posterior.on(
            x, tuple(part[None, :1] for part in self.posterior.rows)
        ).sum(1)

    def gradient_noise(self, position: Tensor, *, chunk: int = 4096) -> Tensor:
        """V, the covariance of the gradient's estimate at ``position`` ``[*event]``: ``[D, D]`` in float64, exact.

        Every row is a batch of its own here, ``chunk`` rows at a time. What a batch of n rows has is N^2/n of the
        covariance of the rows' gradients.
        """
        check_count(chunk=chunk)
        posterior, parts = self.posterior, []
        for start in range(0, len(posterior), chunk):
            rows = tuple(part[start : start + chunk, None] for part in posterior.rows)
            x = position.expand(len(rows[0]), *position.shape)
            gradient = self._fixed(x, rows)[1]
            if self.centre is not None:
                gradient = gradient - self._fixed(self.centre.expand_as(x), rows)[1]
            parts.append(gradient.reshape(len(x), -1).double())
        return torch.cat(parts).mT.cov(correction=0).reshape(position.numel(), -1) * len(posterior) ** 2 / self.size

    def _fixed(self, x: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """The log-likelihood of rows without the prior, and its gradient."""
        return slope_of(lambda x: self.posterior.on(x, rows).sum(1), x)


@dataclass(frozen=True)
class Whole:
    """A `Target` in the place of minibatches: its estimates are exact, and draw nothing."""

    target: Target

    def estimate(self, x: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return self.target.slope(x)

    def probe(self, x: Tensor) -> Tensor:
        return self.target.log_density(x)


def estimated(source: object) -> Estimated:
    """What stochastic-gradient kernels take: minibatches, or all that `as_target` takes, with its whole gradient.

    Raises:
        MissingCapability: neither, or values that are discrete and have no gradient, or lie on a part of the line.
    """
    if isinstance(source, Estimated) and not isinstance(source, type):
        return source
    target = as_target(source)
    if target.discrete:
        raise MissingCapability("a gradient moves real values, and those of this target are discrete")
    return Whole(over_reals(target, "a gradient"))


def _prior(prior: Any) -> Callable[[Tensor], Tensor]:
    if isinstance(prior, Distribution):
        law = unchecked(prior)
        return lambda x: law.log_prob(x).reshape(len(x), -1).sum(1)
    if callable(prior):
        return prior
    raise MissingCapability(
        f"prior must be a torch Distribution or a function [chains, *event] -> [chains], got {type(prior).__name__}"
    )
