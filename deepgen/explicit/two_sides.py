"""A deep Boltzmann machine as a machine of two layers: its even levels side by side, and its odd ones.

Given the odd levels the even ones are independent, and the other way round. Completion of rows with some entries known,
like all sampling, is that of the two-layer machine, whose visible side holds the hidden even levels beside the data.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepgen.errors import MissingCapability, ShapeError
from deepgen.explicit.levels import joined
from deepgen.explicit.rbm import RBM
from deepgen.explicit.rows import flat_rows, mask_of

if TYPE_CHECKING:
    from deepgen.explicit.dbm import DBM


@torch.no_grad()
def two_sides(dbm: DBM) -> RBM:
    """The machine of `DBM.as_rbm`: weights are copies, with zeros between levels that are no neighbours."""
    sides = (copy.deepcopy(joined(dbm.levels[side::2])) for side in (0, 1))
    rbm = RBM(*sides, generator=0).to(dbm.biases[0])
    rbm.weight.zero_()
    starts, before = [0, 0], slice(0)
    for level, units in enumerate(dbm.levels):  # where a level begins in its side
        side = level % 2
        columns = slice(starts[side], starts[side] + units.width)
        (rbm.hidden_bias if side else rbm.visible_bias)[columns] = dbm.biases[level]
        if level:
            block = dbm.couplings[level - 1].dense()
            if side:
                rbm.weight[before, columns] = block
            else:
                rbm.weight[columns, before] = block.t()
        starts[side], before = columns.stop, columns
    return rbm.requires_grad_(False)


def shared(dbm: DBM) -> RBM:
    """A machine with one hidden level as the `RBM` that it is, on the same parameters: what trains one trains both.

    Raises:
        MissingCapability: more hidden levels, or one of parts that are not joined.
    """
    if not dbm.is_rbm:
        raise MissingCapability(
            f"only a DBM with one hidden level that is joined to all of the visible one shares its parameters with an "
            f"RBM, got {dbm!r}; as_rbm() makes a copy of any"
        )
    rbm = RBM(dbm.levels[0], dbm.levels[1], generator=0)
    rbm.weight, rbm.visible_bias, rbm.hidden_bias = dbm.couplings[0].blocks[0], *dbm.biases
    return rbm


def even_mask(dbm: DBM, mask: Tensor) -> Tensor:
    """A mask of visible entries ``[visible]`` or ``[rows, visible]`` with the hidden even levels beside it, free."""
    width = dbm.visible.width
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.ndim not in (1, 2) or mask.shape[-1] != width:
        got = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ShapeError(f"mask must be boolean, [{width}] or [rows, {width}], got {got}")
    beside = sum(units.width for units in dbm.levels[2::2])
    return torch.cat([mask, mask.new_zeros(*mask.shape[:-1], beside)], -1)


def complete(dbm: DBM, known: Tensor, mask: Tensor, *, steps: int, generator: torch.Generator | int | None) -> Tensor:
    """Rows ``[rows, visible]`` whose entries under ``mask`` are those of ``known``, the others drawn given them."""
    width = dbm.visible.width
    known = flat_rows(known, [width], "known")
    held = even_mask(dbm, mask_of(mask, known))
    rbm = two_sides(dbm)
    start = torch.cat([known, known.new_zeros(len(known), rbm.visible.width - width)], 1)
    return rbm.conditional_sample(start, held, steps=steps, generator=generator)[:, :width]
