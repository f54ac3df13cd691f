"""torch's checks are off while a density is evaluated, and on again after, whoever else samples."""

from threading import Event, Thread

import pytest
import torch
from torch.distributions import Distribution, Normal

from deepgen.samplers.laws import lenient


def test_checks_are_off_inside_and_as_before_outside():
    before = Distribution._validate_args
    with lenient(), lenient():
        assert Normal(0.0, torch.tensor(-1.0)).log_prob(torch.tensor(0.0)).isnan()
    assert Distribution._validate_args == before
    with pytest.raises(RuntimeError, match="on the way"), lenient():
        raise RuntimeError("on the way")
    assert Distribution._validate_args == before


def test_blocks_that_overlap_in_threads_leave_the_default_alone():
    """The first begins, the second begins, the first ends, the second ends."""
    before, begun, ended = Distribution._validate_args, Event(), Event()

    def second():
        with lenient():
            begun.set()
            ended.wait(10)
            assert not Distribution._validate_args

    thread = Thread(target=second)
    with lenient():
        thread.start()
        assert begun.wait(10)
    ended.set()
    thread.join()
    assert Distribution._validate_args == before
