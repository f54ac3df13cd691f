"""What every kernel's ``init`` asks of the positions that it is handed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepgen.errors import ShapeError, SupportError

if TYPE_CHECKING:
    from deepgen.samplers.target import Target


def checked_start(target: Target, position: object) -> Tensor:
    """Return ``position`` as a floating tensor ``[chains, *event]``, or raise: the check that every ``init`` shares.

    Raises:
        ShapeError: no tensor, no chains, or the target does not give one number a chain.
        SupportError: the target is discrete and a chain has other values.
    """
    position = require_chains(position)
    if not position.is_floating_point():
        position = position.to(torch.get_default_dtype())
    position = position.detach()
    with torch.no_grad():
        value = target.log_density(position)  # with torch's own checks of Distributions, this once
    if not isinstance(value, Tensor):
        raise ShapeError(f"the log density of chains must be a tensor [chains], got {type(value).__name__}")
    if value.shape != position.shape[:1]:
        raise ShapeError(
            f"the log density of {len(position)} chains must be [{len(position)}], got {list(value.shape)}: "
            "sum over the event's axes and keep the first"
        )
    if target.discrete:
        inside = target.support.check(position)
        if not bool(inside.all()):
            chain = (~inside.reshape(len(position), -1).all(1)).nonzero()[0].item()
            raise SupportError(f"position must have values in {target.support}; chain {chain} has others")
    return position


def require_chains(position: object, *event: int | str, least: int = 1) -> Tensor:
    """Return ``position`` if it is a tensor ``[chains, *event]`` of ``least`` axes, with a chain at least, or raise.

    Args:
        position: what was handed in.
        event: the sizes of an event where they are known, names of those that are not.
        least: axes where no event is given.

    >>> require_chains(torch.zeros(3, 4), 5)
    Traceback (most recent call last):
    deepgen.errors.ShapeError: position must be a tensor [chains, 5] with at least one chain, got [3, 4]
    """
    found = list(position.shape) if isinstance(position, Tensor) else []
    fits = len(found) == 1 + len(event) if event else len(found) >= least
    known = zip(found[1:], event, strict=False)
    if not fits or found[0] == 0 or any(size != wanted for size, wanted in known if isinstance(wanted, int)):
        got = found if isinstance(position, Tensor) else type(position).__name__
        shape = ", ".join(map(str, ("chains", *(event or ["*event"]))))
        raise ShapeError(f"position must be a tensor [{shape}] with at least one chain, got {got}")
    assert isinstance(position, Tensor)
    return position
