"""Dropout under a generator: unbiased, repeatable, and absent without one."""

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.layers.dropout import check_rate, dropout
from deepgen.testing import check_random


def test_what_is_kept_is_scaled(stream):
    x = torch.rand(100_000, generator=stream) + 1
    ratio = dropout(x, 0.3, stream) / x
    assert ((ratio == 0) | ((ratio - 1 / 0.7).abs() < 1e-6)).all()
    assert abs((ratio == 0).double().mean().item() - 0.3) < 6 * (0.3 * 0.7 / 1e5) ** 0.5


def test_nothing_is_drawn_where_nothing_is_dropped(stream):
    x, before = torch.ones(5), stream.get_state()
    assert dropout(x, 0.5, None) is x
    assert dropout(x, 0.0, stream) is x
    assert torch.equal(before, stream.get_state())


def test_randomness(stream):
    check_random(lambda generator: dropout(torch.ones(64), 0.5, generator), generator=stream, seeds=False)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_wrong_rates(rate):
    with pytest.raises(ArgumentError, match="below 1"):
        check_rate(rate)
