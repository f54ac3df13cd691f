"""An affine autoregressive map, network included, in one pass with its gradients written out.

    z = (x - b(x)) e^{-s(x)},   log |det| = -sum s,      b, s of a plain `deepgen.layers.MaskedNet`, s as in `Scale`

Its networks are small (a hundred units), and then what autograd keeps and reads again around their products costs as
much as those. Here each product is followed by one pass over its result, in the cache (`deepgen.layers.rectified`).
float32 on a CPU; `Autoregressive.encode` is the general form, to which this is equal up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepgen.compiled import kernels, plain_memory
from deepgen.layers.feed_forward import feed_forward
from deepgen.layers.masked import MaskedNet
from deepgen.layers.rectified import again, backwards, fits, forwards, masked
from deepgen.transforms.univariate import Scale

STEEPEST = 80.0  # of log scales that the kernels' exponential can take


def affine_pass(net: MaskedNet, scale: Any, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """z and log-determinant of x, ``[batch, features] -> ([batch, features], [batch])``; None if kernels cannot."""
    if type(scale) is not Scale or scale.limit > STEEPEST or net.residual or x.dtype != torch.float32:
        return None
    (weights, biases), seen = net.stacked(), net.seen(context)
    if not fits(net.activation, x.shape[0], x, weights, biases, seen) or _kernels() is None:
        return None
    return _AffinePass.apply(x, seen, net.masks(), scale, *weights, *biases)


class _AffinePass(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, start: Tensor | None, masks: tuple[Tensor, ...], scale: Scale, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        rows, count = x.t().contiguous(), len(masks)
        weights, biases = masked(parameters[:count], masks), parameters[count:]
        below = forwards(rows, weights, biases, start)
        p, z, total = torch.mm(weights[-1], below[-1]), torch.empty_like(rows), rows.new_empty(rows.shape[1])
        places = rows.data_ptr(), p.data_ptr(), biases[-1].data_ptr(), scale.limit, z.data_ptr(), total.data_ptr()
        _kernels().forward(*places, *rows.shape)
        ctx.masks, ctx.scale, ctx.weights = masks, scale, weights
        ctx.save_for_backward(x, start, *parameters, *below[1:], p, z)
        return z.t(), total

    @staticmethod
    def backward(ctx: Any, gz: Tensor, gl: Tensor) -> Any:
        x, start, *rest, p, z = ctx.saved_tensors
        need, masks, scale, weights = ctx.needs_input_grad, ctx.masks, ctx.scale, ctx.weights
        parameters, hidden = rest[: 2 * len(masks)], rest[2 * len(masks) :]
        if torch.is_grad_enabled() or not plain_memory(gz, gl):
            with torch.enable_grad():
                rows, own = x.t(), masked(parameters[: len(masks)], masks)
                out = feed_forward(rows, own, parameters[len(masks) :], F.relu, start=start)
                value, log_slope = scale.encode(rows, out.view(2, *rows.shape))
                both = value.t(), log_slope.sum(0)
            return again(both, (x, start, None, None, *parameters), need, (gz, gl))
        g, to_x, to_bias = torch.empty_like(p), torch.empty_like(z), p.new_empty(p.shape[0])
        gz, gl = gz.t().contiguous(), gl.contiguous()
        places = z.data_ptr(), p.data_ptr(), parameters[-1].data_ptr(), scale.limit, gz.data_ptr(), gl.data_ptr()
        _kernels().backward(*places, to_x.data_ptr(), g.data_ptr(), to_bias.data_ptr(), *z.shape)
        first, to_weights, to_biases = backwards(g, [x.t(), *hidden], weights, masks)
        back = to_x.addmm_(weights[0].t(), first).t() if need[0] else None
        return back, first if need[1] else None, None, None, *to_weights, *to_biases, to_bias


def _kernels() -> Any:
    return kernels("deepgen.transforms.affine_kernels")
