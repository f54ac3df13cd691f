"""Autoregressive network: output i depends on the inputs before i only (MADE, Germain et al. 2015), in sorted degrees.

With r_i the place of variable i in the order (from 0) and m_j the degree of hidden unit j, spread evenly and *sorted*:

    W_1[j, i] = 0 unless r_i < m_j,    W_l[j, k] = 0 unless m_k <= m_j,    V[i, k] = 0 unless m_k <= r_i.

Sorted degrees make everything that one output needs a leading slice, so `Steps` can walk through the variables using
each weight once: a whole sequential pass then costs the arithmetic of one forward pass, not of D.

Everything is feature-major, ``[features, batch]``, which makes those slices contiguous. Context enters the first layer
and is seen by all units (degree 0 exists only to carry it).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.layers.activations import Activation, activation_of, name_of
from deepgen.layers.entering import Entering
from deepgen.layers.feed_forward import feed_forward, stacked
from deepgen.layers.linear import linear
from deepgen.layers.mlp import check_hidden
from deepgen.layers.rectified import rectified
from deepgen.layers.shapes import check_shape
from deepgen.random import resolve


class MaskedNet(nn.Module):
    """``[features, batch] -> [parameters, features, batch]``, autoregressive over the rows.

    Args:
        order: the variables in the order of dependence, a permutation of 0 .. D-1.
        parameters: numbers put out for each variable.
        hidden: widths of the hidden layers; of the residual form all alike, one block for each after the first.
        context: width of a context row, 0 for none.
        residual: pre-activation residual blocks, as in `MLP`.
        activation: a name as for `Dense`, or a function of one tensor, element by element, which `deepgen.save` cannot
            write down.
        scale: of the last layer's initial weights, small so that outputs start near zero.
        generator: source of the initial weights.

    Raises:
        ArgumentError, UnknownName: a setting outside its range; in ``forward``, a context that is not taken, or none.
        ShapeError: in ``forward``, rows or a context of another width.

    >>> net = MaskedNet(range(3), 2, hidden=[16], generator=torch.Generator().manual_seed(0))
    >>> net(torch.zeros(3, 7)).shape
    torch.Size([2, 3, 7])
    """

    def __init__(
        self,
        order: Sequence[int],
        parameters: int,
        *,
        hidden: Sequence[int] = (128, 128),
        context: int = 0,
        residual: bool = False,
        activation: str | Activation = F.relu,
        scale: float = 0.01,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_hidden(hidden, residual)
        check_count(0, context=context)
        features, place = len(order), torch.tensor(order).argsort()
        if sorted(order) != list(range(features)):
            raise ArgumentError(f"order must be a permutation of 0 to {features - 1}, got {list(order)}")
        self.order, self.features, self.parameters_each = list(order), features, parameters
        self.residual, self.scale, self.hidden, generator = residual, scale, list(hidden), resolve(generator)
        self.activation = activation_of(activation) if isinstance(activation, str) else activation
        self.first = linear(features, hidden[0], generator=generator)
        self.context = linear(context, hidden[0], bias=False, generator=generator) if context else None
        self.inner = nn.ModuleList()
        for before, after in itertools.pairwise(hidden):
            self.inner.append(linear(before, after, generator=generator))
            if residual:
                self.inner.append(linear(after, after, scale=0.01, generator=generator))
        self.last = linear(hidden[-1], parameters * features, scale=scale, generator=generator)
        lowest = 0 if context or features == 1 else 1
        degrees = [_degrees(width, lowest, features - 1) for width in hidden]
        # ends[l, m]: how many units of layer l have a degree of at most m
        self.ends = torch.stack([torch.searchsorted(d, torch.arange(features), right=True) for d in degrees])
        widths = [degrees[0], *(d for d in degrees[1:] for _ in range(2 if residual else 1))]
        masks = [widths[0].unsqueeze(1) > place]
        masks += [after.unsqueeze(1) >= before for before, after in itertools.pairwise(widths)]
        masks.append((place.unsqueeze(1) >= widths[-1]).repeat(parameters, 1))
        for number, mask in enumerate(masks):
            self.register_buffer(f"mask{number}", mask.float(), persistent=False)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"order": self.order, "parameters": self.parameters_each, "hidden": self.hidden,
                "context": 0 if self.context is None else self.context.in_features, "residual": self.residual,
                "activation": name_of(self.activation), "scale": self.scale}  # fmt: skip

    def stacked(self) -> tuple[list[Tensor], list[Tensor]]:
        """Weights, not masked yet, and biases of first, inner and last layer."""
        return stacked([self.first, *self.inner, self.last])

    def masks(self) -> tuple[Tensor, ...]:
        """The mask of each weight, in the same order."""
        return tuple(self._buffers.values())  # type: ignore[arg-type]

    def entering(self) -> dict[str, Entering]:
        """Weights with their masks; see `deepgen.layers.constrain`."""
        names = ["first", *(f"inner.{i}" for i in range(len(self.inner))), "last"]
        return {f"{name}.weight": Entering(0, mask) for name, mask in zip(names, self.masks(), strict=True)}

    def seen(self, context: Tensor | None) -> Tensor | None:
        """What a context adds to the first layer, ``[hidden, batch]``; None without."""
        if (context is None) != (self.context is None):
            width = 0 if self.context is None else self.context.in_features
            raise ArgumentError(f"this network takes {f'a context of width {width}' if width else 'no context'}")
        return None if self.context is None or context is None else torch.mm(self.context.weight, context.t())

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        check_shape("x", x, self.features, "batch")
        if context is not None and self.context is not None:
            check_shape("context", context, x.shape[1], self.context.in_features)
        weights, biases = self.stacked()
        out = rectified(
            x, weights, biases, self.activation, masks=self.masks(), start=self.seen(context), residual=self.residual
        )
        return out.view(self.parameters_each, self.features, -1)

    def plain(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The same by tensor operations, among which autograd leaves out what is not asked for."""
        weights, biases = self.stacked()
        weights = [weight * mask for weight, mask in zip(weights, self.masks(), strict=True)]
        out = feed_forward(x, weights, biases, self.activation, start=self.seen(context), residual=self.residual)
        return out.view(self.parameters_each, self.features, -1)


