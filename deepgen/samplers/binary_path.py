"""The annealing path of a machine with two Bernoulli layers, at little more than the cost of its two matrix products.

Same mathematics as `deepgen.samplers.annealing.RBMPath`, arranged to touch every number as few times as possible. With
y = t (b + v.W) the hidden field at the new temperature t, p = sigmoid(y) is needed to draw h, and gives the weight:

    log f_t - log f_s = (t - s)(a - a0).v - sum_j log(1 + p_j expm1(-c y_j)),        c = (t - s) / t,

an identity, not an expansion; the product over units is taken before the logarithm, in runs that cannot overflow. expm1
is its Taylor polynomial, with as many terms as it takes to be right to 1e-7 for the largest field any v can cause.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from deepgen.random import key

if TYPE_CHECKING:
    from deepgen.explicit.rbm import RBM

_LARGEST_STEP = 0.25  # of a field between two temperatures, for the polynomial
_LOG_LARGEST = 60.0  # e^60 and e^-60 are far from float32's ends
_PRECISION = 1e-7
_SPARSE = 0.3  # the share of ones up to which `SparsePath` sums rows


class BinaryState(NamedTuple):
    """position: the visible layer ``[chains, visible]``; the others are buffers, overwritten by each step.

    ``visible`` and ``hidden`` are the layers with a column of ones, which carries the biases through the products.
    ``noise`` holds the uniforms of both layers, one after the other.
    """

    position: Tensor
    visible: Tensor
    hidden: Tensor
    hidden_units: Tensor
    field: Tensor
    probability: Tensor
    work: Tensor
    back: Tensor
    noise: tuple[Tensor, Tensor]


class BinaryPath:
    """`Path` of a Bernoulli-Bernoulli machine; ``base`` ``[visible]`` is the field of the units at beta = 0.

    >>> import deepgen as dg
    >>> rbm = dg.RBM(visible=6, hidden=4, generator=0)
    >>> path = BinaryPath(rbm, torch.zeros(6))
    >>> state, log_ratio = path.step(path.init(torch.ones(3, 6)), 0.5, 1.0, generator=dg.random.generator(0))
    >>> state.position.shape, log_ratio.shape
    (torch.Size([3, 6]), torch.Size([3]))
    """

    def __init__(self, model: RBM, base: Tensor) -> None:
        weight, a, b = (p.detach() for p in (model.weight, model.visible_bias, model.hidden_bias))
        nv, nh = weight.shape
        both = weight.new_zeros(-(-(nv + 1) // 16) * 16, -(-(nh + 1) // 16) * 16)  # one copy for both directions
        both[:nv, :nh], both[nv, :nh] = weight, b
        self._up, self._down = both[: nv + 1, :nh], both[:nv, : nh + 1].t()
        self._shift = both[:nv, nh]  # the visible field's constant part, which moves with the temperature
        self._a, self._base = a.clone(), base.detach().to(weight)
        self._tilt = self._a - self._base
        self.log_base = _log_base(self._base, len(b))
        reach = torch.maximum(b + weight.clamp_min(0).sum(0), -b - weight.clamp_max(0).sum(0))  # of |b + v.W|
        self._reach, self._total = float(reach.max()), float(reach.sum())
        self._one = weight.new_ones(())

    @staticmethod
    def fits(model: RBM) -> bool:
        """Whether both layers are plain Bernoulli layers in float32."""
        from deepgen.explicit.units import Bernoulli

        both = isinstance(model.visible, Bernoulli) and isinstance(model.hidden, Bernoulli)
        return both and model.weight.dtype == torch.float32

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        return _start(self._base, n, generator)

    def init(self, position: Tensor) -> BinaryState:
        chains, nv, nh = len(position), len(self._base), self._up.shape[1]
        visible, hidden = (self._base.new_ones(chains, -(-(width + 1) // 16) * 16) for width in (nv, nh))
        visible[:, :nv] = position
        field, probability, work = (self._base.new_empty(chains, nh) for _ in range(3))
        room = self._base.new_empty(chains * max(nv, nh))
        return BinaryState(
            position=visible[:, :nv],
            visible=visible[:, : nv + 1],
            hidden=hidden[:, : nh + 1],
            hidden_units=hidden[:, :nh],
            field=field,
            probability=probability,
            work=work,
            back=self._base.new_empty(chains, nv),
            noise=(room[: chains * nh].view(chains, nh), room[: chains * nv].view(chains, nv)),
        )

    @torch.no_grad()
    def step(
        self, state: BinaryState, old: float, new: float, *, generator: torch.Generator
    ) -> tuple[BinaryState, Tensor]:
        v, y, p, back = state.position, state.field, state.probability, state.back
        torch.addmm(y, state.visible, self._up, beta=0, alpha=new, out=y)
        torch.sigmoid(y, out=p)
        if new > 0 and abs(new - old) * self._reach <= _LARGEST_STEP:
            log_ratio = self._log_ratio(y, p, state.work, old, new)
        else:
            field = torch.mm(state.visible, self._up).double()
            log_ratio = (F.softplus(new * field) - F.softplus(old * field)).sum(1)
        log_ratio.add_(torch.mv(v, self._tilt), alpha=new - old)

        torch.lt(state.noise[0].uniform_(generator=generator), p, out=state.hidden_units)
        if new > 0:
            torch.add(self._a, self._base, alpha=(1 - new) / new, out=self._shift)
            torch.addmm(back, state.hidden, self._down, beta=0, alpha=new, out=back)
        else:
            back.copy_(self._base)
        torch.sigmoid(back, out=back)
        torch.lt(state.noise[1].uniform_(generator=generator), back, out=v)
        return state, log_ratio

    def _log_ratio(self, y: Tensor, p: Tensor, work: Tensor, old: float, new: float) -> Tensor:
        """-sum_j log(1 + p_j expm1(-c y_j)), ``[chains]`` float64."""
        c, largest = (new - old) / new, abs(new - old) * self._reach
        terms = _terms(largest)
        torch.add(self._one, y, alpha=-c / terms, out=work)  # Horner: expm1(x) = x (1 + x/2 (1 + x/3 (...)))
        for k in range(terms - 1, 1, -1):
            torch.addcmul(self._one, y, work, value=-c / k, out=work)
        torch.addcmul(self._one, p, work.mul_(y), value=-c, out=work)
        runs = max(1, math.ceil(abs(new - old) * self._total / _LOG_LARGEST))
        if runs == 1:
            return work.prod(1).double().log_().neg_()
        return -torch.stack([part.prod(1).double().log_() for part in work.chunk(runs, 1)]).sum(0)


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
    """The same `Path` with numba's kernels, for large machines on a CPU: a product with few ones is a sum of rows.

    Here y is the field without the temperature, so that the identity reads 1 + p expm1((s - t) y). It is
    what `deepgen.samplers.rbm_path` takes from 2^16 weights on, with at most 4 threads, where numba can be loaded.

    >>> import deepgen as dg
    >>> SparsePath.fits(dg.RBM(visible=6, hidden=4))
    False
    """

    def __init__(self, model: RBM, base: Tensor) -> None:
        from deepgen.samplers import binary_kernels  # loads numba

        self._kernels = binary_kernels
        weight, a, b = (p.detach().clone() for p in (model.weight, model.visible_bias, model.hidden_bias))
        self._weight, self._a, self._b, self._base = weight, a, b, base.detach().to(weight)
        self._tilt, self._shift = a - self._base, torch.empty_like(a)
        self._up = _table(weight, binary_kernels)
        turned = weight.t().contiguous()
        self._down = _table(turned, binary_kernels)
        self.log_base = _log_base(self._base, len(b))

    @staticmethod
    def fits(model: RBM) -> bool:
        """Whether `BinaryPath` fits, and compiled kernels are to be had and pay."""
        from deepgen.explicit.compiled import why_not, worthwhile

        return worthwhile(model) and why_not(model) is None

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        return _start(self._base, n, generator)

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
        ones = draw(y.numpy(), new, key(generator), p.numpy(), h.numpy(), state.units, most)
        log_ratio = self._log_ratio(state, old, new)
        log_ratio.add_(torch.mv(v, self._tilt), alpha=new - old)
        if new > 0:
            torch.add(self._a, self._base, alpha=(1 - new) / new, out=self._shift)
            self._product(h, state.units, ones, self._down, self._shift, back)
        else:
            back.copy_(self._base)
        most, scale = int(_SPARSE * v.numel()), new if new > 0 else 1.0
        ones = draw(back.numpy(), scale, key(generator), back.numpy(), v.numpy(), state.rows, most)
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
        run = int(min(_LOG_LARGEST / max(largest, 1e-9), y.shape[1]))
        self._kernels.log_ratio(y.numpy(), p.numpy(), old - new, _terms(largest), run, state.log_ratio.numpy())
        return state.log_ratio


def _log_base(base: Tensor, hidden: int) -> float:
    return float(F.softplus(base.double()).sum() + hidden * math.log(2.0))


def _start(base: Tensor, n: int, generator: torch.Generator) -> Tensor:
    u = base.new_empty(n, len(base)).uniform_(generator=generator)
    return (u < base.sigmoid()).to(u)


def _terms(largest: float) -> int:
    """How many terms of the series of expm1 are right to ``_PRECISION`` for arguments up to ``largest``."""
    terms = 2
    while largest**terms / math.factorial(terms + 1) > _PRECISION:
        terms += 1
    return terms


def _table(weight: Tensor, kernels: Any) -> tuple[Tensor, Any, Any]:
    """``weight`` for torch, the same for the kernels, and the sums of its rows in pairs."""
    paired = weight.new_empty(len(weight) // 2, weight.shape[1]).numpy()
    kernels.pair_sums(weight.numpy(), paired)
    return weight, weight.numpy(), paired
