"""Rows of `quality.py tractable`: models of characters on tiny Shakespeare, in nats per character.

Rows are stretches of ``length`` characters, each predicted from its beginning, so the first characters of a row are
paid for without any context. The published figures (nanoGPT's 1.47) are the best validation loss that was seen; here
the validation text (characters 90 to 95 % of the way) chooses the epoch, and the last 5 % are the test. nanoGPT's
validation text is both together.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from quality_rows import Results, Row, Task, about, trained
from torch import Tensor

import deepgen as dg


def run(row: Row, task: Task) -> Results:
    """Train one model of characters and state validation and test nats per character."""
    s = row.setting
    data = dg.data.load("shakespeare", root=task.root, length=s["length"])
    model = getattr(dg.explicit, s["model"])(65, length=s["length"], generator=task.seed, **s["arguments"])
    model = model.initialise(data.train).to(task.device)
    cost = trained(model, data.train, data.valid, dg.objectives.MaximumLikelihood(), row, task, decay=s["decay"])
    each = {part: _nats(model, getattr(data, part).to(task.device)) for part in dict.fromkeys(("valid", task.judge))}
    if task.judge == "test":
        each["valid and test"] = torch.cat(list(each.values()))
    figures: dict[str, Any] = {}
    for part, rows in each.items():
        figures[f"{part} nats/character"] = round(float(rows.mean()), 4)
        figures[f"stderr over {part} rows"] = round(float(rows.std()) / math.sqrt(len(rows)), 4)
    return {"data": about(data, task.judge), **figures, "side": "exact", **cost}


@torch.no_grad()
def _nats(model: Any, x: Tensor) -> Tensor:
    """-log p of each row, over its length."""
    return torch.cat([-model.eval().log_prob(rows).double() for rows in x.split(100)]) / x.shape[1]


LSTM = Row("LSTM on tiny Shakespeare", run, {
    "model": "CharRNN", "arguments": {"hidden": 256, "cell": "lstm"}, "length": 128, "decay": 0.0, "epochs": 20,
    "batch": 32, "rate": 4e-3}, "validation <= 1.75")  # fmt: skip
TRANSFORMER = Row("Transformer on tiny Shakespeare", run, {
    "model": "Transformer", "arguments": {"width": 128, "heads": 4, "layers": 4}, "length": 128, "decay": 0.1,
    "epochs": 5, "batch": 16, "rate": 2e-3}, "validation <= 1.75")  # fmt: skip
ROWS = [TRANSFORMER, LSTM]
CANDIDATES: list[Row] = []
FULL = [
    Row("Transformer on tiny Shakespeare", run, {
        "model": "Transformer", "arguments": {"width": 384, "heads": 6, "layers": 6, "dropout": 0.2}, "length": 256,
        "decay": 0.1, "epochs": 80, "batch": 64, "rate": 1e-3}, "validation <= 1.47"),
    Row("LSTM on tiny Shakespeare", run, {
        "model": "CharRNN", "arguments": {"hidden": 512, "layers": 2, "cell": "lstm", "dropout": 0.3}, "length": 256,
        "decay": 0.01, "epochs": 60, "batch": 64, "rate": 2e-3}, "validation <= 1.55"),
]  # fmt: skip
