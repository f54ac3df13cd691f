"""Laws of levels: probabilities that sum to one, draws that follow them, tails without lost digits."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import deepgen as dg
from deepgen.distributions import DiscretisedLogisticMixture, LevelCategorical
from deepgen.errors import ArgumentError, ShapeError
from deepgen.testing.goodness import chi_square


def mixture(stream, levels, batch=(), k=3, dtype=torch.float64):
    logits, means, log_scales = (torch.randn(*batch, k, generator=stream, dtype=dtype) for _ in range(3))
    return DiscretisedLogisticMixture(logits, means / 2, log_scales - 1.5, levels=levels)


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_probabilities_sum_to_one_over_the_levels(levels, stream):
    p = mixture(stream, levels, (4,))
    values = torch.arange(levels, dtype=torch.float64).unsqueeze(1)
    total = p.log_prob(values).exp().sum(0)
    assert torch.allclose(total, torch.ones(4, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(p.mean, (p.log_prob(values).exp() * values).sum(0))


def test_the_mean_of_many_values_is_made_a_level_at_a_time(stream):
    """256 levels of a batch of images at once would be gigabytes; no tensor is larger than the parameters."""
    p = mixture(stream, 256, (50,))
    most = []

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, call, types, args=(), kwargs=None):
            out = call(*args, **(kwargs or {}))
            most.append(out.numel() if isinstance(out, torch.Tensor) else 0)
            return out

    with Sizes():
        mean = p.mean
    assert max(most) <= 150
    values = torch.arange(256, dtype=torch.float64)
    assert torch.allclose(mean, values @ p.log_prob(values.unsqueeze(1)).exp())


def test_draws_follow_the_probabilities(stream, alpha):
    p = mixture(stream, 6)
    x = dg.random.draw(p, (20_000,), generator=stream)
    counts = torch.bincount(x.long(), minlength=6)
    assert chi_square(counts, p.log_prob(torch.arange(6.0).double()).exp()) > alpha


def test_tails_keep_their_digits_and_gradients_stay_finite():
    for level, mean, sign in ((0.0, 40.0, 1), (255.0, -40.0, -1), (3.0, 40.0, 1)):
        m = torch.tensor([mean], requires_grad=True)
        p = DiscretisedLogisticMixture(torch.zeros(1), m, torch.full((1,), -3.0), levels=256)
        value = p.log_prob(torch.tensor(level))
        value.backward()
        assert value.isfinite()
        assert value < -500
        assert math.isclose(float(m.grad) * -sign, math.exp(3.0), rel_tol=1e-3)  # d log F / dm = -1 / s far out


def test_gradients_are_those_of_differences(stream):
    logits, means, log_scales = (
        torch.randn(3, generator=stream, dtype=torch.float64).requires_grad_() for _ in range(3)
    )
    values = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)

    def f():
        return DiscretisedLogisticMixture(logits, means, log_scales, levels=4).log_prob(values).sum()

    dg.testing.gradients.check_gradient(f, [logits, means, log_scales], what="a mixture of logistics", generator=stream)


def test_categorical_over_levels_has_a_mean_and_takes_numbers(stream):
    logits = torch.randn(4, 7, generator=stream)
    p = LevelCategorical(logits=logits)
    values = torch.arange(7.0).unsqueeze(1)
    assert torch.allclose(p.log_prob(values), logits.log_softmax(-1).t())
    assert torch.allclose(p.mean, (p.probs * torch.arange(7.0)).sum(1))
    assert dg.random.draw(p, (3,), generator=stream).dtype == torch.float32
    assert p.expand((2, 4)).mean.shape == (2, 4)


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="levels"):
        DiscretisedLogisticMixture(torch.zeros(2), torch.zeros(2), torch.zeros(2), levels=1)
    with pytest.raises(ShapeError, match="all three"):
        DiscretisedLogisticMixture(torch.zeros(2), torch.zeros(3), torch.zeros(2))


def test_values_between_and_beyond_the_levels_are_refused(stream):
    for law in (LevelCategorical(logits=torch.zeros(4)), mixture(stream, 4)):
        for value in (0.5, 3.7, 9.0, -3.0):
            with pytest.raises(ValueError, match="support"):
                law.log_prob(torch.tensor([value]))
        assert law.log_prob(torch.tensor([3.0])).isfinite()
        assert law.expand((2,)).log_prob(torch.tensor([3.0])).shape == (2,)


def test_bits_are_levels():
    likelihood = dg.implicit.Categorical(2)
    likelihood.check(torch.tensor([[True, False]]))
    law = likelihood([torch.zeros(1, 2)] * 2, 1)
    assert float(law.log_prob(likelihood.inputs(torch.tensor([[True, False]])) * 0)) == pytest.approx(-2 * math.log(2))
