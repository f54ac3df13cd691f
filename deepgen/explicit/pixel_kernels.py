"""Kernels of a whole walk through the pixels of a `PixelCNN` or `GatedPixelCNN`, one image after the other.

What `deepgen.explicit.pixel_cache` computes, without what a call of a tensor operation costs beside products so small.
The inputs of a convolution are gathered in one row and multiplied once; inputs that are 0, half of those of a rectified
layer and all outside the image, are left out. Arrays, made by `deepgen.explicit.pixel_walk`:

- a convolution is ``(taps, weight)``: the places it sees, ``[T, 2]`` rows up and columns right, and ``[T inputs,
  outputs]``; several of one size are stacked;
- what a convolution reads is ``[edge + H, W + 2 edge, inputs]``, with zeros that are never written around the image;
- ``ends`` is the last two layers, the logits' bias in the order, and how a value is scaled; ``drawn`` is what
  `completion.walk` takes and gives, ``[features, batch]`` in the order of dependence.

float32 throughout; sigmoids are those of `deepgen.explicit.binary_draw` (3e-7), and tanh(x) = 2 sigmoid(2 x) - 1.
Compiled by numba on first use and cached on disk; import this module only where numba may be loaded.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.explicit.binary_draw import _sigmoid_row
from deepgen.layers.jit import numba

Array = NDArray[Any]
# Sums may go in any order, and a b + c may be rounded once.
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)


@_compiled
def _add_four(out: Array, a: Any, b: Any, c: Any, d: Any, x: Array, y: Array, z: Array, w: Array) -> None:
    for o in range(len(out)):
        out[o] += (a * x[o] + b * y[o]) + (c * z[o] + d * w[o])


@_compiled
def _product(x: Array, weight: Array, chosen: Array, out: Array) -> None:
    """out += x weight, ``[inputs] [inputs, outputs]``; ``chosen`` is room for the inputs that are not 0."""
    n, k = 0, 0
    for i in range(len(x)):
        chosen[n] = i
        n += int(x[i] != 0)
    while k + 4 <= n:
        i, j, s, t = chosen[k], chosen[k + 1], chosen[k + 2], chosen[k + 3]
        _add_four(out, x[i], x[j], x[s], x[t], weight[i], weight[j], weight[s], weight[t])
        k += 4
    while k < n:
        factor, row = x[chosen[k]], weight[chosen[k]]
        for o in range(len(out)):
            out[o] += factor * row[o]
        k += 1


@_compiled
def _convolve(x: Array, r: int, c: int, taps: Array, weight: Array, seen: Array, chosen: Array, out: Array) -> None:
    """out += what a convolution sends to row r and column c, both with the edge counted."""
    width = x.shape[2]
    for t in range(len(taps)):
        place = x[r - taps[t, 0], c + taps[t, 1]]
        for i in range(width):
            seen[t * width + i] = place[i]
    _product(seen[: len(taps) * width], weight, chosen, out)


@_compiled
def _rectify(x: Array, out: Array) -> None:
    for i in range(len(x)):
        out[i] = _ZERO if x[i] < _ZERO else x[i]  # and NaN stays


@_compiled
def _gate(x: Array, rest: Array, power: Array, out: Array) -> None:
    """out = tanh(first half of x) sigmoid(other half)."""
    n = len(out)
    _sigmoid_row(x[:n], _TWO, rest, power, out)
    _sigmoid_row(x[n:], _ONE, rest, power, x[:n])
    for i in range(n):
        out[i] = (_TWO * out[i] - _ONE) * x[i]


@_compiled
def _draw(logits: Array, uniform: float, known: int) -> tuple[int, float]:
    """A value, ``known`` unless that is -1, and its log-probability, as `completion.quantile` and `log_mass`."""
    highest = 0.0
    for k in range(len(logits)):
        highest = max(highest, float(logits[k]))
    total = math.exp(-highest)
    for k in range(len(logits)):
        total += math.exp(logits[k] - highest)
    value, above = known, 0.0
    if known < 0:
        value = 0
        for k in range(len(logits) - 1, -1, -1):  # above: P(x > k)
            above += math.exp(logits[k] - highest) / total
            value += int(uniform < above)
    own = 0.0 if value == 0 else float(logits[value - 1])
    return value, own - highest - math.log(total)


@_compiled
def _pixel(ends: Any, drawn: Any, n: int, pixel: int, features: Array, room: Any, out: Array) -> None:
    """Draw the channels of a pixel one after the other; ``out`` receives them, scaled."""
    hidden_weight, hidden_bias, readout, bias, scale = ends
    uniform, known, mask, skip, x, log_p = drawn
    seen, chosen, hidden, logits = room
    width, channels = len(features), len(out)
    _rectify(features, seen[:width])
    seen[width:] = 0
    for channel in range(channels):
        d = pixel * channels + channel
        value, log_mass = -1, 0.0
        if len(mask) and mask[d, n]:
            value = int(known[d, n])
        if d >= skip:
            hidden[:] = hidden_bias[channel]
            _product(seen, hidden_weight[channel], chosen, hidden)
            _rectify(hidden, hidden)
            logits[:] = bias[d]
            _product(hidden, readout[channel], chosen, logits)
            value, log_mass = _draw(logits, uniform[d, n], value)
        x[d, n], log_p[d, n] = value, log_mass
        out[channel] = value * scale - _ONE
        seen[width + channel] = out[channel]


@_compiled
def _rooms(ends: Any, channels: int, inputs: int) -> tuple[Any, Array, Array]:
    """Memory for `_pixel`, and for the inputs of a convolution."""
    width = ends[0].shape[2]
    seen, chosen = np.zeros(width + channels, np.float32), np.zeros(max(inputs, width + channels) + 1, np.int64)
    hidden, logits = np.zeros(width, np.float32), np.zeros(ends[2].shape[2], np.float32)
    return (seen, chosen, hidden, logits), np.zeros(inputs, np.float32), chosen


@_compiled
def plain(shape: Any, first: Any, start: Array, shift: Array, blocks: Any, ends: Any, drawn: Any) -> None:
    """The walk of a `PixelCNN`: ``start`` is its first bias by place, and ``shift`` the share of each context."""
    (channels, height, width), (taps, weight) = shape, first
    before, before_bias, places, conv, conv_bias, after, after_bias = blocks
    layers, inside = before_bias.shape
    near, far = int(taps[:, 0].max()), 0 if layers == 0 else int(places[:, :, 0].max())
    image = np.zeros((near + height, width + 2 * near, channels), np.float32)
    kept = np.zeros((layers, far + height, width + 2 * far, inside), np.float32)
    room, seen, chosen = _rooms(ends, channels, max(len(weight), conv.shape[1]))
    x, positive = np.zeros(start.shape[2], np.float32), np.zeros(start.shape[2], np.float32)
    sent = np.zeros(inside, np.float32)
    for n in range(drawn[0].shape[1]):
        for r in range(height):
            for c in range(width):
                for j in range(len(x)):
                    x[j] = start[r, c, j] + shift[n, j]
                _convolve(image, near + r, near + c, taps, weight, seen, chosen, x)
                for i in range(layers):
                    own = kept[i, far + r, far + c]
                    _rectify(x, positive)
                    own[:] = before_bias[i]
                    _product(positive, before[i], chosen, own)
                    _rectify(own, own)
                    sent[:] = conv_bias[i]
                    _convolve(kept[i], far + r, far + c, places[i], conv[i], seen, chosen, sent)
                    _rectify(sent, sent)
                    for j in range(len(x)):
                        x[j] += after_bias[i, j]
                    _product(sent, after[i], chosen, x)
                _pixel(ends, drawn, n, r * width + c, x, room, image[near + r, near + c])


@_compiled
def gated(shape: Any, first: Any, start: Array, shift: Array, layers: Any, ends: Any, drawn: Any) -> None:
    """The walk of a `GatedPixelCNN`: ``start`` is the first vertical bias by place; ``shift`` ``[L, batch, 4 width]``.

    The vertical stack of a row is known before its first pixel, and so is what it sends to the horizontal one.
    """
    (channels, height, width), (up_taps, up, left_taps, left) = shape, first
    v_taps, v_conv, v_bias, h_taps, h_conv, link, link_bias, after, after_bias = layers
    count, both = link_bias.shape
    inside, near, far = both // 2, int(up_taps[:, 0].max()), 0 if count == 1 else int(v_taps[:, :, 0].max())
    image = np.zeros((near + height, width + 2 * near, channels), np.float32)
    v = np.zeros((count - 1, far + height, width + 2 * far, inside), np.float32)  # inputs of the later layers
    h = np.zeros((count - 1, far + height, width + 2 * far, inside), np.float32)
    sent = np.zeros((count, width, both), np.float32)
    room, seen, chosen = _rooms(ends, channels, max(len(up), v_conv.shape[1]))
    a, above, x = np.zeros(both, np.float32), np.zeros(inside, np.float32), np.zeros(inside, np.float32)
    rest, power = np.zeros(inside, np.float32), np.zeros(inside, np.float32)
    for n in range(drawn[0].shape[1]):
        for r in range(height):
            for i in range(count):
                for c in range(width):
                    if i == 0:
                        a[:] = start[r, c]
                        _convolve(image, near + r, near + c, up_taps, up, seen, chosen, a)
                    else:
                        a[:] = v_bias[i - 1]
                        _convolve(v[i - 1], far + r, far + c, v_taps[i - 1], v_conv[i - 1], seen, chosen, a)
                    for j in range(both):
                        a[j] += shift[i, n, j]
                        sent[i, c, j] = link_bias[i, j] + shift[i, n, both + j]
                    _gate(a, rest, power, above)
                    _product(above, link[i], chosen, sent[i, c])
                    if i + 1 < count:
                        v[i, far + r, far + c] = above
                    if 0 < i < count - 1:
                        v[i, far + r, far + c] += v[i - 1, far + r, far + c]
            for c in range(width):
                for i in range(count):
                    a[:] = sent[i, c]
                    if i == 0:
                        x[:] = 0
                        _convolve(image, near + r, near + c, left_taps, left, seen, chosen, a)
                    else:
                        h[i - 1, far + r, far + c] = x
                        _convolve(h[i - 1], far + r, far + c, h_taps[i - 1], h_conv[i - 1], seen, chosen, a)
                    _gate(a, rest, power, above)
                    for j in range(inside):
                        x[j] += after_bias[i, j]
                    _product(above, after[i], chosen, x)
                _pixel(ends, drawn, n, r * width + c, x, room, image[near + r, near + c])
