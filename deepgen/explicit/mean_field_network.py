"""A classifier that starts as a deep Boltzmann machine: mean field from below, once, and a linear layer on top.

    h_l = E[x_l | b_l + h_(l-1).W_(l-1) + U_l.q_(l+1)],    h_0 = x,        p(y | x) = softmax(c + h_L.V)_y

q are the mean-field means of the machine for the row x, an input beside it that stays as it is while W, U and b learn.
U starts as W_l, so that the first pass is one turn of mean field, level by level from below, and at its fixed point
leaves all means where they are. Sources: Salakhutdinov & Hinton 2009, "Deep Boltzmann machines", section 3.3; with
units left out while it learns, Srivastava et al. 2014, "Dropout", section 6.1.4.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.explicit.dbm import DBM
from deepgen.explicit.units import Units, check_levels, require_tensor
from deepgen.layers.dropout import check_rate, dropout, mask_source
from deepgen.layers.linear import linear
from deepgen.random import resolve

ROWS = 10_000  # at a time


class MeanFieldNetwork(nn.Module):
    """Deterministic network with one layer for each hidden level of ``dbm``, to be trained by any loss.

    Args:
        dbm: where it starts; a frozen copy is kept, for the means.
        outputs: classes, or other numbers to put out.
        dropout: rates at which visible and hidden units are left out in training, see `deepgen.layers.dropout`.
        generator: source of the last layer's weights, N(0, 0.01^2), with biases at zero.

    Raises:
        ArgumentError: ``outputs`` below 1, or ``dropout`` that is no pair of rates in [0, 1).

    Weights between parts of levels that are not joined start at zero, and are then free.

    >>> import deepgen as dg
    >>> from torch.utils.data import TensorDataset
    >>> network = MeanFieldNetwork(DBM(6, [4, 3], generator=0), outputs=2, generator=0)
    >>> rows, labels = network.inputs(torch.eye(6)), torch.tensor([0, 0, 0, 1, 1, 1])  # means found once
    >>> pairs = TensorDataset(labels, rows)
    >>> history = dg.fit(network, pairs, dg.objectives.MaximumLikelihood(), epochs=2, progress=False)
    >>> network(torch.eye(6)).shape
    torch.Size([6, 2])
    """

    def __init__(
        self,
        dbm: DBM,
        outputs: int,
        *,
        dropout: Sequence[float] = (0.0, 0.0),
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(outputs=outputs)
        stream = resolve(generator)
        self.outputs = int(outputs)
        if not isinstance(dropout, Sequence) or len(dropout) != 2:
            raise ArgumentError(f"dropout must be two rates, of visible and of hidden units, got {dropout!r}")
        self.rates = tuple(check_rate(rate) for rate in dropout)
        self.dbm = copy.deepcopy(dbm).requires_grad_(False)
        self.levels: list[Units] = nn.ModuleList(copy.deepcopy(list(dbm.levels[1:])))  # type: ignore[assignment, arg-type]
        widths = [units.width for units in dbm.levels]
        self.up = nn.ModuleList(linear(a, b, generator=stream) for a, b in itertools.pairwise(widths))
        self.down = nn.ModuleList(linear(b, a, bias=False, generator=stream) for a, b in itertools.pairwise(widths[1:]))
        self.head = linear(widths[-1], outputs, generator=stream)
        self.to(dbm.biases[0])
        with torch.no_grad():
            for layer, coupling, bias in zip(self.up, dbm.couplings, dbm.biases[1:], strict=True):
                layer.weight.copy_(coupling.dense().t())  # type: ignore[operator]
                layer.bias.copy_(bias)  # type: ignore[operator]
            for layer, coupling in zip(self.down, dbm.couplings[1:], strict=True):
                layer.weight.copy_(coupling.dense())  # type: ignore[operator]
            self.head.weight.normal_(0.0, 0.01, generator=stream)
            self.head.bias.zero_()

    def arguments(self) -> dict[str, object]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"dbm": self.dbm, "outputs": self.outputs, "dropout": list(self.rates)}

    @torch.no_grad()
    def inputs(self, x: Tensor) -> Tensor:
        """Rows with the means of the hidden levels but the lowest beside them: ``[rows, visible] -> [rows, inputs]``.

        Computed once for all of the data they spare the mean field of every batch.
        """
        self.dbm.check(x)
        x = x.to(self.dbm.biases[0])
        if len(self.levels) == 1:
            return x
        means = [torch.cat(self.dbm.mean_field(rows).means[1:], 1) for rows in x.split(ROWS)]
        return torch.cat([x, torch.cat(means)], 1)

    def hidden(self, x: Tensor) -> list[Tensor]:
        """h_1 to h_L, ``[rows, width]`` each, of rows of data or of `inputs`."""
        above = [units.width for units in self.levels[1:]]
        width = self.dbm.visible.width
        require_tensor(x, "x")
        if x.ndim != 2 or x.shape[1] not in (width, width + sum(above)):
            raise ShapeError(f"x must be [rows, {width}], or [rows, {width + sum(above)}] with the means, "
                             f"got {list(x.shape)}")  # fmt: skip
        rows = x.to(self.dbm.biases[0]) if above and x.shape[1] == width + sum(above) else self.inputs(x)
        h, *means = rows.split([width, *above], 1)
        (seen, kept), source = self.rates, mask_source(self, self.rates, None)
        h = dropout(h, seen, source)
        found = []
        for number, (units, up) in enumerate(zip(self.levels, self.up, strict=True)):
            field = up(h)
            if number < len(means):
                field = field + self.down[number](means[number])
            h = dropout(units.mean(field), kept, source)
            found.append(h)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Logits of p(y | x): rows ``[rows, visible]``, or those of `inputs`, ``-> [rows, outputs]``."""
        return self.head(self.hidden(x)[-1])

    def log_prob(self, labels: Tensor, x: Tensor) -> Tensor:
        """log p(label | x) in nats of class numbers ``[rows]`` given rows: ``-> [rows]``.

        As integers or whole floats, which `deepgen.fit` makes of them.
        """
        require_tensor(labels, "labels")
        if labels.shape != x.shape[:1]:
            raise ShapeError(f"labels must be [{len(x)}], got {list(labels.shape)}")
        if labels.device.type == "cpu":  # elsewhere that would wait for the device
            check_levels(labels, self.outputs)
        return self(x).log_softmax(-1).gather(1, labels.long().unsqueeze(1)).squeeze(1)
