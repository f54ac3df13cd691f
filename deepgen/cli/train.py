"""``deepgen train``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from deepgen.cli.frame import Stopped
from deepgen.errors import ArgumentError, unknown_name

# What an option is when it is not given. None in the signature lets us refuse one that means nothing to the model.
DEFAULTS: dict[str, dict[str, Any]] = {
    "rbm": {
        "visible": "bernoulli",
        "hidden": 128,
        "rate": 0.1,
        "batch": 50,
        "k": 1,
        "chains": 100,
        "weight_decay": 0.0,
    },
    "bernoulli": {},
    "mixture": {"components": 20},
}

FEW_UPDATES = 2000


def command(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="rbm, bernoulli (independent units) or mixture.")],
    data: Annotated[str, typer.Option(help="A name from `deepgen data list`, or the path of your own file.")],
    out: Annotated[Path, typer.Option(help="Directory of the run: model, history, checkpoint.")],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training rows.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of initial weights, order of the rows and chains.")] = 0,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Stop after so many epochs without a better validation likelihood (rbm: a quick AIS).",
        ),
    ] = None,
    binarise: Annotated[
        str | None, typer.Option(help="none, threshold, fixed or dynamic; the data set's own way by default.")
    ] = None,
    root: Annotated[
        str | None, typer.Option(help="Folder with the files of a named data set; $DEEPGEN_DATA by default.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on from what is in --out, or discard it.")
    ] = True,
    visible: Annotated[
        str | None,
        typer.Option(help="rbm: bernoulli units for zeros and ones, or gaussian for real values (bernoulli)."),
    ] = None,
    hidden: Annotated[int | None, typer.Option(min=1, help="rbm: hidden units (128).")] = None,
    rate: Annotated[float | None, typer.Option(help="rbm: learning rate (0.1), falling to 0 over the run.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="rbm: rows per step (50).")] = None,
    k: Annotated[int | None, typer.Option(min=1, help="rbm: Gibbs steps per update (1).")] = None,
    chains: Annotated[int | None, typer.Option(min=1, help="rbm: persistent chains (100).")] = None,
    weight_decay: Annotated[
        float | None, typer.Option(min=0.0, help="rbm: of the weights, not the biases (0).")
    ] = None,
    components: Annotated[int | None, typer.Option(min=1, help="mixture: components (20).")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Fit a model and leave it in a directory that sample, evaluate and report read.

    Run again, the same command goes on where it was stopped, to the weights it would have had unstopped.
    """
    from deepgen import data as datasets
    from deepgen.cli.progress import Lines
    from deepgen.cli.recipes import below_base_rates, build
    from deepgen.cli.rundir import describe, load_arguments, weights
    from deepgen.cli.threads import fitting_threads
    from deepgen.train import EarlyStopping, Interrupted, fit

    if model not in DEFAULTS:
        raise unknown_name("model", model, DEFAULTS)
    given = {"visible": visible, "hidden": hidden, "rate": rate, "batch": batch, "k": k, "chains": chains,
             "weight_decay": weight_decay, "components": components}  # fmt: skip
    chosen = {"epochs": epochs, "seed": seed, "patience": patience, "binarise": binarise, **_settle(model, given)}
    source = {"model": model, "data": _absolute(data), "root": root and str(Path(root).resolve()), **chosen}
    if out.exists() and not out.is_dir():
        raise ArgumentError(f"--out is the directory of the run, and {out} is a file: choose another name")
    done_before = _begun(out, source) if resume else 0
    rows = datasets.load(data, **load_arguments(binarise, root))
    recipe = build(model, rows, chosen)
    watched = recipe.monitored and len(rows.valid) > 0
    if patience and not watched:
        raise ArgumentError(f"--patience needs validation rows, and {rows.provenance['name']} leaves none: drop it")
    callbacks: list[Any] = [EarlyStopping(patience)] if patience else []
    terminal = sys.stderr.isatty()
    if not terminal and not quiet:
        callbacks.append(Lines(recipe.epochs))
    try:
        with fitting_threads(weights(recipe.model)):
            history = fit(
                recipe.model,
                rows.train,
                recipe.objective,
                epochs=recipe.epochs,
                batch_size=recipe.batch,
                optimizer=recipe.optimizer,
                schedule=recipe.schedule,
                seed=seed,
                valid=rows.valid if watched else None,
                monitor=recipe.monitor if watched else None,
                callbacks=callbacks,
                out=out,
                resume=resume,
                progress=terminal and not quiet,
                extras={**source, "image_shape": None if rows.image_shape is None else list(rows.image_shape)},
            )
    except KeyboardInterrupt as error:
        # a Ctrl-C before the first step or after the last is no `Interrupted`, and costs at most what it interrupts
        what = str(error).partition(":")[0] if isinstance(error, Interrupted) else "interrupted"
        again = shlex.join(["deepgen", *(word for word in context.obj or [] if word != "--fresh")])
        raise Stopped(f"{what}; to resume: {again}") from error
    last = history[-1]
    stopped = f" ({history.stopped})" if history.stopped else ""
    title = f"{describe(recipe.model)} on {rows.provenance['name']}"
    if len(history) == done_before:
        print(f"{title}: {last.epoch} epochs{stopped}, already complete in {out}: {_longer(model)}")
    else:
        done = f"{last.epoch} epochs{stopped}, {last.step} updates, {last.seconds:.1f} s"
        print(f"{title}: {done}, in {out}")
    if worse := below_base_rates(recipe.model, rows):
        print(f"deepgen: warning: {worse}: try again with --fresh and a smaller --rate", file=sys.stderr)
    elif model == "rbm" and last.step < FEW_UPDATES and not quiet:
        # Weights start near zero, where a machine is no better than independent units.
        print(f"{last.step} updates are few: more --epochs or a smaller --batch would train longer", file=sys.stderr)


