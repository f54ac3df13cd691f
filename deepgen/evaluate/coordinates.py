"""Draws ``[draws, chains, *event]`` as blocks of coordinates ``[rows, chains, draws]``: one figure of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ShapeError

LEAST = 4  # draws of a chain: two in each half
BLOCK = 2**20  # numbers worked on at a time


def each(diagnostic: Callable[[Tensor], Tensor], draws: Tensor, least: int = LEAST) -> Tensor:
    """``diagnostic`` of ``[rows, chains, draws]``, a block of coordinates at a time."""
    values = [diagnostic(block).where(tells(block), torch.nan) for block in blocks(draws, least)]
    return torch.cat(values or [torch.empty(0, dtype=torch.float64, device=draws.device)]).reshape(draws.shape[2:])


def tells(x: Tensor) -> Tensor:
    """Which coordinates moved and have no NaN: ``[rows]``."""
    return x.amin((1, 2)) < x.amax((1, 2))  # which a NaN makes false


@torch.no_grad()
def blocks(draws: Any, least: int) -> Iterator[Tensor]:
    """Coordinates as rows ``[rows, chains, draws]`` in a type that can be sorted."""
    if not isinstance(draws, Tensor) or draws.ndim < 2 or 0 in draws.shape[:2]:
        got = list(draws.shape) if isinstance(draws, Tensor) else type(draws).__name__
        raise ShapeError(f"draws must be a tensor [draws, chains, *event] with at least one of each, got {got}")
    if len(draws) < least:
        raise ShapeError(f"this takes at least {least} draws of each chain, got {len(draws)}: run the chains longer")
    small = draws.dtype in (torch.bfloat16, torch.float16, torch.bool, torch.uint8, torch.int8, torch.int16)
    kept = draws.dtype if draws.is_floating_point() else torch.float64
    n, chains = draws.shape[:2]
    if draws.numel() == 0:
        return
    rows = max(1, BLOCK // (n * chains))
    for wide in draws.detach().reshape(n, chains, -1).split(max(rows, 8), dim=2):  # as fewer are slow to turn around
        turned = wide.to(torch.float32 if small else kept).flatten(1).mT.contiguous().view(chains, -1, n)
        yield from turned.transpose(0, 1).split(rows)
