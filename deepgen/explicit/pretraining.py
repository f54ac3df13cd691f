"""Pre-training of a deep Boltzmann machine: one machine with two layers for each coupling, from the data up.

In the deep machine an inner level hears both its neighbours, in a machine of its own only one. So there it hears that
one twice, in place of the neighbour that is missing (Salakhutdinov & Hinton 2009, section 3.1):

    lowest   p(x_1 | v) = p(. | 2 (b_1 + v.W_0)),        p(v | x_1) = p(. | b_0 + W_0.x_1)
    inner    p(x_(l+1) | x_l) = p(. | 2 (b_(l+1) + x_l.W_l)),       p(x_l | x_(l+1)) = p(. | 2 (c_l + W_l.x_(l+1)))
    top      p(x_L | x_(L-1)) = p(. | b_L + x_(L-1).W),  p(x_(L-1) | x_L) = p(. | 2 (c_(L-1) + W.x_L))

with p(. | f) a level at field f. The inner ones are ordinary machines of twice the weights, which are halved when the
deep one is put together. Its weights are the W, and its biases the sums b + c: the field of an inner level is then the
mean of what the machines below and above it say, their laws' geometric mean. Each machine learns the units drawn from
the one below, by contrastive divergence with these conditionals,

    dW = <x E[y | x]'>_data - <x E[y | x]'>_(k steps of the two conditionals)

which no likelihood stands behind where only one side is doubled. Biases of a doubled side move twice as far.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.explicit.dbm import DBM
from deepgen.explicit.rbm import RBM
from deepgen.explicit.stack import climb
from deepgen.explicit.units import Units


@torch.no_grad()
def pretrain(
    dbm: DBM,
    x: Tensor,
    *,
    objective: Any = None,
    optimizer: Callable[[RBM], torch.optim.Optimizer] | None = None,
    schedule: Callable[[float], float] | None = None,
    epochs: int = 10,
    batch_size: int = 100,
    seed: int = 0,
    progress: bool = False,
    out: str | Path | None = None,
) -> DBM:
    """Start the weights and biases of ``dbm`` from a stack of machines trained one by one, and return it.

    Parts that stand over visible layers of their own are trained each on its own. Learned precisions are trained with
    the machines they belong to.

    Args:
        dbm: what to start; its weights are those the machines begin with.
        x: rows ``[rows, visible]``.
        objective: of each machine; ``ContrastiveDivergence()`` by default.
        optimizer: a function that makes one over a machine's parameters; the objective's own by default.
        schedule: a function of the fraction of a machine's steps done, a factor of its rate; see `deepgen.fit`.
        epochs, batch_size, seed, progress: as for `deepgen.fit`, of each machine.
        out: a folder for the runs of all machines. The same call goes on from there.

    >>> dbm = pretrain(DBM(6, [4, 3], generator=0), torch.eye(6), epochs=2)
    >>> import deepgen as dg
    >>> history = dg.fit(dbm, torch.eye(6), dg.objectives.PersistentCD(), epochs=2, progress=False)
    """
    dbm.check(x)
    check_count(epochs=epochs)
    fitting = {"schedule": schedule, "epochs": epochs, "batch_size": batch_size, "progress": progress}
    biases = [torch.zeros_like(bias) for bias in dbm.biases]
    number, last = 0, len(dbm.couplings) - 1
    for below, coupling in enumerate(dbm.couplings):
        drawn = []
        for part, (block, columns, above) in enumerate(coupling.joints()):
            alone = len(coupling.blocks) == 1
            visible, hidden = (dbm.levels[n] if alone else dbm.parts[n][part] for n in (below, below + 1))
            machine = RBM(
                _Doubled(visible) if below > 0 else visible, _Doubled(hidden) if below < last else hidden, generator=0
            ).to(block)
            machine.weight.copy_(block)
            rows = x[:, columns]
            machine.initialise(rows)
            own = None if optimizer is None else optimizer(machine)
            place = None if out is None else Path(out) / f"machine-{number}"
            drawn.append(climb(machine, rows, objective, seed=seed + number, optimizer=own, out=place, **fitting))
            block.copy_(machine.weight)
            biases[below][columns] += machine.visible_bias
            biases[below + 1][above] += machine.hidden_bias
            number += 1
        x = torch.cat(drawn, 1)
    for bias, found in zip(dbm.biases, biases, strict=True):
        bias.copy_(found)
    return dbm


class _Doubled(nn.Module):
    """Units that hear everything twice, for a machine of conditionals: p(x | 2 f).

    Energy and cumulant are halved, so that the mean stays the gradient of the cumulant.
    """

    def __init__(self, units: Units) -> None:
        super().__init__()
        self.units, self.width, self.states = units, units.width, units.states

    def arguments(self) -> dict[str, Any]:
        return {"units": self.units}

    def energy(self, x: Tensor) -> Tensor:
        return self.units.energy(x) / 2

    def cumulant(self, field: Tensor) -> Tensor:
        return self.units.cumulant(2 * field) / 2

    def mean(self, field: Tensor) -> Tensor:
        return self.units.mean(2 * field)

    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        return self.units.sample(2 * field, generator=generator)

    def enumerate(self, start: int, stop: int) -> Tensor:
        return self.units.enumerate(start, stop)

    def check(self, x: Tensor) -> None:
        self.units.check(x)

    def check_mask(self, mask: Tensor) -> None:
        self.units.check_mask(mask)

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        return self.units.base_field(mean, n) / 2
