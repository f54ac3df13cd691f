"""Kernel of a walk through the variables of a `MaskedNet` of rectified linear units: what `Steps` does, compiled.

Columns of the batch are taken `WIDTH` at a time, so that the hidden units of a tile stay in the cache while the walk
goes through all variables. At place d it completes the units of degree d, each a sum over the units below it that it
may see (a leading slice), and then gives the parameters of the variable there. What stands in columns beyond the batch
is computed too and never read.

The kernel of a whole walk (`deepgen.transforms.walk_kernels`) calls `advance` for each place of each tile, and writes
the new values to the place's row of x. Compiled by numba on first use and cached on disk; import this module only where
numba may be loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepgen.layers.jit import numba
from deepgen.layers.masked import MaskedNet

Array = NDArray[Any]
WIDTH = 64  # columns of a tile, fewer where the batch has fewer: 32 KB for 128 units
EIGHT = 8  # rows that one pass over a tile's row adds to it
# Sums may go in any order, and a b + c may be rounded once.
compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


def pack(net: MaskedNet, context: Tensor | None) -> tuple[Any, ...]:
    """What the kernels need of a network: arrays, in which weights of all layers follow one another.

    The first layer's columns are in the order of dependence.
    """
    weights, (bias, *biases) = ([t.detach() for t in tensors] for tensors in net.stacked())
    seen, bias, order = net.seen(context), bias.unsqueeze(1), np.array(net.order)
    start = bias if seen is None else seen.detach() + bias
    shapes = np.array([weight.shape for weight in weights])
    weights[0] = weights[0].index_select(1, torch.from_numpy(order))
    flat = torch.cat([weight.flatten() for weight in weights])
    return flat.numpy(), torch.cat(biases).numpy(), start.numpy(), shapes, net.ends.numpy(), order, net.residual


def room(net: MaskedNet, kind: Any, batch: int) -> tuple[Array, ...]:
    """Memory for a tile: x, hidden layers, inner values and sums of residual blocks, parameters of one variable."""
    layers, units = len(net.ends), int(net.ends.max())
    shapes = [(net.features,), (layers, units), (layers - 1 if net.residual else 0, units), (units,)]
    return tuple(np.zeros((*shape, max(1, min(WIDTH, batch))), kind) for shape in (*shapes, (net.parameters_each,)))


@compiled
def _fill(out: Array, value: Any) -> None:
    for i in range(len(out)):
        out[i] = value


@compiled
def _shift(out: Array, value: Any) -> None:
    for i in range(len(out)):
        out[i] += value


@compiled
def _add(out: Array, a: Any, x: Array) -> None:
    for i in range(len(out)):
        out[i] += a * x[i]


@compiled
def _add_eight(out: Array, a: Array, x: Array) -> None:
    for i in range(len(out)):
        total = out[i]
        for k in range(EIGHT):
            total += a[k] * x[k, i]
        out[i] = total


@compiled
def _product(weights: Array, at: int, seen: int, below: Array, out: Array) -> None:
    """out += the sum over the first ``seen`` rows of ``below``, with the weights that begin at ``at``."""
    k = 0
    while k + EIGHT <= seen:
        _add_eight(out, weights[at + k : at + k + EIGHT], below[k : k + EIGHT])
        k += EIGHT
    while k < seen:
        _add(out, weights[at + k], below[k])
        k += 1


@compiled
def _rectify(x: Array, out: Array) -> None:
    zero = x.dtype.type(0)
    for i in range(len(out)):
        out[i] = zero if x[i] < zero else x[i]  # and NaN stays


@compiled
def _begin(start: Array, j: int, first: int, columns: int, out: Array) -> None:
    if start.shape[1] == 1:
        _fill(out, start[j, 0])
    else:
        for i in range(columns):
            out[i] = start[j, first + i]


@compiled
def advance(net: Any, room: Any, d: int, first: int, columns: int) -> None:
    """Complete the units of degree ``d`` and the parameters of the variable at place ``d``, in the tile from ``first``.

    The rows before d of x are known.
    """
    weights, biases, start, shapes, ends, order, residual = net
    x, hidden, middle, total, parameters = room
    width, a, b = shapes[0, 1], ends[0, d - 1] if d else 0, ends[0, d]
    for j in range(a, b):
        _begin(start, j, first, columns, total[j])
        _product(weights, j * width, d, x, total[j])
        _rectify(total[j], hidden[0, j])
    at, bias, i = shapes[0, 0] * width, 0, 1
    for layer in range(1, len(ends)):
        seen, a, b = b, ends[layer, d - 1] if d else 0, ends[layer, d]
        width = shapes[i, 1]
        out = middle[layer - 1] if residual else hidden[layer]
        for j in range(a, b):
            _fill(out[j], biases[bias + j])
            _product(weights, at + j * width, seen, hidden[layer - 1], out[j])
            _rectify(out[j], out[j])
        at, bias, i = at + shapes[i, 0] * width, bias + shapes[i, 0], i + 1
        if residual:
            for j in range(a, b):
                _shift(total[j], biases[bias + j])
                _product(weights, at + j * width, b, out, total[j])
                _rectify(total[j], hidden[layer, j])
            at, bias, i = at + shapes[i, 0] * width, bias + shapes[i, 0], i + 1
    for q in range(len(parameters)):
        j = q * len(order) + order[d]
        _fill(parameters[q], biases[bias + j])
        _product(weights, at + j * shapes[i, 1], b, hidden[len(ends) - 1], parameters[q])
