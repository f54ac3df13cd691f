"""The ArviZ bridge: values against closed forms, corner cases as NaN, and not one warning."""

import logging

import pytest
import torch

import deepgen as dg
from deepgen.errors import ShapeError
from deepgen.interop import arviz as bridge
from deepgen.samplers import EXACT, Exactness, Trace


def autoregression(rho, draws, chains, generator):
    """Stationary AR(1) chains: their ESS is draws * chains * (1 - rho) / (1 + rho)."""
    noise = torch.randn(draws, chains, generator=generator, dtype=torch.float64)
    x = [noise[0]]
    for step in noise[1:]:
        x.append(rho * x[-1] + (1 - rho**2) ** 0.5 * step)
    return torch.stack(x)


def trace(draws, info=None, exactness=EXACT):
    return Trace(draws, info or {}, None, exactness, warmup=7, thin=3)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_ess_of_an_autoregression(rho, stream):
    draws, chains = 4000, 4
    measured = bridge.ess(autoregression(rho, draws, chains, stream)).item()
    assert measured / (draws * chains * (1 - rho) / (1 + rho)) == pytest.approx(1, abs=0.35)


def test_rhat_tells_agreeing_chains_from_shifted_ones(stream):
    x = torch.randn(1000, 4, 2, generator=stream)
    x[:, 0, 1] += 1.0  # one chain of the second coordinate sits elsewhere
    agree, shifted = bridge.rhat(x).tolist()
    assert agree < 1.02
    # split R-hat of four unit-variance chains, one shifted by 1: sqrt(1 + between / within), between = 1/4
    assert 1.07 < shifted < 1.2


def test_axes_are_draws_then_chains(stream):
    x = autoregression(0.0, 50, 3, stream)
    x = x + 10 * torch.arange(3)  # chains apart: only the right axis order gives a large R-hat
    assert bridge.rhat(x) > 2
    assert bridge.rhat(torch.randn(50, 3, generator=stream)).shape == ()
    assert bridge.ess(torch.randn(50, 3, 2, 2, generator=stream)).shape == (2, 2)


@pytest.mark.parametrize("shape", [(1, 1, 2), (3, 4, 2), (2, 1, 2)])
def test_short_chains_are_nan_in_silence(shape, stream, caplog):
    x = torch.randn(shape, generator=stream)
    assert bridge.ess(x).isnan().all()
    assert bridge.rhat(x).isnan().all()
    table = bridge.summary(trace(x))
    assert table["ess_bulk"].isna().all()
    assert table["mean"].tolist() == pytest.approx(x.mean((0, 1)).tolist(), abs=1e-6)
    assert not caplog.records


def test_one_chain_has_an_ess_and_no_rhat(stream, caplog):
    x = autoregression(0.5, 500, 1, stream)
    assert 0 < bridge.ess(x) < 500
    assert bridge.rhat(x).isnan()
    assert not caplog.records
    assert logging.getLogger("arviz").level == logging.NOTSET or not caplog.records


def test_a_coordinate_that_never_moved_has_no_ess(stream):
    x = torch.randn(100, 4, 2, generator=stream)
    x[..., 1] = 1.0
    assert bridge.ess(x).isnan().tolist() == [False, True]
    table = bridge.summary(trace(x))
    assert table["ess_bulk"].isna().tolist() == [False, True]
    assert table["mean"].tolist()[1] == 1.0


def test_binary_draws_of_a_machine_round_trip(seed):
    kernel = dg.RBM(visible=3, hidden=2, generator=seed).gibbs()
    chain = dg.samplers.sample_chain(kernel, torch.zeros(5, 3), draws=20, warmup=2, thin=2, generator=seed)
    data = chain.to_arviz("v")
    posterior = torch.as_tensor(data["posterior"]["v"].values)
    assert torch.equal(posterior, chain.draws.transpose(0, 1))
    assert data["posterior"].attrs["exactness"] == "exact"
    assert data["posterior"].attrs["warmup"] == 2
    assert data["sample_stats"]["nan"].shape == (5, 20)
    table = chain.summary("v")
    assert list(table.columns) == bridge.COLUMNS
    assert table.attrs["thin"] == 2


def test_info_of_dropped_chains_is_left_out(stream):
    x = torch.randn(10, 2, generator=stream)
    data = bridge.from_trace(trace(x, {"accepted": torch.ones(10, 6)}))
    assert not hasattr(data, "sample_stats") or len(data["sample_stats"].data_vars) == 0


def test_biased_kernels_say_so(stream):
    x = torch.randn(10, 2, 1, generator=stream)
    table = bridge.summary(trace(x, exactness=Exactness("biased", "O(step size)")))
    assert table.attrs["exactness"] == "biased (O(step size))"


def test_half_precision_and_gradients_are_taken(stream):
    x = torch.randn(100, 4, generator=stream).bfloat16().requires_grad_()
    assert bridge.ess(x) > 10


def test_draws_without_chains_are_refused():
    with pytest.raises(ShapeError, match="draws, chains"):
        bridge.ess(torch.zeros(10))
    with pytest.raises(ShapeError, match="at least one"):
        bridge.from_trace(trace(torch.zeros(10, 0)))