class Steps:
    """One walk through the variables of a `MaskedNet`, without gradients: each weight takes part once.

    Use: for place d = 0, 1, ... in the order, ``parameters(d)`` gives ``[parameters, batch]`` of the variable there;
    then ``put(d, row)`` tells its value ``[batch]``.

    >>> net = MaskedNet([2, 0, 1], 2, hidden=[16, 16], generator=torch.Generator().manual_seed(0))
    >>> x, steps = torch.randn(3, 5), Steps(net, 5)
    >>> for d, variable in enumerate(net.order):
    ...     assert torch.allclose(steps.parameters(d), net(x)[:, variable], atol=1e-6)
    ...     steps.put(d, x[variable])
    """

    @torch.no_grad()
    def __init__(self, net: MaskedNet, batch: int, context: Tensor | None = None) -> None:
        self.net, self.residual, self.r = net, net.residual, net.activation
        weights, (bias, *biases) = ([t.detach() for t in tensors] for tensors in net.stacked())
        first, *self.inner, last = weights  # not masked: the leading slices leave out what masks would
        self.first = first[:, net.order]
        # [D, P, hidden] and [D, P, 1], in the order
        self.last = last.view(net.parameters_each, net.features, -1).transpose(0, 1)[net.order]
        self.last_bias = biases[-1].view(net.parameters_each, net.features).t()[net.order].unsqueeze(2)
        seen, bias = net.seen(context), bias.unsqueeze(1)
        self.start = (bias if seen is None else seen + bias).expand(-1, batch)
        self.biases = [bias.unsqueeze(1) for bias in biases[:-1]]
        self.ends = net.ends.tolist()
        self.x = self.start.new_empty(net.features, batch)
        # Values after the activation, of every layer that another product reads; of a residual net also the sums.
        self.hidden = [self.start.new_empty(int(ends[-1]), batch) for ends in net.ends]
        self.middle = [torch.empty_like(h) for h in self.hidden[1:]] if net.residual else []
        self._finish(0, 0)

    def parameters(self, d: int) -> Tensor:
        """The numbers put out for the variable at place ``d``: ``[parameters, batch]``."""
        n = self.ends[-1][d]
        return torch.addmm(self.last_bias[d], self.last[d, :, :n], self.hidden[-1][:n])

    def put(self, d: int, row: Tensor) -> None:
        """The variable at place ``d`` is ``row`` ``[batch]``: complete the hidden units that waited for it."""
        self.x[d] = row
        if d + 1 < self.net.features:
            self._finish(d + 1, d + 1)

    def _finish(self, degree: int, known: int) -> None:
        ends = [(0 if degree == 0 else ends[degree - 1], ends[degree]) for ends in self.ends]
        total, (a, b) = self.x[:0], ends[0]
        if a < b:
            total = torch.addmm(self.start[a:b], self.first[a:b, :known], self.x[:known])
            self.hidden[0][a:b] = self.r(total)
        for layer in range(1, len(self.hidden)):
            reach, (a, b) = b, ends[layer]
            if a == b:
                continue
            if not self.residual:
                self.hidden[layer][a:b] = self.r(self._product(layer - 1, a, b, self.hidden[layer - 1][:reach]))
                continue
            inside = self.middle[layer - 1]
            inside[a:b] = self.r(self._product(2 * layer - 2, a, b, self.hidden[layer - 1][:reach]))
            total = total + self._product(2 * layer - 1, a, b, inside[:b])
            self.hidden[layer][a:b] = self.r(total)

    def _product(self, i: int, a: int, b: int, below: Tensor) -> Tensor:
        """Units a to b - 1 of inner layer ``i``, from the units ``below`` that they may see."""
        return torch.addmm(self.biases[i][a:b], self.inner[i][a:b, : len(below)], below)


def _degrees(width: int, lowest: int, highest: int) -> Tensor:
    """``width`` degrees from ``lowest`` to ``highest``, spread evenly and sorted."""
    return lowest + torch.arange(width) * (highest - lowest + 1) // width
