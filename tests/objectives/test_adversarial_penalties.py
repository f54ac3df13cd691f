"""Penalties on the slopes of a discriminator against hand."""

import pytest
import torch
from torch import nn

from deepgen.errors import ArgumentError
from deepgen.objectives import R1, R2, GradientPenalty
from deepgen.objectives.adversarial_penalties import Judged, mixed
from deepgen.testing import ks

A = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.1, -1.0]])


def bowl(x):
    """D(x) = sum a x^2 / 2, over rows [n, 2, 3]: the gradient is a x."""
    return (A * x.square()).flatten(1).sum(1) / 2


def judged(x):
    x = x.detach().requires_grad_()
    return Judged(x, bowl(x))


def test_penalties_are_of_the_norm_over_all_dimensions_of_a_row(stream):
    real, fake = (torch.randn(5, 2, 3, generator=stream) for _ in range(2))
    one, two = judged(real), judged(fake)
    squares = [(A * x).square().sum((1, 2)) for x in (real, fake)]
    assert torch.allclose(R1(3.0)(one, two, bowl, generator=stream), 1.5 * squares[0])
    assert torch.allclose(R2(3.0)(one, two, bowl, generator=stream), 1.5 * squares[1])
    seen = []

    def score(x):
        seen.append(x)
        return bowl(x)

    found = GradientPenalty(7.0, 1.5)(one, two, score, generator=stream)
    norm = (A * seen[0].detach()).square().sum((1, 2)).sqrt()
    assert torch.allclose(found, 7 * (norm - 1.5) ** 2, rtol=1e-4)


def test_a_row_is_mixed_by_one_number(stream, alpha):
    u = mixed(torch.ones(2000, 2, 3), torch.zeros(2000, 2, 3), generator=stream)
    assert (u == u[:, :1, :1]).all()
    assert ks(u[:, 0, 0], lambda e: e) > alpha


def test_a_penalty_at_a_flat_discriminator_has_a_finite_gradient(stream):
    D = nn.Linear(2, 1)
    nn.init.zeros_(D.weight)
    x = torch.randn(4, 2, generator=stream).requires_grad_()
    on = Judged(x, D(x).squeeze(1))
    GradientPenalty()(on, on, lambda x: D(x).squeeze(1), generator=stream).sum().backward()
    assert D.weight.grad.isfinite().all()


@pytest.mark.parametrize("penalty", [R1(), R2(), GradientPenalty()])
def test_a_discriminator_without_a_gradient_in_its_rows_is_refused(penalty, stream):
    """Whether it ignores the rows, or rounds or detaches them: to autograd these are all one."""
    bias, x = torch.zeros(4, requires_grad=True), torch.randn(4, 2, generator=stream).requires_grad_()
    blind = (
        lambda x: torch.zeros(len(x)),
        lambda x: bias,
        lambda x: bias * x.detach().sum(1),
        lambda x: (x > 0).to(x).sum(1) + bias,
    )
    for score in blind:
        on = Judged(x, score(x))
        with pytest.raises(ArgumentError, match="must use its rows"):
            penalty(on, on, score, generator=stream)
