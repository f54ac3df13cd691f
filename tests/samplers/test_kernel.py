"""Kernels as pure functions: acceptance, repetition, exactness."""

from typing import Any, NamedTuple

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.samplers import EXACT, Exactness, accept, advance, require_exact
from deepgen.samplers.kernel import Kernel, require_kernel
from tests.samplers.counter import Count, Counter, start


def test_advance_counts_its_steps(stream):
    assert advance(Counter(), Count(start()), 7, generator=stream).position[0, 0] == 7
    assert advance(Counter(), Count(start()), 0, generator=stream).position[0, 0] == 0


@pytest.mark.parametrize("steps", [-1, 2.5])
def test_odd_numbers_of_steps_are_refused(steps, stream):
    with pytest.raises(ArgumentError, match="steps must be an integer of at least 0"):
        advance(Counter(), Count(start()), steps, generator=stream)


@pytest.mark.parametrize("log_ratio", [-2.0, -0.5, 0.0, 1.0])
def test_acceptance_has_probability_min_1_ratio(log_ratio, stream, alpha):
    n = 100_000
    found = accept(torch.full((n,), log_ratio), torch.ones(n, 1), torch.zeros(n, 1), generator=stream)
    rate = min(1.0, torch.tensor(log_ratio).exp().item())
    counts = torch.tensor([n - found.accepted.sum(), found.accepted.sum()])
    assert dg.testing.chi_square(counts, torch.tensor([1 - rate, rate])) > alpha
    assert torch.equal(found.value[:, 0].bool(), found.accepted)


def test_nan_and_minus_infinity_are_rejected_and_nan_is_reported(stream):
    ratio = torch.tensor([torch.nan, -torch.inf, torch.inf])
    found = accept(ratio, torch.ones(3), torch.zeros(3), generator=stream)
    assert found.value.tolist() == [0, 0, 1]
    assert found.nan.tolist() == [True, False, False]


def test_acceptance_takes_whole_states(stream):
    class Pair(NamedTuple):
        position: torch.Tensor
        inner: Any

    new = Pair(torch.ones(2, 3, 4), Count(torch.ones(2)))
    old = Pair(torch.zeros(2, 3, 4), Count(torch.zeros(2)))
    ratio = torch.tensor([torch.inf, -torch.inf])
    value = accept(ratio, new, old, generator=stream).value
    assert type(value) is Pair
    assert value.position.flatten(1).mean(1).tolist() == [1, 0]
    assert value.inner.position.tolist() == [1, 0]


BIASED, ADAPTIVE = Exactness("biased", "O(step size)"), Exactness("adaptive")


def test_composition_is_as_weak_as_its_weakest_part():
    assert EXACT & EXACT == EXACT
    assert EXACT & BIASED == BIASED & EXACT == BIASED
    assert BIASED & ADAPTIVE == ADAPTIVE & BIASED == ADAPTIVE
    assert BIASED & BIASED == BIASED
    both = BIASED & Exactness("biased", "O(1 / batch)")
    assert str(both) == "biased (O(step size); O(1 / batch))"


def test_biased_kernels_are_refused_by_name():
    require_exact(Counter(), "AIS")
    with pytest.raises(MissingCapability, match=r"Counter is biased \(O\(step size\)\) and cannot be used for AIS"):
        require_exact(Counter(BIASED), "AIS")


def test_anything_with_init_and_step_is_a_kernel():
    assert isinstance(Counter(), Kernel)
    assert not isinstance(object(), Kernel)
    assert not isinstance(dg.RBM(4, 3), Kernel)
    kernel = Counter()
    assert require_kernel(kernel) is kernel


def test_exactness_is_asked_of_kernels_only():
    with pytest.raises(MissingCapability, match=r"pass model\.gibbs\(\)"):
        require_exact(dg.RBM(4, 3), "AIS")
