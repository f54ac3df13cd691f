"""R-hat, ESS and MCSE against ArviZ, closed forms, and corners."""

import math
import warnings
from fractions import Fraction

import arviz
import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError
from deepgen.evaluate import diagnose, ess, mcse, nested_rhat, rhat
from deepgen.evaluate import ranks as ranking
from deepgen.evaluate.autocovariance import effective_size

ORACLE = {
    "bulk": (lambda x: ess(x), lambda y: arviz.ess(y, method="bulk")),
    "tail": (lambda x: ess(x, "tail"), lambda y: arviz.ess(y, method="tail")),
    "mean": (lambda x: ess(x, "mean"), lambda y: arviz.ess(y, method="mean")),
    "sd": (lambda x: ess(x, "sd"), lambda y: arviz.ess(y, method="sd")),
    "quantile": (lambda x: ess(x, 0.3), lambda y: arviz.ess(y, method="quantile", prob=0.3)),
    "rhat": (rhat, lambda y: arviz.rhat(y, method="rank")),
    "mcse mean": (mcse, lambda y: arviz.mcse(y, method="mean")),
    "mcse sd": (lambda x: mcse(x, "sd"), lambda y: arviz.mcse(y, method="sd")),
    "mcse quantile": (lambda x: mcse(x, 0.8), lambda y: arviz.mcse(y, method="quantile", prob=0.8)),
}
LAWS = ("normal", "heavy", "binary", "apart", "trend")


def autoregression(rho, shape, generator, dtype=torch.float64):
    """Stationary AR(1) chains ``[draws, chains, ...]``: their ESS is draws * chains * (1 - rho) / (1 + rho)."""
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    x = [noise[0]]
    for step in noise[1:]:
        x.append(rho * x[-1] + (1 - rho**2) ** 0.5 * step)
    return torch.stack(x).to(dtype)


def chains(law, rho, shape, generator, dtype):
    x = autoregression(rho, shape, generator)
    if law == "heavy":
        x = (x * 2).sinh() ** (3 if dtype == torch.float64 else 1)  # ArviZ sums in the type of the draws
    if law == "binary":
        x = (x > 0.7).double()
    if law == "apart":
        x = x + torch.arange(shape[1])[:, None]
    if law == "trend":
        x = x + torch.linspace(0, 2, shape[0])[:, None, None]
    return x.to(dtype)


@pytest.fixture(autouse=True, scope="module")
def without_numba():
    """ArviZ 0.23 in numba's way turns an array of one number into a number, which NumPy 2.4 refuses."""
    was = arviz.Numba.numba_flag
    arviz.Numba.numba_flag = False
    yield
    arviz.Numba.numba_flag = was


def by_arviz(function, x):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        y = x.transpose(0, 1).numpy()
        columns = [np.asarray(function(np.ascontiguousarray(y[:, :, i]))).reshape(-1)[0] for i in range(y.shape[2])]
    return torch.tensor(np.array(columns), dtype=torch.float64)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_agree_with_arviz(law, dtype, stream):
    """Within 2 % (ArviZ sums in float32), in float64 to rounding: antithetic, slow; short, odd and single chains.

    Where a pair of autocorrelations is just 0, ArviZ's rounding decides whether the sum ends before it.
    """
    close = 0.02 if dtype == torch.float32 else 1e-5
    for draws, count in ((4, 2), (5, 1), (7, 3), (11, 2), (50, 5), (101, 8), (200, 1), (333, 4)):
        for rho in (-0.9, -0.3, 0.0, 0.6, 0.98):
            x = chains(law, rho, (draws, count, 2), stream, dtype)
            moved = (x != x[:1, :1]).any(0).any(0)
            for name, (ours, theirs) in ORACLE.items():
                here, there = (_capped(each) for each in (ours(x), by_arviz(theirs, x)))
                assert here[~moved].isnan().all()
                apart = moved & ~torch.isclose(here, there, rtol=close, equal_nan=True)
                for i in apart.nonzero():
                    context = f"{name} of {law} {draws} x {count}, rho {rho}: {here} and {there}"
                    sizes = [_exact_size(shares) for shares in _shares(law, name, x[:, :, int(i)])]
                    assert name != "rhat", context
                    assert any(tied for _, tied in sizes), context
                    if "mcse" not in name:
                        assert float(here[i]) == pytest.approx(min(size for size, _ in sizes), rel=1e-5), context


SHARES = {"tail": (0.05, 0.95), "quantile": (0.3,), "mcse quantile": (0.8,)}


def _shares(law, name, x):
    """The halves of chains of 0 and 1 that the size is of, if it is of such."""
    flat = x.T.reshape(1, -1)
    cuts = [ranking.quantile(flat, ranking.order(flat), share) for share in SHARES.get(name, ())]
    cuts += [0.0] * (law == "binary" and not cuts)  # two values are moved and stretched to 0 and 1 without harm
    half = len(x) // 2
    below = [(x.double() <= cut).int() for cut in cuts]
    return [torch.cat([each[:half], each[-half:]], 1).T.tolist() for each in below if each.any() and not each.all()]


