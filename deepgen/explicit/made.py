"""MADE, the masked autoencoder for distribution estimation: all D conditionals from one pass of one masked network.

    log p_o(x) = sum over d of log p(x_d | variables before d in the order o),

Bernoulli (or categorical) conditionals whose logits a `deepgen.layers.MaskedNet` puts out. With several orders the
weights are shared and only the masks of the first and last layer change; then (Germain et al. 2015, section 4.2)

    p(x) = 1/R sum over o of p_o(x):

``log_prob`` is that of the mixture, R passes, and normalised. Training the mixture as it stands would cost R passes a
step, so the paper takes one order at a time, whose mean log p_o lies below log p (Jensen): `OrderAgnostic` does that.
Unlike there, the connections between hidden layers are not drawn again but kept in sorted degrees, which is what lets a
walk use each weight once.

Categorical values enter as K - 1 indicators (x = 1, ..., x = K - 1) a variable and leave as K - 1 logits relative to 0.

Source: Germain, Gregor, Murray & Larochelle 2015, "MADE: Masked Autoencoder for Distribution Estimation".
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from deepgen.explicit.discrete import DiscreteAutoregressive
from deepgen.explicit.orders import as_orders, plain_orders
from deepgen.layers.entering import Entering
from deepgen.layers.masked import MaskedNet, Steps
from deepgen.random import resolve
from deepgen.transforms.autoregressive import FEW_ROWS


class MADE(DiscreteAutoregressive):
    """Masked autoencoder over ``features`` discrete variables; `LogProb` and `Samples`.

    Train one order by `deepgen.objectives.MaximumLikelihood`, several by `deepgen.objectives.OrderAgnostic`, after
    `initialise`.

    Args:
        features: number of variables D.
        hidden: widths of the hidden layers (rectified linear units).
        orders: how many orders, drawn from ``generator`` and kept with the weights; or the orders themselves, each a
            permutation of 0 .. D-1. A single one is 0, 1, ..., D-1.
        categories: number of values K of each variable, 0 .. K-1.
        context: width of a context row, 0 for none.
        residual: residual blocks (all widths alike).
        generator: source of the initial weights and of the orders.

    >>> model = MADE(4, hidden=[16], generator=0)
    >>> everything = torch.cartesian_prod(*[torch.arange(2.0)] * 4)
    >>> torch.allclose(model.log_prob(everything).logsumexp(0), torch.zeros(()), atol=1e-5)
    True
    >>> torch.equal(model.sample(3, generator=1), model.sample(3, method="jacobi", generator=1))
    True
    """

    few_rows = FEW_ROWS

    def __init__(
        self,
        features: int,
        hidden: Sequence[int] = (500,),
        *,
        orders: int | Sequence[Sequence[int]] = 1,
        categories: int = 2,
        context: int = 0,
        residual: bool = False,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__(features, categories, context)
        stream = resolve(generator)
        self.net = MaskedNet(
            range(features * (categories - 1)),
            categories - 1,
            hidden=hidden,
            context=context,
            residual=residual,
            generator=stream,
        )
        self._keep(as_orders(orders, features, stream))
        self._arguments = {"features": self.features, "hidden": list(hidden), "orders": plain_orders(orders),
                           "categories": categories, "context": context, "residual": residual}  # fmt: skip

    def entering(self) -> dict[str, Entering]:
        """The network's weights, with the connections that some order has; see `deepgen.layers.constrain`."""
        masks = [self._ordered(order).masks() for order in self._orders]
        some = [functools.reduce(torch.maximum, of_one) for of_one in zip(*masks, strict=True)]
        return {f"net.{name}": Entering(0, mask) for name, mask in zip(self.net.entering(), some, strict=True)}

    @property
    def output_bias(self) -> Tensor:
        k = self.categories - 1
        return self.net.last.bias.view(k, self.features, k)[:, :, 0]

    def order_log_prob(
        self, x: Tensor, context: Tensor | None = None, *, generator: torch.Generator | int | None = None
    ) -> Tensor:
        """log p_o(x | context) for one of the orders drawn at random, the same for all rows: ``[batch]``, in nats.

        Its mean over the orders is at most ``log_prob``.
        """
        stream = resolve(generator, self.device)
        choice = int(torch.randint(len(self.orders), (), generator=stream, device=self.device))
        return self._log_prob_in(x, context, [self._orders[choice]])

    def conditionals(self, x: Tensor, context: Tensor | None, order: Sequence[int]) -> Tensor:
        """Logits of all variables given those before: ``[features, batch] -> [categories - 1, features, batch]``."""
        return self._ordered(order)(self._indicators(x), context)[:, :: self.categories - 1]

    def steps(self, batch: int, context: Tensor | None, order: Sequence[int]) -> IndicatorSteps:
        """The start of a walk for ``batch`` rows."""
        return IndicatorSteps(self, Steps(self._ordered(order), batch, context))

    def _indicators(self, x: Tensor) -> Tensor:
        """``[features, batch] -> [features (categories - 1), batch]``; of binary variables x itself."""
        if self.categories == 2:
            return x
        values = torch.arange(1, self.categories, device=x.device).view(1, -1, 1)
        return (x.unsqueeze(1) == values).to(x.dtype).flatten(0, 1)

    def _ordered(self, order: Sequence[int]) -> MaskedNet:
        """The network with its weights shared and its first and last masks rearranged for ``order``."""
        if list(order) == list(range(self.features)):
            return self.net
        k, names = self.categories - 1, [name for name, _ in self.net.named_buffers()]
        columns = torch.as_tensor(order, device=self.device).unsqueeze(1) * k + torch.arange(k, device=self.device)
        place = columns.flatten().argsort()  # of each indicator
        view = copy.copy(self.net)
        first, last = self.net.get_buffer(names[0]), self.net.get_buffer(names[-1])
        last = last.view(k, self.features * k, -1)[:, place].flatten(0, 1)
        view._buffers = {**self.net._buffers, names[0]: first[:, place], names[-1]: last}
        view.order = columns.flatten().tolist()
        return view


class IndicatorSteps:
    """A walk of `deepgen.layers.masked.Steps` through the indicators, told and asked by variables."""

    def __init__(self, model: MADE, steps: Steps) -> None:
        self.model, self.inner, self.count = model, steps, model.categories - 1

    def parameters(self, d: int) -> Tensor:
        """The logits of the variable at place ``d``: ``[categories - 1, batch]``."""
        return self.inner.parameters(d * self.count)

    def put(self, d: int, row: Tensor) -> None:
        """The variable at place ``d`` has the values ``row`` ``[batch]``."""
        for i, indicator in enumerate(self.model._indicators(row.unsqueeze(0))):
            self.inner.put(d * self.count + i, indicator)
