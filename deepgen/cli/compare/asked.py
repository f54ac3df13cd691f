"""What a comparison is asked to do: models, budget, data, in the words of the command line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepgen.cli.options import model_name, settle
from deepgen.cli.values import kind
from deepgen.errors import ArgumentError, CheckpointError

if TYPE_CHECKING:
    from deepgen.data import Data

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
ASKED = "compare.json"
# Options beside the defaults: a machine is watched by a quick AIS if asked. Of an energy model that is too dear.
WATCHED = {"rbm": {"patience": 1}, "dbn": {"patience": 1}, "dbm": {"patience": 1}}
SHARED = (
    *("data", "out", "seed", "epochs", "patience", "binarise", "root", "length", "schedule", "fresh"),
    *("monitors", "device", "quiet", "q"),
)


def seconds(budget: str | float) -> float:
    """A budget such as ``90s``, ``10m`` or ``1h`` in seconds; a number is seconds.

    >>> seconds("90s"), seconds("1.5m"), seconds("1h"), seconds(20)
    (90.0, 90.0, 3600.0, 20.0)
    """
    if isinstance(budget, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([smh]?)\s*", budget.lower())
        if found is None:
            raise ArgumentError(f"--budget must be a time such as 90s, 10m or 1h, got {budget!r}")
        budget = float(found[1]) * UNITS[found[2] or "s"]
    if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not 0 < budget < float("inf"):
        raise ArgumentError(f"--budget must be above 0, got {budget!r}")
    return float(budget)


def chosen(models: Sequence[str] | str | None, data: Data) -> list[str]:
    """The models with their options if any; without any those that are a fair choice for the data.

    >>> chosen("RBM, made --hidden 500,500,vae --prior  vamp", None)
    ['rbm', 'made --hidden 500,500', 'vae --prior vamp']
    """
    if models is None:
        return usual(data)
    # A comma before a digit parts the widths of --hidden.
    given = re.split(r",(?!\s*\d)", models) if isinstance(models, str) else models
    if not isinstance(given, Sequence) or not all(isinstance(each, str) for each in given):
        raise ArgumentError(f"--models must be names of models, such as rbm,made,vae, got {models!r}")
    names: dict[str, str] = {}  # by folder
    for name, *words in (each.split() for each in given if each.strip()):
        each = " ".join([model_name(name), *words])
        if model_name(name) == "class-rbm":
            raise ArgumentError(
                "class-rbm is a law of rows and labels together, log p(x, label), which compares with no other: train "
                "it by itself, or compare m2, which classifies too"
            )
        before = names.get(folder(each))
        if before is not None:
            twice = f"{each!r} twice" if each == before else f"{before!r} and {each!r}, which share a folder"
            raise ArgumentError(
                f"--models names {twice}: give one of them other options, such as '{each} --batch 100', or for "
                "another seed compare again with another --seed and --out"
            )
        names[folder(each)] = each
    if not names:
        raise ArgumentError("--models must name at least one model, such as rbm,made,vae")
    for each in names.values():
        options(each)  # refused now, rather than when the models before it are trained
    return list(names.values())


def options(asked: str) -> tuple[str, dict[str, Any]]:
    """The model and its settled options, of words as `deepgen train` takes them.

    >>> name, given = options("vae --prior vamp --components 20")
    >>> name, given["prior"], given["components"], given["posterior"]
    ('vae', 'vamp', 20, 'diagonal')
    """
    import typer

    from deepgen.cli.train import command

    name, *words = asked.split()
    for word in words:
        if word.startswith("-") and word.partition("=")[0].lstrip("-") in SHARED:
            raise ArgumentError(
                f"{word} in {asked!r}: data, seed, time and how the rate falls over it are those of the comparison, "
                "the same for all models"
            )
        if word == "--help":
            raise ArgumentError(f"{word} in {asked!r}: it is no option of a model; see deepgen train --help")
    app = typer.Typer()
    app.command()(command)
    try:
        line = typer.main.get_command(app).make_context("train", [name, "--data", "", "--out", "", *words])
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's usage errors; its exception classes move between versions
            raise
        raise ArgumentError(f"{asked!r}: {' '.join(error.format_message().split())}") from None
    given = {option: value for option, value in line.params.items() if option not in (*SHARED, "model", "resume")}
    return name, settle(name, {**WATCHED.get(name, {}), **given})


def command(out: Path, asked: Mapping[str, Any]) -> str:
    """The line for a shell that repeats what was ``asked``, defaults written out.

    >>> what = {"data": "digits", "models": ["vae", "vae --prior vamp"], "budget": 90.0, "seed": 3}
    >>> command(Path("runs/a"), what)
    "deepgen compare --data digits --models 'vae,vae --prior vamp' --budget 90s --seed 3 --out runs/a"
    """
    given = {
        "data": asked["data"],
        "models": ",".join(asked["models"]),
        "budget": f"{asked['budget']!r}s".replace(".0s", "s"),
        "seed": asked["seed"],
        "binarise": asked.get("binarise"),
        "root": asked.get("root"),
        "out": out,
    }
    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    return shlex.join(["deepgen", "compare", *words])


def folder(asked: str) -> str:
    """The name of its directory.

    >>> folder("vae"), folder("made --hidden 500,500")
    ('vae', 'made-hidden-500,500')
    """
    return re.sub(r"[\s=/\\-]+", "-", asked)


def usual(data: Data) -> list[str]:
    """One model of each family that takes such values."""
    found, image = kind(data), data.image_shape is not None
    if found == "binary":
        return ["mixture", "rbm", "made", *(["pixelcnn"] if image else []), "nsf", "vae", "gan", "energy"]
    if found == "grey":
        few = data.levels is not None and data.levels <= 32
        return [*(["made"] if few else []), *(["pixelcnn"] if few and image else []), "realnvp", "nsf", "vae", "gan"]
    if found == "text":
        return ["lstm", "transformer"]
    return ["realnvp", "maf", "nsf", "vae", "gan", "energy"]


def settled(out: Path, asked: dict[str, Any], *, resume: bool) -> None:
    """Write down what is asked for in ``out``, or refuse where something else was begun there.

    A demo asks in the same way, for no models; neither of the two takes the other's folder, whatever ``resume`` is.
    """
    from deepgen.plot.figures import write
    from deepgen.train.store import MANIFEST

    path = out / ASKED
    if (out / MANIFEST).exists():
        raise ArgumentError(
            f"{out} holds a run or a model of its own, and {_kind(asked)} needs a folder: choose another --out"
        )
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else asked
        differing = [name for name in asked if before.get(name) != asked[name]]
    except (ValueError, AttributeError, RecursionError) as error:
        if resume:
            raise CheckpointError(f"{path} is damaged ({error}): give another --out, or --fresh") from None
        before, differing = asked, []
    if _kind(before) != _kind(asked):
        raise ArgumentError(f"{out} holds {_kind(before)}, and {_kind(asked)} needs a folder: choose another --out")
    if resume and differing:
        words = "; ".join(f"{name} {before.get(name)}, now {asked[name]}" for name in differing)
        raise ArgumentError(
            f"{out} holds {_kind(before)} begun with {words}: repeat its command to go on, choose another --out, or "
            "discard it with --fresh"
        )
    write(path, (json.dumps(asked, indent=1) + "\n").encode())


def _kind(asked: Mapping[str, Any]) -> str:
    return "a comparison" if "models" in asked else "a demo"
