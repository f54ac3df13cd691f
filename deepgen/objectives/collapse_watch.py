"""A collapsed posterior, noticed in the KL that a bound logs and said in words."""

from __future__ import annotations

import warnings

from torch import nn

from deepgen.evaluate.collapse import NOTHING, CollapseWarning, collapsed
from deepgen.train.history import Record

EARLIEST = 1000  # steps before anything is said: an untrained posterior is near the prior


class Watch:
    """Called by `deepgen.fit` with every epoch's record: warns once where the mean KL is near 0.

    Args:
        after: steps before anything is said.

    >>> from deepgen.train import Record
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     Watch()(Record(9, 2000, 0.0, 0.0, {"bound": -20.0, "kl": 0.001}), nn.Linear(1, 1))
    >>> str(caught[0].message)[:52]
    'epoch 9: the posterior has collapsed onto the prior:'
    """

    def __init__(self, after: int = EARLIEST) -> None:
        self.after, self.said = after, False

    def __call__(self, record: Record, model: nn.Module) -> None:
        kl = record.metrics.get("kl")
        if kl is not None and kl < NOTHING and record.step > self.after and not self.said:
            self.said = True
            warnings.warn(f"epoch {record.epoch}: {collapsed(kl)}", CollapseWarning, stacklevel=2)
