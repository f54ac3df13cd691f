"""Weights between two levels of a deep Boltzmann machine: one matrix, or one for each of several parts side by side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepgen.layers.entering import Entering

SCALE = 0.01  # of the initial weights (Hinton 2010, section 8.1)


class Coupling(nn.Module):
    """-x.W.y between a level x below and a level y above.

    As many parts above as below are joined one to one (W is block-diagonal); a single part above is joined to all.

    Args:
        below, above: widths of the parts of the two levels.
        generator: source of the initial weights N(0, 0.01^2).

    >>> Coupling([3, 2], [4, 5], torch.Generator()).dense().shape, Coupling([3, 2], [4], torch.Generator()).widths
    (torch.Size([5, 9]), [5])
    """

    def __init__(self, below: Sequence[int], above: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        if len(above) == 1:
            below = [sum(below)]
        self.widths, self.widths_above = list(below), list(above)
        self.blocks = nn.ParameterList(
            torch.empty(a, b).normal_(0.0, SCALE, generator=generator) for a, b in zip(below, above, strict=True)
        )

    def entering(self) -> dict[str, Entering]:
        """A column of W for each unit above; see `deepgen.layers.constrain`."""
        return {f"blocks.{i}": Entering(1) for i in range(len(self.blocks))}

    def up(self, x: Tensor) -> Tensor:
        """x.W: ``[..., below] -> [..., above]``."""
        if len(self.widths) == 1:
            return x @ self.blocks[0]
        return torch.cat([part @ w for part, w in zip(x.split(self.widths, -1), self.blocks, strict=True)], -1)

    def down(self, y: Tensor) -> Tensor:
        """W.y: ``[..., above] -> [..., below]``."""
        if len(self.widths) == 1:
            return y @ self.blocks[0].t()
        return torch.cat(
            [part @ w.t() for part, w in zip(y.split(self.widths_above, -1), self.blocks, strict=True)], -1
        )

    def dense(self) -> Tensor:
        """W, zero where parts are not joined: ``[below, above]``."""
        return torch.block_diag(*self.blocks)

    def joints(self) -> list[tuple[nn.Parameter, slice, slice]]:
        """Each block of weights, with the columns of the two levels that it joins."""
        return list(zip(self.blocks, _columns(self.widths), _columns(self.widths_above), strict=True))

    def extra_repr(self) -> str:
        return f"{self.widths} to {self.widths_above}"


def _columns(widths: Sequence[int]) -> list[slice]:
    return [slice(stop - width, stop) for width, stop in zip(widths, itertools.accumulate(widths), strict=True)]
