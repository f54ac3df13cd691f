"""The ArviZ bridge: what goes over, and not one warning."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ShapeError
from deepgen.interop import arviz as bridge
from deepgen.samplers import EXACT, Exactness, Trace


def trace(draws, info=None, exactness=EXACT):
    return Trace(draws, info or {}, None, exactness, warmup=7, thin=3)


def test_binary_draws_of_a_machine_round_trip(seed):
    kernel = dg.RBM(visible=3, hidden=2, generator=seed).gibbs()
    chain = dg.samplers.sample_chain(kernel, torch.zeros(5, 3), draws=20, warmup=2, thin=2, generator=seed)
    data = chain.to_arviz("v")
    posterior = torch.as_tensor(data["posterior"]["v"].values)
    assert torch.equal(posterior, chain.draws.transpose(0, 1))
    assert data["posterior"].attrs["exactness"] == "exact"
    assert data["posterior"].attrs["warmup"] == 2
    assert data["sample_stats"]["nan"].shape == (5, 20)
    assert data["posterior"].attrs["thin"] == 2


def test_info_of_dropped_chains_is_left_out(stream):
    x = torch.randn(10, 2, generator=stream)
    data = bridge.from_trace(trace(x, {"accepted": torch.ones(10, 6)}))
    assert not hasattr(data, "sample_stats") or len(data["sample_stats"].data_vars) == 0


def test_biased_kernels_say_so(stream):
    x = torch.randn(10, 2, 1, generator=stream)
    data = bridge.from_trace(trace(x, exactness=Exactness("biased", "O(step size)")))
    assert data["posterior"].attrs["exactness"] == "biased (O(step size))"


def test_half_precision_and_gradients_are_taken(stream, caplog):
    x = torch.randn(100, 4, generator=stream).bfloat16().requires_grad_()
    assert bridge.from_trace(trace(x))["posterior"]["x"].shape == (4, 100)
    assert not caplog.records


def test_draws_without_chains_are_refused():
    with pytest.raises(ShapeError, match="draws, chains"):
        bridge.from_trace(trace(torch.zeros(10)))
    with pytest.raises(ShapeError, match="at least one"):
        bridge.from_trace(trace(torch.zeros(10, 0)))