def _settle(model: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options of ``model``, defaults filled in; those of another model are refused rather than ignored."""
    own = DEFAULTS[model]
    for name, value in given.items():
        if value is not None and name not in own:
            owners = " and ".join(m for m, options in DEFAULTS.items() if name in options)
            raise ArgumentError(f"--{name.replace('_', '-')} is an option of {owners}; {model} has no such thing")
    return {name: default if given[name] is None else given[name] for name, default in own.items()}


def _absolute(data: str) -> str:
    """A path that later commands, run elsewhere, will find; names stay names."""
    from deepgen.data import names

    return data if data.lower().replace("-", "_") in names() else str(Path(data).expanduser().resolve())


def _begun(out: Path, source: dict[str, Any]) -> int:
    """The epochs done of the run in ``out``; refuse, in the words of the command line, one begun with other options."""
    from deepgen.train import load_run
    from deepgen.train.store import MANIFEST

    if not (out / MANIFEST).exists():
        return 0
    history = load_run(out).history
    begun = history.settings.get("extras") or {}
    differing = {name: value for name, value in source.items() if name in begun and begun[name] != value}
    if source["model"] != "rbm" and source["epochs"] >= len(history):
        differing.pop("epochs", None)  # no rate was planned ahead: any number of epochs may be added
    if differing:
        words = "; ".join(f"{name.replace('_', '-')} {begun[name]}, now {value}" for name, value in differing.items())
        advice = "repeat its command to go on, choose another --out, or discard it with --fresh"
        if set(differing) == {"epochs"}:
            advice = _longer(source["model"])
        raise ArgumentError(f"{out} holds a run begun with {words}: {advice}")
    return len(history)


def _longer(model: str) -> str:
    """How to train longer than a run did."""
    if model != "rbm":
        return "to train longer give more --epochs, to begin anew --fresh"
    return (
        "its learning rate was planned to fall to zero over these epochs, so it cannot be made longer: "
        "give more --epochs with another --out, or with --fresh to begin anew"
    )
