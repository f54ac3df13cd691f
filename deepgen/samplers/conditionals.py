"""Gibbs sampling from conditional laws that the reader writes down.

    for each block b:  x_b ~ p(x_b | the rest)

`Block(where, conditional)` names entries of the event and the law of them given a whole position. In turn
(``systematic``) the sweep leaves p invariant, as each of its parts does; one block at a time drawn by a coin
(``random``) is reversible as well. The coin is common to all chains, so that only one conditional is computed.
Source: Geman & Geman 1984.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, Independent, Normal

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError
from deepgen.random import categorical, common, draw, normal, sequential, uniform
from deepgen.samplers.kernel import EXACT, Exactness, require_state
from deepgen.samplers.positions import require_chains
from deepgen.samplers.target import Beta, check_beta, power


class Block(NamedTuple):
    """Entries of an event and their law given the rest.

    where: what follows the chains' axis in an index: an int, a slice, a list of ints, a boolean mask ``[*event]``, or
        a tuple of these, one for each axis of the event.
    conditional: a function of positions ``[chains, *event]``, to a torch Distribution over ``[chains, *block]``; or, if
        it has a keyword ``generator``, to values ``[chains, *block]`` that it drew from that. With a keyword ``beta``
        it is told the inverse temperature, a number or ``[chains]``.
    """

    where: Any
    conditional: Callable[..., Any]


class GibbsPoint(NamedTuple):
    """position: ``[chains, *event]``."""

    position: Tensor


class GibbsSeen(NamedTuple):
    """nan: chains to which a conditional gave a NaN ``[chains]``."""

    nan: Tensor


@dataclass(frozen=True)
class Gibbs:
    """The kernel of `gibbs`.

    >>> import deepgen as dg
    >>> kernel = Gibbs((Block(0, lambda x: torch.distributions.Normal(x[:, 1] / 2, 1.0)),), "systematic")
    >>> kernel.init(torch.zeros(5, 2)).position.shape
    torch.Size([5, 2])
    """

    blocks: tuple[Block, ...]
    scan: Literal["systematic", "random"]
    log_density: Callable[[Tensor], Tensor] | None = None
    beta: Beta = 1.0
    exactness: ClassVar[Exactness] = EXACT
    _places: dict[torch.device, list[Any]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_beta(self.beta)

    def at(self, beta: Beta) -> Gibbs:
        """The kernel at inverse temperature ``beta``, of which every conditional must be told.

        Raises:
            MissingCapability: a conditional has no keyword ``beta``.
        """
        for number, block in enumerate(self.blocks):
            if not _takes(block.conditional, "beta"):
                raise MissingCapability(
                    f"block {number} has one temperature only: write its conditional as a function (x, beta) to the "
                    "law at inverse temperature beta, a number or [chains]"
                )
        return replace(self, beta=beta)

    def log_ratio(self, state: GibbsPoint, old: Beta, new: Beta) -> Tensor:
        """log of the density at ``new`` over that at ``old``: ``[chains]``."""
        if self.log_density is None:
            raise MissingCapability(
                "how the density changes with the temperature is not known: gibbs(..., log_density=)"
            )
        with torch.no_grad():
            return power(new - old, self.log_density(state.position))

    def init(self, position: Tensor) -> GibbsPoint:
        """The state at ``position`` ``[chains, *event]``.

        Raises:
            ShapeError: not such a tensor, or a block lies outside it.
        """
        position = require_chains(position, least=2)
        for number, block in enumerate(self.blocks):
            try:
                position[(slice(None), *_parts(block.where))]
            except IndexError:
                raise ShapeError(f"block {number} lies outside the event {list(position.shape[1:])}") from None
        return GibbsPoint(position)

    @torch.no_grad()
    def step(self, state: GibbsPoint, *, generator: torch.Generator) -> tuple[GibbsPoint, GibbsSeen]:
        """Every block in turn, or one of them.

        Raises:
            SupportError: a conditional draws real numbers, and the chains hold integers.
        """
        require_state(state, GibbsPoint)
        x = state.position.clone()
        nan = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        numbers = range(len(self.blocks))
        if self.scan == "random":
            numbers = range(first := int(common(generator) * len(self.blocks)), first + 1)
        for number in numbers:
            index = self._places_on(x.device)[number]
            new = self._drawn(number, x, x[index].shape, generator).to(x)
            x[index] = new
            nan = nan | new.isnan().reshape(len(x), -1).any(1)
        return GibbsPoint(x), GibbsSeen(nan)

    def _places_on(self, device: torch.device) -> list[Any]:
        """The blocks as indices on the device, copied there once: every copy would wait for it, and so would a mask."""
        if device not in self._places:
            parts = ([_part(part, device) for part in _parts(block.where)] for block in self.blocks)
            self._places[device] = [(slice(None), *(p for part in block for p in part)) for block in parts]
        return self._places[device]

    def _drawn(self, number: int, x: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
        conditional = self.blocks[number].conditional
        told: dict[str, Any] = {"beta": self.beta} if _takes(conditional, "beta") else {}
        law: Any
        if _takes(conditional, "generator"):
            law, new = None, conditional(x, generator=generator, **told)
        else:
            law = conditional(x, **told)
            if not isinstance(law, Distribution):
                raise MissingCapability(
                    f"the conditional of block {number} must give a torch Distribution, or take generator= and give "
                    f"values; got {type(law).__name__}"
                )
            if law.batch_shape + law.event_shape != shape:
                raise ShapeError(
                    f"the conditional of block {number} must be over {list(shape)}, got batch {list(law.batch_shape)} "
                    f"and event {list(law.event_shape)}"
                )
            new = drawn_by_chain(law, generator)
        if not isinstance(new, Tensor) or new.shape != shape:
            got = list(new.shape) if isinstance(new, Tensor) else type(new).__name__
            raise ShapeError(f"the conditional of block {number} must give values {list(shape)}, got {got}")
        real = new.is_floating_point() and not x.is_floating_point()
        if real and not (law is not None and law.support.is_discrete):  # 0.0 and 1.0 of a Bernoulli are whole
            raise SupportError(
                f"block {number} is drawn from real numbers, which chains of {x.dtype} would cut off: start them in "
                "floating point, position.float()"
            )
        return new


def drawn_by_chain(law: Distribution, generator: torch.Generator) -> Tensor:
    """A draw from ``law`` ``[chains, ...]``, each chain from its own stream where the law is a common one.

    Normal, Bernoulli and Categorical are. Others draw from one stream (`deepgen.random.sequential`), so that a chain's
    numbers depend on which chains there are beside it.

    >>> drawn_by_chain(Bernoulli(torch.ones(4, 2)), torch.Generator()).sum()
    tensor(8.)
    """
    base = law
    while isinstance(base, Independent):
        base = base.base_dist
    if type(base) is Normal:
        return base.loc + base.scale * normal(base.loc.shape, generator=generator, dtype=base.loc.dtype)
    if type(base) is Bernoulli:
        probs = base.probs
        return (uniform(probs.shape, generator=generator, dtype=probs.dtype) < probs).to(probs.dtype)
    if type(base) is Categorical:
        return categorical(base.logits, generator=generator)
    return draw(law, generator=sequential(generator))


def gibbs(
    blocks: Sequence[Block | tuple[Any, Callable[..., Any]]],
    *,
    scan: Literal["systematic", "random"] = "systematic",
    log_density: Callable[[Tensor], Tensor] | None = None,
) -> Gibbs:
    """Gibbs sampling from conditionals of your own: exact if they are.

    Args:
        blocks: `Block` s, or pairs (where, conditional), which together should cover the event.
        scan: ``systematic``, all in the order given; or ``random``, one a step.
        log_density: of the joint law, ``[chains, *event] -> [chains]``; only tempering asks for it.

    Raises:
        ArgumentError: no blocks, or another scan.
        MissingCapability: a conditional cannot be called.

    >>> import deepgen as dg
    >>> from torch.distributions import Normal
    >>> rho = 0.6  # two standard normals with this correlation
    >>> spread = (1 - rho**2) ** 0.5
    >>> kernel = gibbs([(0, lambda x: Normal(rho * x[:, 1], spread)), (1, lambda x: Normal(rho * x[:, 0], spread))])
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(500, 2), draws=20, warmup=20, generator=0)
    >>> bool((trace.draws.flatten(0, 1).T.corrcoef()[0, 1] - rho).abs() < 0.05)
    True
    """
    if scan not in ("systematic", "random"):
        raise ArgumentError(f"scan must be 'systematic' or 'random', got {scan!r}")
    made = []
    for number, block in enumerate(blocks):
        if not isinstance(block, tuple) or len(block) != 2:
            raise ArgumentError(f"block {number} must be a pair (where, conditional), got {type(block).__name__}")
        if not callable(block[1]):
            raise MissingCapability(
                f"the conditional of block {number} must be a function, got {type(block[1]).__name__}"
            )
        made.append(Block(*block))
    if not made:
        raise ArgumentError("gibbs needs at least one block (where, conditional)")
    return Gibbs(tuple(made), scan, log_density)


def _parts(where: Any) -> tuple[Any, ...]:
    return where if isinstance(where, tuple) else (where,)


def _part(part: Any, device: torch.device) -> tuple[Any, ...]:
    """What stands in an index for one part of ``where``: of a mask the numbers of its entries, axis by axis."""
    if isinstance(part, (int, slice)) or part is None or part is Ellipsis:
        return (part,)
    places = torch.as_tensor(part)
    found = places.nonzero(as_tuple=True) if places.dtype == torch.bool else (places,)
    return tuple(place.to(device) for place in found)


def _takes(function: Callable[..., Any], name: str) -> bool:
    return name in inspect.signature(function).parameters
