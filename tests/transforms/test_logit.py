"""The logit of the unit cube: both ends stay finite, at any alpha that the type can hold."""

import pytest
import torch

from deepgen.transforms import Logit


@pytest.mark.parametrize("alpha", [1e-20, 1e-8, 1e-6, 0.05])
def test_both_ends_are_finite_and_opposite(alpha):
    layer = Logit(alpha)
    z, log_det = layer.encode(torch.tensor([[0.0], [1.0], [0.5]]))
    exact = torch.tensor([alpha, 1 - alpha], dtype=torch.float64).logit()[:1]
    torch.testing.assert_close(z[:2, 0], torch.cat([exact, -exact]).float())
    torch.testing.assert_close(layer.decode(z)[0], torch.tensor([[0.0], [1.0], [0.5]]))
    assert log_det.isfinite().all()
