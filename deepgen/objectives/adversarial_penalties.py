"""What holds a discriminator: penalties on its gradient with respect to rows, one number a row.

    R1                gamma / 2 |grad D(real)|^2               Mescheder, Geiger & Nowozin 2018, equation 9
    R2                gamma / 2 |grad D(draw)|^2               ibid., equation 10
    GradientPenalty   weight (|grad D(u)| - target)^2          Gulrajani et al. 2017,  u = e real + (1 - e) draw

The norm is over all dimensions of a row, |.|^2 = sum over *event, and e ~ U(0, 1) is one number a row. A gradient with
respect to row i is that of D(row i) alone, which a batch norm in the discriminator makes untrue: `Adversarial` refuses
the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, check_real
from deepgen.random import uniform


class Judged(NamedTuple):
    """Rows ``[rows, *event]`` that ask for a gradient, and their logits ``[rows]``."""

    rows: Tensor
    logits: Tensor


class Penalty(Protocol):
    """``penalty(real, fake, score, generator=g) -> [rows]``, what the discriminator pays beside its loss.

    ``score`` gives the logits of other rows; ``real`` and ``fake`` come with theirs, so that they need not be computed
    twice.

    >>> mine: Penalty = R1(10.0)
    """

    def __call__(
        self, real: Judged, fake: Judged, score: Callable[[Tensor], Tensor], *, generator: torch.Generator
    ) -> Tensor: ...


@dataclass(frozen=True)
class R1:
    """Half of ``gamma`` times the squared gradient at real rows.

    >>> x = torch.tensor([[1.0, 2.0]], requires_grad=True)
    >>> judged = Judged(x, 3 * x.sum(1))  # gradient (3, 3)
    >>> R1(2.0)(judged, judged, torch.sum, generator=torch.Generator()).detach()
    tensor([18.])
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        check_real("gamma", self.gamma, 0)

    def __call__(
        self, real: Judged, fake: Judged, score: Callable[[Tensor], Tensor], *, generator: torch.Generator
    ) -> Tensor:
        return self.gamma / 2 * slope(real).square().sum(1)


@dataclass(frozen=True)
class R2:
    """Half of ``gamma`` times the squared gradient at draws.

    >>> R2()
    R2(gamma=1.0)
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        check_real("gamma", self.gamma, 0)

    def __call__(
        self, real: Judged, fake: Judged, score: Callable[[Tensor], Tensor], *, generator: torch.Generator
    ) -> Tensor:
        return self.gamma / 2 * slope(fake).square().sum(1)


@dataclass(frozen=True)
class GradientPenalty:
    """``weight`` times the squared distance of the gradient's norm from ``target``, between real rows and draws.

    It does not converge on its own where data and draws agree: D = 0 has a gradient of norm 0 and not 1.

    >>> GradientPenalty()
    GradientPenalty(weight=10.0, target=1.0)
    """

    weight: float = 10.0
    target: float = 1.0

    def __post_init__(self) -> None:
        check_real("weight", self.weight, 0)
        check_real("target", self.target, 0)

    def __call__(
        self, real: Judged, fake: Judged, score: Callable[[Tensor], Tensor], *, generator: torch.Generator
    ) -> Tensor:
        between = mixed(real.rows, fake.rows, generator=generator).requires_grad_()
        norm = torch.linalg.vector_norm(slope(Judged(between, score(between))), dim=1)
        return self.weight * (norm - self.target).square()


def slope(judged: Judged) -> Tensor:
    """The gradient of each row's logit with respect to the row: ``[rows, values]``, differentiable.

    Raises:
        ArgumentError: autograd finds no way from the logits to the rows. It may be that the discriminator does not look
            at them, with a gradient of 0, or that it rounds or detaches them, with one that is not known.
    """
    gradient = None
    if judged.logits.requires_grad:
        gradient = torch.autograd.grad(judged.logits.sum(), judged.rows, create_graph=True, allow_unused=True)[0]
    if gradient is None:
        raise ArgumentError(
            "the penalty is on the gradient of the discriminator's logits with respect to its rows, and there is none: "
            "it must use its rows, and neither detach nor round them on the way (or take penalty=())"
        )
    return gradient.flatten(1)


def mixed(real: Tensor, fake: Tensor, *, generator: torch.Generator) -> Tensor:
    """e real + (1 - e) fake, one e ~ U(0, 1) a row.

    >>> rows = mixed(torch.ones(3, 2, 2), torch.zeros(3, 2, 2), generator=torch.Generator()).flatten(1)
    >>> bool((rows == rows[:, :1]).all())
    True
    """
    e = uniform((len(real),), generator=generator, dtype=real.dtype).view(-1, *(1,) * (real.ndim - 1))
    return torch.lerp(fake.to(real), real, e).detach()  # under autocast networks put out 16 bits
