"""Several models under one budget on one data set: trained, judged on the same held-out rows, and put side by side.

Each model has its own run in the directory, which `deepgen sample`, `evaluate` and `report` read, and beside it what
was found of it. Whatever is done is kept; a run that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepgen import data as datasets
from deepgen.cli.compare import asked, judging, tables
from deepgen.cli.compare.judged import Judged, ranked
from deepgen.cli.compare.told import Told
from deepgen.cli.compare.training import trained
from deepgen.cli.options import settle
from deepgen.cli.progress import told_of_compiling
from deepgen.cli.recipes import build
from deepgen.cli.rundir import load_arguments, weights
from deepgen.cli.threads import fitting_threads
from deepgen.cli.train import absolute, extras
from deepgen.data import Data
from deepgen.errors import ArgumentError, CheckpointError, DeepgenError
from deepgen.train import load_run
from deepgen.train.state import KEPT

FOUND, DRAWN = "judged.json", "samples.npy"
WATCHED = {
    "rbm": {"patience": 1}
}  # watched by a quick AIS, which it is not unless asked; of an energy model it is dear
RESULTS = "results"  # .json and .md


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; printed, it is the table.

    Attributes:
        models: one record each, group by group as in the table.
        data: the name of the data.
        budget: seconds of training in all, shared out evenly.
        rows: held-out rows that all were judged on.
        directory: where table, page and the models' own runs are.
    """

    models: Sequence[Judged]
    data: str
    budget: float
    rows: int
    directory: Path

    @property
    def page(self) -> Path:
        """The report."""
        return self.directory / "report.html"

    def __getitem__(self, name: str) -> Judged:
        for one in self.models:
            if one.model == name:
                return one
        raise ArgumentError(f"there is no {name!r} among {', '.join(one.model for one in self.models)}")

    @property
    def head(self) -> str:
        """How the models were trained and judged."""
        each = self.budget / max(1, len(self.models))
        return f"{self.data}: {each:.3g} s of training each ({self.budget:.4g} s in all), {self.rows:,} held-out rows"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "format": "deepgen comparison",
            "version": 1,
            "data": self.data,
            "budget": {"seconds": self.budget, "each": self.budget / max(1, len(self.models))},
            "rows": self.rows,
            "unit": "nats/example",
            "verdict": tables.verdict(self.models),
            "models": [one.to_dict() for one in self.models],
        }

    def to_markdown(self) -> str:
        """The table in Markdown, with its legend and notes."""
        notes = "\n".join(f"- {line}" for line in tables.remarks(self.models))
        key = tables.key(self.models).replace("\n", "  \n")
        parts = [f"{self.head}.", tables.table(self.models, markdown=True), key]
        return "\n\n".join([*parts, f"{tables.verdict(self.models)}.", *([notes] if notes else [])])

    def __str__(self) -> str:
        parts = [self.head, tables.table(self.models), tables.key(self.models), tables.verdict(self.models)]
        return "\n".join([*parts, *tables.remarks(self.models)])


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
        models: names as for ``deepgen train``; None for one model of each family that fits the data.
        budget: time to train in all, such as ``90s``, ``10m``, ``1h``, or seconds; each model has an equal share, at
            the end of which it is left at its best state on validation rows. Judging comes on top.
        out: directory; the same call again keeps what is done and goes on where it was stopped.
        seed: of everything drawn.
        binarise, root: as for `deepgen.data.load`.
        resume: False begins anew in place of what ``out`` holds.
        progress: show how far it is, on stderr.

    Raises:
        UnknownName: no such model or data, with the nearest name.
        ArgumentError: a budget that is none, data without test rows, or another comparison in ``out``.
        KeyboardInterrupt: Ctrl-C, after what is done was saved.

    >>> import tempfile, deepgen as dg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = dg.compare("bars_and_stripes", ["bernoulli", "nsf"], budget="1s", out=folder, progress=False)
    >>> found["bernoulli"].group, found["nsf"].failed[:43]
    ('exact', 'nsf is a density of real values or grey lev')
    """
    total = asked.seconds(budget)
    rows = datasets.load(str(data), **load_arguments(binarise, root))
    names, out = asked.chosen(models, rows), Path(out)
    if not len(rows.test):
        raise ArgumentError(f"{rows.provenance['name']} has no test rows to judge by")
    wanted = {"data": absolute(str(data)), "root": root and str(Path(root).resolve()), "binarise": binarise,
              "models": names, "budget": total, "seed": seed}  # fmt: skip
    asked.settled(out, wanted, resume=resume)
    if not resume:
        _forget(out, names)
    rows, share = judging.held_out(rows), total / len(names)
    found: list[Judged] = []
    name = str(rows.provenance["name"])
    with Told(names, share, show=progress) as told, told_of_compiling(progress and told.plain):
        for each in names:
            before = _kept(out / each)
            if before is None:
                source = {"model": each, **{k: wanted[k] for k in ("data", "root", "binarise", "seed")}}
                before = _one(each, rows, out, share, source, told, resume=resume)
                told.over()
            else:
                told.over(kept=True)
            found.append(before)
            so_far = Comparison(ranked(found), name, total, len(rows.test), out)
            _write(so_far)
    from deepgen.cli.compare.page import page

    result = replace(so_far, models=ranked(found))
    page(result, rows)
    return result


def _one(name: str, rows: Data, out: Path, share: float, source: dict[str, Any], told: Told, *, resume: bool) -> Judged:
    """Train and judge one model; whatever goes wrong with it is told in its record."""
    one = Judged(name, name)
    draws = None
    options = settle(name, WATCHED.get(name, {}))
    told.stage(name, f"training for {share:.3g} s")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            recipe = build(name, rows, {**source, **options})
            about = extras(recipe, {**source, **options})
            with fitting_threads(weights(recipe.model)):
                model, history, best = trained(
                    recipe, out / name, share, seed=source["seed"], extras=about, resume=resume, tick=told.tick
                )
                told.stage(name, "judging")
                last = history[-1] if len(history) else None
                one = replace(
                    one,
                    seconds=min(share, last.seconds) if last else share,
                    epochs=len(history),
                    steps=last.step if last else 0,
                    best=best,
                    notes=[recipe.caution] if recipe.caution else [],
                    settings={**options, "weights": weights(model)},
                )
                one, draws = judging.judged(one, model.eval(), recipe.data, seed=source["seed"])
        said = [" ".join(str(warning.message).split()) for warning in caught if _ours(warning)]
        one = replace(one, notes=[*one.notes, *dict.fromkeys(said)])
    except DeepgenError as error:
        one = replace(one, failed=" ".join(str(error).removesuffix(KEPT).split()), likelihood=(), quality=None)
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:  # the others are still to be compared
        text = " ".join(str(error).split())
        one = replace(one, failed=f"a fault in deepgen: {type(error).__name__}: {text}", likelihood=(), quality=None)
    return _keep(out / name, one, draws)


def _ours(warning: warnings.WarningMessage) -> bool:
    return issubclass(warning.category, (RuntimeWarning, UserWarning)) and "deepgen" in str(warning.category.__module__)


def _keep(where: Path, one: Judged, draws: Tensor | None) -> Judged:
    from deepgen.plot.figures import write

    where.mkdir(parents=True, exist_ok=True)
    if draws is not None:
        np.save(where / DRAWN, draws.numpy())
    write(where / FOUND, (json.dumps(one.to_dict(), indent=1) + "\n").encode())  # the last word: now it is done
    return one


def _kept(where: Path) -> Judged | None:
    """What was found of a model before, if it was judged to the end."""
    try:
        return Judged.from_dict(json.loads((where / FOUND).read_text(encoding="utf-8")))
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{where / FOUND} is damaged ({error}): remove it, and the model is judged again"
        ) from None


def draws_of(directory: Path, name: str) -> Tensor | None:
    """The draws of a model that was judged; None of one that failed."""
    path = directory / name / DRAWN
    return torch.from_numpy(np.load(path, allow_pickle=False)) if path.exists() else None


def history_of(directory: Path, name: str) -> Any:
    """What `deepgen.fit` kept of a model's training; None where there is nothing."""
    try:
        return load_run(directory / name).history
    except CheckpointError:
        return None


def _forget(out: Path, names: Sequence[str]) -> None:
    for name in names:
        for file in (FOUND, DRAWN):
            (out / name / file).unlink(missing_ok=True)


def _write(found: Comparison) -> None:
    from deepgen.plot.figures import write

    write(found.directory / f"{RESULTS}.json", (json.dumps(found.to_dict(), indent=1) + "\n").encode())
    write(found.directory / f"{RESULTS}.md", (found.to_markdown() + "\n").encode())
