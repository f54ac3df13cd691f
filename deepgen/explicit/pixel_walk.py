"""Where a compiled walk through the pixels serves, and what its kernels (`pixel_kernels`) need of a model.

They take one image after the other, on one thread of a CPU and in float32. A walk by tensor operations (`pixel_cache`)
costs 0.2 s or more for 784 pixels and 8 layers whatever it multiplies, but then multiplies faster, and faster still for
many images: with n images and w weights in the convolutions of a layer the two were equal where n^2 w was 7 to 11
million (both models, 16 to 64 channels, batches of 12 to 75).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from deepgen.compiled import kernels, plain_memory
from deepgen.layers.causal_conv import CausalConv

if TYPE_CHECKING:
    from deepgen.explicit.gated_pixelcnn import GatedPixelCNN
    from deepgen.explicit.pixelcnn import PixelCNN

SMALL = 64  # variables below which loading compiled kernels does not pay
MANY = 2**23  # images squared times weights of a layer's convolutions


def serves(model: PixelCNN | GatedPixelCNN, uniform: Tensor) -> bool:
    """Whether a kernel can walk through ``model`` for uniforms ``[features, batch]``, and pays."""
    convolutions = [part for part in model.modules() if isinstance(part, CausalConv)]
    weights = sum(p.numel() for conv in convolutions for p in conv.parameters()) / model.arguments()["layers"]
    if model.features < SMALL or uniform.shape[1] ** 2 * weights > MANY:
        return False
    return plain_memory(uniform, *model.parameters()) and _kernels() is not None


@torch.no_grad()
def plain(model: PixelCNN, context: Tensor | None, uniform: Tensor, *clamped: Any) -> tuple[Tensor, Tensor]:
    """`completion.walk` of a `PixelCNN` by its kernel."""
    blocks, bias = model.blocks, model.first.bias
    assert bias is not None
    start = model.place + bias
    shift = start.new_zeros(uniform.shape[1], start.shape[2]) if model.shift is None else model.shift(context)
    layers = (
        *_linear(block.before for block in blocks),
        *_convolutions([block.conv for block in blocks]),
        *_linear(block.after for block in blocks),
    )
    return _walk("plain", model, uniform, clamped, (_convolution(model.first), start, shift, layers))


@torch.no_grad()
def gated(model: GatedPixelCNN, context: Tensor | None, uniform: Tensor, *clamped: Any) -> tuple[Tensor, Tensor]:
    """`completion.walk` of a `GatedPixelCNN` by its kernel."""
    layers, place, bias = model.layers, model.layers[0].place, model.layers[0].vertical.bias
    assert place is not None
    assert bias is not None
    start = place + bias
    none = start.new_zeros(uniform.shape[1], 2 * start.shape[2])
    shift = torch.stack([none if layer.shift is None else layer.shift(context) for layer in layers])
    first = (*_convolution(layers[0].vertical), *_convolution(layers[0].horizontal))
    later = (
        *_convolutions([layer.vertical for layer in layers[1:]]),
        *_convolutions([layer.horizontal for layer in layers[1:]])[:2],
        *_linear(layer.link for layer in layers),
        *_linear(layer.after for layer in layers),
    )
    return _walk("gated", model, uniform, clamped, (first, start, shift, later))


def _walk(
    name: str, model: PixelCNN | GatedPixelCNN, uniform: Tensor, clamped: Sequence[Any], network: tuple[Any, ...]
) -> tuple[Tensor, Tensor]:
    known, mask, skip = clamped or (None, None, 0)
    order, x, log_p = model.orders[0], torch.empty_like(uniform), torch.empty_like(uniform)
    known = uniform[:0] if known is None else known[order]
    mask = torch.zeros_like(known, dtype=torch.bool) if mask is None else mask[order]
    drawn = (uniform[order], known, mask, skip, x, log_p)
    scale = np.float32(2 / (model.categories - 1))
    ends = (*model.heads.stacked(), model.bias[:, order].t(), scale)
    getattr(_kernels(), name)(*_arrays((model.heads.image, *network, ends, drawn)))
    back = order.argsort()
    return x[back], log_p[back]


def _convolution(conv: CausalConv) -> tuple[Tensor, Tensor]:
    places, weight = conv.taps()
    return places, weight.flatten(0, 1)


def _convolutions(convs: Sequence[CausalConv]) -> tuple[Tensor, Tensor, Tensor]:
    places, weights = zip(*map(_convolution, convs), strict=True) if convs else ((), ())
    return (
        _stack(places, 3).long(),
        _stack(weights, 3),
        _stack([conv.bias for conv in convs if conv.bias is not None], 2),
    )


def _linear(layers: Iterable[nn.Linear]) -> tuple[Tensor, Tensor]:
    each = list(layers)
    return _stack([layer.weight.t() for layer in each], 3), _stack([layer.bias for layer in each], 2)


def _stack(each: Sequence[Tensor], dimensions: int) -> Tensor:
    return torch.stack(list(each)) if each else torch.empty((0,) * dimensions)


def _arrays(x: Any) -> Any:
    """Tensors in nested tuples as arrays, row after row in memory."""
    if isinstance(x, tuple):
        return tuple(map(_arrays, x))
    return x.detach().contiguous().numpy() if isinstance(x, Tensor) else x


def _kernels() -> Any:
    return kernels("deepgen.explicit.pixel_kernels")
