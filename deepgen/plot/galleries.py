"""The rows that a model finds hardest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ShapeError, check_count
from deepgen.explicit.contexts import check_labels
from deepgen.explicit.units import require_tensor
from deepgen.plot.images import image_grid
from deepgen.rest import at_rest
from deepgen.typing import LogProb, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@torch.no_grad()
def worst(model: Any, x: Tensor, n: int = 32, *, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Which of ``x`` have the least log p(x), and their log p, worst first; with ``labels`` the least log p(label | x).

    A row that holds NaN or infinite values, or of which the model makes NaN, has the figure NaN and comes before all.

    Args:
        model: with ``log_prob``; with ``labels`` whatever gives log probabilities of classes, ``model(x)`` or
            ``model.log_labels(x)``, ``[rows, classes]``, up to a constant a row.
        x: ``[rows, *event]``.
        n: how many, or all if there are fewer.
        labels: ``[rows]``, the true classes, integers.

    Returns:
        Numbers of rows ``[n]`` and their figures ``[n]``, in nats.

    Raises:
        MissingCapability: no labels, and a model without a normalised ``log_prob``.
        ShapeError: rows or labels that are no tensors, or do not fit together or the model.
        SupportError: values outside the model's support; labels outside its classes.

    >>> law = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), 1.0), 1)
    >>> rows, figures = worst(law, torch.tensor([[0.0, 0.0], [3.0, 3.0], [1.0, 0.0]]), 2)
    >>> rows.tolist(), figures
    ([1, 2], tensor([-10.8379,  -2.3379]))
    """
    check_count(n=n)
    require_tensor(x, "x")
    if x.ndim < 2 or len(x) == 0:
        raise ShapeError(f"x must be [rows, *event] with at least one row, got {list(x.shape)}")
    if labels is None:
        require(model, LogProb, "find the rows it makes least likely")
    else:
        require_tensor(labels, "labels")
        if labels.shape != x.shape[:1]:
            raise ShapeError(f"labels must be [{len(x)}], one a row, got {list(labels.shape)}")
    whole = x.flatten(1).isfinite().all(1).nonzero().squeeze(1)
    figures = torch.full((len(x),), math.nan)
    if len(whole):
        found = _log_probs(model, x[whole]) if labels is None else _log_labels(model, x[whole], labels[whole])
        figures = figures.to(found).index_copy(0, whole.to(found.device), found)
    order = (-figures).argsort(descending=True, stable=True)[:n]  # NaN is greatest of all, so first
    return order, figures[order]


def _log_probs(model: Any, x: Tensor) -> Tensor:
    check = getattr(model, "check", None)
    if check is not None:
        check(x)
    with at_rest(model) as resting:
        figures = torch.cat([resting.log_prob(rows) for rows in x.split(1000)])
    if figures.shape != x.shape[:1]:
        raise ShapeError(
            f"the model must give one log p a row, [{len(x)}], got {list(figures.shape)}: "
            "torch.distributions.Independent(law, 1) sums it over the last axis"
        )
    return figures


def _log_labels(model: Any, x: Tensor, labels: Tensor) -> Tensor:
    with at_rest(getattr(model, "log_labels", model)) as told:
        logits = torch.cat([told(rows) for rows in x.split(1000)])
    if logits.ndim != 2:
        raise ShapeError(
            f"the model must give [rows, classes] of rows, got {list(logits.shape)} of {len(x)}: without labels= it is "
            "judged by log_prob"
        )
    check_labels(labels, logits.shape[1])
    return logits.log_softmax(-1).gather(1, labels.long().unsqueeze(1).to(logits.device)).squeeze(1)


def mistakes(
    model: Any,
    x: Tensor,
    n: int = 32,
    *,
    labels: Tensor | None = None,
    image_shape: Sequence[int] | None = None,
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
    ink: bool | None = None,
    title: str | None = None,
    path: str | Path | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the rows that `worst` finds as images, the worst first, and say between which figures they lie.

    Look at them before anything else: mislabelled or broken rows, a kind that the model has not seen, a fault in the
    preparation of the data show here first. Other arguments are those of `image_grid`.

    >>> import deepgen as dg
    >>> figure = mistakes(dg.explicit.BernoulliMixture(4), torch.eye(4), 2)
    >>> figure.axes[0].get_title()
    'worst first: log p(x) from -2.77 to -2.77 nats'
    """
    rows, figures = worst(model, x, n, labels=labels)
    what = "log p(x)" if labels is None else "log p(label | x)"
    told = f"worst first: {what} from {float(figures[0]):.3g} to {float(figures[-1]):.3g} nats"
    title = told if title is None else f"{title}\n{told}"
    return image_grid(x[rows], image_shape, columns=columns, limits=limits, ink=ink, title=title, path=path, ax=ax)
