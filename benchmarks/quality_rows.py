"""What the rows of `quality.py` share: a row's settings, one training run, and the figures of a likelihood."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import deepgen as dg
from deepgen.train import EarlyStopping

Results = dict[str, Any]
LONGEST = 230  # of a folder's name, to which seed and part are added; file systems take 255


@dataclass(frozen=True)
class Task:
    """Where a row is run: ``judge`` is the part of the data its figures are of, "test" or "valid"."""

    root: str | None
    folder: Path
    seed: int
    judge: str
    device: str


@dataclass(frozen=True)
class Row:
    """One figure to meet: ``run(row, task)`` trains with ``setting``, plain values that say all there is to say."""

    name: str
    run: Callable[[Row, Task], Results]
    setting: Mapping[str, Any] = field(default_factory=dict)
    target: str = ""
    seeds: int = 1

    def folder(self) -> str:
        """A name of its own for every setting, so that a choice among settings leaves the chosen run to its row."""
        words = [self.name, *(f"{key}-{_short(value)}" for key, value in self.setting.items())]
        name = "_".join(words).replace(" ", "-").replace("/", "-")
        return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}-{digest(name)}"


def digest(name: str) -> str:
    """Eight signs for it."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "_".join(f"{key}-{_short(part)}" for key, part in value.items())
    return "x".join(map(_short, value)) if isinstance(value, (list, tuple)) else f"{value}"


def cosine(done: float, warm: float = 0.02) -> float:
    """Factor of the rate: up in a line over the first fiftieth of the steps, then down half a cosine to zero."""
    return done / warm if done < warm else 0.5 * (1 + math.cos(math.pi * (done - warm) / (1 - warm)))


def trained(
    model: nn.Module,
    train: Any,
    valid: Any,
    objective: Any,
    row: Row,
    task: Task,
    *,
    monitor: Callable[[nn.Module, Any], float] | None = None,
    decay: float = 0.0,
) -> Results:
    """Fit ``model`` by Adam and leave it at the epoch of the best ``valid``; return what the run cost.

    ``decay`` is of all parameters, the setting "decay of matrices" of those with two axes. The setting "products" is
    the precision of matrix products in training alone; ``monitor`` and all figures are in float32.
    """
    s = row.setting

    def judged(model: nn.Module, rows: Any) -> float:
        assert monitor is not None
        with torch.autocast(task.device, enabled=False):
            return monitor(model, rows)

    with products(row, task):
        history = dg.fit(
            model,
            train,
            objective,
            epochs=s["epochs"],
            batch_size=s["batch"],
            optimizer=_adam(model, s["rate"], decay, s.get("decay of matrices", 0.0)),
            schedule=cosine,
            seed=task.seed,
            valid=valid,
            monitor=None if monitor is None else judged,
            callbacks=[EarlyStopping(patience=s.get("patience", s["epochs"]))],
            out=task.folder,
        )
    best = max(history, key=lambda record: -math.inf if record.monitor is None else record.monitor)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "epochs, best": [len(history), best.epoch],
        "train CPU s": round(history[-1].cpu_seconds),
    }


def products(row: Row, task: Task) -> torch.autocast:
    """Matrix products and convolutions in the precision of the setting "products", float32 without it."""
    low = row.setting.get("products")
    # without its cache, which would keep the weights of the first step until the last
    return torch.autocast(task.device, getattr(torch, low or "bfloat16"), enabled=low is not None, cache_enabled=False)


def _adam(model: nn.Module, rate: float, decay: float, decay_of_matrices: float) -> torch.optim.AdamW:
    every = list(model.parameters())
    groups = [
        {"params": [p for p in every if p.ndim > 1], "weight_decay": decay + decay_of_matrices},
        {"params": [p for p in every if p.ndim < 2], "weight_decay": decay},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, fused=True)


def likelihood(model: Any, rows: Tensor, judge: str) -> Results:
    """The mean log-likelihood of ``rows`` in nats, exact, and the standard error of the choice of the rows."""
    model.eval()
    estimate = dg.evaluate.log_likelihood(model, rows)
    return {
        f"{judge} log-likelihood, nats": round(estimate.value, 3),
        "stderr over rows": round(estimate.stderr_data, 3),
        "side": estimate.side,
    }


def about(data: dg.data.Data, judge: str) -> str:
    """Name, binarisation or dequantisation, and how many rows."""
    given = data.provenance
    kind = [given[key] for key in ("binarisation", "dequantisation") if given.get(key, "none") != "none"]
    return ", ".join([given["name"], *kind, f"{len(data.train)} train, {len(getattr(data, judge))} {judge}"])


def fitting_rows(row: Row, task: Task, data: dg.data.Data) -> tuple[Any, str]:
    """The rows to train on, and what they are: a setting that the validation rows chose learns from them as well."""
    words = about(data, task.judge)
    if not (row.setting.get("both parts") and task.judge == "test"):
        return data.train, words
    if isinstance(data.train, dg.data.Redrawn):  # bits of the validation rows were drawn once
        grey = dg.data.load(row.setting["data"], root=task.root, binarise="none")
        rows: Any = dg.data.Redrawn(torch.cat([grey.train, grey.valid]), data.train.noise)
    else:
        rows = torch.cat([data.train, data.valid])
    return rows, f"{words}, the {len(data.valid)} validation rows trained on as well"


def drawn(rows: Any, seed: int) -> Tensor:
    """Rows whose bits are drawn anew, drawn once; other rows as they are."""
    return rows.draw(generator=dg.random.generator(seed)) if isinstance(rows, dg.data.Redrawn) else rows
