"""Initial weights from data: every layer begins with sums of the size that its activation is made for.

    data_dependent:   w_i <- w_i / s_i,   b_i <- (b_i - m_i) / s_i      m_i, s_i: mean and deviation of unit i's sum
    lsuv:             w <- orthonormal, b <- 0, then w <- w / s         s: deviation of all sums of the layer

over the rows handed in, layer by layer, each seeing what the layers before it put out once they are done: one pass
through the network does all. After `data_dependent` each sum has mean 0 and variance 1 over those rows, what batch
normalisation would make of them; for layers under torch's ``weight_norm`` it is the paper's g = 1 / s, b = - m / s. A
unit without a spread (weights of 0, which begin a block as the identity) keeps its scale.

Laws that need no data are torch's: ``nn.init.xavier_uniform_`` (tanh), ``kaiming_uniform_`` (rectifiers),
``orthogonal_``, all of which take a ``generator``; and `sparse_` here. Builders choose U(-r, r), r = 1 / sqrt(n), or
He's where they say so.

Sources: Salimans & Kingma 2016, "Weight normalization", equations 5 and 6; Mishkin & Matas 2016, "All you need is a
good init", algorithm 1 (whose loop ends after one turn where, as here, sums are linear in w and b = 0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability, SupportError
from deepgen.random import resolve

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
Net = TypeVar("Net", bound=nn.Module)


def data_dependent(net: Net, *rows: Tensor) -> Net:
    """Scale and shift the sums of all linear layers and convolutions to mean 0, variance 1 over ``net(*rows)``.

    Args:
        net: any module whose layers are called as modules, in the mode in which it is; changed in place and returned.
        rows: what ``net`` takes, a few hundred rows of data. A layer without a bias is scaled alone.

    Raises:
        ArgumentError: no linear layer or convolution was called.
        SupportError: sums that are not finite, or have no spread in any layer: hand in several rows that differ.
        MissingCapability: weights that are a parametrisation and do not take the scale (a spectral norm).

    >>> net = nn.Sequential(nn.Linear(3, 50), nn.ReLU(), nn.Linear(50, 2))
    >>> out = data_dependent(net, torch.randn(200, 3) * 100)(torch.randn(1000, 3) * 100)
    >>> bool(0.5 < out.std() < 2)
    True
    """

    def begin(layer: Any, call: Callable[[], Tensor]) -> Tensor:
        sums = call()
        axis = 1 if isinstance(layer, CONVOLUTIONS) else sums.ndim - 1
        rest = [i for i in range(sums.ndim) if i != axis]
        spread = sums.std(rest, correction=0)
        if layer.bias is not None:
            mean = sums.mean(rest)
            layer.bias = _like(layer.bias, (layer.bias - mean) / torch.where(spread > 0, spread, 1.0))
        return spread

    return _walk(net, rows, begin)


def lsuv(net: Net, *rows: Tensor, generator: torch.Generator | int | None = None) -> Net:
    """Layer-sequential unit variance: orthonormal weights, then each layer's sums to variance 1 over ``net(*rows)``.

    Args:
        net, rows: as for `data_dependent`.
        generator: draws the orthonormal weights.

    Raises:
        ArgumentError, SupportError, MissingCapability: as `data_dependent`.

    >>> net = lsuv(nn.Sequential(nn.Linear(3, 50), nn.ReLU(), nn.Linear(50, 2)), torch.randn(200, 3), generator=0)
    >>> gram = (net[0].weight.T @ net[0].weight).detach()
    >>> torch.allclose(gram / gram[0, 0], torch.eye(3), atol=1e-5)
    True
    """
    stream = resolve(generator)

    def begin(layer: Any, call: Callable[[], Tensor]) -> Tensor:
        shape = [*layer.weight.shape]
        if turned := isinstance(layer, TRANSPOSED):
            shape[:2] = shape[1::-1]
        drawn = nn.init.orthogonal_(torch.empty(shape), generator=stream)
        layer.weight = _like(layer.weight, drawn.transpose(0, 1) if turned else drawn)
        if layer.bias is not None:
            layer.bias = _like(layer.bias, torch.zeros_like(layer.bias))
        return call().std(correction=0)

    return _walk(net, rows, begin)


@torch.no_grad()
def _walk(net: Net, rows: tuple[Tensor, ...], begin: Callable[[Any, Callable[[], Tensor]], Tensor]) -> Net:
    """Divide each layer's weights by the spread ``begin`` finds at its first call, before others see it."""
    known: dict[int, bool] = {}

    def at_call(layer: Any, given: tuple[Any, ...], named: dict[str, Any], _: Tensor) -> Tensor | None:
        if id(layer) in known:
            return None  # called again, with the weights it has
        spread = begin(layer, lambda: layer.forward(*given, **named))
        if not bool(spread.isfinite().all()):
            raise SupportError(f"the sums of {layer} are not finite over these rows")
        known[id(layer)] = bool((spread > 0).any())
        scaled = _divided(layer, torch.where(spread > 0, spread, 1.0))
        layer.weight = _like(layer.weight, scaled)
        if not torch.allclose(layer.weight, scaled, rtol=1e-3):
            raise MissingCapability(f"the weights of {layer} are a parametrisation that does not take a scale")
        out: Tensor = layer.forward(*given, **named)
        return out

    kinds = (nn.Linear, *CONVOLUTIONS)
    layers = [part for part in net.modules() if isinstance(part, kinds)]
    hooks = [layer.register_forward_hook(at_call, with_kwargs=True) for layer in layers]
    try:
        net(*rows)
    finally:
        for hook in hooks:
            hook.remove()
    if not known:
        raise ArgumentError(f"{type(net).__name__} calls no linear layer or convolution as a module: nothing to begin")
    if not any(known.values()):
        raise SupportError("no layer's sums differ over these rows: hand in several rows of data")
    return net


def _divided(layer: Any, scale: Tensor) -> Tensor:
    """Weights divided by the scale of their unit ``[units]``, or by one of all ``[]``."""
    weight: Tensor = layer.weight
    if scale.ndim == 0:
        return weight / scale
    if not isinstance(layer, TRANSPOSED):
        return weight / scale.view(-1, *[1] * (weight.ndim - 1))
    groups = layer.groups  # units are the second axis, in groups of their own inputs
    return (weight.unflatten(0, (groups, -1)) / scale.view(groups, 1, -1, *[1] * (weight.ndim - 2))).flatten(0, 1)


def _like(old: Tensor, value: Tensor) -> Tensor:
    """The value in the old parameter, or as it is where that is computed: its parametrisation takes it apart."""
    return old.copy_(value) if isinstance(old, nn.Parameter) else value.to(old)
