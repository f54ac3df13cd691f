"""How fast: slopes of log error against steps, and of steps against condition number, beside the theory."""

import math

import numpy as np
import pytest
import torch

CONDITIONS = (25, 100, 400)


def errors(condition, steps, **how):
    """|theta| after each step of torch's SGD; eigenvalues from 1 to ``condition``, the optimum at 0."""
    eigenvalues = torch.logspace(0, math.log10(condition), 20, dtype=torch.float64)
    theta = torch.ones(20, dtype=torch.float64, requires_grad=True)
    optimizer, found = torch.optim.SGD([theta], **how), []
    for _ in range(steps):
        theta.grad = eigenvalues * theta.detach()
        optimizer.step()
        found.append(float(theta.detach().norm()))
    return np.array(found)


def plain(k):
    return {"lr": 2 / (1 + k)}, (k - 1) / (k + 1)


def heavy_ball(k):
    return {"lr": 4 / (1 + k**0.5) ** 2, "momentum": ((k**0.5 - 1) / (k**0.5 + 1)) ** 2}, (k**0.5 - 1) / (k**0.5 + 1)


def nesterov(k):
    return {"lr": 1 / k, "momentum": (k**0.5 - 1) / (k**0.5 + 1), "nesterov": True}, 1 - k**-0.5


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(("method", "double"), [(plain, 0), (heavy_ball, 1), (nesterov, 1)])
def test_the_slope_of_log_error_is_the_logarithm_of_the_rate(method, double, condition):
    how, rate = method(condition)
    window = np.arange(int(10 / -math.log(rate)), int(200 / -math.log(rate)))
    found = errors(condition, window[-1] + 1, **how)[window]
    # where two roots of the recursion meet, error is t rate^t: the logarithm of t is no part of the slope
    slope = np.polyfit(window, np.log(found) - double * np.log(window + 1), 1)[0]
    assert slope == pytest.approx(math.log(rate), rel=1e-3)


def test_steps_grow_as_the_condition_number_and_with_momentum_as_its_root():
    for method, power in ((plain, 1.0), (heavy_ball, 0.5), (nesterov, 0.5)):
        ks = np.array([30, 300, 3000])
        needed = [int((errors(k, 20 * int(k**power) + 100, **method(k)[0]) > 1e-6).sum()) for k in ks]
        assert np.polyfit(np.log(ks), np.log(needed), 1)[0] == pytest.approx(power, abs=0.06)


def test_without_strong_convexity_the_gap_falls_as_one_over_k_and_one_over_k_squared():
    """Eigenvalues of every magnitude, one step of the start along each: then the bounds O(1/k), O(1/k^2) are met."""
    eigenvalues, slopes = torch.logspace(-10, 0, 600, dtype=torch.float64), []
    for accelerated in (False, True):
        theta = torch.ones(600, dtype=torch.float64, requires_grad=True)
        optimizer, gaps = torch.optim.SGD([theta], lr=1.0, momentum=0.5, nesterov=True), []
        for t in range(3000):
            optimizer.param_groups[0]["momentum"] = t / (t + 3) if accelerated else 0.0
            theta.grad = eigenvalues * theta.detach()
            optimizer.step()
            gaps.append(float((eigenvalues * theta.detach() ** 2).sum() / 2))
        window = np.arange(300, 3000)
        slopes.append(np.polyfit(np.log(window), np.log(np.array(gaps)[window]), 1)[0])
    assert slopes == pytest.approx([-1.0, -2.0], abs=0.03)  # the second is at -1.976, at -1.989 by 10,000 steps
