"""Several models under one budget on one data set: trained, judged on the same held-out rows, and put side by side.

Each model has its own run in the directory, which `deepgen sample`, `evaluate` and `report` read, and beside it what
was found of it. Whatever is done is kept; a run that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepgen import data as datasets
from deepgen.cli.asking import weights
from deepgen.cli.begun import ELSEWHERE
from deepgen.cli.compare import asked, judging
from deepgen.cli.compare.comparison import Comparison, forget, keep, kept, write_results
from deepgen.cli.compare.judged import Judged, ranked, told_apart
from deepgen.cli.compare.paired import paired
from deepgen.cli.compare.told import Told
from deepgen.cli.compare.training import trained
from deepgen.cli.describe import counted
from deepgen.cli.fitting import extras
from deepgen.cli.options import applying
from deepgen.cli.progress import told_of_compiling
from deepgen.cli.recipes import build
from deepgen.cli.rundir import load_arguments
from deepgen.cli.threads import fitting_threads
from deepgen.cli.train import absolute
from deepgen.data import Data
from deepgen.errors import ArgumentError, DeepgenError, check_count
from deepgen.train import Interrupted
from deepgen.train.lock import held
from deepgen.train.state import ANEW, KEPT

UNTRAINED = "not one update was made in its time: give a larger --budget"


def compare(
    data: str | Path,
    models: Sequence[str] | str | None = None,
    *,
    budget: str | float = "10m",
    out: str | Path,
    seed: int = 0,
    binarise: str | None = None,
    root: str | None = None,
    resume: bool = True,
    progress: bool = True,
) -> Comparison:
    """Train models on the same rows for the same time, judge them on the same held-out rows, write table and page.

    Likelihoods carry their sides: exact values, intervals and lower bounds stand apart, and so does what is given
    labels. All are nats of the same data: of bits or whole grey levels probabilities, of real values densities in the
    units of the file; a model of other values is refused and stays in the table with the reason. Draws are judged by
    `deepgen.evaluate.sample_quality`.

    Args:
        data: a name of `deepgen.data.names`, or the path of a file of your own.
        models: names as for ``deepgen train``, with options if any (``"vae --prior vamp"``); None for one model of each
            family that fits the data.
        budget: time to train in all, such as ``90s``, ``10m``, ``1h``, or seconds; each model has an equal share, at
            the end of which it is left at its best state on validation rows. Judging comes on top.
        out: directory; the same call again keeps what is done and goes on where it was stopped.
        seed: of everything drawn.
        binarise, root: as for `deepgen.data.load`.
        resume: False begins anew in place of what ``out`` holds.
        progress: show how far it is, on stderr.

    Raises:
        UnknownName: no such model or data, with the nearest name.
        ArgumentError: a budget, a seed, models or a path that are none, data with fewer than 30 test rows, or another
            comparison in ``out``.
        KeyboardInterrupt: Ctrl-C, after what is done was saved.

    >>> import tempfile, deepgen as dg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = dg.compare("bars_and_stripes", ["bernoulli", "lstm"], budget="1s", out=folder, progress=False)
    >>> found["bernoulli"].group, found["lstm"].failed[:17]
    ('exact', 'lstm takes a text')
    """
    check_count(0, seed=seed)
    places: dict[str, Any] = {"data": data, "out": out}
    for name, place in places.items():
        if not isinstance(place, str | os.PathLike):
            what = (
                "a name or the path of a file, as a later call reads it again" if name == "data" else "a folder's path"
            )
            raise ArgumentError(f"{name} must be {what}, got {type(place).__name__}")
    if root is not None and not isinstance(root, str | os.PathLike):
        raise ArgumentError(f"root must be a folder's path, got {type(root).__name__}")
    total = asked.seconds(budget)
    rows = datasets.load(str(data), **load_arguments(binarise, root))
    names, out = asked.chosen(models, rows), Path(out)
    judging.check_enough(rows)
    wanted = {"data": absolute(str(data)), "root": root and str(Path(root).resolve()), "binarise": binarise,
              "models": names, "budget": total, "seed": seed}  # fmt: skip
    with held(out):
        asked.settled(out, wanted, resume=resume)
        if not resume:
            forget(out, names)
        rows, share = judging.held_out(rows), total / len(names)
        found: list[Judged] = []
        name = str(rows.provenance["name"])
        again = asked.command(out, wanted)
        with Told(names, share, show=progress) as told, told_of_compiling(progress and told.plain):
            for each in names:
                before = kept(out / asked.folder(each))
                if before is None:
                    source = {k: wanted[k] for k in ("data", "root", "binarise", "seed")}
                    before = _one(each, rows, out, share, source, told)
                    told.over()
                else:
                    told.over(kept=True)
                found.append(before)
                judged = paired(out, ranked(told_apart(found)))
                so_far = Comparison(judged, name, total, share, len(rows.test), out, seed, again)
                write_results(so_far)
        from deepgen.cli.compare.page import page

        page(so_far, rows)
        return so_far


def _one(words: str, rows: Data, out: Path, share: float, source: dict[str, Any], told: Told) -> Judged:
    """Train and judge one model; whatever goes wrong with it is told in its record, unless files cannot be written."""
    one, directory = Judged(words, words), out / asked.folder(words)
    draws = None
    name, options = asked.options(words)
    source = {"model": name, **source}
    seed = source["seed"]
    told.stage(words, f"training for {counted(share)} s")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            recipe = build(name, rows, {**source, **options})
            about = extras(recipe, {**source, **options})
            with fitting_threads(weights(recipe.model)):
                done = trained(recipe, directory, share, seed=seed, extras=about, tick=told.tick)
                told.stage(words, "judging")
                model, last = done.model, done.history[-1] if len(done.history) else None
                one = replace(
                    one,
                    seconds=min(share, last.seconds) if last else share,
                    updates=done.updates,
                    passes=done.passes,
                    kept=done.kept,
                    notes=[said for said in (recipe.caution, "" if done.updates else UNTRAINED) if said],
                    settings={**told_of(name, {**options, **recipe.settled}), "weights": weights(model), "seed": seed},
                )
                one, draws = judging.judged(one, model.eval(), recipe.data, seed=seed, source={**source, **options})
        said = [" ".join(str(warning.message).split()) for warning in caught if _ours(warning)]
        said = [text for text in said if "Pareto k" not in text]  # which the notes have with the draws
        one = replace(one, notes=[*one.notes, *dict.fromkeys(said)])
    except Interrupted as stopped:
        raise Interrupted(f"{str(stopped).replace('interrupted', f'interrupted in {words}', 1)}") from stopped
    except DeepgenError as error:
        why = " ".join(str(error).removesuffix(KEPT).replace(ANEW, ELSEWHERE).split())
        one = replace(one, failed=why, likelihood=(), quality=None)
    except OSError:  # of the place where all is kept: the next would end likewise
        raise
    except Exception as error:  # the others are still to be compared
        text = " ".join(str(error).split())
        one = replace(one, failed=f"a fault in deepgen: {type(error).__name__}: {text}", likelihood=(), quality=None)
    return keep(directory, one, draws)


def told_of(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that say what was trained: those in use, less epochs and patience, as the clock stands for both."""
    return {option: value for option, value in applying(name, options).items() if option not in ("epochs", "patience")}


def _ours(warning: warnings.WarningMessage) -> bool:
    return issubclass(warning.category, (RuntimeWarning, UserWarning)) and "deepgen" in str(warning.category.__module__)
