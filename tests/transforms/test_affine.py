"""Element-wise affine map against its formula."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError
from deepgen.testing import check_transform
from deepgen.transforms import Affine, ContextAffine
from tests.contracts.densities import trained


@pytest.mark.parametrize("shape", [1, 3, (2, 3), (1, 2, 2)])
def test_contract(shape, stream):
    affine = trained(Affine(shape), stream)
    event = (shape,) if isinstance(shape, int) else shape
    done = check_transform(affine, torch.randn(6, *event, generator=stream), generator=stream)
    assert done == ["jacobian", "round trip", "extremes", "gradients"]


def test_formula():
    affine = Affine((2, 2), shift=1.0, log_scale=math.log(2))
    z, log_det = affine.encode(torch.full((3, 2, 2), 5.0))
    torch.testing.assert_close(z, torch.full((3, 2, 2), 2.0))
    torch.testing.assert_close(log_det, torch.full((3,), -4 * math.log(2)))


def test_starts_as_the_identity(stream):
    x = torch.randn(4, 3, generator=stream)
    z, log_det = Affine(3).encode(x)
    assert torch.equal(z, x)
    assert not log_det.any()


def test_sizes_are_checked():
    with pytest.raises(ArgumentError, match="features"):
        Affine(0)
    with pytest.raises(ArgumentError, match="features"):
        Affine((2, -1))


def test_numbers_of_the_context_are_shift_and_log_scale(stream):
    context = torch.randn(4, 7, generator=stream)
    x, place = torch.randn(4, 3, generator=stream), ContextAffine(3, 7)
    z, log_det = place.encode(x, context)
    torch.testing.assert_close(z, (x - context[:, :3]) / context[:, 3:6].exp())
    torch.testing.assert_close(log_det, -context[:, 3:6].sum(1))
    assert check_transform(place, x, context, generator=stream) == ["jacobian", "round trip", "extremes", "gradients"]


def test_alone_it_is_the_diagonal_gaussian(stream):
    context, z = torch.randn(5, 6, generator=stream), torch.randn(5, 3, generator=stream)
    flow = dg.explicit.Flow(ContextAffine(3), 3, context=6)
    torch.testing.assert_close(flow(context).log_prob(z), dg.implicit.DiagonalGaussian(3)(context).log_prob(z))


def test_a_context_that_is_too_narrow_is_refused():
    with pytest.raises(ArgumentError, match="6 numbers"):
        ContextAffine(3, 5)
    for context in (None, torch.zeros(2, 5)):
        with pytest.raises(ShapeError, match=r"\[batch, 6\]"):
            ContextAffine(3).encode(torch.zeros(2, 3), context)
