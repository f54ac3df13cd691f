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

from deepgen.errors import ArgumentError
from deepgen.random import resolve


def redraw(values: Tensor, noise: Literal["binary", "uniform"], levels: int, *, generator: torch.Generator) -> Tensor:
    """Return one draw given grey ``values`` in [0, 1]: bits with those probabilities, or values plus uniform noise."""
    uniform = torch.empty_like(values).uniform_(generator=generator)
    if noise == "binary":
        return uniform.lt_(values)
    noisy = values.mul((levels - 1) / levels).add_(uniform, alpha=1 / levels)
    return noisy.clamp_max_(1 - torch.finfo(values.dtype).eps / 2)  # rounding would reach 1, where a logit is infinite


class Redrawn(Dataset[Tensor]):
    """A map-style Dataset over grey rows ``[rows, features]`` in [0, 1] that hands out a fresh draw at each access.

    `deepgen.data.batches`, and so `deepgen.fit`, draws each batch from a generator which depends on seed, epoch and
    batch alone; with a DataLoader of your own, the draws come from ``generator`` here.

    Args:
        values: the grey rows.
        noise: ``binary`` or ``uniform``.
        levels: the number of grey levels behind ``values``, which uniform noise needs.
        generator: a generator, a seed, or None for fresh entropy.

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
        generator: torch.Generator | int | None = None,
    ) -> None:
        if noise not in ("binary", "uniform"):
            raise ArgumentError(f"noise must be 'binary' or 'uniform', got {noise!r}")
        if levels < 2:
            raise ArgumentError(f"levels must be at least 2, got {levels}")
        self.values, self.noise, self.levels = values, noise, levels
        self.provenance: dict[str, Any] = {}
        self.generator = resolve(generator, values.device)

    @property
    def shape(self) -> torch.Size:
        """``[rows, features]``."""
        return self.values.shape

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Tensor:
        return self.draw(index)

    def draw(self, index: Any = slice(None), *, generator: torch.Generator | None = None) -> Tensor:
        """Return a fresh draw of the rows at ``index`` (anything that indexes a tensor); all rows by default."""
        source = self.generator if generator is None else generator
        rows = self.values.index_select(0, index) if _numbers(index) else self.values[index]
        return redraw(rows, self.noise, self.levels, generator=source)

    def to(self, device: torch.device | str) -> Redrawn:
        """Return the same rows on ``device``, with a generator there seeded from this one."""
        seed = int(torch.randint(2**62, (1,), generator=self.generator, device=self.generator.device))
        moved = Redrawn(self.values.to(device), self.noise, levels=self.levels, generator=seed)
        moved.provenance = self.provenance
        return moved

    def __repr__(self) -> str:
        return f"Redrawn({list(self.shape)}, {self.noise!r})"


def _numbers(index: Any) -> bool:
    """Whether ``index`` is a list of row numbers in a tensor, for which index_select is quicker than indexing."""
    return isinstance(index, Tensor) and index.ndim == 1 and index.dtype == torch.int64
