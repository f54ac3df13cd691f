"""Rows of `quality.py tractable`: models of characters on tiny Shakespeare, in nats per character.

Rows are stretches of ``length`` characters, each predicted from its beginning, so the first characters of a row are
paid for without any context. The published figures (nanoGPT's 1.47) are the best validation loss that was seen; here
the validation text (characters 90 to 95 % of the way) chooses the epoch, and the last 5 % are the test.
"""

from __future__ import annotations

from typing import Any

from quality_rows import Results, Row, Task, about, trained

import deepgen as dg


def run(row: Row, task: Task) -> Results:
    """Train one model of characters and state validation and test nats per character."""
    s = row.setting
    data = dg.data.load("shakespeare", root=task.root, length=s["length"])
    model = getattr(dg.explicit, s["model"])(65, length=s["length"], generator=task.seed, **s["arguments"])
    model = model.initialise(data.train).to(task.device)
    cost = trained(model, data.train, data.valid, dg.objectives.MaximumLikelihood(), row, task, decay=s["decay"])
    figures: dict[str, Any] = {}
    for part in dict.fromkeys(("valid", task.judge)):
        estimate = dg.evaluate.log_likelihood(model.eval(), getattr(data, part).to(task.device))
        value, error = (round(number / s["length"], 4) for number in (-estimate.value, estimate.stderr_data))
        figures |= {f"{part} nats/character": value, f"stderr over {part} rows": error}
    return {"data": about(data, task.judge), **figures, "side": "exact", **cost}


LSTM = Row("LSTM on tiny Shakespeare", run, {
    "model": "CharRNN", "arguments": {"hidden": 256, "cell": "lstm"}, "length": 128, "decay": 0.0, "epochs": 20,
    "batch": 32, "rate": 4e-3}, "validation <= 1.75")  # fmt: skip
TRANSFORMER = Row("Transformer on tiny Shakespeare", run, {
    "model": "Transformer", "arguments": {"width": 128, "heads": 4, "layers": 4}, "length": 128, "decay": 0.1,
    "epochs": 15, "batch": 16, "rate": 1e-3}, "validation <= 1.75")  # fmt: skip
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
