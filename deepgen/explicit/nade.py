"""NADE, the neural autoregressive distribution estimator: one hidden layer whose weights all conditionals share.

    p(x_d = 1 | x_<d) = sigmoid(b_d + V_d . h_d),        h_d = sigmoid(c + sum over i < d of x_i W_i)

W (``weight``) and V (``readout``) are ``[features, hidden]``, b (``bias``) ``[features]``, c (``hidden_bias``)
``[hidden]``; i < d means before d in the order. Because a place adds one term to the sum inside, all D hidden vectors
cost as much as one dense layer, O(D H) a row. The readouts are logits, and the likelihood takes logits.

The D hidden vectors of a batch are ``[features, batch, hidden]`` numbers, too many to keep: they are made in blocks of
places, and made again backwards (`by_blocks`). On a CPU in float32 compiled kernels do it (`nade_kernels`), which touch
only what changes where x_d is not 0.

Source: Larochelle & Murray 2011, "The Neural Autoregressive Distribution Estimator", equations 9 to 12.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from deepgen.errors import check_count
from deepgen.explicit.discrete import DiscreteAutoregressive
from deepgen.explicit.orders import as_orders
from deepgen.layers.entering import Entering
from deepgen.random import resolve
from deepgen.transforms.autoregressive import FEW_ROWS

BLOCK = 2**20  # numbers of one block of hidden vectors: 4 MB of float32
LARGE = 2**12  # weights from which on kernels are worth their compilation


class NADE(DiscreteAutoregressive):
    """Neural autoregressive distribution estimator of binary variables; `LogProb` and `Samples`.

    Args:
        features: number of variables D.
        hidden: number of hidden units H (sigmoid).
        order: the variables in the order of dependence, a permutation of 0 .. D-1; 0, 1, ... if None.
        generator: source of the initial weights.

    >>> model = NADE(4, hidden=8, generator=0)
    >>> everything = torch.cartesian_prod(*[torch.arange(2.0)] * 4)
    >>> torch.allclose(model.log_prob(everything).logsumexp(0), torch.zeros(()), atol=1e-5)
    True
    >>> x = model.conditional_sample(torch.ones(3, 4), torch.arange(4) < 2, generator=1)
    >>> x[:, :2].min()
    tensor(1.)
    """

    few_rows = FEW_ROWS

    def __init__(
        self,
        features: int,
        hidden: int = 500,
        *,
        order: Sequence[int] | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__(features)
        check_count(hidden=hidden)
        stream = resolve(generator)
        self.hidden = int(hidden)
        self.weight = nn.Parameter(torch.empty(features, hidden).uniform_(-1, 1, generator=stream))
        self.readout = nn.Parameter(torch.empty(features, hidden).uniform_(-1, 1, generator=stream))
        with torch.no_grad():
            self.weight.div_(math.sqrt(features))
            self.readout.div_(math.sqrt(hidden))
        self.bias = nn.Parameter(torch.zeros(features))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self._order = None if order is None else [int(i) for i in order]
        self._keep(as_orders(1 if self._order is None else [self._order], features, stream))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features, "hidden": self.hidden, "order": self._order}

    def entering(self) -> dict[str, Entering]:
        """A column of W for each hidden unit, a row of V for each variable; see `deepgen.layers.constrain`."""
        return {"weight": Entering(1), "readout": Entering(0)}

    @property
    def output_bias(self) -> Tensor:
        return self.bias.unsqueeze(0)

    def conditionals(self, x: Tensor, context: Tensor | None, order: Sequence[int]) -> Tensor:
        """Logits of all variables given those before: ``[features, batch] -> [1, features, batch]``."""
        ordered = list(order) == list(range(self.features))
        x, weight, readout, bias = (
            t if ordered else t[self.orders[0]] for t in (x, self.weight, self.readout, self.bias)
        )
        if worthwhile(weight) and not x.requires_grad:  # the kernels give no gradient with respect to x
            logits = Compiled.apply(x, weight, self.hidden_bias, readout, bias)
        else:
            logits = _by_blocks(x, weight, self.hidden_bias, readout, bias)
        return (logits if ordered else logits[self.orders[0].argsort()]).unsqueeze(0)

    def steps(self, batch: int, context: Tensor | None, order: Sequence[int]) -> RunningSum:
        """The start of a walk for ``batch`` rows."""
        return RunningSum(self, batch, order)

    def extra_repr(self) -> str:
        d, h = self.features, self.hidden
        return (
            f"{d} variables, {h} hidden; log_prob: 1 walk through {d} variables; "
            f"sample: the same, or up to {d} such walks"
        )


class RunningSum:
    """A walk of `NADE`: what is inside the hidden units so far, ``[batch, hidden]``."""

    def __init__(self, model: NADE, batch: int, order: Sequence[int]) -> None:
        self.model, self.order = model, order
        self.sums = model.hidden_bias.detach().repeat(batch, 1)

    def parameters(self, d: int) -> Tensor:
        """The logit at place ``d``: ``[1, batch]``."""
        variable = self.order[d]
        return torch.mv(self.sums.sigmoid(), self.model.readout[variable]).add_(self.model.bias[variable]).unsqueeze(0)

    def put(self, d: int, row: Tensor) -> None:
        """The value at place ``d`` is ``row`` ``[batch]``."""
        self.sums.addr_(row, self.model.weight[self.order[d]])


def by_blocks(
    start: Tensor,
    terms: Callable[[slice], Tensor],
    read: Callable[[Tensor, slice], Tensor],
    places: int,
) -> Iterator[Tensor]:
    """``read`` of the sums before each place, block by block of places; backwards the sums are made again.

    Args:
        start: the sum before the first place, ``[batch, hidden]``.
        terms: of a slice of places, what each adds to the sum after it: ``[places, batch, hidden]``.
        read: of the sums before each place of a slice, ``[places, batch, hidden]``, what is wanted of them.
        places: their number.
    """

    def block(sums: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        inside = torch.cat([sums.unsqueeze(0), terms(part)]).cumsum(0)
        return read(inside[:-1], part), inside[-1]

    length, sums = max(1, BLOCK // start.numel()), start
    for first in range(0, places, length):
        part = slice(first, min(first + length, places))
        if torch.is_grad_enabled():
            out, sums = checkpoint(block, sums, part, use_reentrant=False, preserve_rng_state=False)
        else:
            out, sums = block(sums, part)
        yield out


def _by_blocks(x: Tensor, weight: Tensor, start: Tensor, readout: Tensor, bias: Tensor) -> Tensor:
    """What `Compiled` computes, on any device, in any precision and as often differentiable as one likes."""

    def read(sums: Tensor, part: slice) -> Tensor:
        return torch.einsum("dbh,dh->db", sums.sigmoid(), readout[part]) + bias[part].unsqueeze(1)

    def terms(part: slice) -> Tensor:
        return x[part].unsqueeze(2) * weight[part].unsqueeze(1)

    return torch.cat(list(by_blocks(start.expand(x.shape[1], -1), terms, read, len(x))))


def worthwhile(weight: Tensor) -> bool:
    """Whether the compiled kernels are for these weights: many, in float32 on a CPU, and numba loads."""
    if weight.numel() < LARGE or weight.dtype != torch.float32 or weight.device.type != "cpu":
        return False
    try:
        _kernels()
    except Exception:  # numba is absent, does not support this Python, or has nowhere to keep its cache
        return False
    return True


class Compiled(torch.autograd.Function):
    """NADE's logits ``[features, batch]`` by `nade_kernels`: from x, and W, c, V, b, of the variables in order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, start: Tensor, readout: Tensor, bias: Tensor) -> Tensor:
        kernels = _kernels()
        arrays = [t.detach().contiguous() for t in (x, weight, start, readout, bias)]
        ctx.save_for_backward(*arrays[:4])
        out = torch.empty_like(arrays[0])
        kernels.conditionals(*(t.numpy() for t in arrays), out.numpy())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, start, readout = ctx.saved_tensors
        slope, gradients = slope.contiguous(), [torch.zeros_like(t) for t in (weight, start, readout)]
        _kernels().gradients(*(t.numpy() for t in (x, weight, start, readout, slope, *gradients)))
        return None, *gradients, slope.sum(1)


def _kernels() -> Any:
    from deepgen.explicit import nade_kernels  # loads numba

    return nade_kernels
