"""Networks between standardised numbers, put around data in units of their own.

    Standardised:  net((x - m) / s)                                 what goes in has mean 0 and variance 1
    Restored:      m + s y_1, y_2 + log s, ...                      what comes out is in the units of the data

m, s: mean and standard deviation of each column, buffers that `initialise` takes from data. A network that reads a
column of mean 1,000, or writes one, spends its training on finding out that; these two do not learn it but know it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ShapeError, check_count


class _Moments(nn.Module):
    """m and s, 0 and 1 until `initialise`."""

    shift: Tensor
    scale: Tensor

    def __init__(self, net: nn.Module, features: int) -> None:
        super().__init__()
        check_count(features=features)
        self.net, self.features = net, int(features)
        self.register_buffer("shift", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Any:
        """Take mean and deviation (1 where there is none) from rows ``[rows, features]`` of data; return self."""
        if x.ndim != 2 or x.shape[1] != self.features or len(x) == 0:
            raise ShapeError(f"x must be [rows, {self.features}], got {list(x.shape)}")
        rows = x.double()
        deviation = rows.std(0, correction=0)
        self.shift.copy_(rows.mean(0))
        self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))
        return self


class Standardised(_Moments):
    """``net`` of rows ``[rows, features]`` with their columns standardised; a context is handed on as it is.

    Args:
        net: the network.
        features: columns of a row.

    >>> net = Standardised(nn.Identity(), 2).initialise(torch.tensor([[0.0, 9.0], [4.0, 9.0]]))
    >>> net(torch.tensor([[4.0, 9.0]]))
    tensor([[1., 0.]])
    """

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"net": self.net, "features": self.features}

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        if x.shape[-1:] != (self.features,):
            raise ShapeError(f"x must be [rows, {self.features}], got {list(x.shape)}")
        found: Tensor = self.net((x - self.shift) / self.scale, *context)
        return found


class Restored(_Moments):
    """What ``net`` puts out, in the units of data ``[rows, features]``; a context is handed on as it is.

    Args:
        net: a network to ``[rows, numbers * features]``.
        features: columns of a row of data.
        numbers: 1, values alone; 2, values, then as many log standard deviations, to which log s is added.

    >>> net = Restored(nn.Identity(), 1, numbers=2).initialise(torch.tensor([[0.0], [4.0]]))
    >>> net(torch.tensor([[1.0, 0.0]]))  # one deviation above the mean, and log 2
    tensor([[4.0000, 0.6931]])
    """

    def __init__(self, net: nn.Module, features: int, *, numbers: int = 1) -> None:
        super().__init__(net, features)
        check_count(1, 2, numbers=numbers)
        self.numbers = int(numbers)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"net": self.net, "features": self.features, "numbers": self.numbers}

    def forward(self, z: Tensor, *context: Tensor) -> Tensor:
        out: Tensor = self.net(z, *context)
        if out.ndim != 2 or out.shape[1] != self.numbers * self.features:
            raise ShapeError(f"net must put out [rows, {self.numbers * self.features}], got {list(out.shape)}")
        value = out[:, : self.features] * self.scale + self.shift
        return value if self.numbers == 1 else torch.cat([value, out[:, self.features :] + self.scale.log()], 1)