def _exact_size(x):
    """ESS of chains of whole numbers in fractions, and whether a pair of autocorrelations cancels."""
    held = [[Fraction(value) for value in chain] for chain in x]
    count, n = len(held), len(held[0])
    means = [sum(chain) / n for chain in held]
    around = [[value - mean for value in chain] for chain, mean in zip(held, means, strict=True)]
    covariance = [
        sum(a * b for c in around for a, b in zip(c, c[lag:], strict=False)) / (n * count) for lag in range(n)
    ]
    within, total = covariance[0] * n / (n - 1), covariance[0]
    if count > 1:
        total += sum((mean - sum(means) / count) ** 2 for mean in means) / (count - 1)
    rho = [Fraction(1), *(1 - (within - each) / total for each in covariance[1:])]
    pairs = [rho[2 * k] + rho[2 * k + 1] for k in range(max((n - 3) // 2, 0) + 1)]
    last = next((k for k, pair in enumerate(pairs[:-1]) if pair <= 0), len(pairs) - 1)
    steady = [min(pairs[: k + 1]) for k in range(last)]
    end = rho[2 * last] if rho[2 * last] > 0 or pairs[last] >= 0 else 0
    size = count * n
    return size / max(float(2 * sum(steady) - 1 + end), 1 / math.log10(size)), 0 in pairs[: last + 1]


def test_shares_that_cancel_are_met_exactly(stream):
    known = [[0, 0, 1, 1, 0], [0, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0]]  # ArviZ 0.23 says 17.22
    assert _exact_size(known) == (pytest.approx(18.638, abs=1e-3), True)
    for x in (torch.tensor([known]), torch.rand(500, 2, 9, generator=stream) < 0.3):
        x = x[x.flatten(1).any(1) & ~x.flatten(1).all(1)]
        exact = torch.tensor([_exact_size(each)[0] for each in x.int().tolist()], dtype=torch.float64)
        for offset, scale in ((0, 1), (1000, 1), (0.1, 1e-3)):
            assert torch.allclose(effective_size(offset + scale * x.double()), exact, rtol=1e-6)


def _capped(values):
    """Infinite from 1e12 on: where each chain stays at one value the variance within is 0 up to rounding."""
    return values.where((values < 1e12) | values.isnan(), torch.inf)


def test_the_table_is_the_single_functions(stream):
    for draws, count in ((5, 3), (100, 4), (31, 1)):
        x = autoregression(0.5, (draws, count, 2, 3), stream)
        table = diagnose(x)
        assert all(column.shape == (2, 3) and column.dtype == torch.float64 for column in table.values())
        for name, value in (("mcse", mcse(x)), ("ess_bulk", ess(x)), ("ess_tail", ess(x, "tail")), ("r_hat", rhat(x))):
            assert torch.allclose(table[name], value, equal_nan=True, rtol=1e-12)
        assert torch.allclose(table["mean"], x.mean((0, 1)))
        assert torch.allclose(table["sd"], x.flatten(0, 1).std(0))


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.8])
def test_ess_and_errors_of_an_autoregression(rho, stream):
    """The mean of 40 coordinates has a few percent of error."""
    draws, count = 2000, 4
    x = 3 * autoregression(rho, (draws, count, 40), stream)
    expected = draws * count * (1 - rho) / (1 + rho)
    for of in ("bulk", "mean"):
        assert float(ess(x, of).mean()) / expected == pytest.approx(1, abs=0.15)
    assert float(mcse(x).mean()) == pytest.approx(3 / math.sqrt(expected), rel=0.1)


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_errors_cover_the_truth(rho, stream):
    """z = error / MCSE has variance 1: that of 800, a mean of error 0.05, is within 0.3 of it."""
    x = autoregression(rho, (500, 4, 800), stream)
    flat = x.flatten(0, 1)
    for of, error in (("mean", flat.mean(0)), ("sd", flat.std(0) - 1), (0.5, flat.quantile(0.5, 0))):
        assert 0.7 < float((error / mcse(x, of)).square().mean()) < 1.4


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_autocorrelation_time_is_that_of_an_autoregression(rho, stream):
    found = dg.evaluate.autocorrelation_time(autoregression(rho, (2000, 20, 30), stream))
    truth, error = (1 + rho) / (1 - rho), float(found.std()) / 30**0.5
    assert found.shape == (30,)
    assert abs(float(found.mean()) - truth) < 5 * error + 0.02 * truth  # a sum that ends falls short of it by little
    assert error < 0.05 * truth


def test_rhat_has_its_closed_form(stream):
    x = torch.randn(4000, 4, 2, generator=stream)
    x[:, 0, 1] += 1.0  # one chain sits elsewhere: sqrt(1 + variance of the means), which is 3/16 * 8/7 for 8 halves
    agree, shifted = rhat(x).tolist()
    assert agree < 1.01
    assert shifted == pytest.approx(math.sqrt(1 + 1.5 / 7), rel=0.05)


def test_chains_of_unequal_width_show(stream):
    x = torch.randn(1000, 4, generator=stream)
    x[:, 0] *= 3
    assert rhat(x) > 1.05


def test_nested_rhat_has_its_closed_form(stream):
    """Superchains at -1 and 1 around, of unit variance within: B = var(means), W = 1 + 1/N."""
    x = torch.randn(50, 400, generator=stream, dtype=torch.float64)
    x[:, :100] += 1.0
    mean, within = x.mean(0).view(4, 100), x.var(0).view(4, 100).mean(1) + x.mean(0).view(4, 100).var(1)
    expected = math.sqrt(1 + float(mean.mean(1).var() / within.mean()))
    assert float(nested_rhat(x, 4)) == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(math.sqrt(1 + 0.25), rel=0.05)


def test_nested_rhat_asks_less_of_many_short_chains(stream):
    """Twenty slow draws of 4096 chains at their law: R-hat is far from 1, and the groups agree."""
    x = autoregression(0.95, (20, 4096), stream)
    assert rhat(x) > 1.05
    assert nested_rhat(x, 8) < 1.01
    assert nested_rhat(x[:1], 8) < 1.02  # one draw a chain is enough
    x = x + 0.95 ** torch.arange(20)[:, None] * 4 * torch.linspace(-1, 1, 8).repeat_interleave(512)
    assert nested_rhat(x, 8) > 1.1  # groups that remember where they began


def test_what_never_moved_and_nan_have_no_answer(stream):
    x = torch.randn(100, 4, 3, generator=stream)
    x[..., 1] = 0.1
    x[7, 2, 2] = torch.nan
    for function in (rhat, ess, mcse, lambda x: ess(x, "tail"), lambda x: mcse(x, 0.5), lambda x: nested_rhat(x, 2)):
        assert function(x).isnan().tolist() == [False, True, True]
    assert diagnose(x)["mean"].isnan().tolist() == [False, False, True]


def test_infinite_draws_keep_what_ranks_can_tell(stream):
    x = torch.randn(100, 4, generator=stream)
    x[3, 1] = torch.inf
    assert ess(x) > 50
    assert rhat(x) < 1.2
    assert mcse(x).isnan()


def test_minus_zero_is_zero(stream):
    x = (torch.rand(50, 4, generator=stream) < 0.5).float()
    signed = torch.where((torch.rand(50, 4, generator=stream) < 0.5) & (x == 0), -x, x)
    assert torch.equal(ess(signed), ess(x))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.bfloat16, torch.float16])
