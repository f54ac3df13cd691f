"""What is left of a comparison: the budget's share of each model, and judging as long as it took."""

import io
import re
import sys

import pytest

from deepgen.cli.compare import told


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is moved."""
    now = [100.0]
    monkeypatch.setattr(told.time, "monotonic", lambda: now[0])
    return now


def test_what_is_left_is_training_ahead_and_judging_as_long_as_it_took(clock):
    of = told.Told(["a", "b", "c"], 60.0, show=False)
    assert of.left() == pytest.approx(3 * 60 + 3 * 0.3 * 60)  # nothing judged yet: a guess
    of.tick(0.5)
    assert of.left() == pytest.approx(2.5 * 60 + 3 * 0.3 * 60)
    of.stage("a", "judging")
    clock[0] += 6
    of.over()
    assert of.left() == pytest.approx(2 * 60 + 2 * 6)
    of.over(kept=True)  # takes no time, which says nothing about judging
    assert of.left() == pytest.approx(60 + 6)
    of.over()  # failed in training
    assert of.left() == 0


def test_a_log_gets_a_line_for_each_stage(clock, capsys):
    with told.Told(["a", "b"], 60.0, show=True) as of:
        of.stage("a", "training")
        of.stage("a", "judging")
    assert capsys.readouterr().err.splitlines() == [
        "compare: a (1 of 2), training; about 3 min left in all",  # 2 x 78 s
        "compare: a (1 of 2), judging; about 2 min left in all",  # 60 + 36 s
    ]


def test_a_terminal_gets_a_bar_that_moves_with_the_time(clock, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    with told.Told(["a"], 60.0, show=True) as of:
        of.stage("a", "training")
        clock[0] += 26
        of.tick(26 / 60)
        assert of.bar.n == 33  # 26 s are done, and 34 + 18 s are left
        of.tick(59 / 60)
        assert of.bar.n == 33  # drawn at most five times a second
    assert re.search(r"a \(1 of 1\), training; about 50 s left", sys.stderr.getvalue())
