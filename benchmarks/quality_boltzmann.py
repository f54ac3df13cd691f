"""Rows of `quality.py boltzmann` that train RBMs of bits: published figures, trainers at equal steps, labels."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from quality_levels import LEVELS, guessed
from quality_rows import Results, Row, Task, about, drawn, fitting_rows
from torch import Tensor

import deepgen as dg


def _rows(row: Row, task: Task) -> tuple[Any, Tensor, Tensor, str]:
    """Training, validation and test rows of a row's set, and what they are in words."""
    name, flipped = row.setting["data"], row.setting.get("flipped", False)
    if name in ("bars_and_stripes", "labelled_shifter"):
        x = getattr(dg.data, name)()
        return x, x, x, f"{name}, all {len(x)} rows, each set of rows the same"
    usual = "threshold" if name == "mnist" else None
    data = dg.data.load(name, root=task.root, binarise=row.setting.get("binarise", usual))
    train, words = fitting_rows(row, task, data)
    parts = [1 - part if flipped else part for part in (train, data.valid, data.test)]
    return parts[0], parts[1], parts[2], words + (", flipped" if flipped else "")


def _objective(trainer: Mapping[str, Any]) -> Any:
    options = {key: value for key, value in trainer.items() if key != "kind"}
    return getattr(dg.objectives, trainer["kind"])(**options)


def likelihood(row: Row, task: Task) -> Results:
    """Train one machine of bits with plain SGD, the rate falling linearly to zero, and state its likelihood."""
    s = row.setting
    train, valid, test, words = _rows(row, task)
    base = drawn(train, task.seed)
    train, words, told = guessed(row, task, train, words)
    rbm = dg.RBM(base.shape[1], s["hidden"], generator=task.seed).initialise(base)
    objective = _objective(s["trainer"])
    online = isinstance(objective, dg.objectives.TrajectoryTempering)  # a likelihood of some rows after every epoch
    history = dg.fit(
        rbm, train, objective, epochs=s["epochs"], batch_size=s.get("batch", 100), out=task.folder, seed=task.seed,
        optimizer=torch.optim.SGD(rbm.parameters(), lr=s["rate"]), schedule=lambda done: 1.0 - done,
        **({"valid": valid[:2000], "monitor": objective.log_likelihood} if online else {}),
    )  # fmt: skip
    if online:
        started = time.process_time()
        told |= {"online, valid": str(objective.log_likelihood(rbm, valid))}
        told["online CPU s"] = round(time.process_time() - started, 1)
        told["exact, valid"] = str(dg.evaluate.log_likelihood(rbm, valid, "exact"))
    started = time.process_time()
    judged = {"test": test, "valid": valid}[task.judge]
    exact = s["method"] == "exact"
    settings: dict[str, Any] = {} if exact else {"base": base, "temperatures": 10_000, "progress": True}
    found = dg.evaluate.log_likelihood(rbm, judged, s["method"], generator=task.seed, **settings)
    low, high = found.interval()
    last = history[-1]
    return {
        "data": words,
        f"{task.judge} log-likelihood": str(found),
        "95 % interval": [round(low, 3), round(high, 3)],
        "stderr over rows": round((found if exact else found.below).stderr_data, 3),  # type: ignore[union-attr]
        **(_gap(train, low) if train is test else {}),
        **told,
        "last epoch": {key: round(value, 3) for key, value in last.metrics.items()},
        "train CPU s": round(last.cpu_seconds, 1),
        "evaluate CPU s": round(time.process_time() - started, 1),
    }


def _gap(x: Tensor, found: float) -> Results:
    """How far an exact likelihood lies below the best there is; ``x`` are all rows, so that none are held out."""
    ceiling = dg.data.ceiling(x)
    return {"ceiling, nats": round(ceiling, 3), "gap in likelihood, nats": round(ceiling - found, 4)}


FLIP, BITS = 0.03, 12


