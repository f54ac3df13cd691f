"""What ``deepgen train`` does once its options are settled."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepgen.cli.begun import ELSEWHERE, begun, longer
from deepgen.errors import ArgumentError, CheckpointError, DivergenceError

if TYPE_CHECKING:
    from deepgen.cli.recipes import Recipe
    from deepgen.train import Ranks

FEW_UPDATES = 2000  # below which an RBM is told to train longer


def train(
    model: str,
    data: str,
    root: str | None,
    out: Path,
    source: dict[str, Any],
    patience: int | None,
    ranks: Ranks,
    *,
    resume: bool,
    quiet: bool,
) -> None:
    """Fit ``model`` to ``data`` and leave it in ``out``.

    ``source`` holds the options as they are settled, for later commands too; ``patience`` is what was asked for, None
    if nothing was: asked for in vain it is refused, while a model's own is left out.
    """
    from deepgen import data as datasets
    from deepgen.cli.asking import weights
    from deepgen.cli.describe import describe
    from deepgen.cli.progress import Lines, told_of_compiling
    from deepgen.cli.recipes import below_base_rates, build
    from deepgen.cli.rundir import DIVERGED, load_arguments
    from deepgen.cli.threads import fitting_threads
    from deepgen.train import EarlyStopping, Monitors, fit
    from deepgen.train.state import ANEW, KEPT

    if ranks.device.type != "cpu":
        source = {**source, "device": ranks.device.type}  # whose random numbers are its own
    done_before = begun(out, source) if resume else 0
    given = load_arguments(source["binarise"], root, source.get("length"))
    recipe = build(model, datasets.load(data, **given), source)
    rows = recipe.data
    if recipe.caution:
        print(f"deepgen: warning: {recipe.caution}", file=sys.stderr)
    watched = recipe.valid is not None
    if patience and not watched:
        raise ArgumentError(f"--patience needs validation rows, and {rows.provenance['name']} leaves none: drop it")
    stopping = EarlyStopping(source["patience"]) if source["patience"] and watched else None
    callbacks: list[Any] = [stopping] if stopping else []
    if source["monitors"]:
        callbacks.append(Monitors())
    terminal = sys.stderr.isatty()
    lines = not terminal and not quiet  # a terminal has a bar, which says all that these do
    if lines:
        callbacks.append(Lines(recipe.epochs))
    if out.is_dir():
        (out / DIVERGED).unlink(missing_ok=True)
    try:
        with fitting_threads(weights(recipe.model)), told_of_compiling(lines):
            history = fit(
                recipe.model.to(ranks.device),
                recipe.train,
                recipe.objective,
                epochs=recipe.epochs,
                batch_size=recipe.batch,
                optimizer=recipe.optimizer,
                schedule=recipe.schedule,
                seed=source["seed"],
                valid=recipe.valid,
                monitor=recipe.monitor if watched else None,
                callbacks=callbacks,
                out=out,
                resume=resume,
                progress=terminal and not quiet,
                extras=extras(recipe, source),
                ranks=ranks,
            )
    except CheckpointError as error:
        raise CheckpointError(str(error).replace(ANEW, ELSEWHERE)) from error
    except DivergenceError as error:
        told = str(error).removesuffix(KEPT)  # a shell has no error to take the weights from
        if out.is_dir():
            (out / DIVERGED).write_text(f"{told}\n", encoding="utf-8")
        raise DivergenceError(told, step=error.step, state=error.state) from error
    recipe.model.to("cpu")
    last = history[-1]
    stopped = f" ({history.stopped})" if history.stopped else ""
    if stopping and stopping.best_epoch < last.epoch:
        stopped += f", those of epoch {stopping.best_epoch} kept"
    title = f"{describe(recipe.model, model)} on {rows.provenance['name']}"
    epochs_done = f"{last.epoch} epoch{'s' if last.epoch > 1 else ''}"
    if len(history) == done_before:
        print(f"{title}: {epochs_done}{stopped}, already complete in {out}: {longer(source)}")
    else:
        done = f"{epochs_done}{stopped}, {last.step} updates, {last.seconds:.1f} s"
        print(f"{title}: {done}, in {out}")
    if worse := below_base_rates(recipe.model, rows):
        # Long steps went astray; but weights that may not fall below 0 start large, where few or short ones leave them.
        advice = "another --rate, or go on with more --epochs" if source.get("non_negative") else "a smaller --rate"
        print(f"deepgen: warning: {worse}: try again with --fresh and {advice}", file=sys.stderr)
    elif model == "rbm" and last.step < FEW_UPDATES and not quiet:
        # Weights start near zero, where a machine is no better than independent units.
        print(f"{last.step} updates are few: more --epochs or a smaller --batch would train longer", file=sys.stderr)


def extras(recipe: Recipe, source: dict[str, Any]) -> dict[str, Any]:
    """What later commands find in the directory of a run."""
    rows = recipe.data
    shape = rows.image_shape and list(rows.image_shape)
    return {**source, **(recipe.notes or {}), "image_shape": shape, "columns": rows.provenance.get("columns")}
