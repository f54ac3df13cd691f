"""One bar for all: it shows or it does not, and nothing else changes."""

import contextlib
import os
import subprocess
import sys

import pytest

from deepgen.cli.progress import told_of_compiling
from deepgen.progress import COMPILING, Shown, bar, compiles
from deepgen.train import Progress


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


@pytest.mark.parametrize("listen", [lambda: contextlib.closing(Progress(5)), told_of_compiling], ids=["bar", "line"])
def test_kernels_are_said_to_be_compiled_only_when_they_are(listen, capsys):
    """A function of numba's is compiled at its first call, said once, and after that comes from memory."""
    numba = pytest.importorskip("numba")
    import deepgen.layers.jit  # noqa: F401  (what the modules of kernels load)

    twice = numba.njit(lambda x: 2 * x)
    with listen() as listener:
        capsys.readouterr()
        assert twice(3) == 6
        assert "compiling kernels, once per machine" in capsys.readouterr().err
        if listener:
            listener.advance()
            assert "compiling" not in listener.shown.bar.desc
        assert twice(4) == 8
    capsys.readouterr()
    assert twice(5.0) == 10.0  # compiled anew, and nobody listens
    assert capsys.readouterr().err == ""


def test_kernels_on_disk_are_not_said_to_be_compiled(tmp_path):
    """Two processes with one cache: the first compiles."""
    pytest.importorskip("numba")
    code = (
        "import torch, deepgen as dg; from deepgen.cli.progress import told_of_compiling as told; "
        "torch.set_num_threads(1); context = told(); context.__enter__(); "
        "dg.random.streams(dg.random.generator(0)).uniform((1000,))"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stderr
        for _ in range(2)
    ]
    assert said == ["compiling kernels, once per machine\n", ""]


def test_a_bar_of_steps_says_what_it_does_again_once_kernels_are_compiled(capsys):
    """And a function that is told of the share is never told of more than the whole."""
    with Shown(10, True, what="walking", unit="step") as shown:
        compiles()
        assert shown.bar.desc == f"{COMPILING}: "
        shown.advance(4)
        assert (shown.bar.desc, shown.bar.n) == ("walking: ", 4)
    compiles()  # nobody listens
    assert COMPILING in capsys.readouterr().err
    told = []
    with Shown(10, told.append, what="walking", unit="step") as shown:
        compiles()
        for steps in (4, 4, 4):
            shown.advance(steps)
    assert told == [0.4, 0.8, 1.0]
    assert capsys.readouterr().err == ""
