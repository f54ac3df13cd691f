"""Stacks of Boltzmann machines: each learns the hidden units of the one below.

Trained one after the other, lowest first, they start a deep belief network (`deepgen.explicit.DBN`) and a deep
autoencoder (`deepgen.implicit.unrolled`). Source: Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep
belief nets".
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, check_count, check_real
from deepgen.explicit.levels import joined
from deepgen.explicit.product import Product
from deepgen.explicit.rbm import RBM
from deepgen.explicit.units import Bernoulli, Units, as_units, require_tensor
from deepgen.random import generator as new_generator
from deepgen.random import normal, resolve, spawn

ROWS = 10_000  # at a time, so that fields of many rows take little room


def rbm_stack(
    x: Tensor,
    hidden: Sequence[int | Units],
    *,
    visible: Units | None = None,
    objective: Any = None,
    optimizer: Callable[[RBM], torch.optim.Optimizer] | None = None,
    schedule: Callable[[float], float] | None = None,
    epochs: int = 10,
    batch_size: int = 100,
    seed: int = 0,
    progress: bool = False,
    out: str | Path | None = None,
) -> list[RBM]:
    """Train one `RBM` on the rows, the next on hidden units drawn from the first, and so on.

    Args:
        x: rows ``[rows, visible]`` that the lowest visible layer can take.
        hidden: the hidden layer of each machine, lowest first: a number of Bernoulli units, or a layer, such as
            ``deepgen.explicit.Gaussian(30)`` for a linear code at the top.
        visible: the lowest layer; Bernoulli units of the width of ``x`` by default.
        objective: of each; ``ContrastiveDivergence()`` by default.
        optimizer: a function that makes one over a machine's parameters; the objective's own by default.
        schedule: a function of the fraction of a machine's steps done, a factor of its rate; see `deepgen.fit`.
        epochs, batch_size, seed, progress: as for `deepgen.fit`, of each machine.
        out: a folder for the runs of all machines. The same call goes on from there.

    Returns:
        The machines, lowest first: see `DBN.from_rbms` and `deepgen.implicit.unrolled`.

    >>> import deepgen as dg
    >>> rbms = rbm_stack(torch.eye(6), [4, dg.explicit.Gaussian(2)], epochs=1)
    >>> [rbm.weight.shape for rbm in rbms]
    [torch.Size([6, 4]), torch.Size([4, 2])]
    """
    if not isinstance(hidden, Sequence) or len(hidden) == 0:
        raise ArgumentError(f"hidden must be a list of layers, lowest first, such as [200, 50], got {hidden!r}")
    check_count(epochs=epochs)
    require_tensor(x, "x")
    if x.ndim != 2 or 0 in x.shape:
        raise ShapeError(f"x must be [rows, visible] with at least one row, got {list(x.shape)}")
    layer = as_units(x.shape[1], "visible") if visible is None else visible
    fitting = {"schedule": schedule, "epochs": epochs, "batch_size": batch_size, "progress": progress}
    stack: list[RBM] = []
    for number, units in enumerate(hidden):
        start = spawn(new_generator(seed + number), 2)[0]  # `climb` draws from the other
        stack.append(RBM(layer, units, generator=start).initialise(x))
        own = None if optimizer is None else optimizer(stack[-1])
        place = None if out is None else Path(out) / f"machine-{number}"
        x = climb(stack[-1], x, objective, seed=seed + number, optimizer=own, out=place, **fitting)
        layer = copy.deepcopy(stack[-1].hidden)
    return stack


def climb(machine: RBM, x: Tensor, objective: Any, *, seed: int, **fitting: Any) -> Tensor:
    """Train ``machine`` on rows ``x`` ``[rows, visible]`` and return hidden units drawn given them ``[rows, hidden]``.

    ``objective`` is ``ContrastiveDivergence()`` if None, and ``fitting`` are keywords of `deepgen.fit`.
    """
    from deepgen.objectives import ContrastiveDivergence
    from deepgen.train import fit

    stream = spawn(new_generator(seed, machine.weight.device), 2)[1]
    with torch.enable_grad():
        fit(machine, x, ContrastiveDivergence() if objective is None else objective, seed=seed, **fitting)
    with torch.no_grad():
        fields = (machine.hidden_field(rows.to(machine.weight)) for rows in x.split(ROWS))
        return torch.cat([machine.hidden.sample(field, generator=stream) for field in fields])


def check_stack(rbms: Sequence[RBM], what: str) -> list[RBM]:
    """Return machines whose layers meet as a list, or raise `ArgumentError`; ``what`` takes them."""
    rbms = list(rbms)
    if not rbms or not all(isinstance(rbm, RBM) for rbm in rbms):
        raise ArgumentError(f"{what} takes a list of RBMs, lowest first, got {[type(rbm).__name__ for rbm in rbms]}")
    for below, above in itertools.pairwise(rbms):
        if type(below.hidden) is not type(above.visible) or _values(below.hidden) != _values(above.visible):
            raise ArgumentError(f"hidden layer {below.hidden} and the visible layer {above.visible} above do not meet")
    return rbms


def _values(units: Units) -> list[Any]:
    """What tells layers of the same values, part by part: precisions are not among it."""
    if isinstance(units, Product):
        return [one for part in units.parts for one in _values(part)]
    return [(type(units), units.width, getattr(units, "categories", None))]


@torch.no_grad()
def mirrored(
    rbm: RBM, width: int | None = None, *, scale: float = 0.01, generator: torch.Generator | int | None = None
) -> RBM:
    """The same machine seen from the other side: hidden units below, visible ones above; its weights are copies.

    With more units above than there are visible ones, the others are Bernoulli units of no bias and weights w ~ N(0,
    scale^2), and the biases below are less by sum w / 2. Each then multiplies the law of the level below by
    cosh(w.x / 2), 1 to first order in w. With ``scale`` 0 that law is unchanged, but the units learn nothing: as they
    depend on no x, the centred gradient of their weights is 0, and plainly they would all get the same one.

    Args:
        rbm: the machine.
        width: units above; by default as many as there are visible ones.
        scale: standard deviation of the weights of the others.
        generator: source of those weights.

    Raises:
        ArgumentError: ``width`` is less than the number of visible units, or ``scale`` is negative.

    >>> rbm = RBM(visible=3, hidden=2, generator=0)
    >>> v, h = torch.ones(1, 3), torch.ones(1, 2)
    >>> bool(torch.allclose(mirrored(rbm).energy(h, v), rbm.energy(v, h)))
    True
    >>> mirrored(rbm, 5, generator=0).weight.shape
    torch.Size([2, 5])
    """
    seen = rbm.visible.width
    width = seen if width is None else width
    check_count(width=width)
    check_real("scale", scale, 0)
    if width < seen:
        raise ArgumentError(f"width must be at least {seen}, the units that the mirror has above, got {width}")
    above = [copy.deepcopy(rbm.visible), *([Bernoulli(width - seen)] if width > seen else [])]
    twin = RBM(copy.deepcopy(rbm.hidden), joined(above), generator=0).to(rbm.weight)
    twin.weight[:, :seen] = rbm.weight.t()
    twin.visible_bias.copy_(rbm.hidden_bias)
    twin.hidden_bias[:seen] = rbm.visible_bias
    if width > seen:
        more = normal((rbm.hidden.width, width - seen), generator=resolve(generator)).to(rbm.weight) * scale
        twin.weight[:, seen:] = more
        twin.visible_bias.sub_(more.sum(1) / 2)
    return twin
