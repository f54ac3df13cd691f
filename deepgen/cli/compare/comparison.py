"""What a comparison leaves: a record that prints as its table, and the files of each model in the directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepgen.cli.compare import tables
from deepgen.cli.compare.asked import folder
from deepgen.cli.compare.judged import Judged
from deepgen.cli.compare.paired import EACH, store
from deepgen.cli.describe import counted
from deepgen.data.files import replacing
from deepgen.data.packed import read_npy, write_npy
from deepgen.errors import ArgumentError, CheckpointError
from deepgen.train import load_run
from deepgen.train.store import MANIFEST

FOUND, DRAWN = "judged.json", "samples.npy"  # of each model, beside its run
RESULTS = "results"  # .json and .md


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; printed, it is the table.

    Attributes:
        models: one record each, group by group as in the table.
        data: the name of the data.
        budget: seconds of training in all.
        each: seconds of training of each model.
        rows: held-out rows that all were judged on.
        directory: where table, page and the models' own runs are.
        seed: of everything drawn: initial weights, order of the rows, draws and estimates of each model.
        command: the line for a shell that repeats it.
    """

    models: Sequence[Judged]
    data: str
    budget: float
    each: float
    rows: int
    directory: Path
    seed: int
    command: str

    @property
    def page(self) -> Path:
        """The report."""
        return self.directory / "report.html"

    def __getitem__(self, name: str) -> Judged:
        for one in self.models:
            if one.model == name:
                return one
        raise ArgumentError(f"there is no {name!r} among {', '.join(one.model for one in self.models)}")

    def draws(self, name: str) -> Tensor | None:
        """What a model was judged by, ``[n, features]``; None of one that failed or has none.

        Raises:
            ArgumentError: no such model in the comparison.
        """
        return draws_of(self.directory, self[name].model)

    @property
    def head(self) -> str:
        """How the models were trained and judged."""
        time = f"{counted(self.each)} s of training each ({counted(self.budget)} s in all)"
        return f"{self.data}: {time}, {self.rows:,} held-out rows, seed {self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "format": "deepgen comparison",
            "version": 1,
            "data": self.data,
            "budget": {"seconds": self.budget, "each": self.each},
            "rows": self.rows,
            "seed": self.seed,
            "command": self.command,
            "unit": "nats/example",
            "verdict": tables.verdict(self.models),
            "models": [one.to_dict() for one in self.models],
        }

    def to_markdown(self) -> str:
        """The table in Markdown, with its legend and notes."""
        notes = "\n".join(f"- {line}" for line in tables.remarks(self.models))
        key = tables.key(self.models).replace("\n", "  \n")
        parts = [f"{self.head}.", tables.table(self.models, markdown=True), key]
        return "\n\n".join(
            [*parts, f"{tables.verdict(self.models)}.", *([notes] if notes else []), f"`{self.command}`"]
        )

    def __str__(self) -> str:
        parts = [self.head, tables.table(self.models), tables.key(self.models), tables.verdict(self.models)]
        return "\n".join([*parts, *tables.remarks(self.models)])


def keep(where: Path, one: Judged, draws: Tensor | None) -> Judged:
    from deepgen.plot.figures import write

    where.mkdir(parents=True, exist_ok=True)
    if draws is not None:
        with replacing(where / DRAWN) as file:
            write_npy(file, draws.numpy())
    store(where, one)
    write(where / FOUND, (json.dumps(one.to_dict(), indent=1) + "\n").encode())  # the last word: now it is done
    return one


def kept(where: Path) -> Judged | None:
    """What was found of a model before, if it was judged to the end."""
    try:
        return Judged.from_dict(json.loads((where / FOUND).read_text(encoding="utf-8")))
    except OSError:
        return None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{where / FOUND} is damaged ({error}): remove it, and the model is judged again"
        ) from None


def draws_of(directory: Path, name: str) -> Tensor | None:
    """The draws of a model that was judged; None of one that failed."""
    path = directory / folder(name) / DRAWN
    return torch.from_numpy(read_npy(path)) if path.exists() else None


def history_of(directory: Path, name: str) -> Any:
    """What `deepgen.fit` kept of a model's training; None where there is nothing."""
    try:
        return load_run(directory / folder(name)).history
    except CheckpointError:
        return None


def forget(out: Path, names: Sequence[str]) -> None:
    """Remove what was found of these models, and the manifests that make runs of their files."""
    for name in names:
        for file in (FOUND, DRAWN, EACH, MANIFEST):
            (out / folder(name) / file).unlink(missing_ok=True)


def write_results(found: Comparison) -> None:
    from deepgen.plot.figures import write

    write(found.directory / f"{RESULTS}.json", (json.dumps(found.to_dict(), indent=1) + "\n").encode())
    write(found.directory / f"{RESULTS}.md", (found.to_markdown() + "\n").encode())
