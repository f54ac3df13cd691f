"""What estimates of latent-variable models share: the model at the context of some rows, and draws of z for them.

Random numbers are drawn for 64 rows at a time from a generator of these rows' own, whatever else bounds the memory, so
that what is estimated does not depend on how the work is cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError
from deepgen.explicit.contexts import as_label
from deepgen.explicit.units import require_tensor
from deepgen.random import draw, lend, normal, spawn
from deepgen.rest import at_rest
from deepgen.samplers.laws import innermost, unchecked
from deepgen.typing import Joint, Latent

ROWS = 64  # that draw together
_SHORT = 80  # letters of a support that are printed as they are


def with_contexts(model: Any, rows: int, context: Tensor | None) -> tuple[Any, Tensor | None]:
    """The model and a context for each of ``rows``; those that a model had filled in are taken out again.

    Raises:
        ShapeError: neither one context nor as many as rows.

    >>> import deepgen as dg
    >>> cvae = dg.implicit.mlp_cvae(6, [8], latent=2, classes=3, generator=0)
    >>> with_contexts(cvae(torch.tensor([2])), 4, None)[1]
    tensor([2, 2, 2, 2])
    """
    unfilled: Any = getattr(model, "unfilled", None)
    if unfilled is not None and context is None:
        model, context = unfilled()
    if context is None:
        return model, None
    context = as_label(context)
    require_tensor(context, "context")
    context = context.reshape(1) if context.ndim == 0 else context  # one label for all
    if len(context) not in (1, rows):
        raise ShapeError(f"{len(context)} contexts were given for {rows} rows: give one for each, or one for all")
    return model, context.expand(rows, *context.shape[1:])


def devices_of(model: Any) -> list[str]:
    """Where its parameters and buffers lie: several devices of a model in parts, none of what has no tensors."""
    tensors = (*model.parameters(), *model.buffers()) if isinstance(model, nn.Module) else ()
    return sorted({str(each.device) for each in tensors})


def require_one_device(model: Any, x: Tensor, context: Tensor | None = None) -> None:
    """Raise `ArgumentError` unless rows and contexts lie where the model has parameters, if it has any.

    >>> require_one_device(nn.Linear(2, 1, device="meta"), torch.zeros(3, 2))
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: the model is on meta and x on cpu: move one by .to()
    """
    unfilled: Any = getattr(model, "unfilled", None)
    if unfilled is not None and context is None:
        model, context = unfilled()
    places = devices_of(model)
    for name, rows in (("x", x), ("context", context)):
        if isinstance(rows, Tensor) and places and str(rows.device) not in places:
            raise ArgumentError(f"the model is on {', '.join(places)} and {name} on {rows.device}: move one by .to()")
    if isinstance(x, Tensor) and isinstance(context, Tensor) and x.device != context.device:
        raise ArgumentError(f"x is on {x.device} and context on {context.device}: move one by .to()")


class Block(NamedTuple):
    """view: the model at these rows' context; x: the rows ``[rows, *event]``; stream: their own generator."""

    view: Any
    x: Tensor
    stream: torch.Generator


def is_joint(model: Any, context: Tensor | None = None) -> bool:
    """Whether ``model`` has ``prior()`` and ``likelihood(z)``, by itself or at a context.

    >>> import deepgen as dg
    >>> is_joint(dg.RBM(3, 2))
    False
    """
    return isinstance(at(model, context), Joint)


def at(model: Any, context: Tensor | None) -> Any:
    """The model of rows with this context: ``model(context)``, or ``model`` itself without one.

    Raises:
        ArgumentError: a context for a model that takes none.
    """
    if context is None:
        return model
    if not callable(model) or getattr(type(model), "forward", None) is nn.Module.forward:
        raise ArgumentError(f"{type(model).__name__} takes no context: leave context= out, and give rows alone")
    return model(context)


def require_joint(model: Any, context: Tensor | None, *, posterior: bool, purpose: str) -> None:
    """Raise `MissingCapability` unless the model has what ``purpose`` needs: prior, likelihood, perhaps q(z | x)."""
    if context is None and getattr(model, "context", None):
        raise MissingCapability(
            f"{type(model).__name__} has prior, likelihood and posterior at a context: give context=, or to "
            "likelihood_ladder rows and contexts as a pair"
        )
    view = at(model, context[:1] if isinstance(context, Tensor) and context.ndim else context)  # one says it all
    if not isinstance(view, Latent if posterior else Joint):
        name = type(model).__name__
        if posterior and isinstance(view, Joint):
            raise MissingCapability(
                f"{name} has no posterior(x), which is needed {purpose}: draw from the prior instead, by "
                'method="prior" (few draws find a row) or method="ais"'
            )
        raise MissingCapability(
            f"{name} has no prior() and likelihood(z), which are needed {purpose}"
            + (" (a generator with a stated noise: deepgen.implicit.Decoder)" if not posterior else "")
        )


