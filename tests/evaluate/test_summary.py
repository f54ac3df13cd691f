"""The table of a run: what it shows, and what it warns of."""

import subprocess
import sys

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, UnknownName
from deepgen.evaluate import diagnose, nested_rhat
from deepgen.samplers import EXACT, Exactness, Trace, sample_chain
from tests.evaluate.test_chains import autoregression


def trace(draws, info=None, exactness=EXACT):
    return Trace(draws, info or {}, None, exactness, warmup=7, thin=3)


def test_the_table_has_the_columns_and_the_names(stream):
    x = autoregression(0.3, (400, 4, 2, 2), stream)
    table = trace(x).summary("w")
    assert list(table.columns) == ["mean", "sd", "mcse", "ess_bulk", "ess_tail", "r_hat"]
    assert all(torch.equal(table[name], column) for name, column in diagnose(x).items())
    assert table.index == ["w[0, 0]", "w[0, 1]", "w[1, 0]", "w[1, 1]"]
    assert len(table) == 4
    lines = str(table).splitlines()
    assert [line.split("   ")[0].strip() for line in lines[1:5]] == table.index
    assert len({len(line) for line in lines[:5]}) == 1
    assert lines[5] == "4 chains of 400 draws (warmup 7, thin 3), exact"


def test_numbers_are_written_as_far_as_their_error_reaches(stream):
    x = 1000 + 100 * torch.randn(2500, 4, generator=stream, dtype=torch.float64)  # an error of 1
    row = str(trace(x).summary()).splitlines()[1].split()
    assert row[0] == "x"
    assert len(row[1].partition(".")[2]) <= 1
    assert "," in row[4]
    assert "." not in row[4]
    assert len(row[6].partition(".")[2]) == 3


def test_a_good_run_warns_of_nothing(stream):
    table = trace(torch.randn(1000, 4, 3, generator=stream)).summary()
    assert table.warnings == ()
    assert "Warning" not in str(table)


def test_chains_apart_are_warned_of(stream):
    x = torch.randn(1000, 4, 3, generator=stream)
    x[:, 0, 2] += 2
    table = trace(x).summary()
    assert any("R-hat is above 1.01 in 1 of 3 coordinates (worst x[2]: 1." in line for line in table.warnings)
    assert str(table).count("Warning: ") == len(table.warnings)


def test_few_effective_draws_are_warned_of(stream):
    x = autoregression(0.99, (1000, 4, 1), stream)
    assert any(line.startswith("ess_bulk is below 400 in 1 of 1") for line in trace(x).summary().warnings)


def test_many_short_chains_have_nested_rhat(stream):
    x = autoregression(0.95, (20, 4096), stream)
    table = trace(x).summary()
    assert torch.equal(table["nested_r_hat"], nested_rhat(x, 8))
    assert any("while groups of chains agree (nested R-hat)" in line for line in table.warnings)
    assert "nested_r_hat" not in trace(x[:, :60]).summary().columns
    assert torch.equal(trace(x).summary(superchains=4)["nested_r_hat"], nested_rhat(x, 4))
    with pytest.raises(ArgumentError, match="superchains must be 2 or more and divide the 4096 chains"):
        trace(x).summary(superchains=5)


def test_acceptance_nan_divergences_and_swaps_are_told(stream):
    x = torch.randn(100, 4, generator=stream)
    nan = torch.zeros(100, 4, dtype=torch.bool)
    nan[3, 1] = nan[4, 1] = nan[5, 2] = True
    chance = torch.full((100, 4), 0.5)
    info = {"acceptance": chance, "nan": nan, "divergent": torch.zeros(100, 4), "swap": chance / 2}
    table = trace(x, info, Exactness("biased", "O(step size)")).summary()
    assert table.facts == (
        "4 chains of 100 draws (warmup 7, thin 3), biased (O(step size)); acceptance 0.50; "
        "swap 0.25 (lowest 0.25, highest 0.25); 3 NaN in 2 chains; no divergences"
    )
    assert any("some steps met a NaN" in line for line in table.warnings)


def test_what_never_moved_and_nan_draws_are_told(stream):
    x = torch.randn(1000, 4, 3, generator=stream)
    x[..., 0], x[5, 1, 1] = 2.0, torch.nan
    table = trace(x).summary()
    assert table["mean"][0] == 2.0
    assert any("1 of 3 coordinates never moved" in line for line in table.warnings)
    assert any("1 of 3 coordinates have draws that are NaN" in line for line in table.warnings)
    assert "nan" in str(table)


def test_long_tables_show_the_worst(stream):
    x = torch.randn(100, 4, 50, generator=stream)
    x[:, 0, 41] += 3
    lines = str(trace(x).summary()).splitlines()
    assert sum(line.startswith("x[") for line in lines) == 20
    assert any(line.startswith("x[41]") for line in lines)
    assert "the 20 of 50 coordinates with the largest R-hat" in lines


@pytest.mark.parametrize("shape", [(1, 1, 2), (3, 4, 2), (2, 1, 2), (5, 1)])
def test_short_and_single_chains_are_shown(shape, stream):
    table = trace(torch.randn(shape, generator=stream)).summary()
    assert table["r_hat"].isnan().all()
    assert str(table)


def test_draws_without_chains_have_no_summary():
    with pytest.raises(ShapeError, match=r"draws must be \[draws, chains, \*event\] for a summary, got \[10\]"):
        trace(torch.zeros(10)).summary()


def test_sums_tell_what_the_trace_tells(seed):
    kernel = dg.samplers.mala(lambda x: -x.square().sum(-1) / 2, 1.0)
    stored, summed = (
        sample_chain(kernel, torch.zeros(32, 3), draws=400, warmup=50, generator=seed, store=store)
        for store in (True, False)
    )
    assert summed.draws.shape == (0, 32, 3)
    one, other = stored.summary(), summed.summary()
    for name in ("mean", "sd"):
        assert torch.allclose(one[name], other[name], rtol=1e-6, atol=1e-6)
    assert torch.allclose(other["ess"], diagnose(stored.draws)["ess_bulk"], rtol=0.6)
    assert one.facts.replace("stored", "") == other.facts
    assert repr(summed).startswith("Trace(sums of 400 draws [32, 3], info [acceptance, accepted, nan], exact")
    with pytest.raises(ShapeError, match="store=False keeps sums only"):
        summed.to_arviz()


def test_a_summary_needs_neither_arviz_nor_pandas():
    code = (
        "import sys, torch, deepgen as dg\n"
        "k = dg.RBM(3, 2, generator=0).gibbs()\n"
        "print(dg.samplers.sample_chain(k, torch.zeros(4, 3), draws=20, generator=0).summary())\n"
        "assert not {'arviz', 'pandas', 'xarray'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "x[2]" in done.stdout


def test_a_column_that_is_not_there_is_told_by_the_nearest():
    trace = sample_chain(
        dg.samplers.hmc(lambda x: -x.square().sum(-1) / 2, 0.5), torch.zeros(4, 2), draws=8, generator=0
    )
    with pytest.raises(UnknownName, match="did you mean 'r_hat'"):
        trace.summary()["rhat"]
