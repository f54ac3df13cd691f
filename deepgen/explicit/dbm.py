"""Deep Boltzmann machine: levels of units in a row, each joined to the next, with no connection inside a level.

    E(x_0, ..., x_L) = sum_l u_l(x_l) - b_l.x_l - sum_l x_l.W_l.x_(l+1),        p = exp(-E) / Z

x_0 is the visible level, u_l the units' own energies. Given the odd levels the even ones are independent, and the other
way round, so that a deep machine *is* a machine with two layers, its even levels and its odd ones: `DBM.as_rbm`. Gibbs
sampling, tempering, completion, annealing and enumeration are those of that `RBM`. With one hidden level it is the RBM.

What differs is the visible marginal, as both its sides hold hidden units. With q(h) a product over units it is bounded,

    log sum_h exp(-E(v, h)) >= E_q[-E(v, h)] + H(q) = b_0.v - u_0(v) + sum_(l>0) [ A_l(f_l) - f_l.m_l + b_l.m_l ]
                                                      + sum_l m_l.W_l.m_(l+1),        q_l = p(. | f_l),  m_0 = v

where A_l is the cumulant function of level l and m_l its mean at field f_l. The bound is highest where each f_l is the
field that the means of its neighbours send, which `DBM.mean_field` finds by turns of even and odd levels: no turn
lowers it. Sources: Salakhutdinov & Hinton 2009, "Deep Boltzmann machines"; with several visible layers, joined further
up, Srivastava & Salakhutdinov 2012, "Multimodal learning with deep Boltzmann machines".
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count, check_real
from deepgen.explicit.coupling import Coupling
from deepgen.explicit.levels import as_parts, joined, written
from deepgen.explicit.mean_field import MeanField, bound, check_means, check_neighbours, field, interaction, settle
from deepgen.explicit.rbm import RBM
from deepgen.explicit.rows import Rows, answered
from deepgen.explicit.two_sides import complete, even_mask, shared, two_sides
from deepgen.explicit.units import Units, as_values, base_rates, check_values
from deepgen.random import resolve
from deepgen.samplers.block_gibbs import BlockGibbs

TOLERANCE, TURNS = 1e-4, 200  # of a mean; even and odd levels once each


class DBM(nn.Module):
    """Deep Boltzmann machine over levels of any `deepgen.explicit` units.

    Args:
        visible: a number of Bernoulli units or a layer; or a list of them, visible layers of several kinds, whose
            values stand side by side in a row of data.
        hidden: levels, lowest first, at least one: a number of Bernoulli units or a layer each. Over several visible
            layers a level may be a list of as many, one over each; from the first single one on they are joined.
        generator: source of the initial weights N(0, 0.01^2); biases start at zero.

    It has `Blocked`; samples come from a chain, and `deepgen.evaluate.log_likelihood` states a bound.

    >>> dbm = DBM(6, [4, 3], generator=0)
    >>> dbm.mean_field(torch.zeros(2, 6)).bound.shape
    torch.Size([2])
    >>> from deepgen.explicit import Softmax
    >>> DBM([6, Softmax(1, 10)], [[4, 5], 3], generator=0)  # an image and its label, each with a level of its own
    DBM(16 visible (6, 10); hidden 9 (4, 5), 3)
    """

    def __init__(
        self,
        visible: int | Units | Sequence[int | Units],
        hidden: Sequence[int | Units | Sequence[int | Units]],
        *,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        if isinstance(hidden, int) or not isinstance(hidden, Sequence) or len(hidden) == 0:
            raise ArgumentError(f"hidden must be a list of levels, lowest first, such as [500, 1000], got {hidden!r}")
        parts = [as_parts(visible, "visible"), *(as_parts(level, f"hidden[{i}]") for i, level in enumerate(hidden))]
        for number, (below, above) in enumerate(itertools.pairwise(parts)):
            if len(above) not in (1, len(below)):
                raise ArgumentError(
                    f"hidden[{number}] has {len(above)} parts over {len(below)}: give one for each, or one for all"
                )
        stream = resolve(generator)
        self.parts = parts
        self.levels: Sequence[Units] = nn.ModuleList(joined(level) for level in parts)  # type: ignore[assignment, misc]
        widths = [[part.width for part in level] for level in parts]
        self.couplings: Sequence[Coupling] = nn.ModuleList(  # type: ignore[assignment]
            Coupling(below, above, stream) for below, above in itertools.pairwise(widths)
        )
        self.biases = nn.ParameterList(torch.zeros(sum(level)) for level in widths)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        levels = [level[0] if len(level) == 1 else list(level) for level in self.parts]
        return {"visible": levels[0], "hidden": levels[1:]}

    @property
    def visible(self) -> Units:
        """The visible level."""
        return self.levels[0]

    @property
    def support(self) -> Any:
        """The constraint on the visible values, None where the layer does not say."""
        return getattr(self.visible, "support", None)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> DBM:
        """Set the visible biases to base rates of data ``[rows, visible]`` and return self; see `RBM.initialise`."""
        self.biases[0].copy_(base_rates(self.visible, x, self.biases[0]))
        return self

    def check(self, x: Tensor) -> None:
        """Raise `ShapeError` or `SupportError` unless ``x`` is ``[rows, visible]`` of possible values, NaN-free."""
        check_values(self.visible, x, "data")

    def field(self, level: int, states: Sequence[Tensor]) -> Tensor:
        """What ``level`` sees of its neighbours among ``states`` (one of each level; its own is not looked at).

        Raises:
            ArgumentError: no such level.
            ShapeError: not one tensor for each level, or a neighbour that is not ``[..., width]``.
        """
        check_neighbours(self.levels, level, states)
        return field(self, level, states)

    def energy(self, *states: Tensor) -> Tensor:
        """E in nats of one tensor for each level, visible first: ``[..., width] each -> [...]``."""
        if len(states) != len(self.levels):
            raise ShapeError(f"energy takes {len(self.levels)} levels, visible first, got {len(states)}")
        bias = self.biases[0]
        values = [as_values(u, x, f"level {n}", bias) for n, (u, x) in enumerate(zip(self.levels, states, strict=True))]
        own = sum(units.energy(x) - x @ bias for units, bias, x in zip(self.levels, self.biases, values, strict=True))
        return own - interaction(self.couplings, values)

    def mean_field(
        self, v: Tensor, *, tolerance: float = TOLERANCE, turns: int = TURNS, start: Sequence[Tensor] | None = None
    ) -> MeanField:
        """The best product q(h) for each row ``[rows, visible]``, as far as turns of even and odd levels find it.

        Args:
            v: rows of data, or of visible means.
            tolerance: a row is settled when none of its means moves by more.
            turns: end after so many in any case.
            start: means of the hidden levels, ``[rows, width]`` or ``[width]``, the same for all rows; by default one
                way up, what comes from below counted twice below the top (Salakhutdinov & Hinton 2009, section 3).

        Raises:
            ShapeError, SupportError: ``v`` or ``start`` has another shape, or holds NaN or infinite values.
            ArgumentError: ``turns`` below 1, or ``tolerance`` below 0.
        """
        check_count(turns=turns)
        check_real("tolerance", tolerance, 0)
        check_means(self.levels, v, start)
        start = None if start is None else [means.to(self.biases[0]) for means in start]
        fields, states, done = settle(self, v.to(self.biases[0]), tolerance=tolerance, turns=turns, start=start)
        return MeanField(fields[1:], states[1:], bound(self, fields, states), done)

    @property
    def is_rbm(self) -> bool:
        """Whether it has one hidden level, joined to all of the visible one: an RBM by another name."""
        return len(self.levels) == 2 and len(self.couplings[0].blocks) == 1

    def as_rbm(self, *, share: bool = False) -> RBM:
        """The same law as a machine with two layers: even levels side by side as visible, odd ones as hidden.

        The visible level comes first. Weights are copies, with zeros between levels that are no neighbours; log Z is
        the same. With ``share`` the machine of one that `is_rbm` has this one's own parameters and units, so that to
        train it is to train this one, as objectives for an `RBM` do.

        Raises:
            MissingCapability: ``share`` of a machine that is no `RBM`.

        >>> dbm = DBM(3, [2, 2, 1], generator=0)
        >>> x = [torch.ones(1, n) for n in (3, 2, 2, 1)]
        >>> rbm = dbm.as_rbm()
        >>> bool(torch.allclose(rbm.energy(torch.cat(x[::2], 1), torch.cat(x[1::2], 1)), dbm.energy(*x)))
        True
        """
        return shared(self) if share else two_sides(self)

    def gibbs(self, beta: float | Tensor = 1.0, *, clamp: Tensor | None = None) -> BlockGibbs:
        """The Gibbs kernel over even and odd levels, of the weights as they are now.

        Its position is the even levels side by side, visible first: `even` starts it at rows of data. ``clamp`` is a
        mask of visible entries to hold.
        """
        return BlockGibbs(self.as_rbm(), beta, None if clamp is None else even_mask(self, clamp))

    @torch.no_grad()
    def even(self, v: Tensor, *, generator: torch.Generator | int | None = None) -> Tensor:
        """Rows ``[rows, visible]`` with the even hidden levels beside them, drawn from their mean field."""
        self.check(v)
        stream, found = resolve(generator, self.biases[0].device), self.mean_field(v)
        hidden = [
            self.levels[level].sample(found.fields[level - 1], generator=stream)
            for level in range(2, len(self.levels), 2)
        ]
        return torch.cat([v.to(self.biases[0]), *hidden], 1)

    def sample(
        self,
        n: int,
        *,
        steps: int = 1000,
        start: Tensor | None = None,
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """Return the visible levels of ``n`` chains after ``steps`` Gibbs steps: ``[n, visible]``; see `RBM.sample`."""
        stream = resolve(generator, self.biases[0].device)
        start = None if start is None else self.even(start, generator=stream)
        return self.as_rbm().sample(n, steps=steps, start=start, generator=stream)[:, : self.visible.width]

    def conditional_sample(
        self, known: Tensor, mask: Tensor, *, steps: int = 1000, generator: torch.Generator | int | None = None
    ) -> Tensor:
        """Complete rows ``[rows, visible]``: entries under ``mask`` stay, the others are drawn; see
        `RBM.conditional_sample`. With the columns of one visible layer as the mask, it draws one kind given another."""
        return complete(self, known, mask, steps=steps, generator=generator)

    @torch.no_grad()
    def transform(self, x: Rows) -> Rows:
        """Features for another model: mean-field means of all hidden levels, ``[rows, visible] -> [rows, hidden]``.

        An array gives an array.
        """
        return answered(x, self._features)

    def _features(self, x: Tensor) -> Tensor:
        self.check(x)
        return torch.cat(self.mean_field(x).means, 1)

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """E[v | the mean field of the lowest hidden level]: ``[rows, visible] -> [rows, visible]``."""
        self.check(x)
        return self.visible.mean(self.field(0, [x, *self.mean_field(x).means]))

    def __repr__(self) -> str:
        return f"DBM({written(*self.parts)})"
