"""Conditions on labels or vectors, put around networks that know of none.

    concatenation   net([x, e(y)]), or net(x, e(y)) where the network takes a context;
                    e(y) the label one-hot or the vector itself, on images as constant channels
    projection      D(x, y) = psi(h) + <v_y, h>,   h = r(phi(x)),     for discriminators, r a leaky rectifier

The projection is the form of log p(y | x) p(x) / q(y | x) q(x) where both classifiers are log-linear in phi. Sources:
Mirza & Osindero 2014, "Conditional generative adversarial nets"; Miyato & Koyama 2018, "cGANs with projection
discriminator", its equation 4.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.explicit.contexts import as_integers, check_beside
from deepgen.implicit.vae import check_module
from deepgen.layers.activations import leaky_relu
from deepgen.layers.conv_decoder import ConvDecoder
from deepgen.layers.conv_encoder import ConvEncoder
from deepgen.layers.dense import Dense
from deepgen.layers.linear import linear
from deepgen.layers.p4_encoder import P4Encoder
from deepgen.random import resolve


class Concatenated(nn.Module):
    """``net`` of rows with their context joined on: a generator or a discriminator with ``(x, context)``.

    A network that takes a context itself (``net.context``: `Dense`, `ConvEncoder`, ...) is handed the code.
    To another one it comes with the rows: ``[rows, features]`` become ``[rows, features + k]``, images ``[rows,
    channels, height, width]`` get k constant channels, and ``[rows, height, width]`` have one channel before that.

    Args:
        net: a network with ``context=k``, or one over the longer rows.
        classes: k labels, integers from 0 on.
        context: or k numbers.

    Raises:
        ArgumentError: ``net`` is no module or takes a context of another width; not one of ``classes`` and ``context``.
        ShapeError, SupportError: when called, a context that is missing, of another shape, or a label out of range.

    >>> import deepgen as dg
    >>> net = Concatenated(dg.implicit.Dense(3, [16], 2, context=10, generator=0), classes=10)
    >>> net(torch.zeros(5, 3), torch.arange(5)).shape
    torch.Size([5, 2])
    >>> net = Concatenated(dg.implicit.DCGANDiscriminator((1 + 10, 8, 8), 4, generator=0), classes=10)
    >>> net(torch.zeros(5, 8, 8), torch.arange(5)).shape
    torch.Size([5])
    """

    def __init__(self, net: nn.Module, *, classes: int = 0, context: int = 0) -> None:
        super().__init__()
        _one_of(classes, context)
        check_module("net", net)
        taken = getattr(net, "context", 0)
        if taken and taken != (classes or context):
            raise ArgumentError(f"net takes a context of width {taken}, and it would be handed {classes or context}")
        self.net, self.classes, self.context, self.apart = net, int(classes), int(context), bool(taken)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"net": self.net, "classes": self.classes, "context": self.context}

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        check_beside(context, self.classes or self.context, len(x), labels=self.classes > 0)
        code = F.one_hot(as_integers(context, self.classes), self.classes) if self.classes else context
        code = code.to(x)
        if self.apart:
            given: Tensor = self.net(x, code)
            return given
        if x.ndim == 3:
            x = x.unsqueeze(1)
        if x.ndim not in (2, 4):
            raise ShapeError(f"rows must be vectors or images, got {list(x.shape)}")
        maps = code.reshape(*code.shape, *(1,) * (x.ndim - 2)).expand(*code.shape, *x.shape[2:])
        value: Tensor = self.net(torch.cat([x, maps], 1))
        return value


class Projected(nn.Module):
    """A discriminator: ``features`` gives phi(x) ``[rows, width]``, and the context is projected on its rectified h.

    Args:
        features: phi, a network to ``[rows, width]``.
        width: of phi(x).
        classes: number of labels, integers from 0 on, each with a v of its own.
        context: or the width of the vectors, v being linear in them.
        generator: source of the initial weights of psi and v.

    Raises:
        ArgumentError: ``features`` is no module; not one of ``classes`` and ``context``.
        ShapeError, SupportError: when called, features or a context of another shape, or a label out of range.

    >>> import deepgen as dg
    >>> D = Projected(dg.implicit.Dense(2, [16], 16, generator=0), 16, classes=10, generator=1)
    >>> D(torch.zeros(5, 2), torch.arange(5)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        features: nn.Module,
        width: int,
        *,
        classes: int = 0,
        context: int = 0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        _one_of(classes, context)
        check_module("features", features)
        check_count(width=width)
        self.features, self.width, self.classes, self.context = features, int(width), int(classes), int(context)
        stream = resolve(generator)
        self.psi = linear(width, 1, generator=stream)
        self.v = linear(classes or context, width, bias=False, generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features, "width": self.width, "classes": self.classes, "context": self.context}

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        check_beside(context, self.classes or self.context, len(x), labels=self.classes > 0)
        phi = self.features(x)
        if phi.shape != (len(x), self.width):
            raise ShapeError(f"features must give [{len(x)}, {self.width}], got {list(phi.shape)}")
        h = leaky_relu(phi)
        v = self.v.weight.t()[as_integers(context, self.classes)] if self.classes else self.v(context)
        return self.psi(h).squeeze(1) + (v * h).sum(1)


def check_taken(name: str, network: nn.Module, classes: int, context: int) -> None:
    """Raise `ArgumentError` where ``network`` is one of this package that takes another context than it will be handed.

    >>> check_taken("generator", Dense(3, [8], 2, context=4), 0, 0)
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: the generator takes vectors of width 4, and the GAN would hand it no context: ...
    """
    if not isinstance(network, (Concatenated, Projected, Dense, ConvEncoder, ConvDecoder, P4Encoder)):
        return  # of others it is not known
    labels = getattr(network, "classes", 0)
    if (labels, labels or network.context) == (classes, context):
        return
    takes, handed = _words(labels, network.context), _words(classes, context)
    remedy = "give the GAN " + (f"classes={labels}" if labels else f"context={network.context}")
    if classes or not (labels or network.context):
        remedy = "Concatenated or Projected is the network that takes labels" if classes else "Concatenated joins it on"
    raise ArgumentError(f"the {name} takes {takes}, and the GAN would hand it {handed}: {remedy}")


def _words(classes: int, context: int) -> str:
    return f"labels of {classes} classes" if classes else f"vectors of width {context}" if context else "no context"


def _one_of(classes: int, context: int) -> None:
    check_count(0, classes=classes, context=context)
    if bool(classes) == bool(context):
        raise ArgumentError("give classes= for labels or context= for vectors, one of them")