def blocks(model: Any, x: Tensor, context: Tensor | None, stream: torch.Generator) -> Iterator[Block]:
    """Rows by 64, each block with a generator of its own; the model rests meanwhile."""
    parts = x.split(ROWS)
    contexts = [None] * len(parts) if context is None else context.split(ROWS)
    with at_rest(model):
        for part, beside, own in zip(parts, contexts, spawn(stream, len(parts)), strict=True):
            yield Block(at(model, beside), part, own)


def prior_draw(block: Block) -> Tensor:
    """One z of the prior for each row ``[rows, *latent]``."""
    prior = block.view.prior()
    return draw(prior, () if prior.batch_shape else (len(block.x),), generator=block.stream)


def drawn(law: Distribution, draws: int, rows: int, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """z ``[draws, rows, *latent]`` and their log density ``[draws, rows]``; a law without a batch serves all rows.

    >>> normal = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), 1.0), 1)
    >>> z, log_q = drawn(normal, 5, 3, torch.Generator())
    >>> z.shape, log_q.shape
    (torch.Size([5, 3, 2]), torch.Size([5, 3]))
    """
    if tuple(law.batch_shape) not in ((), (rows,)):
        raise ShapeError(
            f"the law of z must have the batch shape [{rows}] of the rows, or none, got {list(law.batch_shape)}: "
            "sum over the latent's own axes, torch.distributions.Independent(law, 1)"
        )
    shape = (draws,) if law.batch_shape else (draws, rows)
    if isinstance(law, Independent) and isinstance(law.base_dist, Normal):
        return _normal(law, (*shape, *law.batch_shape, *law.event_shape), stream)
    both = getattr(law, "rsample_and_log_prob", None)  # a flow that would be slow to invert
    if both is None:
        z = draw(law, shape, generator=stream)
        return z, law.log_prob(z)
    with lend(stream):
        z, log_q = both(torch.Size(shape))
    return z, log_q


def _normal(law: Any, shape: tuple[int, ...], stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """`drawn` from independent normals, whose density follows from their noise; torch takes many times as long."""
    base, axes = law.base_dist, tuple(range(-law.reinterpreted_batch_ndims, 0))
    noise = normal(shape, generator=stream, dtype=base.loc.dtype)
    square = (noise.square() / 2 + base.scale.log()).sum(axes)
    return torch.addcmul(base.loc, base.scale, noise), -square - law.event_shape.numel() * math.log(2 * math.pi) / 2


def observed(law: Any) -> str:
    """The name of a law p(x | z), for settings: what was taken to be observed, and the sigma of one noise for all.

    >>> observed(torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), 0.5), 1))
    'Normal of sigma 0.5'
    """
    while isinstance(law, Independent):
        law = law.base_dist
    name = type(law).__name__
    if isinstance(law, Normal):
        least, most = (float(end) for end in law.scale.detach().aminmax())
        return f"{name} of sigma {most:.6g}" if least == most else name
    return name


def check_law_takes(law: Distribution, x: Tensor) -> None:
    """Raise where rows lie outside the support of p(x | z), such as grey values under a Bernoulli.

    Raises:
        ShapeError: it is a law over rows of another shape, or over single values.
        SupportError: values outside.
    """
    if law.event_shape != x.shape[1:]:
        raise ShapeError(
            f"likelihood(z) is a law over rows {list(law.event_shape)}, and x is {list(x.shape)}: reshape the data, or "
            "sum over the event's axes, torch.distributions.Independent(law, axes)"
        )
    try:
        support: Any = law.support
        inside = support.check(x)
    except (NotImplementedError, AttributeError):  # a law that does not say
        return
    if not bool(inside.all()):
        lowest, highest = float(x.min()), float(x.max())
        raise SupportError(
            f"the likelihood is a law over {_in_words(support)}, and x has values outside it (from {lowest:g} to "
            f"{highest:g}): a probability of other values is none. Make grey values binary, or choose a likelihood of "
            "real values"
        )


def _in_words(support: Any) -> str:
    """A support's name, and its bounds unless they are tensors of many numbers, as of a law that bounds each value."""
    told = str(support)
    return told if len(told) <= _SHORT else f"{type(innermost(support)).__name__.strip('_')}s with bounds of their own"


def log_likelihood(view: Any, z: Tensor, x: Tensor, axes: int, law: Any = None) -> Tensor:
    """log p(x | z) of ``[*draws, rows]`` pairs, its shape checked; ``axes`` of z are those of one latent.

    ``law`` is that of x given z, if it is there. Bits and levels often come as integers, which torch's densities do
    not take.
    """
    law = unchecked(view.likelihood(z) if law is None else law)  # torch would look at all of x each time
    value: Tensor = law.log_prob(x.to(z.dtype))
    wanted = z.shape[: z.ndim - axes]
    if value.shape != wanted:
        raise ShapeError(
            f"likelihood(z).log_prob(x) must be {list(wanted)}, one number a row and draw, got {list(value.shape)}: "
            "sum over the event's axes, torch.distributions.Independent(law, axes)"
        )
    return value
