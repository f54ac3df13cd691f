"""Kernels as pure functions: acceptance, chains, and what a trace keeps."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError
from deepgen.samplers import EXACT, Exactness, accept, advance, require_exact, sample_chain
from deepgen.samplers.kernel import Kernel
from deepgen.testing import check_random


class Count(NamedTuple):
    position: torch.Tensor


class Info(NamedTuple):
    now: torch.Tensor
    wide: torch.Tensor
    label: str


@dataclass(frozen=True)
class Counter:
    """Adds one; records where it is."""

    exactness: Exactness = EXACT

    def init(self, position):
        return Count(position)

    def step(self, state, *, generator):
        new = state.position + 1
        return Count(new), Info(new[:, 0], new, "text")


def start(chains=3, width=2):
    return torch.arange(chains).unsqueeze(1).expand(chains, width) * 100.0


def test_draws_are_the_states_after_warmup_and_every_thin_steps():
    trace = sample_chain(Counter(), start(), draws=3, warmup=4, thin=2, generator=0)
    assert trace.draws[:, 0, 0].tolist() == [6, 8, 10]
    assert trace.draws[:, 2, 0].tolist() == [206, 208, 210]
    assert trace.draws.shape == (3, 3, 2)
    assert (trace.warmup, trace.thin, trace.exactness) == (4, 2, EXACT)


def test_info_of_one_number_per_chain_is_kept():
    trace = sample_chain(Counter(), start(), draws=2, generator=0)
    assert list(trace.info) == ["now"]
    assert torch.equal(trace.info["now"], trace.draws[:, :, 0])


def test_a_chain_goes_on_from_its_state():
    rbm = dg.RBM(5, 3, generator=0)
    whole = sample_chain(rbm.gibbs(), torch.zeros(4, 5), draws=6, generator=1)
    g = dg.random.generator(1)
    first = sample_chain(rbm.gibbs(), torch.zeros(4, 5), draws=2, generator=g)
    second = sample_chain(rbm.gibbs(), first.state, draws=4, generator=g)
    assert torch.equal(torch.cat([first.draws, second.draws]), whole.draws)


def test_keep_chooses_what_is_kept():
    trace = sample_chain(Counter(), start(), draws=2, keep=lambda s: s.position[:1, 0], generator=0)
    assert trace.draws.tolist() == [[1], [2]]


def test_kept_draws_do_not_alias_a_state_that_is_reused():
    @dataclass(frozen=True)
    class InPlace(Counter):
        def step(self, state, *, generator):
            state.position.add_(1)
            return state, Info(state.position[:, 0], state.position, "")

    trace = sample_chain(InPlace(), start().clone(), draws=3, generator=0)
    assert trace.draws[:, 0, 0].tolist() == [1, 2, 3]
    assert trace.info["now"][:, 0].tolist() == [1, 2, 3]


def test_progress_changes_nothing(capsys, seed):
    kernel = dg.RBM(5, 3, generator=0).gibbs()
    plain = sample_chain(kernel, torch.zeros(4, 5), draws=3, generator=seed)
    shown = sample_chain(kernel, torch.zeros(4, 5), draws=3, generator=seed, progress=True)
    assert torch.equal(plain.draws, shown.draws)
    assert "sampling" in capsys.readouterr().err


def test_chains_keep_the_contract_of_randomness(stream):
    kernel = dg.RBM(8, 3, generator=0).gibbs()
    check_random(
        lambda generator: sample_chain(kernel, torch.zeros(4, 8), draws=3, generator=generator).draws, generator=stream
    )


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"draws": 2.5}, {"draws": 1, "thin": 0}, {"draws": 1, "warmup": -1}])
def test_odd_lengths_are_refused(wrong):
    with pytest.raises(ArgumentError, match=f"{list(wrong)[-1]} must be an integer"):
        sample_chain(Counter(), start(), **wrong)


@pytest.mark.parametrize("position", [torch.zeros(0, 2), torch.tensor(1.0)])
def test_no_chains_are_refused(position):
    with pytest.raises(ShapeError, match="at least one chain"):
        sample_chain(Counter(), position, draws=1)


def test_an_array_is_no_position():
    with pytest.raises(ShapeError, match=r"position must be a tensor .* got list"):
        sample_chain(Counter(), [[0.0]], draws=1)


def test_advance_counts_its_steps(stream):
    assert advance(Counter(), Count(start()), 7, generator=stream).position[0, 0] == 7
    assert advance(Counter(), Count(start()), 0, generator=stream).position[0, 0] == 0


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
