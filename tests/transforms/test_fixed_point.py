"""Sweeps: exact after D of them, earlier where little depends on little."""

import torch

from deepgen.transforms.fixed_point import fixed_point


def triangular(n, stream, size=1.0):
    return size * torch.randn(n, n, generator=stream, dtype=torch.float64).tril(-1)


def test_exact_after_as_many_sweeps_as_variables_from_any_start(stream):
    a, b = triangular(9, stream, 3.0), torch.randn(9, generator=stream, dtype=torch.float64)
    expected = torch.linalg.solve(torch.eye(9, dtype=torch.float64) - a, b)
    x, sweeps = fixed_point(lambda x: a @ x + b, 100 * torch.randn(9, generator=stream, dtype=torch.float64), 9)
    torch.testing.assert_close(x, expected)
    assert sweeps == 9


def test_early_stop_counts_the_sweep_that_confirmed(stream):
    chain = torch.diag(torch.ones(7, dtype=torch.float64), -1)  # x_d = x_{d-1}, length 8
    start = torch.zeros(8, dtype=torch.float64)
    start[0] = 1.0
    x, sweeps = fixed_point(lambda x: chain @ x + start, torch.zeros(8, dtype=torch.float64), 50, 0.0)
    assert torch.equal(x, torch.ones(8, dtype=torch.float64))
    assert sweeps == 9  # 8 to be right, 1 to see it


def test_independent_variables_take_two_sweeps(stream):
    b = torch.randn(1000, generator=stream)
    x, sweeps = fixed_point(lambda x: b + 0 * x, torch.zeros(1000), 1000, 0.0)
    assert torch.equal(x, b)
    assert sweeps == 2


def test_the_tolerance_is_relative(stream):
    a, b = triangular(40, stream, 0.05), 1e6 * torch.randn(40, generator=stream, dtype=torch.float64)
    exact = torch.linalg.solve(torch.eye(40, dtype=torch.float64) - a, b)
    rough, few = fixed_point(lambda x: a @ x + b, torch.zeros_like(b), 40, 1e-3)
    fine, more = fixed_point(lambda x: a @ x + b, torch.zeros_like(b), 40, 1e-12)
    assert few < more <= 40
    assert float(((rough - exact) / (1 + exact.abs())).abs().max()) < 1e-2
    torch.testing.assert_close(fine, exact, rtol=1e-10, atol=1e-4)


def test_nan_never_settles():
    x, sweeps = fixed_point(lambda x: x * torch.nan, torch.zeros(3), 3, 1e-3)
    assert sweeps == 3
    assert bool(x.isnan().all())
