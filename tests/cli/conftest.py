"""The command line, in this process for speed: what it prints and the status it would exit with."""

from typing import NamedTuple

import pytest

from deepgen.cli.commands import app
from deepgen.cli.frame import run
from deepgen.progress import COMPILING


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def deepgen(capsys):
    """``deepgen("train", "rbm", ...)`` -> Outcome."""

    def command(*arguments):
        capsys.readouterr()
        status = run(app, [str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Outcome(status, out, err.replace(f"{COMPILING}\n", ""))  # which tests come first is nobody's business

    return command


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The directory of a small RBM on 4x4 bars and stripes, trained by the command line."""
    out = tmp_path_factory.mktemp("runs") / "rbm"
    words = "train rbm --data bars_and_stripes --hidden 6 --epochs 20 --batch 16 --quiet --out"
    assert run(app, [*words.split(), str(out)]) == 0
    return out