def test_other_types_are_taken(dtype, stream):
    x = torch.randint(2, (60, 4), generator=stream)
    assert ess(x.to(dtype)) == pytest.approx(float(ess(x.double())))


def test_gradients_do_not_reach_in(stream):
    assert not ess(torch.randn(50, 4, generator=stream).requires_grad_()).requires_grad


def test_compiled_and_plain_ranks_agree(stream, monkeypatch):
    for dtype in (torch.float32, torch.float64):
        x = torch.randn(3, 1001, generator=stream).to(dtype)
        x[1] = x[1].round()  # ties
        x[2, :500] *= 1e30
        fast, places = ranking.normal_scores(x), ranking.order(x)
        monkeypatch.setattr(ranking, "_compiled", lambda x: None)
        assert torch.equal(fast, ranking.normal_scores(x))
        assert torch.equal(places.long(), ranking.order(x))
        monkeypatch.undo()


def test_coordinates_in_blocks_are_the_same(stream, monkeypatch):
    x = autoregression(0.5, (40, 4, 23), stream)
    whole = diagnose(x)
    monkeypatch.setattr(dg.evaluate.coordinates, "BLOCK", 200)
    assert all(torch.allclose(whole[name], column, rtol=1e-12) for name, column in diagnose(x).items())


def test_events_of_no_and_of_no_size(stream):
    assert rhat(torch.randn(50, 3, generator=stream)).shape == ()
    assert ess(torch.randn(50, 3, 2, 0, generator=stream)).shape == (2, 0)
    assert diagnose(torch.zeros(3, 2, 0))["r_hat"].shape == (0,)


def test_what_cannot_be_judged_is_refused(stream):
    short, x = torch.randn(3, 4, generator=stream), torch.randn(20, 4, generator=stream)
    for function in (rhat, ess, mcse):
        with pytest.raises(ShapeError, match="at least 4 draws of each chain, got 3: run the chains longer"):
            function(short)
        with pytest.raises(ShapeError, match=r"draws must be a tensor \[draws, chains, \*event\]"):
            function(torch.zeros(10))
    assert diagnose(short)["r_hat"].isnan()
    assert rhat(x[:, :1]).isnan()
    for wrong in ("median", 0, 1.0, None):
        with pytest.raises(ArgumentError, match="of must be 'bulk', 'tail', 'mean', 'sd' or a quantile"):
            ess(x, wrong)
    for wrong in (1, 3, 2.0, True):
        with pytest.raises(ArgumentError, match="superchains must be 2 or more and divide the 4 chains"):
            nested_rhat(x, wrong)