def modes(row: Row, task: Task) -> Results:
    """Two modes far apart, all off and all on with 3 % of bits flipped, half of the rows each: KL by enumeration."""
    s, stream = row.setting, dg.random.generator(task.seed)
    side = (torch.rand(s["rows"], 1, generator=stream) < 0.5).float()
    x = (side - (torch.rand(s["rows"], BITS, generator=stream) < FLIP).float()).abs()
    rbm = dg.RBM(BITS, s["hidden"], generator=task.seed).initialise(x)
    history = dg.fit(rbm, x, _objective(s["trainer"]), epochs=s["epochs"], batch_size=100, seed=task.seed,
                     optimizer=torch.optim.SGD(rbm.parameters(), lr=s["rate"]), out=task.folder)  # fmt: skip
    states = rbm.visible.enumerate(0, 2**BITS)
    ones = states.sum(1)
    kept, lost = math.log(1 - FLIP), math.log(FLIP)
    up, down = ones * kept + (BITS - ones) * lost, (BITS - ones) * kept + ones * lost
    log_q = torch.logaddexp(up, down) - math.log(2)
    with torch.no_grad():
        log_p = rbm.double().log_density(states).log_softmax(0)
    upper = float(log_p[ones > BITS / 2].exp().sum())
    return {
        "data": f"two modes of {BITS} bits, {s['rows']} rows",
        "KL, nats": round(float((log_q.exp() * (log_q - log_p)).sum()), 4),
        "modes found": int(upper > 0.1) + int(upper < 0.9),
        "mass of one mode (half in truth)": round(upper, 4),
        "last epoch": {key: round(value, 3) for key, value in history[-1].metrics.items()},
        "train CPU s": round(history[-1].cpu_seconds, 1),
    }


def labels(row: Row, task: Task) -> Results:
    """A ClassRBM by its hybrid objective on bits drawn anew, judged on grey levels in their place.

    It is kept at the epoch of the fewest validation errors.
    """
    s = row.setting
    data = dg.data.load(s["data"], root=task.root, binarise="none")
    assert data.labels is not None
    rbm = dg.explicit.ClassRBM(data.event_shape.numel(), 10, s["hidden"], generator=task.seed)
    named = torch.nn.functional.one_hot(data.labels.train.long(), 10).to(data.train)
    train = dg.data.Redrawn(torch.cat([data.train, named], 1), "binary")  # a label is 0 or 1, and is drawn as it is

    def wrong(model: Any, part: str) -> float:
        chosen = model.log_labels(getattr(data, part)).argmax(1)
        return float((chosen != getattr(data.labels, part)).double().mean())

    history = dg.fit(
        rbm, train, dg.objectives.Hybrid(generative=s["generative"]), epochs=s["epochs"], batch_size=100,
        optimizer=torch.optim.Adam(rbm.parameters(), lr=s["rate"]), schedule=lambda done: 1 - done, seed=task.seed,
        valid=drawn(train, task.seed)[:1], monitor=lambda model, _: -wrong(model, "valid"),
        callbacks=[dg.train.EarlyStopping(patience=s["epochs"])], out=task.folder,
    )  # fmt: skip
    share, rows = wrong(rbm, task.judge), len(getattr(data, task.judge))
    return {
        "data": about(data, task.judge) + ", bits drawn anew in training, grey levels in their place when judged",
        f"{task.judge} errors, %": _percent(share, rows),
        "valid errors, %": _percent(wrong(rbm, "valid"), len(data.valid)),
        "train CPU s": round(history[-1].cpu_seconds, 1),
    }


def _percent(share: float, rows: int) -> str:
    return f"{100 * share:.2f} ± {100 * (share * (1 - share) / rows) ** 0.5:.2f} (± by choice of the rows)"


PCD, FAST = {"kind": "PersistentCD", "chains": 100}, {"kind": "FastPersistentCD", "chains": 100}
TEMPERED = {"kind": "ParallelTempering", "chains": 100, "betas": 10}
TRAJECTORY = {"kind": "TrajectoryTempering", "chains": 100}
TRAINERS = {"PCD": PCD, "FPCD": FAST, "PT of 10": TEMPERED, "PTT": TRAJECTORY}
_LARGE = {"data": "binarized_mnist", "hidden": 500, "trainer": {**PCD, "chains": 300}, "method": "bidirectional"}

