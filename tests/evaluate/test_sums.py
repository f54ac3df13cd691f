"""Running sums against the same chains stored."""

from typing import NamedTuple

import pytest
import torch

from deepgen.errors import ArgumentError, ShapeError
from deepgen.evaluate import ess, mcse, nested_rhat
from deepgen.evaluate.chains import split
from deepgen.evaluate.sums import join, start
from tests.evaluate.test_chains import autoregression


class Info(NamedTuple):
    acceptance: torch.Tensor
    nan: torch.Tensor
    swap_rate: torch.Tensor
    hidden: torch.Tensor


def run(x, infos=None, **options):
    sums = start(x[0], len(x), **options)
    for index, row in enumerate(x):
        sums = sums.update(row, None if infos is None else infos[index])
    return sums


def split_rhat(x):
    halves = split(x.permute(2, 1, 0))
    n = halves.shape[2]
    return ((halves.mean(2).var(1) / halves.var(2).mean(1)) + (n - 1) / n).sqrt()


@pytest.mark.parametrize("draws", [4, 5, 50, 51, 400])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_mean_sd_and_rhats_are_those_of_the_trace(draws, shift, stream):
    x = autoregression(0.6, (draws, 6, 3), stream) + shift + torch.arange(6)[:, None] / 10
    columns = run(x).columns(superchains=3)
    assert torch.allclose(columns["mean"], x.mean((0, 1)), rtol=1e-12)
    assert torch.allclose(columns["sd"], x.flatten(0, 1).std(0), rtol=1e-8)
    assert torch.allclose(columns["r_hat"], split_rhat(x), rtol=1e-8)
    assert torch.allclose(columns["nested_r_hat"], nested_rhat(x, 3), rtol=1e-8)


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(2000, 4, 60), (400, 256, 60)])
def test_batch_means_have_their_expectation(rho, shape, stream):
    """b Var(mean of b draws) = (1 + rho) / (1 - rho) - 2 rho (1 - rho^b) / (b (1 - rho)^2) of a stationary AR(1)."""
    x = autoregression(rho, shape, stream)
    sums = run(x)

    def spread(b):
        return (1 + rho) / (1 - rho) - 2 * rho * (1 - rho**b) / b / (1 - rho) ** 2

    square = sums.columns()["mcse"].square() * shape[0] * shape[1]
    expected = 2 * spread(2 * sums.length) - spread(sums.length)
    assert abs(float(square.mean()) - expected) < 5 * float(square.std()) / 60**0.5
    assert expected == pytest.approx((1 + rho) / (1 - rho), rel=0.06)  # the long-run variance itself
    # of 256 short chains the autocovariances of ArviZ's estimator are a sixth too long
    columns = sums.columns()
    assert float(columns["ess"].log().mean() - ess(x, "mean").log().mean()) == pytest.approx(0, abs=0.3)
    assert float(columns["mcse"].log().mean() - mcse(x).log().mean()) == pytest.approx(0, abs=0.15)


def test_halves_of_batches_take_out_most_of_the_bias(stream):
    """Batches of 44 where tau is 39 show too little variance; what is left is under an eighth, not above a third."""
    rho, draws = 0.95, 2000
    x = autoregression(rho, (draws, 8, 100), stream)
    expected = (1 + rho) / (1 - rho) / draws / 8
    sums = run(x)
    batch = 2 * sums.length
    assert batch <= 44
    means = x[: draws // batch * batch].unflatten(0, (-1, batch)).mean(1).flatten(0, 1)
    assert float((means.var(0) * batch / draws / 8).mean()) < 0.7 * expected
    assert float(sums.columns()["mcse"].square().mean()) == pytest.approx(expected, rel=0.25)


def test_an_update_leaves_the_sums_before_alone(stream):
    x = torch.randn(10, 4, 2, generator=stream)
    before = start(x[0], 10).update(x[0])
    kept = [t.clone() for t in (*before.first, *before.second, before.part)]
    before.update(x[1])
    assert all(torch.equal(a, b) for a, b in zip(kept, (*before.first, *before.second, before.part), strict=True))
    assert before.done == 1


def test_info_is_counted(stream):
    chance = torch.rand(20, 4, generator=stream)
    tried = [torch.tensor([1.0, torch.nan]), torch.tensor([torch.nan, 0.25])]  # pairs take turns
    infos = [Info(c, c > 0.9, tried[i % 2], torch.zeros(4, 7)) for i, c in enumerate(chance)]
    sums = run(torch.randn(20, 4, generator=stream), infos)
    assert set(sums.rates()) == {"acceptance", "nan", "swap_rate"}
    assert torch.allclose(sums.info["acceptance"], chance.double().sum(0))
    assert torch.equal(sums.info["nan"], (chance > 0.9).sum(0).double())
    assert sums.rates()["swap_rate"].tolist() == [1.0, 0.25]


def test_blocks_of_chains_join(stream):
    x = autoregression(0.5, (60, 10, 2), stream)
    whole = run(x)
    parts = [run(x[:, rows], chains=10, centre=x[0, 0]) for rows in (slice(0, 4), slice(4, 10))]
    joined = join(parts)
    for name, column in whole.columns(superchains=5).items():
        assert torch.allclose(column, joined.columns(superchains=5)[name], rtol=1e-10)


def test_too_few_draws_and_what_never_moved_have_no_answer(stream):
    x = torch.randn(20, 4, 2, generator=stream)
    x[..., 1] = 0.1
    columns = run(x).columns()
    assert columns["ess"].isnan().tolist() == columns["r_hat"].isnan().tolist() == [False, True]
    assert columns["mean"][1] == pytest.approx(0.1)
    unfinished = start(x[0], 30)
    assert unfinished.columns()["mean"].isnan().all()
    for row in x:
        unfinished = unfinished.update(row)
    assert unfinished.columns()["r_hat"].isnan().all()  # which needs both halves
    assert not unfinished.columns()["ess"][0].isnan()
    x[3, 2, 0] = torch.nan
    assert all(column[0].isnan() for name, column in run(x).columns().items() if name != "mean")


def test_half_precision_is_summed_in_double(stream):
    x = torch.randn(500, 4, generator=stream).bfloat16()
    assert torch.allclose(run(x).columns()["mean"], x.double().mean(), rtol=1e-9)


def test_wrong_shapes_are_refused():
    with pytest.raises(ArgumentError, match="planned must be an integer of at least 1"):
        start(torch.zeros(3), 0)
    with pytest.raises(ShapeError, match="at least one chain"):
        start(torch.zeros(0, 2), 5)
    with pytest.raises(ShapeError, match=r"each draw must be \[3, 2\] like the first, got \[4, 2\]"):
        start(torch.zeros(3, 2), 5).update(torch.zeros(4, 2))
