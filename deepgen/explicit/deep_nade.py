"""Deep orderless NADE: one network for the conditionals of every order at once.

    logits of p(x_i | known x),  all i at a time,  from the network's input (m * x, m)

m is 1 where a variable is known. One row of training data teaches one conditional of many orders: with a random set of
d known variables, the scaled log-likelihood of the D - d unknown ones (`order_log_prob`)

    D / (D - d) * sum over unknown i of log p(x_i | known x),        d uniform in 0 .. D-1,

has the mean over all D! orders of log p_o(x) as its expectation (equation 9 there, whose d counts from 1). Train by
`deepgen.objectives.OrderAgnostic`.

For a given order, log p_o(x) takes D passes, of which the first layer carries its sums along. ``log_prob`` is that of
the equal mixture of the orders that are kept with the model (an ensemble, EoNADE): normalised, and the better the more
they are. Change them by `reorder`, at any time.

The order 0, 1, ... is a poor choice: its sets of known variables, in images whole upper parts, are hardly ever among
the random ones of training. Measured in nats on 600 validation rows of binarised MNIST (28 x 28, fixed; widths 500-500,
90 epochs; all on the same rows, another 600 would move each by about 1.0): -104.6 for the order 0 .. 783, -93.8 for
random orders on average, -90.7 for the mixture of 4 of those, -89.2 for that of 16.

Source: Uria, Murray & Larochelle 2014, "A Deep and Tractable Density Estimator".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.explicit.completion import log_mass
from deepgen.explicit.contexts import check_context
from deepgen.explicit.discrete import DiscreteAutoregressive
from deepgen.explicit.nade import by_blocks
from deepgen.explicit.orders import as_orders, plain_orders
from deepgen.layers.linear import linear
from deepgen.layers.mlp import check_hidden
from deepgen.random import resolve
from deepgen.share import places

# Scale of the first layer's initial weights, most of whose inputs m * x are 0: 5 nats in 5 epochs of binarised MNIST.
FIRST = 6.0
ROWS = 256  # rows that go through all places together: their hidden vectors stay in the cache


class DeepNADE(DiscreteAutoregressive):
    """Deep orderless NADE over binary variables; `LogProb` and `Samples`.

    `conditional_sample` is exact whatever is known: in every order that is kept it moves the known variables to the
    front. It then draws from the mixture over these orders, which is that of ``log_prob`` where nothing had to be
    moved, and costs one walk for each.

    Args:
        features: number of variables D.
        hidden: widths of the hidden layers (rectified linear units).
        orders: how many orders, drawn from ``generator`` and kept with the weights; or the orders themselves, each a
            permutation of 0 .. D-1. The default, 1, is the order 0, 1, ..., D-1, the cheapest and on images the worst:
            take 4 to 16 to score with, at as many times the cost.
        generator: source of the initial weights and of the orders.

    >>> model = DeepNADE(4, hidden=[16, 16], orders=3, generator=0)
    >>> everything = torch.cartesian_prod(*[torch.arange(2.0)] * 4)
    >>> torch.allclose(model.log_prob(everything).logsumexp(0), torch.zeros(()), atol=1e-5)
    True
    >>> x = model.conditional_sample(torch.ones(3, 4), torch.tensor([False, True, False, True]), generator=1)
    >>> x[:, [1, 3]].min()
    tensor(1.)
    """

    def __init__(
        self,
        features: int,
        hidden: Sequence[int] = (500, 500),
        *,
        orders: int | Sequence[Sequence[int]] = 1,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__(features)
        check_hidden(hidden, residual=False)
        stream, self.hidden = resolve(generator), list(hidden)
        self.first = linear(2 * features, hidden[0], scale=FIRST, generator=stream)
        rectified = math.sqrt(6)  # He et al. 2015
        self.inner = nn.ModuleList(
            linear(a, b, scale=rectified, generator=stream) for a, b in itertools.pairwise(hidden)
        )
        self.last = linear(hidden[-1], features, scale=0.01, generator=stream)
        with torch.no_grad():
            self.first.weight[:, features:] = 0.0  # a place that becomes known changes nothing until that is learned
            for layer in (self.first, *self.inner):
                layer.bias.mul_(
                    0.01
                )  # small, and not 0, where every rectifier of an empty input would be at its corner
        self.reorder(orders, generator=stream)

    def reorder(
        self, orders: int | Sequence[Sequence[int]], *, generator: torch.Generator | int | None = None
    ) -> DeepNADE:
        """Keep other orders: so many drawn from ``generator``, or those given. Returns the model."""
        self._keep(as_orders(orders, self.features, resolve(generator)).to(self.last.bias.device))
        self._argument = plain_orders(orders)
        return self

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`; the orders are saved with the weights."""
        return {"features": self.features, "hidden": self.hidden, "orders": self._argument}

    @property
    def output_bias(self) -> Tensor:
        return self.last.bias.unsqueeze(0)

    def order_log_prob(
        self, x: Tensor, context: Tensor | None = None, *, generator: torch.Generator | int | None = None
    ) -> Tensor:
        """Unbiased estimates of the mean over all orders of log p_o(x): ``[batch, features] -> [batch]``, in nats.

        Each row takes one pass with a random set of known variables. Their share is uniform in (0, 1) and each is known
        with that probability: all sizes d = 0 .. D are then equally probable, and all sets of one size. d = D, which
        teaches nothing, is made up for by D + 1 instead of D in the factor. The shares of a batch are spread evenly.
        The estimate varies much more than log p_o(x) does.
        """
        x = self._looked_at(x)
        check_context(context, 0, len(x))
        x, stream = x.to(self.last.bias), resolve(generator, self.device)
        first, rows = places(len(x))
        here = torch.arange(first, first + len(x), device=x.device) / rows
        share = here + torch.rand((), generator=stream, device=x.device)
        known = torch.rand(x.shape, generator=stream, device=x.device) < (share % 1).unsqueeze(1)
        mask = known.to(x.dtype)
        logits = self.last(self._above(self.first(torch.cat([x * mask, mask], 1))))
        unknown = (~known).sum(1)
        factor = (self.features + 1) / unknown.clamp_min(1)
        return factor * log_mass(logits.unsqueeze(0), x).masked_fill(known, 0.0).sum(1)

    def _above(self, sums: Tensor) -> Tensor:
        """The last hidden layer from the sums of the first: ``[..., hidden[0]] -> [..., hidden[-1]]``."""
        h = F.relu(sums)
        for layer in self.inner:
            h = F.relu(layer(h))
        return h

    def conditionals(self, x: Tensor, context: Tensor | None, order: Sequence[int]) -> Tensor:
        """Logits of all variables given those before: ``[features, batch] -> [categories - 1, features, batch]``."""
        return torch.cat([self._conditionals(part, order) for part in x.split(ROWS, 1)], 1).unsqueeze(0)

    def _conditionals(self, x: Tensor, order: Sequence[int]) -> Tensor:
        index = torch.as_tensor(order, device=x.device)
        value, known = self.first.weight.t()[index], self.first.weight.t()[index + self.features]
        readout, bias, placed = self.last.weight[index], self.last.bias[index], x[index]

        def terms(part: slice) -> Tensor:
            return torch.addcmul(known[part].unsqueeze(1), placed[part].unsqueeze(2), value[part].unsqueeze(1))

        def read(sums: Tensor, part: slice) -> Tensor:
            return torch.einsum("dbh,dh->db", self._above(sums), readout[part]) + bias[part].unsqueeze(1)

        start = self.first.bias.expand(x.shape[1], -1)
        logits = torch.cat(list(by_blocks(start, terms, read, self.features)))
        return logits[index.argsort()]

    def steps(self, batch: int, context: Tensor | None, order: Sequence[int]) -> MaskedSum:
        """The start of a walk for ``batch`` rows."""
        return MaskedSum(self, batch, order)

    def conditional_log_prob(self, x: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(unknown variables | known ones) in nats, whatever is known: ``[batch, features] -> [batch]``.

            log sum over orders o of p_o(x) - log sum over orders o of p_o(known x)

        where o is an order that is kept with the model, but with the known variables moved to its front. It is the
        log-probability of what `conditional_sample` draws, and normalised over the unknown variables. Where something
        had to be moved, it belongs to the mixture over the moved orders and not to that of ``log_prob``, whose own
        p(unknown | known) is another number that takes a sum over all that is unknown.

        Args and errors are those of `MADE.conditional_log_prob`, but no mask is refused.

        >>> model = DeepNADE(3, hidden=[8], generator=0)
        >>> x = torch.tensor([[0., 1., 1.], [1., 1., 1.]])  # both values of variable 0, which comes first in the order
        >>> model.conditional_log_prob(x, torch.tensor([False, True, True])).logsumexp(0).abs() < 1e-6
        tensor(True)
        """
        return super().conditional_log_prob(x, mask, context)

    def _plan(self, mask: Tensor) -> Iterator[tuple[Tensor, list[list[int]]]]:
        distinct, which = torch.unique(mask, dim=0, return_inverse=True)
        for i, known in enumerate(distinct.tolist()):
            orders = [[*(v for v in o if known[v]), *(v for v in o if not known[v])] for o in self._orders]
            yield (which == i).nonzero().squeeze(1), orders

    def extra_repr(self) -> str:
        d, r = self.features, len(self.orders)
        passes = f"{d} network passes" if r == 1 else f"{r} x {d} network passes"
        return f"log_prob: {passes}; sample: {d} network passes, or up to {d} x {d}"


class MaskedSum:
    """A walk of `DeepNADE`: what is inside the first hidden layer so far, ``[batch, hidden[0]]``."""

    def __init__(self, model: DeepNADE, batch: int, order: Sequence[int]) -> None:
        self.model, self.order = model, order
        self.columns = model.first.weight.detach().t().contiguous()
        self.sums = model.first.bias.detach().repeat(batch, 1)

    def parameters(self, d: int) -> Tensor:
        """The logit at place ``d``: ``[1, batch]``."""
        last, variable = self.model.last, self.order[d]
        return torch.mv(self.model._above(self.sums), last.weight[variable]).add_(last.bias[variable]).unsqueeze(0)

    def put(self, d: int, row: Tensor) -> None:
        """The value at place ``d`` is ``row`` ``[batch]``."""
        variable = self.order[d]
        self.sums.addr_(row, self.columns[variable]).add_(self.columns[self.model.features + variable])
