"""Recurrent layers with initial weights from a generator: torch's RNN, LSTM and GRU, and the multiplicative LSTM.

    rnn    h_t = tanh(U x_t + W h_{t-1} + b)
    lstm   (i, f, g, o) = U x_t + W h_{t-1} + b,    c_t = s(f) c_{t-1} + s(i) tanh(g),    h_t = s(o) tanh(c_t)
    gru    n_t = tanh(U x_t + r_t (W h_{t-1} + b)),    h_t = (1 - z_t) n_t + z_t h_{t-1}
    mlstm  the LSTM with m_t = (A x_t) * (B h_{t-1}) in the place of h_{t-1} in its gates

with s the logistic function and r, z two gates of x_t and h_{t-1}. In the last one every input has a transition matrix
of its own, W diag(A x) B, which lets the state recover from a surprising input.

Sources: Elman 1990; Hochreiter & Schmidhuber 1997; Cho et al. 2014; Krause, Lu, Murray & Renals 2016, "Multiplicative
LSTM for sequence modelling", equations 6 to 11.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import MissingCapability, check_count, unknown_name
from deepgen.layers.dropout import dropout
from deepgen.layers.linear import linear
from deepgen.layers.shapes import check_shape
from deepgen.random import resolve

_TORCH: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CELLS = (*_TORCH, "mlstm")
_OPEN = 1.0  # first bias of forget gates: with 0 a state is halved at every step (Jozefowicz et al. 2015)


def recurrent(
    inputs: int, hidden: int, cell: str = "lstm", *, generator: torch.Generator | int | None = None
) -> nn.Module:
    """One recurrent layer: ``layer(x, state=None)`` takes ``[batch, T, inputs]`` to ``[batch, T, hidden]`` and a state.

    The state is what the next call on the same rows goes on from; None is zeros. Weights and biases start as
    U(-r, r), r = 1 / sqrt(hidden), torch's own law, and 1 is added to the biases of an LSTM's forget gates.

    Args:
        inputs, hidden: widths.
        cell: ``rnn``, ``lstm``, ``gru`` or ``mlstm``.
        generator: source of the initial weights.

    >>> layer = recurrent(3, 8, "gru", generator=torch.Generator().manual_seed(0))
    >>> x = torch.randn(2, 5, 3)
    >>> whole, _ = layer(x)
    >>> first, state = layer(x[:, :2])
    >>> torch.allclose(layer(x[:, 2:], state)[0], whole[:, 2:], atol=1e-6)
    True
    """
    check_count(inputs=inputs, hidden=hidden)
    if cell not in CELLS:
        raise unknown_name("cell", cell, CELLS)
    if cell == "mlstm":
        return MultiplicativeLSTM(inputs, hidden, generator=generator)
    inputs, hidden, generator = int(inputs), int(hidden), resolve(generator)
    # Made without memory, and so without a draw from the global stream.
    layer: nn.RNNBase = _TORCH[cell](inputs, hidden, batch_first=True, device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(hidden)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
        if cell == "lstm":
            layer.get_parameter("bias_ih_l0")[hidden : 2 * hidden] += _OPEN
    return layer


def run(layer: nn.Module, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """``layer(x, state)``, and for a single place on a CPU faster: torch's LSTM packs its weights anew in every call.

    >>> layer = recurrent(3, 8, "lstm", generator=torch.Generator().manual_seed(0))
    >>> x = torch.randn(2, 1, 3)
    >>> torch.allclose(run(layer, x)[0], layer(x)[0], atol=1e-6)
    True
    """
    if x.shape[1] > 1 or not isinstance(layer, nn.LSTM) or x.device.type != "cpu" or not _is_plain(layer):
        return layer(x, state)
    h, c = (x.new_zeros(1, len(x), layer.hidden_size),) * 2 if state is None else state
    u, w, b, d = layer.parameters()
    h, c = _lstm(torch.addmm(b, x[:, 0], u.t()) + torch.addmm(d, h[0], w.t()), c)
    return h.transpose(0, 1), (h, c)


def _is_plain(layer: nn.LSTM) -> bool:
    """Whether it is as `recurrent` makes it; torch's own settings allow for others."""
    one_way = layer.num_layers == 1 and not layer.bidirectional and not layer.proj_size
    return one_way and layer.bias and layer.batch_first


