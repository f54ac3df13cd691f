"""Rows that are drawn anew each time they are used: dynamic binarisation, and dequantisation noise.

    binary:  x ~ Bernoulli(v)             v: grey level in [0, 1] read as a probability
    uniform: x = v (L - 1) / L + u / L    v: one of L grey levels k / (L - 1), u ~ U[0, 1), so that x = (k + u) / L

Source: Salakhutdinov & Murray 2008 for binarisation redrawn at each use; Uria, Murray & Larochelle 2013 and Theis, van
den Oord & Bethge 2016 for uniform noise, under which log-density minus D log L bounds the discrete log-probability
from below.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from deepgen.errors import ArgumentError, ShapeError, SupportError, check_count
from deepgen.random import resolve


def redraw(values: Tensor, noise: Literal["binary", "uniform"], levels: int, *, generator: torch.Generator) -> Tensor:
    """Return one draw given grey ``values`` in [0, 1]: bits with those probabilities, or values plus uniform noise."""
    uniform = torch.empty_like(values).uniform_(generator=generator)
    if noise == "binary":
        return uniform.lt_(values)
    noisy = values.mul((levels - 1) / levels).add_(uniform, alpha=1 / levels)
    return noisy.clamp_max_(1 - torch.finfo(values.dtype).eps / 2)  # rounding would reach 1, where a logit is infinite


class Redrawn(Dataset[Any]):
    """A map-style Dataset over grey rows ``[rows, features]`` in [0, 1] that hands out a fresh draw at each access.

    `deepgen.data.batches`, and so `deepgen.fit`, draws each batch from a generator which depends on seed, epoch and
    batch alone; with a DataLoader of your own, the draws come from ``generator`` here.

    Args:
        values: the grey rows.
        noise: ``binary`` or ``uniform``.
        levels: the number of grey levels behind ``values``, which uniform noise needs.
        context: ``[rows, ...]``, labels say, that are handed out beside each draw as they are: then a draw is a pair.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        ArgumentError: a setting outside its range.
        ShapeError: no tensor of rows, or another number of contexts.
        SupportError: values that are not floating-point numbers from 0 to 1.

    >>> grey = torch.full((5, 2), 0.5)
    >>> rows = Redrawn(grey, "binary", generator=0)
    >>> rows.shape, rows[0].unique().numel() <= 2
    (torch.Size([5, 2]), True)
    """

    def __init__(
        self,
        values: Tensor,
        noise: Literal["binary", "uniform"],
        *,
        levels: int = 256,
        context: Tensor | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        if noise not in ("binary", "uniform"):
            raise ArgumentError(f"noise must be 'binary' or 'uniform', got {noise!r}")
        check_count(2, levels=levels)
        if not isinstance(values, Tensor) or values.ndim == 0:
            raise ShapeError(f"values must be a tensor [rows, features], got {values!r}")
        if not values.is_floating_point() or not bool(((values >= 0) & (values <= 1)).all()):  # NaN is neither
            raise SupportError(
                f"values must be grey levels from 0 to 1 in floating point, got {values.dtype}"
                f"{' with values outside' if values.is_floating_point() else ': divide bytes by 255'}"
            )
        if context is not None and len(context) != len(values):
            raise ShapeError(f"context must have a row for each of the {len(values)} rows, got {len(context)}")
        self.values, self.noise, self.levels, self.context = values, noise, int(levels), context
        self.provenance: dict[str, Any] = {}
        self.generator = resolve(generator, values.device)

    @property
    def shape(self) -> torch.Size:
        """``[rows, features]``."""
        return self.values.shape

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        return self.draw(index)

    def draw(self, index: Any = slice(None), *, generator: torch.Generator | None = None) -> Any:
        """Return a fresh draw of the rows at ``index`` (anything that indexes a tensor); all rows by default."""
        source = self.generator if generator is None else generator
        rows = self.values.index_select(0, index) if _numbers(index) else self.values[index]
        drawn = redraw(rows, self.noise, self.levels, generator=source)
        return drawn if self.context is None else (drawn, self.context[index])

    def beside(self, context: Tensor) -> Redrawn:
        """Return the same rows as pairs with ``context``, which is not redrawn.

        >>> pairs = Redrawn(torch.full((5, 2), 0.5), "binary", generator=0).beside(torch.arange(5))
        >>> [part.shape for part in pairs[1:3]]
        [torch.Size([2, 2]), torch.Size([2])]
        """
        return self._again(self.values, context)

    def to(self, device: torch.device | str) -> Redrawn:
        """Return the same rows on ``device``, with a generator there seeded from this one."""
        return self._again(self.values.to(device), None if self.context is None else self.context.to(device))

    def _again(self, values: Tensor, context: Tensor | None) -> Redrawn:
        seed = int(torch.randint(2**62, (1,), generator=self.generator, device=self.generator.device))
        found = Redrawn(values, self.noise, levels=self.levels, context=context, generator=seed)
        found.provenance = self.provenance
        return found

    def __repr__(self) -> str:
        return f"Redrawn({list(self.shape)}, {self.noise!r})"


def _numbers(index: Any) -> bool:
    """Whether ``index`` is a list of row numbers in a tensor, for which index_select is quicker than indexing."""
    return isinstance(index, Tensor) and index.ndim == 1 and index.dtype == torch.int64
