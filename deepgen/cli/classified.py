"""How often a model with labels of its own, such as M2, takes a row for one of another label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepgen.cli.feed import labels_of
from deepgen.cli.rundir import rows_of
from deepgen.evaluate import plus_minus

if TYPE_CHECKING:
    from torch import nn

    from deepgen.data import Data


def classified(model: nn.Module, data: Data, split: str) -> tuple[dict[str, Any], str] | None:
    """The share of rows whose likeliest label is wrong, as JSON and in words; None of a model or rows without labels.

    Its standard error takes rows as independent, and where all or none are wrong one more as the other way.
    """
    from deepgen.explicit import ClassRBM
    from deepgen.implicit import SemiSupervised

    if not isinstance(model, (SemiSupervised, ClassRBM)) or data.labels is None or getattr(data.labels, split) is None:
        return None
    labels, x = labels_of(data, split), rows_of(getattr(data, split))
    likeliest = (model.log_labels(x) if isinstance(model, ClassRBM) else model.predict(x)).argmax(1)
    n, wrong = len(labels), int((likeliest.cpu() != labels).sum())
    share = wrong / n
    error = (share * (1 - share) / max(n - 1, 1)) ** 0.5 or 1 / (n + 1)
    told = {"value": share, "stderr": error, "n": n}
    return told, f"its likeliest label is wrong of {plus_minus(100 * share, 100 * error)} % of {n:,} rows"
