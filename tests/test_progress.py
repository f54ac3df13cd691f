"""One bar for all: it shows or it does not, and nothing else changes."""

import sys

import pytest

from deepgen.progress import bar


@pytest.mark.parametrize("show", [True, False])
def test_looping_and_moving_by_hand(show, capsys):
    assert list(bar([3, 1, 2], what="looping", unit="item", show=show)) == [3, 1, 2]
    with bar(what="moving", unit="item", show=show, total=5, initial=1) as moved:
        moved.update(4)
    told = capsys.readouterr().err
    assert ("looping" in told) == ("5/5" in told) == show


def test_a_hidden_bar_loads_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(bar(range(2), what="nothing", unit="item", show=False)) == [0, 1]
