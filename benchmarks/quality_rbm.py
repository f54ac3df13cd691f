"""Rows of `quality.py rbm`: machines 784-20 and 784-500 on fixed binarised MNIST, by PCD within minutes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from quality_rows import Results, Row, Task, about

import deepgen as dg


def run(row: Row, task: Task) -> Results:
    """Train one machine by centred PCD-1, batch 100, rate falling linearly to zero, and state its likelihood."""
    s = row.setting
    data = dg.data.load(s["data"], root=task.root)
    rbm = dg.explicit.RBM(visible=784, hidden=s["hidden"], generator=task.seed).initialise(data.train).to(task.device)
    history = dg.fit(
        rbm,
        data.train,
        dg.objectives.PersistentCD(k=1, chains=s["chains"]),
        epochs=s["epochs"],
        batch_size=100,
        optimizer=torch.optim.SGD(rbm.parameters(), lr=s["rate"]),
        schedule=lambda done: 1.0 - done,
        seed=task.seed,
        out=task.folder,
    )
    started = time.process_time()
    held_out = getattr(data, task.judge).to(task.device)
    exact = s["method"] == "exact"
    settings: dict[str, Any] = {} if exact else {"base": data.train.to(task.device), "temperatures": 10_000}
    answer = dg.evaluate.log_likelihood(
        rbm, held_out, method=s["method"], generator=task.seed, progress=True, **settings
    )
    below, above = (answer.below, answer.above) if isinstance(answer, dg.evaluate.Bracket) else (answer, answer)
    low, high = answer.interval()
    return {
        "data": about(data, task.judge),
        "estimator": f"{below.method} | {above.method}" if below is not above else below.method,
        f"{task.judge} log-likelihood, nats": [round(below.value, 2), round(above.value, 2)],
        "95 % interval": [round(low, 2), round(high, 2)],
        "stderr over rows": round(below.stderr_data, 2),
        "train CPU s": round(history[-1].cpu_seconds, 1),
        "evaluate CPU s": round(time.process_time() - started, 1),
    }


def _row(hidden: int, target: str, **setting: Any) -> Row:
    return Row(f"RBM 784-{hidden}", run, {"data": "binarized_mnist", "hidden": hidden, **setting}, target)


def _other(row: Row, **setting: Any) -> Row:
    return replace(row, setting={**row.setting, **setting})


_SMALL = _row(20, "exact >= -138.5", epochs=60, rate=0.2, chains=100, method="exact")
_LARGE = _row(500, "interval >= -92, width <= 1.5", epochs=100, rate=0.1, chains=300, method="bidirectional")
ROWS = [_SMALL, _LARGE]
CANDIDATES = [
    *(_other(_SMALL, epochs=epochs, rate=rate) for epochs in (30, 60) for rate in (0.05, 0.1, 0.2)),
    *(_other(_LARGE, epochs=60, rate=rate, chains=chains) for rate in (0.1, 0.15, 0.2) for chains in (100, 300)),
    *(_other(_LARGE, epochs=100, rate=rate, chains=300) for rate in (0.1, 0.15)),
]