RBMS = [
    Row("RBM 784-500", likelihood, {**_LARGE, "epochs": 100, "rate": 0.1, "both parts": True},
        ">= -86.0, interval <= 1 nat, < 600 CPU s"),
    Row("RBM 784-500, bits drawn anew", likelihood, {**_LARGE, "data": "mnist", "binarise": "dynamic", "epochs": 300,
        "rate": 0.1, "both parts": True}, ">= -84.9"),
    Row("RBM 784-500, levels guessed", likelihood, {**_LARGE, "epochs": 300, "rate": 0.1, "both parts": True,
        "share drawn anew": 0.5, "levels": LEVELS}, ">= -84.9"),
    Row("RBM 784-16", likelihood, {"data": "mnist", "hidden": 16, "trainer": PCD, "epochs": 50, "rate": 0.1,
        "method": "exact"}, "exact >= -142.5"),
    Row("RBM 784-16 flipped", likelihood, {"data": "mnist", "flipped": True, "hidden": 16, "trainer": PCD,
        "epochs": 50, "rate": 0.1, "method": "exact"}, "within 0.5 nat of the row before"),
    Row("bars and stripes RBM", likelihood, {"data": "bars_and_stripes", "hidden": 64, "trainer": {**TEMPERED,
        "chains": 200, "betas": 8}, "epochs": 10_000, "batch": 32, "rate": 0.1, "method": "exact"},
        "within 0.05 nat of the ceiling"),
    Row("labelled shifter RBM", likelihood, {"data": "labelled_shifter", "hidden": 100, "trainer": {**TEMPERED,
        "chains": 300, "betas": 8}, "epochs": 12_000, "batch": 768, "rate": 0.8, "method": "exact"},
        "within 0.05 nat of the ceiling"),
    *(Row(f"RBM 784-20 {name}, {rate}", likelihood, {"data": "binarized_mnist", "hidden": 20, "trainer": trainer,
          "epochs": 60, "rate": rate, "method": "exact"}, "never worse than PCD")
      for name, trainer in TRAINERS.items() for rate in (0.05, 0.2)),
    *(Row(f"two modes {name}", modes, {"rows": 1000, "hidden": 4, "trainer": trainer, "epochs": 600, "rate": 0.1},
          "never worse than PCD; PTT keeps both", seeds=5)
      for name, trainer in {**TRAINERS, "FPCD, fast rate 10": {**FAST, "fast_rate": 10.0}}.items()),
    Row("ClassRBM hybrid", labels, {"data": "mnist", "hidden": 1500, "generative": 0.01, "epochs": 60, "rate": 4e-3},
        "<= 1.4 % errors"),
]  # fmt: skip
CANDIDATES = [
    replace(RBMS[0], setting={**_LARGE, "epochs": epochs, "rate": rate, "trainer": {**PCD, "chains": 300,
            "weight_decay": decay}})
    for epochs in (60, 100) for rate in (0.05, 0.1) for decay in (0.0, 1e-4, 3e-4)
] + [
    replace(RBMS[1], setting={**RBMS[1].setting, "rate": rate}) for rate in (0.05, 0.1, 0.2, 0.4)
] + [
    replace(RBMS[2], setting={**RBMS[2].setting, "share drawn anew": share, "epochs": epochs})
    for share, epochs in ((0.25, 100), (0.5, 100), (1.0, 100), (0.5, 300), (0.25, 300))
] + [
    replace(RBMS[-1], setting={**RBMS[-1].setting, "hidden": 1000, "epochs": 15, "rate": rate})
    for rate in (1e-3, 4e-3, 1.5e-2)
]  # fmt: skip
ROWS, FULL = RBMS, RBMS
