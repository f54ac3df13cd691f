"""Chains: what is kept, where they go on, and what is refused."""

from dataclasses import dataclass

import pytest
import torch

import deepgen as dg
from deepgen import streams
from deepgen.errors import ArgumentError, MissingCapability, ShapeError
from deepgen.samplers import EXACT, sample_chain
from deepgen.testing import CheckFailed, check_random, never_waits
from tests.samplers.counter import Counter, Info, start


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
    first = sample_chain(rbm.gibbs(), torch.zeros(4, 5), draws=2, generator=1)
    second = sample_chain(first.kernel, first.state, draws=4, generator=first.generator)
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


def test_what_is_not_a_kernel_is_told_what_to_write():
    rbm, v = dg.RBM(4, 3, generator=0), torch.zeros(2, 4)
    for wrong, hint in (
        (rbm, r"RBM is a model: pass model\.gibbs\(\)"),
        (rbm.gibbs, r"got method; was it to be called, gibbs\(\)\?"),
        (dg.samplers.BlockGibbs, r"BlockGibbs is a class, not a kernel: pass an instance"),
        (v, r"expected a kernel, with init\(position\), step\(state, \*, generator\) and exactness, got Tensor"),
    ):
        with pytest.raises(MissingCapability, match=hint):
            sample_chain(wrong, v, draws=1)


def test_what_is_kept_is_a_tensor():
    with pytest.raises(ShapeError, match=r"keep must make a tensor of a state, such as state.position, got float"):
        sample_chain(Counter(), start(), draws=1, keep=lambda s: s.position.mean().item())


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("name", ["random walk", "mala", "hmc", "ula", "tuned", "gibbs"])
def test_no_step_waits_for_the_device(name, store, seed, monkeypatch):
    """By the tensor way of the streams, as on a GPU."""
    monkeypatch.setattr(streams, "kernels", lambda name: None)

    def bowl(x):
        return -x.square().sum(-1) / 2

    kernel = {
        "random walk": lambda: dg.samplers.metropolis(bowl, dg.samplers.RandomWalk(step_size=1.0)),
        "mala": lambda: dg.samplers.mala(bowl, 0.5),
        "hmc": lambda: dg.samplers.hmc(bowl, 0.5),
        "ula": lambda: dg.samplers.ula(bowl, 0.5),
        "tuned": lambda: dg.samplers.mala(bowl),
        "gibbs": lambda: dg.RBM(5, 3, generator=0).gibbs(),
    }[name]()
    start = torch.zeros(4, 5)
    source, state = dg.random.Streams(seed), kernel.init(start)
    with never_waits():
        sample_chain(kernel, state, draws=6, warmup=30, thin=2, store=store, generator=source)
    with pytest.raises(CheckFailed, match="waits for the device"), never_waits():
        start.sum().item()
