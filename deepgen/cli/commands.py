"""All commands, as one typer application."""

from __future__ import annotations

from typing import Annotated

import typer

import deepgen
from deepgen.cli import compare, data, demo, embed, evaluate, report, sample, train

app = typer.Typer(
    name="deepgen",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A first run:  deepgen train rbm --data digits --out runs/a;  deepgen sample runs/a -n 100 --out a.png;  "
    "deepgen evaluate runs/a",
)


def _version(asked: bool) -> None:
    if asked:
        print(f"deepgen {deepgen.__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Probabilistic generative models on PyTorch, with likelihoods that can be believed."""


app.command("demo")(demo.command)
app.command("train")(train.command)
app.command("sample")(sample.command)
app.command("evaluate")(evaluate.command)
app.command("report")(report.command)
app.command("compare")(compare.command)
app.command("embed")(embed.command)
app.add_typer(data.app, name="data")
