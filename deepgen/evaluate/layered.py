"""What a likelihood needs of a machine with layers, be it an `RBM`, a `DBM` or a `DBN`: all estimators ask only this.

    p(v) = f(v) / Z,        f(v) = E_q(h | v) [ w(v, h) g(x(v, h)) ],        Z = sum_x g(x)

g is the density, up to Z, of one side of an ordinary machine with two layers, the undirected part of the model:

    model   part (`undirected`)             x                                   w
    RBM     itself                          v                                   1
    DBM     even and odd levels, `as_rbm`   v and the even hidden levels e      1 / q(e | v), from the mean field
    DBN     the top machine                 the level below the top             prod p(x_l | x_(l+1)) / q(x_(l+1) | x_l)

The other side of the part is summed out in g, exactly. log Z is the part's, whatever stands below it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.errors import MissingCapability, ShapeError
from deepgen.explicit.conditional import UnitDistribution
from deepgen.explicit.dbm import DBM
from deepgen.explicit.dbn import DBN
from deepgen.explicit.energy import EnergyModel
from deepgen.explicit.proposals import Proposed
from deepgen.explicit.rbm import RBM

Layered = RBM | DBM | DBN
LAYERED = (RBM, DBM, DBN)
_NUMBERS = 2**17  # of data that go through a model together
_BASE_ROWS, _BASE_TOLERANCE = 1000, 1e-2  # the base need not be good to the last digit


def undirected(model: Any) -> Any:
    """The machine with two layers whose log Z is the model's; whatever has no more than two layers as it is.

    >>> undirected(DBM(6, [4, 3], generator=0)), undirected(DBN(6, [4, 3], generator=0)).weight.shape
    (RBM(
      9 visible, 4 hidden
      (visible): Bernoulli()
      (hidden): Bernoulli()
    ), torch.Size([4, 3]))
    """
    if isinstance(model, DBM):
        return model.as_rbm()
    return model.top if isinstance(model, DBN) else model


@torch.no_grad()
def log_density(model: Any, x: Tensor) -> Tensor:
    """`deepgen.evaluate.log_density` of what has been checked: inner loops ask for it."""
    if isinstance(model, (DBM, DBN)):
        raise MissingCapability(
            f"log f of a {type(model).__name__} is a sum over hidden levels: deepgen.evaluate.log_likelihood bounds it"
        )
    if isinstance(model, EnergyModel):
        return torch.cat([model.log_density(v).double() for v in x.split(max(1, _NUMBERS // x[0].numel()))])
    weight, a, b = (p.double() for p in (model.weight, model.visible_bias, model.hidden_bias))
    rows = [part.to(weight) for part in x.split(max(1, 2**24 // sum(weight.shape)))]
    return torch.cat([v @ a - model.visible.energy(v) + model.hidden.cumulant(v @ weight + b) for v in rows])


@torch.no_grad()
def base_field(model: Layered, rows: Tensor) -> Tensor:
    """The field of the part's x at base rates of data ``[rows, visible]``, where a path begins: ``[width]``.

    Hidden levels in x have the rates of their means given the rows, by the way up or the mean field of at most 1,000.

    >>> base_field(DBM(6, [4, 3], generator=0), torch.ones(10, 6)).shape
    torch.Size([9])
    """
    rows = rows.to(next(model.parameters()))
    few = rows[:: -(-len(rows) // _BASE_ROWS)]
    if isinstance(model, DBN) and len(model.rbms) > 1:
        return model.top.visible.base_field(model.means(few)[-2].mean(0), len(few))
    fields = [model.visible.base_field(rows.mean(0), len(rows))]
    if isinstance(model, DBM):
        means = model.mean_field(few, tolerance=_BASE_TOLERANCE).means[1::2]
        levels = zip(model.levels[2::2], means, strict=True)
        fields += [units.base_field(mean.mean(0), len(few)) for units, mean in levels]
    return torch.cat(fields)


@torch.no_grad()
def propose(model: Layered, x: Tensor, draws: int, *, generator: torch.Generator) -> Proposed:
    """Draw the hidden levels of x(v, h) from q, ``draws`` times a row, with log w; see `DBN.propose`.

    >>> proposed = propose(DBM(6, [4, 3], generator=0), torch.ones(5, 6), 2, generator=torch.Generator())
    >>> proposed.position.shape, proposed.log_weight.shape
    (torch.Size([10, 9]), torch.Size([5, 2]))
    """
    if isinstance(model, DBN):
        return model.propose(x, draws, generator=generator)
    v = x.to(next(model.parameters()))
    parts, log_weight = [v.repeat_interleave(draws, 0)], v.new_zeros(len(v) * draws, dtype=torch.float64)
    if isinstance(model, DBM) and len(model.levels) > 2:
        fields = model.mean_field(v).fields[1::2]
        for units, field in zip(model.levels[2::2], fields, strict=True):
            q = UnitDistribution(units, field.repeat_interleave(draws, 0))
            drawn = units.sample(q.field, generator=generator)
            log_weight -= q.log_prob(drawn).double()
            parts.append(drawn)
    return Proposed(torch.cat(parts, 1), log_weight.view(len(v), draws))


def sides(model: Any) -> tuple[str, str]:
    """What the units of the part's two sides are called, x first."""
    if isinstance(model, DBM) and len(model.levels) > 2:
        return "even-level", "odd-level"
    return ("next-to-top", "top") if isinstance(model, DBN) and len(model.rbms) > 1 else ("visible", "hidden")


def check_draws(model: Any, part: Any, samples: Tensor) -> None:
    """Raise unless ``samples`` are values of the part's x, from which reverse annealing can start."""
    if isinstance(model, (DBM, DBN)) and isinstance(samples, Tensor) and samples.shape[1:] != (part.visible.width,):
        what = (
            "all its even levels side by side, visible first" if isinstance(model, DBM) else "the level below the top"
        )
        raise ShapeError(
            f"samples of a {type(model).__name__} are draws of {what}, [chains, {part.visible.width}], got "
            f"{list(samples.shape)}; a draw of the visible level alone is none"
        )
    part.check(samples)
