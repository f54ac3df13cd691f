"""Element-wise affine map against its formula."""

import math

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.testing import check_transform
from deepgen.transforms import Affine
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