def through(
    layers: Iterable[nn.Module],
    x: Tensor,
    states: Sequence[Any] | None = None,
    *,
    rate: float = 0.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, list[Any]]:
    """Layers one upon the other, with `dropout` at what each puts out; the state of each goes in and comes out.

    >>> stream = torch.Generator().manual_seed(0)
    >>> layers = [recurrent(3, 8, "gru", generator=stream), recurrent(8, 4, "mlstm", generator=stream)]
    >>> out, states = through(layers, torch.randn(2, 5, 3))
    >>> out.shape, len(states)
    (torch.Size([2, 5, 4]), 2)
    """
    after, layers = [], list(layers)
    for layer, before in zip(layers, states or [None] * len(layers), strict=True):
        x, state = run(layer, x, before)
        x = dropout(x, rate, generator)
        after.append(state)
    return x, after


def ragged(layer: nn.Module, x: Tensor, lengths: Tensor) -> tuple[Tensor, Any]:
    """``layer(x)`` on rows of several ``lengths``: outputs beyond are 0, and the state is that of the own last place.

    Raises:
        MissingCapability: a layer of another kind than those here, whose state cannot be held.

    >>> layer = recurrent(3, 8, "lstm", generator=torch.Generator().manual_seed(0))
    >>> x = torch.randn(2, 5, 3)
    >>> _, (h, _) = ragged(layer, x, torch.tensor([5, 2]))
    >>> torch.allclose(h[0, 1], layer(x[1:, :2])[1][0][0, 0], atol=1e-6)
    True
    """
    if isinstance(layer, MultiplicativeLSTM):
        return layer(x, lengths=lengths)
    if not isinstance(layer, nn.RNNBase):
        raise MissingCapability(
            f"rows of several lengths need a cell of {', '.join(CELLS)}, got {type(layer).__name__}"
        )
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    out, state = layer(packed)
    return nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])[0], state


def _lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h and c of the next place: ``[batch, 4 hidden]`` and ``[..., batch, hidden]``."""
    i, f, g, o = gates.chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


class MultiplicativeLSTM(nn.Module):
    """``[batch, T, inputs] -> [batch, T, hidden]`` and the last ``(h, c)``, ``[batch, hidden]`` each.

    The parts that see only x are computed for all places at once. A and B start with outputs of the variance of their
    inputs, since m is a product of two such numbers and would vanish otherwise.

    With ``lengths`` [batch] a row's state stays as it is beyond its own length, and what is put out there is 0.

    Raises:
        ArgumentError: a width below 1.
        ShapeError: in ``forward``, rows without a place, or rows, a state or lengths of another shape.

    >>> layer = MultiplicativeLSTM(3, 8, generator=torch.Generator().manual_seed(0))
    >>> h, (last, c) = layer(torch.randn(2, 5, 3))
    >>> h.shape, c.shape, torch.equal(h[:, -1], last)
    (torch.Size([2, 5, 8]), torch.Size([2, 8]), True)
    """

    def __init__(self, inputs: int, hidden: int, *, generator: torch.Generator | int | None = None) -> None:
        super().__init__()
        check_count(inputs=inputs, hidden=hidden)
        self.inputs, self.hidden, even, generator = int(inputs), int(hidden), math.sqrt(3), resolve(generator)
        self.a = linear(inputs, hidden, bias=False, scale=even, generator=generator)
        self.b = linear(hidden, hidden, bias=False, scale=even, generator=generator)
        self.u = linear(inputs, 4 * hidden, generator=generator)
        self.w = linear(hidden, 4 * hidden, bias=False, generator=generator)
        with torch.no_grad():
            self.u.bias[hidden : 2 * hidden] += _OPEN

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"inputs": self.inputs, "hidden": self.hidden}

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        check_shape("x", x, "batch", "T", self.inputs, empty=False)
        h, c = (x.new_zeros(len(x), self.hidden),) * 2 if state is None else state
        if state is not None:
            check_shape("the state's h", h, len(x), self.hidden)
            check_shape("the state's c", c, len(x), self.hidden)
        if lengths is not None:
            check_shape("lengths", lengths, len(x))
        b, w, out = self.b.weight.t(), self.w.weight.t(), []
        for place, (factor, gates) in enumerate(zip(self.a(x).unbind(1), self.u(x).unbind(1), strict=True)):
            new, cell = _lstm(torch.addmm(gates, factor * (h @ b), w), c)
            if lengths is None:
                h, c = new, cell
                out.append(h)
            else:
                inside = (lengths > place).unsqueeze(1)
                h, c = torch.where(inside, new, h), torch.where(inside, cell, c)
                out.append(torch.where(inside, new, 0.0))
        return torch.stack(out, 1), (h, c)
