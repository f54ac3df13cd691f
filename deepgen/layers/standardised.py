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

from deepgen.errors import ShapeError, SupportError, check_count


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
        mean, deviation = moments(x, self.features)
        self.shift.copy_(mean)
        self.scale.copy_(deviation)
        return self


class Standardised(_Moments):
    """``net`` of rows ``[rows, features]`` with their columns standardised; context and ``generator=`` are handed on.

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

    def forward(self, x: Tensor, *context: Tensor, **options: Any) -> Tensor:
        if x.shape[-1:] != (self.features,):
            raise ShapeError(f"x must be [rows, {self.features}], got {list(x.shape)}")
        found: Tensor = self.net((x - self.shift) / self.scale, *context, **options)
        return found


class Restored(_Moments):
    """What ``net`` puts out, in the units of data ``[rows, features]``; context and ``generator=`` are handed on.

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

    def forward(self, z: Tensor, *context: Tensor, **options: Any) -> Tensor:
        out: Tensor = self.net(z, *context, **options)
        if out.ndim != 2 or out.shape[1] != self.numbers * self.features:
            raise ShapeError(f"net must put out [rows, {self.numbers * self.features}], got {list(out.shape)}")
        value = out[:, : self.features] * self.scale + self.shift
        return value if self.numbers == 1 else torch.cat([value, out[:, self.features :] + self.scale.log()], 1)


def moments(x: Tensor, features: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation, 1 where there is none, of each column of rows ``[rows, features]``, in float64.

    Raises:
        ShapeError: no tensor, no rows, or rows of another width.
        SupportError: NaN or infinite values.

    >>> [found.tolist() for found in moments(torch.tensor([[0.0, 9.0], [4.0, 9.0]]), 2)]
    [[2.0, 9.0], [2.0, 1.0]]
    """
    if not isinstance(x, Tensor):
        raise ShapeError(f"x must be a tensor, got {type(x).__name__}; deepgen.data.as_tensor(x) makes one")
    if x.ndim != 2 or x.shape[1] != features or len(x) == 0:
        raise ShapeError(f"x must be [rows, {features}], got {list(x.shape)}")
    if not bool(x.isfinite().all()):
        raise SupportError("x has NaN or infinite values: remove or replace those rows")
    rows = x.double()
    deviation = rows.std(0, correction=0)
    return rows.mean(0), torch.where(deviation > 0, deviation, 1.0)
