"""Multilayer networks for encoders, decoders, generators and discriminators of any shape of rows.

    h_0 = d([x, context]),    h_i = d(a(N(W_i h_(i-1) + b_i))),    output = W h + b

tanh is the default activation a (as in Burda, Grosse & Salakhutdinov 2016); the networks of a GAN usually
have leaky rectifiers. N, if wanted, is torch's batch normalisation, before the activation and in the place of b_i,
which it would take away again (Ioffe & Szegedy 2015, section 3.2). d is dropout of hidden units, and at a rate of its
own of the inputs (Srivastava et al. 2014, section 4), with what is kept divided by 1 - rate in training. Neither is at
the output. With ``pieces`` above 1 hidden layers are `Maxout`, which is its own activation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.layers.activations import activation_of
from deepgen.layers.dropout import check_rate, dropout, mask_source
from deepgen.layers.linear import linear
from deepgen.layers.maxout import Maxout
from deepgen.layers.mlp import check_hidden
from deepgen.random import resolve


class Dense(nn.Module):
    """``[rows, *inputs] -> [rows, *outputs]`` by linear layers with an activation between them.

    Args:
        inputs: shape of a row, or its width.
        hidden: widths of the hidden layers.
        outputs: shape of what comes out, or its width; ``()``, one number a row: a discriminator.
        activation: ``tanh``, ``relu``, ``leaky_relu`` (of slope 0.2, as in DCGAN), ``silu``, ``softplus`` or
            ``sigmoid``; a name, so that `deepgen.save` can write it down.
        last: the activation after the last layer; None for none.
        context: width of the context rows that are joined on; 0 for none.
        norm: batch normalisation of the hidden layers.
        dropout: rate of hidden units, or a pair: of inputs and of hidden units (0.2 and 0.5 in the paper).
        pieces: linear functions of which a hidden unit is the greatest, in the place of ``activation`` and without
            ``norm``; 1 for none.
        generator: source of the initial weights.

    Raises:
        ArgumentError: a width, rate or name outside its range; in ``forward``, units to drop and no source of masks.
        ShapeError: rows of another width.

    >>> net = Dense((28, 28), [200, 200], 100, context=10, generator=0)
    >>> net(torch.zeros(5, 28, 28), torch.zeros(5, 10)).shape
    torch.Size([5, 100])
    >>> Dense(2, [64, 64], (), activation="leaky_relu", generator=0)(torch.zeros(5, 2)).shape
    torch.Size([5])

    The first discriminator (Goodfellow et al. 2014) has two layers of 240 maxout units of 5 pieces, and dropout:

    >>> net = Dense(784, [240, 240], (), pieces=5, dropout=(0.2, 0.5), generator=0)
    >>> net.eval()(torch.zeros(5, 784)).shape, sum(p.numel() for p in net.parameters())
    (torch.Size([5]), 1231441)

    In training a network with dropout needs a source of its masks: a generator, or in a step of `deepgen.fit` the
    stream that belongs to the step; after ``eval()`` nothing is drawn.

    >>> net = Dense(2, [64, 64], 3, activation="relu", norm=True, dropout=(0.2, 0.5), generator=0)
    >>> net(torch.zeros(5, 2), generator=torch.Generator()).shape, net.eval()(torch.zeros(5, 2)).shape
    (torch.Size([5, 3]), torch.Size([5, 3]))
    """

    def __init__(
        self,
        inputs: int | Sequence[int],
        hidden: Sequence[int],
        outputs: int | Sequence[int],
        *,
        activation: str = "tanh",
        last: str | None = None,
        context: int = 0,
        norm: bool = False,
        dropout: float | Sequence[float] = 0.0,
        pieces: int = 1,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(hidden, Sequence) or len(hidden):  # none is a linear map
            check_hidden(hidden, residual=False)
        check_count(0, context=context)
        check_count(pieces=pieces)
        if pieces > 1 and norm:
            raise ArgumentError("norm stands before an activation, and maxout units have none: drop norm or pieces")
        self.inputs, self.outputs, self.context = shape_of(inputs), shape_of(outputs), int(context)
        self.activation, stream = activation_of(activation), resolve(generator)
        self.last = None if last is None else activation_of(last)
        self.rates = check_rates(dropout)
        self._arguments = {"inputs": list(self.inputs), "hidden": list(hidden), "outputs": list(self.outputs),
                           "activation": activation, "last": last, "context": self.context, "norm": bool(norm),
                           "dropout": list(self.rates), "pieces": int(pieces)}  # fmt: skip
        *widths, last_width = [math.prod(self.inputs) + self.context, *hidden, math.prod(self.outputs)]
        pairs = itertools.pairwise(widths)
        if pieces > 1:
            self.activation = _alone
            self.layers = nn.ModuleList(Maxout(a, b, pieces, generator=stream) for a, b in pairs)
        else:
            self.layers = nn.ModuleList(linear(a, b, bias=not norm, generator=stream) for a, b in pairs)
        self.layers.append(linear(widths[-1], last_width, generator=stream))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in hidden) if norm else None

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, x: Tensor, context: Tensor | None = None, *, generator: torch.Generator | None = None) -> Tensor:
        if x.shape[1:].numel() != math.prod(self.inputs):
            raise ShapeError(f"rows must be [rows, {', '.join(map(str, self.inputs))}], got {list(x.shape)}")
        dropped, generator = self.rates, mask_source(self, self.rates, generator)
        h = dropout(joined(x.flatten(1), context, self.context), dropped[0], generator)
        *hidden, last = self.layers  # a slice would be a new module, at every call
        for i, layer in enumerate(hidden):
            h = layer(h) if self.norms is None else self.norms[i](layer(h))
            h = dropout(self.activation(h), dropped[1], generator)
        out: Tensor = last(h) if self.last is None else self.last(last(h))
        return out if len(self.outputs) == 1 else out.view(len(x), *self.outputs)


def _alone(h: Tensor) -> Tensor:
    return h


def check_rates(rates: float | Sequence[float]) -> tuple[float, float]:
    """Rates of dropout of inputs and of hidden units; one number is that of hidden units.

    >>> check_rates(0.5), check_rates([0.2, 0.5])
    ((0.0, 0.5), (0.2, 0.5))
    """
    both: list[Any] = list(rates) if isinstance(rates, Sequence) else [0.0, rates]
    if len(both) != 2:
        raise ArgumentError(f"dropout must be one rate, or those of inputs and of hidden units, got {rates!r}")
    return check_rate(both[0]), check_rate(both[1])


def shape_of(shape: int | Sequence[int]) -> tuple[int, ...]:
    """A shape from one, or from a width.

    >>> shape_of(3), shape_of([28, 28])
    ((3,), (28, 28))
    """
    sides = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    for side in sides:
        check_count(side=side)
    return tuple(map(int, sides))


def joined(h: Tensor, context: Tensor | None, width: int) -> Tensor:
    """``[rows, features]`` and a context of ``width`` after them; an `ArgumentError` if one should be there and is not.

    >>> joined(torch.zeros(5, 3), torch.zeros(5, 10), 10).shape
    torch.Size([5, 13])
    """
    context = check_context(context, len(h), width)
    return h if context is None else torch.cat([h, context.to(h)], 1)


def check_context(context: Tensor | None, rows: int, width: int) -> Tensor | None:
    """The context as it is, or an error unless it is ``[rows, width]``, and None where the width is 0.

    >>> check_context(torch.zeros(5, 10), 5, 10).shape, check_context(None, 5, 0)
    (torch.Size([5, 10]), None)
    """
    if (context is None) != (width == 0):
        raise ArgumentError(f"this network takes {f'a context of width {width}' if width else 'no context'}")
    if context is not None and context.shape != (rows, width):
        raise ShapeError(f"the context must be [{rows}, {width}], got {list(context.shape)}")
    return context
