"""The sequential decision: its thresholds by hand, its false-alarm rate by simulation."""

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.testing import CheckFailed, sequential


def scripted(values):
    """A test that returns the given p-values, one a stage, and records the number of draws asked for."""
    queue, asked = list(values), []

    def p_values(n, generator):
        asked.append(n)
        return [queue.pop(0)]

    return p_values, asked


def decide(values, **options):
    p_values, asked = scripted(values)
    return sequential(p_values, what="scripted", n=100, generator=torch.Generator(), **options), asked


def test_a_clear_pass_takes_one_stage():
    evidence, asked = decide([0.5])
    assert evidence == (0.5, 1, 100)
    assert asked == [100]


def test_doubt_asks_for_four_times_as_much_once():
    evidence, asked = decide([0.1, 0.1, 0.9])
    assert asked == [100, 400, 400]
    assert evidence.stages == 3


def test_the_first_threshold_is_alpha_over_stages():
    with pytest.raises(CheckFailed, match=r"scripted: p = 1\.0e-06 at stage 1 of 7"):
        decide([1e-6])  # 1e-5 / 7 = 1.4e-6
    decide([2e-6, 0.9])


def test_thresholds_loosen_by_gamma():
    gamma = (1e-5 / 7) ** (1 / 7)
    second = 1e-5 / 7 / gamma
    decide([0.1, second * 1.01, 0.9])
    with pytest.raises(CheckFailed):
        decide([0.1, second * 0.99])


def test_nan_fails():
    with pytest.raises(CheckFailed):
        decide([float("nan")])


def test_the_smallest_of_many_is_corrected():
    with pytest.raises(CheckFailed):
        sequential(lambda n, g: [1e-7, 0.5], what="", generator=torch.Generator())
    # 1e-6 is below 1.4e-6 alone, and above once multiplied by 10
    evidence = sequential(
        lambda n, g: [1e-6, *[0.9] * 9] if n == 10 else [0.9], what="", n=10, generator=torch.Generator()
    )
    assert evidence.stages == 2


def test_false_alarms_stay_below_alpha(stream):
    level, runs, alarms = 0.1, 4000, 0
    for _ in range(runs):
        try:
            sequential(
                lambda n, g: [torch.rand(1, generator=g).item()], what="", alpha=level, stages=4, generator=stream
            )
        except CheckFailed:
            alarms += 1
    # at most alpha; 5 standard errors of 4000 runs; and not idle: the first stage alone alarms at alpha / 4
    assert 0.02 * runs - 5 * (0.02 * runs) ** 0.5 < alarms < level * runs + 5 * (level * runs) ** 0.5


def test_odd_arguments_are_refused():
    with pytest.raises(ArgumentError, match="alpha"):
        sequential(lambda n, g: [1.0], what="", alpha=0.0, generator=torch.Generator())
