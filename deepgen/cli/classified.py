"""How often a model with labels of its own, M2 or an RBM of rows and labels, takes a row for one of another label.

Beside it stands what needs no model: the label of the nearest training row whose label the model was told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.cli.asking import known_labels, rows_of
from deepgen.cli.feed import labels_of
from deepgen.evaluate import plus_minus
from deepgen.evaluate.error_bars import error_of_share
from deepgen.evaluate.squared_distances import centred, squared_distances

if TYPE_CHECKING:
    from torch import nn

    from deepgen.data import Data


def classified(
    model: nn.Module, data: Data, split: str, source: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]] | None:
    """The share of rows whose likeliest label is wrong, as JSON and in words; None of a model or rows without labels.

    Its standard error takes rows as independent, and where all or none are wrong one more as the other way. ``source``
    is what a run on these ``data`` says of its training: of M2 the rows that kept their labels follow from it. The
    nearest row is left out for training rows, which are nearest to themselves, and where ``source`` is empty: of a run
    on other data, or of a model of which nothing is known but the weights.
    """
    from deepgen.explicit import ClassRBM
    from deepgen.implicit import SemiSupervised

    if not isinstance(model, (SemiSupervised, ClassRBM)) or data.labels is None or getattr(data.labels, split) is None:
        return None
    labels, x = known_labels(model, data, split), rows_of(getattr(data, split))
    told = _errors(torch.as_tensor(model.predict(x)), labels)
    said = f"its likeliest label is wrong for {_percent(told)} of {told['n']:,} rows"
    known = known_rows(model, data, source)
    if known is None or split == "train":
        return told, [said]
    base = rows_of(data.train)[known]
    nearest = _errors(labels_of(data, "train")[known][_nearest(x, base)], labels)
    all_of = "" if bool(known.all()) else f" {len(base):,} of the"
    told["nearest"] = {**nearest, "labelled": len(base)}
    return told, [f"{said}; that of the nearest of{all_of} {len(known):,} training rows, whose labels it was told, for "
                  f"{_percent(nearest)}"]  # fmt: skip


def known_rows(model: nn.Module, data: Data, source: Mapping[str, Any]) -> Tensor | None:
    """Of which training rows the model was told the labels, bool ``[rows]``; None where no run says so."""
    from deepgen.cli.recipes.semi_supervised import labelled_rows
    from deepgen.explicit import ClassRBM

    if data.labels is None or data.labels.train is None or "model" not in source:
        return None
    labels = labels_of(data, "train")
    return torch.ones(len(labels), dtype=torch.bool) if isinstance(model, ClassRBM) else labelled_rows(labels, source)


def _errors(chosen: Tensor, labels: Tensor) -> dict[str, Any]:
    wrong = (chosen.cpu() != labels).double()
    return {"value": float(wrong.mean()), "stderr": error_of_share(wrong), "n": len(wrong)}


def _percent(told: Mapping[str, Any]) -> str:
    return f"{plus_minus(100 * told['value'], 100 * told['stderr'])} %"


def _nearest(x: Tensor, base: Tensor) -> Tensor:
    """Which row of ``base`` is nearest to each of ``x``: ``[n]``."""
    base, x = centred(base.flatten(1), x.flatten(1))
    return torch.cat([squares.argmin(1) for _, squares in squared_distances(x, base)])
