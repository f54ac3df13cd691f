"""log f(x), the log-likelihood up to log Z, in float64."""

from __future__ import annotations

from torch import Tensor

from deepgen.evaluate import layered
from deepgen.evaluate.arguments import check_rows, require_machine
from deepgen.explicit.energy import EnergyModel
from deepgen.explicit.rbm import RBM
from deepgen.rest import answered_at_rest


@answered_at_rest
def log_density(model: RBM | EnergyModel, x: Tensor) -> Tensor:
    """log f(x), the log-likelihood up to log Z, in float64: ``[rows]``; of an `EnergyModel` what its network gives.

    Raises:
        MissingCapability: no machine with two layers of units, nor an `EnergyModel`.
        ShapeError, SupportError: ``x`` is no tensor of rows that the model can take.
        DivergenceError: a parameter is NaN or infinite.

    >>> import torch, deepgen as dg
    >>> log_density(dg.RBM(visible=6, hidden=4, generator=0), torch.zeros(1, 6))  # 4 log 2
    tensor([2.7726], dtype=torch.float64)
    """
    return layered.log_density(require_machine(model), check_rows(model, x))
