"""Ready encoders and decoders: multilayer, and convolutional with transposed convolutions on the way back.

    encoder:  x [rows, *event], context [rows, c] -> features [rows, outputs]
    decoder:  z [rows, inputs], context [rows, c] -> numbers [rows, *outputs]

Between layers stands an activation, tanh by default (as in Burda, Grosse & Salakhutdinov 2016) for the multilayer ones
and SiLU for images. A context is joined to the row, and to the flat middle of the convolutional ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count, unknown_name
from deepgen.layers.linear import linear
from deepgen.layers.mlp import check_hidden
from deepgen.layers.tanh import tanh
from deepgen.random import resolve

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": tanh,
    "relu": torch.relu,
    "silu": nn.functional.silu,
    "softplus": nn.functional.softplus,
}


class Dense(nn.Module):
    """``[rows, *inputs] -> [rows, *outputs]`` by linear layers with an activation between them.

    Args:
        inputs: shape of a row, or its width.
        hidden: widths of the hidden layers.
        outputs: shape of what comes out, or its width.
        activation: ``tanh``, ``relu``, ``silu`` or ``softplus`` (a name, so that `deepgen.save` can write it down).
        context: width of the context rows that are joined on; 0 for none.
        generator: source of the initial weights.

    >>> net = Dense((28, 28), [200, 200], 100, context=10, generator=0)
    >>> net(torch.zeros(5, 28, 28), torch.zeros(5, 10)).shape
    torch.Size([5, 100])
    """

    def __init__(
        self,
        inputs: int | Sequence[int],
        hidden: Sequence[int],
        outputs: int | Sequence[int],
        *,
        activation: str = "tanh",
        context: int = 0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        if hidden:
            check_hidden(hidden, residual=False)
        check_count(0, context=context)
        self.inputs, self.outputs, self.context = shape_of(inputs), shape_of(outputs), int(context)
        self.activation, stream = _activation(activation), resolve(generator)
        self._arguments = {"inputs": list(self.inputs), "hidden": list(hidden), "outputs": list(self.outputs),
                           "activation": activation, "context": self.context}  # fmt: skip
        widths = [math.prod(self.inputs) + self.context, *hidden, math.prod(self.outputs)]
        self.layers = nn.ModuleList(linear(a, b, generator=stream) for a, b in itertools.pairwise(widths))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if x.shape[1:].numel() != math.prod(self.inputs):
            raise ShapeError(f"rows must be [rows, {', '.join(map(str, self.inputs))}], got {list(x.shape)}")
        h = _join(x.flatten(1), context, self.context)
        for layer in self.layers[:-1]:
            h = self.activation(layer(h))
        return self.layers[-1](h).view(len(x), *self.outputs)


class ConvEncoder(nn.Module):
    """``[rows, channels, height, width] -> [rows, outputs]``: convolutions of stride 2, then a hidden layer.

    Args:
        image: (channels, height, width); both sides must be divisible by 2 to the number of ``features``.
        outputs: width of what comes out.
        features: maps after each convolution.
        hidden: width of the layer after them.
        activation, context, generator: as for `Dense`.

    >>> ConvEncoder((1, 28, 28), 64, generator=0)(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 64])
    """

    def __init__(
        self,
        image: Sequence[int],
        outputs: int,
        *,
        features: Sequence[int] = (32, 64),
        hidden: int = 256,
        activation: str = "silu",
        context: int = 0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        self._arguments = _conv_arguments(image, features, hidden, activation, context)
        self._arguments["outputs"] = int(outputs)
        self.activation, self.context, stream = _activation(activation), int(context), resolve(generator)
        self.image, maps = tuple(image), _middle(image, features)
        self.convolutions = nn.ModuleList(
            _seeded(nn.Conv2d, a, b, stream) for a, b in itertools.pairwise([self.image[0], *features])
        )
        self.dense = linear(math.prod(maps) + self.context, hidden, generator=stream)
        self.last = linear(hidden, outputs, generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if x.shape[1:] != self.image:
            raise ShapeError(f"images must be [rows, {', '.join(map(str, self.image))}], got {list(x.shape)}")
        for layer in self.convolutions:
            x = self.activation(layer(x))
        return self.last(self.activation(self.dense(_join(x.flatten(1), context, self.context))))


class ConvDecoder(nn.Module):
    """``[rows, inputs] -> [rows, numbers * channels, height, width]``: `ConvEncoder` backwards.

    Args:
        inputs: width of a row.
        image: (channels, height, width) of the data.
        numbers: how many the likelihood takes for each value.
        features, hidden, activation, context, generator: those of the encoder, ``features`` in the same order.

    >>> ConvDecoder(32, (1, 28, 28), generator=0)(torch.zeros(5, 32)).shape
    torch.Size([5, 1, 28, 28])
    """

    def __init__(
        self,
        inputs: int,
        image: Sequence[int],
        *,
        numbers: int = 1,
        features: Sequence[int] = (32, 64),
        hidden: int = 256,
        activation: str = "silu",
        context: int = 0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(inputs=inputs, numbers=numbers)
        self._arguments = _conv_arguments(image, features, hidden, activation, context)
        self._arguments |= {"inputs": int(inputs), "numbers": int(numbers)}
        self.activation, self.context, stream = _activation(activation), int(context), resolve(generator)
        self.maps = _middle(image, features)
        self.dense = linear(inputs + self.context, hidden, generator=stream)
        self.spread = linear(hidden, math.prod(self.maps), generator=stream)
        self.convolutions = nn.ModuleList(
            _seeded(nn.ConvTranspose2d, a, b, stream)
            for a, b in itertools.pairwise([*reversed(features), numbers * image[0]])
        )

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.activation(self.dense(_join(z, context, self.context)))
        h = self.spread(h).view(len(z), *self.maps)
        for layer in self.convolutions:
            h = layer(self.activation(h))
        return h


def shape_of(shape: int | Sequence[int]) -> tuple[int, ...]:
    """A shape from one, or from a width.

    >>> shape_of(3), shape_of([28, 28])
    ((3,), (28, 28))
    """
    sides = (shape,) if isinstance(shape, int) else tuple(shape)
    for side in sides:
        check_count(side=side)
    return sides


def _join(h: Tensor, context: Tensor | None, width: int) -> Tensor:
    if (context is None) != (width == 0):
        raise ArgumentError(f"this network takes {f'a context of width {width}' if width else 'no context'}")
    return h if context is None else torch.cat([h, context.to(h)], 1)


def _activation(name: str) -> Callable[[Tensor], Tensor]:
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def _conv_arguments(image: Any, features: Any, hidden: int, activation: str, context: int) -> dict[str, Any]:
    if len(image) != 3 or not features:
        raise ArgumentError(f"image must be (channels, height, width) and features not empty, got {image}, {features}")
    check_count(hidden=hidden)
    check_count(0, context=context)
    return {"image": list(image), "features": list(features), "hidden": int(hidden), "activation": activation,
            "context": int(context)}  # fmt: skip


def _middle(image: Sequence[int], features: Sequence[int]) -> tuple[int, int, int]:
    """Shape of the maps between convolutions and dense layers."""
    times = 2 ** len(features)
    if image[1] % times or image[2] % times:
        raise ArgumentError(
            f"{len(features)} convolutions of stride 2 need sides divisible by {times}, got {image[1]} x {image[2]}: "
            "pad the images, or give fewer features"
        )
    return features[-1], image[1] // times, image[2] // times


def _seeded(kind: Any, inputs: int, outputs: int, generator: torch.Generator) -> nn.Module:
    """A (transposed) convolution of kernel 4 and stride 2, weights U(-r, r) with r = 1 / sqrt(weights of an output)."""
    layer: nn.Module = nn.utils.skip_init(kind, inputs, outputs, 4, stride=2, padding=1)
    fan = inputs * 16 if kind is nn.Conv2d else inputs * 4  # each output of a transposed one sees a quarter of them
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-(fan**-0.5), fan**-0.5, generator=generator)
    return layer
