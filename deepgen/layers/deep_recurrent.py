"""Deep and bidirectional recurrent networks of any cell.

    deep:            h^l_t = cell_l(h^{l-1}_t, h^l_{t-1}),     h^0 = x
    bidirectional:   h^l_t = [cell_l forwards over h^{l-1} at t, cell'_l backwards over it at t]

A bidirectional layer sees the whole row at every place, so it reads rows and does not go on from a state; each next
layer reads both directions. Rows of several lengths are read as if each stood alone: a backward pass begins at a row's
own last place. Dropout is at what every layer puts out and never between places (Zaremba, Sutskever & Vinyals 2014).

torch has the same for its own three cells (``nn.LSTM(num_layers=, bidirectional=)``), with the same numbers; here it is
for the multiplicative LSTM and cells of your own too, with first weights and masks from generators.

Sources: Schuster & Paliwal 1997, "Bidirectional recurrent neural networks"; Graves, Mohamed & Hinton 2013, "Speech
recognition with deep recurrent neural networks", equations 11 and 12.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.layers.dropout import check_rate, dropout, mask_source
from deepgen.layers.recurrent import ragged, recurrent, run, through
from deepgen.layers.shapes import check_shape
from deepgen.random import resolve


class DeepRecurrent(nn.Module):
    """``[batch, T, inputs] -> [batch, T, outputs]`` and the states; outputs = hidden, or 2 hidden in two directions.

    Args:
        inputs, hidden: widths.
        layers: how many.
        cell: ``rnn``, ``lstm``, ``gru`` or ``mlstm``; or a function of (inputs, hidden, generator=) that makes a layer,
            whose ``layer(x, state)`` returns outputs ``[batch, T, hidden]`` and a state.
        bidirectional: forwards and backwards.
        dropout: rate at what each layer puts out; in training ``forward`` then wants a ``generator``
            or, as in the steps of `deepgen.fit`, a global stream that is lent.
        generator: source of the initial weights.

    Raises:
        ArgumentError, UnknownName: a setting outside its range; a state where it cannot be gone on from.
        ShapeError: rows or lengths of another shape.

    >>> net = DeepRecurrent(3, 8, layers=2, cell="mlstm", bidirectional=True, generator=0)
    >>> out, states = net(torch.randn(4, 5, 3), lengths=torch.tensor([5, 2, 3, 1]))
    >>> out.shape, (out[1, 2:] == 0).all().item(), len(states)  # a pair of states a layer
    (torch.Size([4, 5, 16]), True, 2)
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        layers: int = 1,
        cell: str | Callable[..., nn.Module] = "lstm",
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(inputs=inputs, hidden=hidden, layers=layers)
        self.inputs, self.outputs, self.dropout = int(inputs), int(hidden * (1 + bidirectional)), check_rate(dropout)
        self._arguments = {"inputs": int(inputs), "hidden": int(hidden), "layers": int(layers), "cell": cell,
                           "bidirectional": bool(bidirectional), "dropout": self.dropout}  # fmt: skip
        stream, widths = resolve(generator), [inputs, *[self.outputs] * (layers - 1)]

        def made(width: int) -> nn.Module:
            return (
                cell(width, hidden, generator=stream)
                if callable(cell)
                else recurrent(width, hidden, cell, generator=stream)
            )

        self.layers = nn.ModuleList(made(width) for width in widths)
        self.backwards = nn.ModuleList(made(width) for width in widths) if bidirectional else None

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(
        self,
        x: Tensor,
        states: list[Any] | None = None,
        *,
        lengths: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, list[Any]]:
        """Rows ``[batch, T, inputs]``, each of ``lengths`` [batch] places; and what to go on from.

        Returned are outputs ``[batch, T, outputs]``, 0 beyond a row's length, and a state for each layer: the cell's,
        or in two directions the pair of them.
        """
        check_shape("x", x, "batch", "T", self.inputs, empty=False)
        if states is not None and len(states) != len(self.layers):
            raise ArgumentError(f"states must be {len(self.layers)}, one for each layer, got {len(states)}")
        generator = mask_source(self, [self.dropout], generator)
        lengths = None if lengths is None else _checked(lengths, x)
        if lengths is None and self.backwards is None:
            return through(self.layers, x, states, rate=self.dropout, generator=generator)
        if states is not None:
            raise ArgumentError("no state can be gone on from in two directions, nor over rows of several lengths")
        after: list[Any] = []
        for i, layer in enumerate(self.layers):
            out, state = _over(layer, x, lengths)
            if self.backwards is not None:
                back, other = _over(self.backwards[i], reversed_rows(x, lengths), lengths)
                out, state = torch.cat([out, reversed_rows(back, lengths)], 2), (state, other)
            x = dropout(out, self.dropout, generator)
            after.append(state)
        return x, after


def reversed_rows(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Rows ``[batch, T, ...]`` back to front, each within its own length; what lies beyond stays.

    >>> reversed_rows(torch.tensor([[1, 2, 3, 0]]), torch.tensor([3]))
    tensor([[3, 2, 1, 0]])
    """
    if lengths is None:
        return x.flip(1)
    place = torch.arange(x.shape[1], device=x.device)
    back = lengths.to(x.device).unsqueeze(1) - 1 - place
    order = torch.where(back >= 0, back, place)
    return x.gather(1, order.view(*order.shape, *[1] * (x.ndim - 2)).expand_as(x))


def _over(layer: nn.Module, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Any]:
    return run(layer, x) if lengths is None else ragged(layer, x, lengths)


def _checked(lengths: Tensor, x: Tensor) -> Tensor:
    if lengths.shape != (len(x),) or lengths.is_floating_point():
        raise ShapeError(f"lengths must be [{len(x)}] integers, one for each row, got {list(lengths.shape)}")
    if bool(((lengths < 1) | (lengths > x.shape[1])).any()):
        raise ArgumentError(f"lengths must lie from 1 to {x.shape[1]}, got {lengths.min()} to {lengths.max()}")
    return lengths.to(x.device)
