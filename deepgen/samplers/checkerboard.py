"""Gibbs sampling of a grid, colour by colour: sites of one colour have no neighbours among themselves.

    for each colour:  x_i ~ p_beta(x_i | the other colours),  all its sites at once;      p_beta ~ f^beta

Two colours make a checkerboard. Every half leaves p_beta invariant, so the sweep does; one sweep taken backwards
is a sweep in the other order, so it is not reversible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from deepgen.samplers.kernel import EXACT, Exactness, require_state
from deepgen.samplers.positions import require_chains
from deepgen.samplers.target import Beta, check_beta, rowwise

if TYPE_CHECKING:
    from deepgen.explicit.lattice import Lattice


class Sites(NamedTuple):
    """position: ``[chains, height, width]``."""

    position: Tensor


class Swept(NamedTuple):
    """nan: chains that met a NaN field ``[chains]``."""

    nan: Tensor


@dataclass(frozen=True)
class Checkerboard:
    """The kernel of `Ising.gibbs` and `Potts.gibbs`.

    Attributes:
        model: the grid.
        beta: inverse temperature, a number or one a chain ``[chains]``.

    >>> import deepgen as dg
    >>> ising = dg.explicit.Ising((3, 3), coupling=0.2, field=0.2)
    >>> trace = dg.samplers.sample_chain(ising.gibbs(), torch.ones(500, 3, 3), draws=100, warmup=20, generator=0)
    >>> states = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 9).reshape(-1, 3, 3)
    >>> exact = ising.log_density(states).softmax(0) @ states.mean((1, 2))  # 0.465
    >>> bool((trace.draws.mean() - exact).abs() < 0.05)
    True
    """

    model: Lattice
    beta: Beta = 1.0
    exactness: ClassVar[Exactness] = EXACT

    def __post_init__(self) -> None:
        check_beta(self.beta)

    def at(self, beta: Beta) -> Checkerboard:
        """The kernel at inverse temperature ``beta``: a number, or one a chain ``[chains]``."""
        return replace(self, beta=beta)

    @torch.no_grad()
    def log_ratio(self, state: Sites, old: Beta, new: Beta) -> Tensor:
        """log of the density at ``new`` over that at ``old``: ``[chains]``."""
        return (new - old) * self.model.log_density(state.position)

    def init(self, position: Tensor) -> Sites:
        """The state at ``position`` ``[chains, height, width]``.

        Raises:
            ShapeError, SupportError: not such a tensor of the model's values.
        """
        position = require_chains(position, *self.model.shape)
        self.model.check(position)
        return Sites(position.to(self.model.field))

    def enter(self, own: Sites, other: Any) -> Sites:
        """The state after another kernel has moved the chains to ``other.position``."""
        return Sites(other.position.to(self.model.field))

    @torch.no_grad()
    def step(self, state: Sites, *, generator: torch.Generator) -> tuple[Sites, Swept]:
        """A sweep: every site once."""
        require_state(state, Sites)
        x, nan = state.position, torch.zeros(len(state.position), dtype=torch.bool, device=state.position.device)
        for colour in self.model.colours:
            local = self.model.local_field(x)
            local = rowwise(self.beta, local) * local
            x = torch.where(colour, self.model.values_given(local, generator=generator), x)
            nan = nan | local.flatten(1).isnan().any(1)
        return Sites(x), Swept(nan)
