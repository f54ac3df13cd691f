"""The path of `deepgen.samplers.binary_path` with compiled kernels: a product with few ones is a sum of rows.

Here y is the field without the temperature, so that the identity of that file reads 1 + p expm1((s - t) y).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from deepgen.samplers.binary_path import LOG_LARGEST, expm1_terms, log_base, start_rows

if TYPE_CHECKING:
    from deepgen.explicit.rbm import RBM

_SPARSE = 0.3  # the share of ones up to which rows are summed


class SparseState(NamedTuple):
    """position: the visible layer ``[chains, visible]``; the others are buffers, overwritten by each step.

    ``field`` and ``back`` are the untempered hidden and the tempered visible fields, ``rows`` and ``units`` the layers
    as lists, and ``ones`` how many ones the rows have.
    """

    position: Tensor
    hidden: Tensor
    field: Tensor
    probability: Tensor
    back: Tensor
    log_ratio: Tensor
    rows: Any
    units: Any
    ones: int


class SparsePath:
    """`Path` of a Bernoulli-Bernoulli machine on a CPU; ``base`` ``[visible]`` is the field of the units at beta = 0.

    `deepgen.samplers.rbm_path` takes it from 2^16 weights on, with at most 4 threads, where numba can be loaded.

    >>> import deepgen as dg
    >>> SparsePath.fits(dg.RBM(visible=6, hidden=4))
    False
    """

    def __init__(self, model: RBM, base: Tensor) -> None:
        from deepgen.explicit.binary_draw import key  # loads numba
        from deepgen.samplers import binary_kernels

        self._kernels, self._key = binary_kernels, key
        weight, a, b = (p.detach().clone() for p in (model.weight, model.visible_bias, model.hidden_bias))
        self._weight, self._a, self._b, self._base = weight, a, b, base.detach().to(weight)
        self._tilt, self._shift = a - self._base, torch.empty_like(a)
        self._up = _table(weight, binary_kernels)
        turned = weight.t().contiguous()
        self._down = _table(turned, binary_kernels)
        self.log_base = log_base(self._base, len(b))

    @staticmethod
    def fits(model: RBM) -> bool:
        """Whether `BinaryPath` fits, and compiled kernels are to be had and pay."""
        from deepgen.explicit.compiled import why_not, worthwhile

        return worthwhile(model) and why_not(model) is None

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        return start_rows(self._base, n, generator)

    def init(self, position: Tensor) -> SparseState:
        chains, nv, nh = len(position), len(self._a), len(self._b)
        new, lists = self._base.new_empty, self._kernels.new_lists
        visible = new(chains, nv).copy_(position)
        rows, units = lists(chains, nv), lists(chains, nh)
        self._kernels.list_rows(visible.numpy(), 0, rows)
        log_ratio = torch.empty(chains, dtype=torch.float64)
        buffers = new(chains, nh), new(chains, nh), new(chains, nh), new(chains, nv), log_ratio
        return SparseState(visible, *buffers, rows, units, int(visible.sum()))

    @torch.no_grad()
    def step(
        self, state: SparseState, old: float, new: float, *, generator: torch.Generator
    ) -> tuple[SparseState, Tensor]:
        v, h, y, p, back = state.position, state.hidden, state.field, state.probability, state.back
        draw = self._kernels.sample_rows
        self._product(v, state.rows, state.ones, self._up, self._b, y)
        most = int(_SPARSE * h.numel())
        ones = draw(y.numpy(), new, self._key(generator, *y.shape), p.numpy(), h.numpy(), state.units, most)
        log_ratio = self._log_ratio(state, old, new)
        log_ratio.add_(torch.mv(v, self._tilt), alpha=new - old)
        if new > 0:
            torch.add(self._a, self._base, alpha=(1 - new) / new, out=self._shift)
            self._product(h, state.units, ones, self._down, self._shift, back)
        else:
            back.copy_(self._base)
        most, scale = int(_SPARSE * v.numel()), new if new > 0 else 1.0
        ones = draw(back.numpy(), scale, self._key(generator, *back.shape), back.numpy(), v.numpy(), state.rows, most)
        return state._replace(ones=ones), log_ratio

    def _product(self, x: Tensor, lists: Any, ones: int, table: Any, bias: Tensor, out: Tensor) -> None:
        """out = bias + x.table, a sum of the table's rows where few units are on."""
        dense, rows, paired = table
        if ones <= int(_SPARSE * x.numel()):
            self._kernels.gather(lists, 0, len(out), rows, paired, bias.numpy(), out.numpy())
        else:
            torch.addmm(bias, x, dense, out=out)

    def _log_ratio(self, state: SparseState, old: float, new: float) -> Tensor:
        y, p = state.field, state.probability
        low, high = y.aminmax()
        largest = abs(new - old) * max(-float(low), float(high))
        if not largest <= 1.0:  # beyond, digits are lost to cancellation
            field = y.double()
            return (F.softplus(new * field) - F.softplus(old * field)).sum(1)
        run = int(min(LOG_LARGEST / max(largest, 1e-9), y.shape[1]))
        self._kernels.log_ratio(y.numpy(), p.numpy(), old - new, expm1_terms(largest), run, state.log_ratio.numpy())
        return state.log_ratio


def _table(weight: Tensor, kernels: Any) -> tuple[Tensor, Any, Any]:
    """``weight`` for torch, the same for the kernels, and the sums of its rows in pairs."""
    paired = weight.new_empty(len(weight) // 2, weight.shape[1]).numpy()
    kernels.pair_sums(weight.numpy(), paired)
    return weight, weight.numpy(), paired
