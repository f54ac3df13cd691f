"""Rows of `quality.py tractable`: autoregressive models of bits, on fixed binarised MNIST and on four tables."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from quality_rows import Results, Row, Task, about, likelihood, trained
from torch import Tensor, nn

import deepgen as dg

MONITORED = 2000  # validation rows behind a curve that costs much


def run(row: Row, task: Task) -> Results:
    """Train one autoregressive model, and judge it by its exact likelihood."""
    s = row.setting
    data = dg.data.load(s["data"], root=task.root)
    model = getattr(dg.explicit, s["model"])(generator=task.seed, **s["arguments"]).initialise(data.train)
    model = model.to(task.device)
    agnostic = s["model"] == "DeepNADE" or s["arguments"].get("orders", 1) > 1
    objective = dg.objectives.OrderAgnostic() if agnostic else dg.objectives.MaximumLikelihood()
    valid = data.valid[: s.get("monitored", len(data.valid))]
    cost = trained(model, data.train, valid, objective, row, task, monitor=_any_order if agnostic else None)
    if "ensemble" in s:
        model.reorder(s["ensemble"] if task.judge == "test" else 1, generator=task.seed)
    started = time.process_time()
    held_out = getattr(data, task.judge).to(task.device)
    figures = likelihood(model, held_out, task.judge)
    if agnostic:
        figures["orders"] = len(model.orders)
    return {"data": about(data, task.judge), **figures, **cost, "evaluate CPU s": round(time.process_time() - started)}


@torch.no_grad()
def _any_order(model: nn.Module, valid: Tensor) -> float:
    """The mean over orders of log p_o, from the same eight random orders or sets of known variables at every call."""
    stream = dg.random.generator(0, valid.device)
    return float(torch.stack([model.order_log_prob(valid, generator=stream).mean() for _ in range(8)]).mean())  # type: ignore[operator]


def _mnist(name: str, model: str, target: str, arguments: dict[str, Any], **setting: Any) -> Row:
    shape = {} if "CNN" in model else {"features": 784}
    everything = {"data": "binarized_mnist", "model": model, "arguments": {**shape, **arguments}, **setting}
    return Row(name, run, everything, target)


def _other(row: Row, arguments: dict[str, Any], **setting: Any) -> Row:
    """The same row with other settings."""
    s = row.setting
    return replace(row, setting={**s, **setting, "arguments": {**s["arguments"], **arguments}})


MADE = _mnist("MADE", "MADE", ">= -88.5", {"hidden": [8000]}, epochs=10, batch=100, rate=1e-3)
NADE = _mnist("NADE", "NADE", ">= -88.5", {"hidden": 500}, epochs=60, batch=100, rate=1e-3)
FEW = _mnist(
    "deep orderless NADE", "DeepNADE", ">= -87", {"hidden": [500, 500]}, epochs=90, batch=100, rate=1e-3, ensemble=8
)
DEEP = _other(FEW, {}, epochs=300, ensemble=48, products="bfloat16", **{"decay of matrices": 0.1})
PIXEL = _mnist(
    "gated PixelCNN", "GatedPixelCNN", ">= -83.5", {"shape": [28, 28], "channels": 16, "layers": 8},
    epochs=6, batch=50, rate=3e-3, monitored=MONITORED,
)  # fmt: skip

MNIST = [MADE, NADE, DEEP, PIXEL]
CANDIDATES = [
    _other(MADE, {"hidden": [1000]}),
    MADE,
    NADE,
    FEW,
    DEEP,
    _other(DEEP, {}, epochs=500, ensemble=32),
    PIXEL,
    _other(PIXEL, {}, rate=1.5e-3),
    _other(PIXEL, {}, batch=25, epochs=5, rate=2e-3),
]

TABLES = [
    Row(f"{model} on {data}", run, {"data": data, "model": model, "arguments": {"features": features, **hidden},
        "epochs": epochs, "batch": 100, "rate": rate, "patience": 5}, seeds=3)
    for data, features, epochs in (("nltcs", 16, 100), ("dna", 180, 400), ("plants", 69, 100), ("baudio", 100, 100))
    for model, hidden, rate in (("MADE", {"hidden": [500]}, 1e-3), ("NADE", {"hidden": 200}, 1e-3))
]  # fmt: skip

FULL = [
    _other(MADE, {"hidden": [8000, 8000], "orders": 32}, epochs=300),
    NADE,
    _other(FEW, {}, epochs=1000, ensemble=128),
    _other(PIXEL, {"channels": 64, "layers": 12}, epochs=60, rate=1e-3),
]
