"""Plain networks of rectified linear units with their gradients written out, `feed_forward` with r = max(., 0).

    a_l = W_l h_{l-1} + b_l,  h_l = max(a_l, 0);        backwards, with g_l the gradient of a_l:
    dW_l = g_l h_{l-1}',  db_l = g_l summed over the batch,  g_{l-1} = W_l' g_l where h_{l-1} > 0.

Autograd finds the same, in more passes over memory: of a layer of a hundred units those cost as much as its products.
Here bias and rectification are one pass, and so are gate and bias gradient (`rectified_kernels`). Gradients of
gradients go through the plain form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepgen.compiled import few_threads, kernels, plain_memory
from deepgen.layers.activations import Activation
from deepgen.layers.feed_forward import feed_forward

SMALL = 4096  # numbers of the first hidden layer below which loading compiled kernels does not pay

Masks = tuple[Tensor, ...] | None


def rectified(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    r: Activation,
    *,
    masks: Masks = None,
    start: Tensor | None = None,
    residual: bool = False,
) -> Tensor:
    """`feed_forward` with weights times ``masks``, by the quickest way there is.

    >>> x, w, b = torch.randn(2, 900), [torch.randn(8, 2), torch.randn(3, 8)], [torch.randn(8), torch.randn(3)]
    >>> torch.allclose(rectified(x, w, b, torch.relu), feed_forward(x, w, b, torch.relu), atol=1e-5)
    True
    """
    if not residual and fits(r, x.shape[1], x, weights, biases, start):
        return _Rectified.apply(x, start, masks, *weights, *biases)
    return feed_forward(x, masked(weights, masks), biases, r, start=start, residual=residual)


def masked(weights: Sequence[Tensor], masks: Masks) -> Sequence[Tensor]:
    """Weights times masks."""
    return weights if masks is None else [weight * mask for weight, mask in zip(weights, masks, strict=True)]


def fits(
    r: Activation, batch: int, x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], start: Tensor | None
) -> bool:
    """Whether kernels can compute a plain network of these weights for so many columns, and pay."""
    if r not in (F.relu, torch.relu) or weights[0].shape[0] * batch < SMALL:
        return False
    tensors = (x, *weights, *biases) if start is None else (x, start, *weights, *biases)
    whole = all(bias.is_contiguous() for bias in biases)
    return plain_memory(*tensors) and whole and few_threads() and _kernels() is not None


def forwards(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], start: Tensor | None) -> list[Tensor]:
    """x and the values of all hidden layers; the last layer is left to do."""
    rectify, below = _kernels().rectify, [x]
    for weight, bias in zip(weights[:-1], biases, strict=False):
        h = torch.mm(weight, below[-1])
        if start is not None:
            h += start
            start = None
        rectify(h.data_ptr(), bias.data_ptr(), *h.shape)
        below.append(h)
    return below


def backwards(
    g: Tensor, below: Sequence[Tensor], weights: Sequence[Tensor], masks: Masks
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """From the gradient of what the last layer puts out: of the first layer's sums, of weights, of hidden biases."""
    gate, to_weights, to_biases = _kernels().gate, [], []
    for i in range(len(weights) - 1, -1, -1):
        to_weight = torch.mm(g, below[i].t())
        to_weights.append(to_weight if masks is None else to_weight.mul_(masks[i]))
        if i:
            weight, h = weights[i], below[i]
            g, total = torch.mm(weight.t(), g), weight.new_empty(weight.shape[1])
            gate(g.data_ptr(), h.data_ptr(), total.data_ptr(), *h.shape)
            to_biases.append(total)
    return g, to_weights[::-1], to_biases[::-1]


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, start: Tensor | None, masks: Masks, *parameters: Tensor) -> Tensor:
        count = len(parameters) // 2
        weights, biases = masked(parameters[:count], masks), parameters[count:]
        below = forwards(x, weights, biases, start)
        ctx.masks, ctx.weights = masks, weights
        ctx.save_for_backward(x, start, *parameters, *below[1:])
        return torch.addmm(biases[-1].unsqueeze(1), weights[-1], below[-1])

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, start, *rest = ctx.saved_tensors
        need, masks, count = ctx.needs_input_grad, ctx.masks, len(ctx.weights)
        parameters, below = rest[: 2 * count], [x, *rest[2 * count :]]
        if torch.is_grad_enabled() or not plain_memory(g):
            with torch.enable_grad():
                out = feed_forward(x, masked(parameters[:count], masks), parameters[count:], F.relu, start=start)
            return again(out, (x, start, None, *parameters), need, g)
        first, to_weights, to_biases = backwards(g, below, ctx.weights, masks)
        to_x = torch.mm(ctx.weights[0].t(), first) if need[0] else None
        return to_x, first if need[1] else None, None, *to_weights, *to_biases, g.sum(1)


def again(outputs: Any, inputs: Sequence[Tensor | None], need: Sequence[bool], grads: Any) -> tuple[Any, ...]:
    """Gradients by autograd where they are ``need``-ed, differentiable in turn."""
    wanted = [t for t, one in zip(inputs, need, strict=True) if one and t is not None]
    found = iter(torch.autograd.grad(outputs, wanted, grads, create_graph=torch.is_grad_enabled(), allow_unused=True))
    return tuple(next(found) if one else None for one in need)


def _kernels() -> Any:
    return kernels("deepgen.layers.rectified_kernels")
