"""Bennett's ratio against the equation that defines it and laws of known constants; its error against its spread."""

import math

import pytest
import torch
from scipy.optimize import brentq

import deepgen as dg
from deepgen.errors import DivergenceError, ShapeError
from deepgen.evaluate.bennett import bennett, jackknife, leave_one_out
from deepgen.testing import check_estimate


def ratios(groups, below, above, stream, shift=1.2, log_z=3.0):
    """log f_1 / f_0 at draws of N(0, 1) and of N(shift, 1), f_1 being e^log_z times as high."""
    x = torch.randn(groups, below, generator=stream, dtype=torch.float64)
    y = torch.randn(groups, above, generator=stream, dtype=torch.float64) + shift
    return [log_z + shift * z - shift**2 / 2 for z in (x, y)]


def test_the_root_is_that_of_bennetts_equation(stream):
    """The acceptance ratio as in the paper, equation 12: sums of Fermi functions on both sides."""
    up, down = ratios(4, 9, 5, stream)
    found = leave_one_out(up, down)

    def root(up, down):
        c = math.log(len(down) / len(up))
        return brentq(lambda d: sum(1 / (1 + math.exp(d - c - u)) for u in up.tolist())
                      - sum(1 / (1 + math.exp(v - d + c)) for v in down.tolist()), -100, 100, xtol=1e-13)  # fmt: skip

    assert float(found[0]) == pytest.approx(root(up.flatten(), down.flatten()), abs=1e-9)
    for out in range(4):
        rest = [i for i in range(4) if i != out]
        assert float(found[1 + out]) == pytest.approx(root(up[rest].flatten(), down[rest].flatten()), abs=1e-9)


def test_the_other_way_round_is_minus_the_same(stream):
    up, down = ratios(5, 40, 30, stream)
    torch.testing.assert_close(leave_one_out(up, down), -leave_one_out(-down, -up), rtol=0, atol=1e-9)


@pytest.mark.parametrize("far", [1e-3, 500.0])
def test_any_size_of_log_ratio(far):
    same = torch.full((3, 4), far)
    torch.testing.assert_close(leave_one_out(same, same), torch.full((4,), far).double(), rtol=1e-6, atol=1e-9)


def test_intervals_cover_the_truth(stream):
    def estimate(generator):
        return bennett(*ratios(20, 60, 30, generator))

    check_estimate(estimate, 3.0, seeds=300, generator=stream)


def test_draws_that_are_alike_within_a_group_widen_the_error(stream):
    """Copies of every draw of a group say nothing new: the error stays, where that of independent draws would fall."""
    up, down = ratios(50, 20, 20, stream)
    one, copied = bennett(up, down), bennett(up.repeat(1, 9), down.repeat(1, 9))
    assert copied.stderr == pytest.approx(one.stderr, rel=1e-9)
    assert copied.value == pytest.approx(one.value, abs=1e-9)


def test_the_jackknife_of_a_mean_is_its_standard_error(stream):
    x = torch.randn(12, generator=stream, dtype=torch.float64)
    without = (x.sum() - x) / 11
    assert jackknife(torch.cat([x.mean().reshape(1), without])) == pytest.approx(float(x.std()) / math.sqrt(12))


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((1, 4), (1, 4)), ((2, 4), (3, 4)), ((2, 0), (2, 4))])
def test_odd_shapes_are_refused(shapes):
    with pytest.raises(ShapeError, match="two or more groups"):
        dg.evaluate.bennett(*(torch.zeros(shape) for shape in shapes))


def test_draws_that_the_other_law_rules_out_count_and_do_not_break(stream):
    """-inf up and +inf down are the limits of ever larger ratios."""
    up, down = ratios(4, 9, 5, stream)
    near, far = (up.clone(), down.clone()), (up.clone(), down.clone())
    for (above, below), much in ((near, 1e3), (far, math.inf)):
        above[:2, :3], below[1:, 0] = -much, much
    torch.testing.assert_close(leave_one_out(*far), leave_one_out(*near), rtol=0, atol=1e-9)
    assert math.isfinite(bennett(torch.tensor([[0, -math.inf], [1, 2]]), torch.tensor([[0.0, 1], [1, 2]])).value)


@pytest.mark.parametrize(
    ("up", "down"), [(math.nan, 0), (0, math.nan), (math.inf, 0), (0, -math.inf), (-math.inf, 0), (0, math.inf)]
)
def test_what_no_draws_can_have_is_refused(up, down):
    groups = torch.ones(3, 2)
    with pytest.raises(DivergenceError):
        bennett(groups * up, groups * down)
