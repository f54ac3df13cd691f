"""A network of images between rows of numbers, so that it stands where a dense one does.

    x [rows, n]  ->  net of [rows, *inputs]  ->  [rows, m]

What is put around a network of rows (`Standardised`, `Restored`) goes around this one too, and data stay rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from deepgen.errors import ShapeError, check_count


class Reshaped(nn.Module):
    """``net`` of rows ``[rows, n]``, which it is handed as ``[rows, *inputs]``; what it puts out is made flat.

    Args:
        net: the network.
        inputs: shape of one of its inputs, n numbers; a context and ``generator=`` are handed on as they are.

    Raises:
        ShapeError: rows of another length.

    >>> import torch, deepgen as dg
    >>> encoder = Reshaped(dg.implicit.ConvEncoder((1, 8, 8), 6, features=[2], hidden=4, generator=0), (1, 8, 8))
    >>> decoder = Reshaped(dg.implicit.ConvDecoder(3, (1, 8, 8), features=[2], hidden=4, generator=0), (3,))
    >>> encoder(torch.zeros(5, 64)).shape, decoder(torch.zeros(5, 3)).shape
    (torch.Size([5, 6]), torch.Size([5, 64]))
    """

    def __init__(self, net: nn.Module, inputs: Sequence[int]) -> None:
        super().__init__()
        check_count(**{f"inputs_{i}": n for i, n in enumerate(inputs)})
        self.net, self.inputs = net, tuple(map(int, inputs))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"net": self.net, "inputs": list(self.inputs)}

    def forward(self, x: Tensor, *context: Tensor, **options: Any) -> Tensor:
        if x.ndim != 2 or x.shape[1] != math.prod(self.inputs):
            raise ShapeError(f"x must be [rows, {math.prod(self.inputs)}], got {list(x.shape)}")
        out: Tensor = self.net(x.unflatten(1, self.inputs), *context, **options)
        return out.flatten(1)
