"""Deep belief network: directed levels of units below, a restricted Boltzmann machine on top.

    p(x_0, ..., x_L) = p(x_0 | x_1) ... p(x_(L-2) | x_(L-1)) p_top(x_(L-1), x_L),      v = x_0

Each p(x_l | x_(l+1)) is the way down of an `RBM`, and p_top a whole one, so that the network is a stack of machines,
read so. Upwards the machines' other conditionals are not its posterior, only a guess at it,

    q(x_1, ..., x_(L-1) | v) = q(x_1 | v) ... q(x_(L-1) | x_(L-2)),

from which log p(v) is bounded, f_top being exp(-F) of the top machine (`deepgen.evaluate.log_likelihood`):

    log p(v) >= E_q [ sum_(l < L-1) log p(x_l | x_(l+1)) - log q(x_(l+1) | x_l) ] + E_q log f_top(x_(L-1)) - log Z_top.

With L = 1 it is the RBM, and q nothing. With a top machine that is the `mirrored` one below (`DBN.deepened`) its law is
the one it had without that machine, exactly, and the guess is the posterior: from there on each further level can only
raise the bound. Source: Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep belief nets".
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.explicit.conditional import UnitDistribution
from deepgen.explicit.proposals import Proposed, propose
from deepgen.explicit.rbm import RBM
from deepgen.explicit.rows import Rows, answered
from deepgen.explicit.stack import check_stack, mirrored
from deepgen.explicit.units import Units, as_units, as_values, check_values
from deepgen.layers.entering import Entering
from deepgen.random import resolve


class DBN(nn.Module):
    """Deep belief network over levels of any `deepgen.explicit` units.

    Args:
        visible: a number of Bernoulli units or a layer.
        hidden: levels, lowest first, at least one: a number of Bernoulli units or a layer each.
        untied: give the way up weights of its own (`untie`), which `deepgen.objectives.UpDown` trains.
        generator: source of the initial weights N(0, 0.01^2); biases start at zero.

    Attributes:
        rbms: the machines, lowest first; the last is the undirected top.

    Train the machines one after the other (`rbm_stack`, then `from_rbms`), or at the same time by
    `deepgen.objectives.LayerWise`; then all levels together by `deepgen.objectives.UpDown`.

    >>> dbn = DBN(6, [4, 3], generator=0)
    >>> dbn.top.weight.shape, dbn.sample(5, steps=10, generator=0).shape
    (torch.Size([4, 3]), torch.Size([5, 6]))
    """

    def __init__(
        self,
        visible: int | Units,
        hidden: Sequence[int | Units],
        *,
        untied: bool = False,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        if isinstance(hidden, int) or not isinstance(hidden, Sequence) or len(hidden) == 0:
            raise ArgumentError(f"hidden must be a list of levels, lowest first, such as [500, 2000], got {hidden!r}")
        levels = [as_units(visible, "visible"), *(as_units(units, f"hidden[{i}]") for i, units in enumerate(hidden))]
        stream = resolve(generator)
        self.rbms: Sequence[RBM] = nn.ModuleList(  # type: ignore[assignment]
            RBM(copy.deepcopy(below), copy.deepcopy(above), generator=stream)
            for below, above in itertools.pairwise(levels)
        )
        self.up_weights, self.up_biases = nn.ParameterList(), nn.ParameterList()  # empty where the way up is tied
        if untied:
            self.untie()

    @classmethod
    def from_rbms(cls, rbms: Sequence[RBM]) -> DBN:
        """The network of a stack of machines, lowest first (`deepgen.explicit.rbm_stack`), as copies.

        Raises:
            ArgumentError: layers that do not meet.

        >>> DBN.from_rbms([RBM(6, 4, generator=0), RBM(4, 3, generator=1)])
        DBN(6 visible; hidden 4, 3)
        """
        rbms = check_stack(rbms, "DBN.from_rbms")
        dbn = cls(rbms[0].visible, [rbm.hidden for rbm in rbms], generator=0)
        dbn.rbms = nn.ModuleList(copy.deepcopy(rbm) for rbm in rbms)  # type: ignore[assignment]
        return dbn

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"visible": self.visible, "hidden": [rbm.hidden for rbm in self.rbms], "untied": self.untied}

    def entering(self) -> dict[str, Entering]:
        """The way up's own weights, beside those of the machines; see `deepgen.layers.constrain`."""
        return {f"up_weights.{i}": Entering(1) for i in range(len(self.up_weights))}

    @property
    def visible(self) -> Units:
        """The visible level."""
        return self.rbms[0].visible

    @property
    def top(self) -> RBM:
        """The undirected machine: all of it that has a log Z."""
        return self.rbms[-1]

    @property
    def support(self) -> Any:
        """The constraint on the visible values, None where the layer does not say."""
        return getattr(self.visible, "support", None)

    @property
    def untied(self) -> bool:
        """Whether the way up has weights of its own."""
        return len(self.up_weights) > 0

    def untie(self) -> DBN:
        """Give the way up, below the top, weights of its own, which start as those of the way down; return self."""
        if not self.untied:
            for rbm in self.rbms[:-1]:
                self.up_weights.append(rbm.weight.detach().clone())
                self.up_biases.append(rbm.hidden_bias.detach().clone())
        return self

    @torch.no_grad()
    def deepened(
        self, width: int | None = None, *, scale: float = 0.01, generator: torch.Generator | int | None = None
    ) -> DBN:
        """The same law of v with one more level: on top a machine that mirrors the present top (Hinton et al. 2006).

        Args:
            width: units of the new level, by default as many as there are two levels below it. Of more, the others
                start with weights N(0, ``scale``^2), by which the law changes a little (`mirrored`).
            scale: 0 leaves the law as it is, but the other units then learn nothing.
            generator: source of those weights.

        Raises:
            ArgumentError: ``width`` is less than that of the mirror, or ``scale`` is negative.

        >>> dbn = DBN(6, [4], generator=0).deepened()
        >>> dbn, bool(torch.equal(dbn.top.weight, dbn.rbms[0].weight.t()))
        (DBN(6 visible; hidden 4, 6), True)
        >>> DBN(6, [4], generator=0).deepened(9, generator=0)
        DBN(6 visible; hidden 4, 9)
        """
        deeper = DBN.from_rbms([*self.rbms, mirrored(self.top, width, scale=scale, generator=generator)])
        if self.untied:
            deeper.untie()
            for mine, own in zip(
                [*self.up_weights, *self.up_biases], [*deeper.up_weights[:-1], *deeper.up_biases[:-1]], strict=True
            ):
                own.copy_(mine)
        return deeper

    @torch.no_grad()
    def initialise(self, x: Tensor) -> DBN:
        """Set the visible biases to base rates of data ``[rows, visible]`` and return self; see `RBM.initialise`."""
        self.rbms[0].initialise(x)
        return self

    def check(self, x: Tensor) -> None:
        """Raise `ShapeError` or `SupportError` unless ``x`` is ``[rows, visible]`` of possible values, NaN-free."""
        check_values(self.visible, x, "data")

    def above(self, level: int, x: Tensor) -> UnitDistribution:
        """q(x_(level+1) | x_level), the guess of the way up; of the top machine its own p: ``[..., width]``."""
        rbm = self._machine(level)
        if level < len(self.up_weights):
            x = as_values(rbm.visible, x, f"level {level}", rbm.weight)
            return UnitDistribution(rbm.hidden, x @ self.up_weights[level] + self.up_biases[level])
        return rbm.hidden_given(x)

    def below(self, level: int, y: Tensor) -> UnitDistribution:
        """p(x_level | x_(level+1)): ``[..., width]``."""
        return self._machine(level).visible_given(y)

    def _machine(self, level: int) -> RBM:
        if not 0 <= level < len(self.rbms):
            raise ArgumentError(
                f"level must be from 0 (visible) to {len(self.rbms) - 1}, the lower of two, got {level}"
            )
        return self.rbms[level]

    @torch.no_grad()
    def propose(self, v: Tensor, draws: int = 1, *, generator: torch.Generator | int | None = None) -> Proposed:
        """Draw the levels up to that below the top for each row ``[rows, visible]``, ``draws`` times.

        log_weight is sum log p(x_l | x_(l+1)) - log q(x_(l+1) | x_l); position is x_(L-1).
        """
        return propose(self, v, draws, generator=generator)

    @torch.no_grad()
    def means(self, v: Tensor) -> list[Tensor]:
        """Means of the hidden levels, lowest first, each given the means below it: ``[rows, visible]`` to a list."""
        states = [as_values(self.visible, v, "v", self.top.weight).to(self.top.weight.device)]
        for level in range(len(self.rbms)):
            states.append(self.above(level, states[-1]).mean)
        return states[1:]

    @torch.no_grad()
    def transform(self, x: Rows, *, level: int | None = None) -> Rows:
        """Features for another model: the `means` of a hidden level (1 is the lowest), by default of all side by side.

        ``[rows, visible] -> [rows, width]``; an array gives an array.
        """
        return answered(x, lambda rows: self._features(rows, level))

    def _features(self, x: Tensor, level: int | None) -> Tensor:
        self.check(x)
        if level is None:
            return torch.cat(self.means(x), 1)
        check_count(level=level)
        if level > len(self.rbms):
            raise ArgumentError(f"level must be at most {len(self.rbms)}, the number of hidden levels, got {level}")
        return self.means(x)[level - 1]

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Up by means to the level below the top, and down again: ``[rows, visible] -> [rows, visible]``."""
        self.check(x)
        y = self.means(x)[max(len(self.rbms) - 2, 0)]
        for level in reversed(range(max(len(self.rbms) - 1, 1))):
            y = self.below(level, y).mean
        return y

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        steps: int = 1000,
        start: Tensor | None = None,
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """Return ``[n, visible]``: ``n`` chains of ``steps`` Gibbs steps in the top machine, then drawn down.

        ``start`` are rows ``[n, visible]``, from which the chains begin by the way up; see `RBM.sample`.
        """
        stream = resolve(generator, self.top.weight.device)
        if start is not None:
            check_values(self.visible, start, "start")
            start = self.propose(start, generator=stream).position
        x = self.top.sample(n, steps=steps, start=start, generator=stream)
        return self.down(x, generator=stream)[-1]

    @torch.no_grad()
    def down(self, x: Tensor, *, generator: torch.Generator | int | None = None) -> list[Tensor]:
        """Draw all levels below that under the top, given its states ``[rows, width]``: from it down to the visible."""
        states = [as_values(self.top.visible, x, "x", self.top.weight)]
        stream = resolve(generator, x.device)
        for level in reversed(range(len(self.rbms) - 1)):
            guess = self.below(level, states[-1])
            states.append(guess.units.sample(guess.field, generator=stream))
        return states

    @torch.no_grad()
    def classifier(self, classes: int, *, generator: torch.Generator | int | None = None) -> nn.Module:
        """The way up as a network that puts out logits, to be trained on labels: `deepgen.implicit.classifier`.

        >>> DBN(6, [4, 3], generator=0).classifier(10, generator=0)(torch.zeros(5, 6)).shape
        torch.Size([5, 10])
        """
        from deepgen.implicit.unrolled import classifier  # which loads much

        rbms = [copy.deepcopy(rbm) for rbm in self.rbms]
        for rbm, weight, bias in zip(rbms, self.up_weights, self.up_biases, strict=False):
            rbm.weight.copy_(weight)
            rbm.hidden_bias.copy_(bias)
        return classifier(rbms, classes, generator=generator)

    def __repr__(self) -> str:
        hidden = ", ".join(str(rbm.hidden.width) for rbm in self.rbms)
        return f"DBN({self.visible.width} visible; hidden {hidden}{'; untied' if self.untied else ''})"
