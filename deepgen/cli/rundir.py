"""What the directory of a run remembers, so that later commands need nothing but its name."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from deepgen import data as datasets
from deepgen.cli.asking import MACHINES
from deepgen.cli.describe import counted, describe
from deepgen.cli.options import applying
from deepgen.cli.units import columns
from deepgen.cli.values import as_trained
from deepgen.errors import ArgumentError, CheckpointError
from deepgen.explicit import Dequantised
from deepgen.train import History, load, load_run

if TYPE_CHECKING:
    from deepgen.data import Data


DIVERGED = "diverged.txt"  # what the training in this directory ended with, for the advice of later commands
# In the details of a report: what may be long, and a name where the fit tells the optimizer with its settings.
NOT_SHOWN = ("alphabet", "columns", "optimizer")


@dataclass(frozen=True)
class Opened:
    """A trained model and where it comes from.

    Attributes:
        directory: the run's.
        model: the model.
        history: its learning curves; None for a directory that `deepgen.save` wrote.
        source: the arguments of `deepgen.data.load` and what the command line was, as `deepgen train` noted them.
    """

    directory: Path
    model: nn.Module
    history: History | None = None
    source: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The model in a word or two, such as ``RBM 64-20``."""
        return describe(self.model, self.source.get("model"))

    @property
    def settings(self) -> dict[str, Any]:
        """What the run says of itself, for the report's details."""
        fit = {} if self.history is None else self.history.settings
        kept = ("objective", "optimizer", "batch_size", "epochs", "seed")
        own = applying(self.source.get("model", ""), self.source)
        source = {name: value for name, value in own.items() if name not in NOT_SHOWN}
        found = {**{name: fit[name] for name in kept if name in fit}, **source}
        if self.compared:  # it was the clock that ended it, whatever was asked for, and its epochs are slices of time
            done = {} if not self.history else {"updates": self.history[-1].step, "passes": self.passes}
            found = {name: value for name, value in found.items() if name not in ("epochs", "patience", "plan")} | done
        return found

    @property
    def compared(self) -> bool:
        """Whether it is of a comparison."""
        return "plan" in self.source

    @property
    def passes(self) -> float | None:
        """Over the training rows, up to the last look at validation rows."""
        last = self.history[-1] if self.history else None
        return None if last is None else last.passes or float(last.epoch)

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Height and width of one example, None if it is no image."""
        shape = self.source.get("image_shape")
        return None if shape is None else tuple(shape)

    @property
    def unfinished(self) -> str | None:
        """How far a run came that was killed or stopped before its last epoch; None of a complete one."""
        if self.history is None or self.history.stopped is not None:
            return None
        done, planned = len(self.history), self.history.settings.get("epochs", 0)
        if self.compared and done < planned:
            return f"{counted(self.passes or 0.0)} passes over the training rows done, of a time that is not over"
        return None if done >= planned else f"{done} of {planned} epoch{'s' if planned != 1 else ''} done"

    def data(self, other: str | None = None, root: str | None = None, binarise: str | None = None) -> Data:
        """The data it was trained on, or ``other`` ones, read the same way (from the folder ``root``, if given).

        Where ``binarise`` is given too it takes the place of the training's own.
        """
        name = other or self.source.get("data")
        if name is None:
            raise ArgumentError(f"{self.directory} does not say what it was trained on: name the data with --data")
        bits = binarise or self.source.get("binarise")
        given = load_arguments(bits, root or self.source.get("root"), self.source.get("length"))
        found = as_trained(datasets.load(name, **given), self.source)
        own, width = _features(self.model), found.event_shape.numel()
        if other is not None and own not in (None, width):
            on = f"{own} of {Path(self.source['data']).name}" if "data" in self.source else str(own)
            raise ArgumentError(
                f"{found.provenance['name']} has {width} column{'s' if width > 1 else ''}, and {self.directory} was "
                f"trained on the {on}: give --data with as many"
            )
        return found


def open_run(directory: Path) -> Opened:
    """Read the run in ``directory``, or the bare model that `deepgen.save` left there."""
    if not directory.exists():
        raise CheckpointError(f"{directory}: no such folder; `deepgen train ... --out {directory}` makes one")
    if (within := compared(directory)) is not None:
        runs = ", ".join(map(str, within)) or "none of which is trained yet"
        raise CheckpointError(f"{directory} is of several models, each in a folder of its own: name one of {runs}")
    try:
        run = load_run(directory)
    except CheckpointError:
        return Opened(directory, load(directory))  # says itself what is wrong when it is not a model either
    if run.model is None:
        raise CheckpointError(
            f"{directory} holds a model of your own classes, which only your own code can build: "
            "use deepgen.load_weights(model, directory) in a script"
        )
    opened = Opened(directory, run.model, run.history, dict(run.settings.get("extras") or {}))
    if opened.unfinished:
        advice = f"repeat its `deepgen {'compare' if opened.compared else 'train'}` command to go on"
        if (directory / DIVERGED).exists():
            advice = "its training diverged, so begin anew with --fresh and a smaller --rate"
        print(
            f"deepgen: warning: {directory} is an unfinished run, with {opened.unfinished}: {advice}",
            file=sys.stderr,
        )
    return opened


def compared(directory: Path) -> list[Path] | None:
    """The folders with models of the comparison in ``directory``, None where there is none."""
    from deepgen.cli.compare.asked import ASKED
    from deepgen.train.store import MANIFEST

    if not (directory / ASKED).exists() or (directory / MANIFEST).exists():
        return None
    return sorted(path.parent for path in directory.glob(f"*/{MANIFEST}"))


def _features(model: nn.Module) -> int | None:
    """Columns of a row that ``model`` takes; None if it does not say."""
    if isinstance(model, MACHINES):
        return columns(model)
    if isinstance(model, Dequantised):
        return model.features
    shape = getattr(model, "event_shape", None)
    return None if shape is None else torch.Size(shape).numel()


def load_arguments(binarise: str | None, root: str | None, length: int | None = None) -> dict[str, Any]:
    """The keywords of `deepgen.data.load`; what was not given is left to its defaults."""
    given = {"binarise": binarise, "root": root, "length": length}
    return {name: value for name, value in given.items() if value is not None}
