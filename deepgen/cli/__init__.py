"""The ``deepgen`` command: train a model, draw from it, and state its likelihood, without writing a script.

Exit status: 0 done; 2 what was asked cannot be done (one line on stderr says why and what to do instead);
1 a fault of deepgen itself; 130 interrupted by Ctrl-C. ``--debug``, anywhere on the line, shows the traceback.
Results go to stdout, progress and warnings to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import deepgen
from deepgen.cli import data, demo, evaluate, report, sample, train
from deepgen.cli.frame import run

app = typer.Typer(
    name="deepgen",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A first run:  deepgen train rbm --data digits --out runs/a;  deepgen sample runs/a -n 100 --out a.png;  "
    "deepgen evaluate runs/a",
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Probabilistic generative models on PyTorch, with likelihoods that can be believed."""


app.command("demo")(demo.command)
app.command("train")(train.command)
app.command("sample")(sample.command)
app.command("evaluate")(evaluate.command)
app.command("report")(report.command)
app.add_typer(data.app, name="data")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line ``argv`` (that of the process by default) and exit with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        print(f"deepgen {deepgen.__version__}")
        sys.exit(0)
    sys.exit(run(app, arguments))
