"""Rows of `quality.py boltzmann` that train RBMs: published figures, trainers at equal steps, labels, real units."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from quality_rows import Results, Row, Task, about
from torch import Tensor

import deepgen as dg


def _rows(name: str, task: Task, flipped: bool = False) -> tuple[Tensor, Tensor, Tensor, str]:
    """Training, validation and test rows of a set, and what they are in words."""
    if name in ("bars_and_stripes", "labelled_shifter"):
        x = getattr(dg.data, name)()
        return x, x, x, f"{name}, all {len(x)} rows, each set of rows the same"
    threshold = name == "mnist"
    data = dg.data.load(name, root=task.root, binarise="threshold" if threshold else None)
    parts = [1 - part if flipped else part for part in (data.train, data.valid, data.test)]
    return parts[0], parts[1], parts[2], about(data, task.judge) + (", flipped" if flipped else "")


def _objective(trainer: Mapping[str, Any]) -> Any:
    options = {key: value for key, value in trainer.items() if key != "kind"}
    return getattr(dg.objectives, trainer["kind"])(**options)


def likelihood(row: Row, task: Task) -> Results:
    """Train one machine of bits with plain SGD, the rate falling linearly to zero, and state its likelihood."""
    s = row.setting
    train, valid, test, words = _rows(s["data"], task, s.get("flipped", False))
    rbm = dg.RBM(train.shape[1], s["hidden"], generator=task.seed).initialise(train)
    objective = _objective(s["trainer"])
    online = isinstance(objective, dg.objectives.TrajectoryTempering)
    history = dg.fit(
        rbm, train, objective, epochs=s["epochs"], batch_size=s.get("batch", 100), out=task.folder, seed=task.seed,
        optimizer=torch.optim.SGD(rbm.parameters(), lr=s["rate"]), schedule=lambda done: 1.0 - done,
        **({"valid": valid, "monitor": objective.log_likelihood} if online else {}),
    )  # fmt: skip
    started = time.process_time()
    judged = {"test": test, "valid": valid}[task.judge]
    exact = s["method"] == "exact"
    settings: dict[str, Any] = {} if exact else {"base": train, "temperatures": 10_000, "progress": True}
    found = dg.evaluate.log_likelihood(rbm, judged, s["method"], generator=task.seed, **settings)
    low, high = found.interval()
    last = history[-1]
    return {
        "data": words,
        f"{task.judge} log-likelihood": str(found),
        "95 % interval": [round(low, 3), round(high, 3)],
        **({"ceiling, nats": round(dg.data.ceiling(train), 3)} if train is test else {}),
        **({"online, valid, last epoch": last.estimate} if online else {}),
        "last epoch": {key: round(value, 3) for key, value in last.metrics.items()},
        "train CPU s": round(last.cpu_seconds, 1),
        "evaluate CPU s": round(time.process_time() - started, 1),
    }


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
    """A ClassRBM by its hybrid objective on thresholded MNIST, at the epoch of the fewest validation errors."""
    s = row.setting
    data = dg.data.load(s["data"], root=task.root, binarise="threshold")
    assert data.labels is not None
    rbm = dg.explicit.ClassRBM(data.event_shape.numel(), 10, s["hidden"], generator=task.seed)
    train, valid = rbm.join(data.train, data.labels.train), rbm.join(data.valid, data.labels.valid)

    def right(model: Any, rows: Tensor) -> float:
        x, y = model.split(rows)
        return float((model.predict(x) == y).double().mean())

    history = dg.fit(
        rbm, train, dg.objectives.Hybrid(generative=s["generative"]), epochs=s["epochs"], batch_size=100,
        optimizer=torch.optim.Adam(rbm.parameters(), lr=s["rate"]), schedule=lambda done: 1 - done, seed=task.seed,
        valid=valid, monitor=right, callbacks=[dg.train.EarlyStopping(patience=s["epochs"])], out=task.folder,
    )  # fmt: skip
    x, y = (data.test, data.labels.test) if task.judge == "test" else (data.valid, data.labels.valid)
    wrong = float((rbm.predict(x) != y).double().mean())
    error = (wrong * (1 - wrong) / len(y)) ** 0.5
    return {
        "data": about(data, task.judge),
        f"{task.judge} errors, %": f"{100 * wrong:.2f} ± {100 * error:.2f} (± by choice of the rows)",
        "train CPU s": round(history[-1].cpu_seconds, 1),
    }


def mixture(row: Row, task: Task) -> Results:
    """Two independent Laplace sources, mixed and whitened (Melchior 2016): exact likelihood beside the law's own."""
    s, stream = row.setting, dg.random.generator(task.seed)
    mixing = torch.tensor([[1.0, 0.5], [0.2, 1.0]])
    u = torch.rand(s["rows"] + s["tested"], 2, generator=stream).clamp(1e-6, 1 - 1e-6) - 0.5
    sources = -u.sign() * (1 - 2 * u.abs()).log() / 2**0.5  # of variance 1
    mixed = sources @ mixing.T
    values, vectors = torch.linalg.eigh(mixed[: s["rows"]].T.cov())
    whiten = vectors @ values.rsqrt().diag() @ vectors.T
    x = mixed @ whiten
    x = x - x[: s["rows"]].mean(0)
    train, test = x[: s["rows"]], x[s["rows"] :]
    law = torch.distributions.Laplace(torch.zeros(2), 2**-0.5)
    truth = law.log_prob(sources[s["rows"] :]).sum(1).mean() - torch.linalg.slogdet(whiten @ mixing)[1]
    visible = dg.explicit.Gaussian(2, precision=s["precision"], learned=True)
    rbm = dg.RBM(visible, 4, generator=task.seed).initialise(train)
    slow = rbm.visible.log_precision
    groups = [{"params": [p for p in rbm.parameters() if p is not slow]}, {"params": [slow], "lr": s["rate"] / 30}]
    history = dg.fit(rbm, train, _objective(s["trainer"]), epochs=s["epochs"], batch_size=100, seed=task.seed,
                     optimizer=torch.optim.SGD(groups, lr=s["rate"]), schedule=lambda t: 1 - t,
                     out=task.folder)  # fmt: skip
    single = torch.distributions.MultivariateNormal(train.mean(0), train.T.cov()).log_prob(test).mean()
    found = dg.evaluate.log_likelihood(rbm, test, "exact")
    return {
        "data": f"2-D ICA mixture, {s['rows']} train, {s['tested']} test",
        "test log-likelihood": round(float(found.value), 4),  # type: ignore[union-attr]
        "stderr over rows": round(found.stderr_data, 4),  # type: ignore[union-attr]
        "the law's own": round(float(truth), 4),
        "one Gaussian": round(float(single), 4),
        "train CPU s": round(history[-1].cpu_seconds, 1),
    }


def faces(row: Row, task: Task) -> Results:
    """A Gaussian RBM on standardised Frey faces at the default rate: finite, and how far draws lie from the data."""
    s = row.setting
    data = dg.data.load("frey_faces", root=task.root)
    train = data.train
    mean, deviation = train.mean(0), train.std(0).clamp_min(1e-3)
    x = (train - mean) / deviation
    visible = dg.explicit.Gaussian(x.shape[1], learned=False)
    rbm = dg.RBM(visible, s["hidden"], generator=task.seed).initialise(x)
    objective = dg.objectives.PersistentCD(k=1, chains=100)
    history = dg.fit(rbm, x, objective, epochs=s["epochs"], seed=task.seed, out=task.folder)
    drawn = rbm.sample(64, steps=s["steps"], generator=task.seed)
    smooth = rbm.reconstruct(drawn) * deviation + mean  # without the units' own noise
    task.folder.mkdir(parents=True, exist_ok=True)
    dg.plot.image_grid(smooth.clamp(0, 1), data.image_shape, path=task.folder / "faces.png")
    return {
        "data": about(data, task.judge),
        "finite": bool(drawn.isfinite().all() and all(p.isfinite().all() for p in rbm.parameters())),
        "mean, standard deviation of draws (0 and 1)": [round(float(drawn.mean()), 3), round(float(drawn.std()), 3)],
        "picture": str(task.folder / "faces.png"),
        "train CPU s": round(history[-1].cpu_seconds, 1),
    }


PCD, FAST = {"kind": "PersistentCD", "chains": 100}, {"kind": "FastPersistentCD", "chains": 100}
TEMPERED = {"kind": "ParallelTempering", "chains": 100, "betas": 10}
TRAJECTORY = {"kind": "TrajectoryTempering", "chains": 100}
TRAINERS = {"PCD": PCD, "FPCD": FAST, "PT": TEMPERED, "PTT": TRAJECTORY}
_LARGE = {"data": "binarized_mnist", "hidden": 500, "trainer": {**PCD, "chains": 300}, "method": "bidirectional"}

RBMS = [
    Row("RBM 784-500", likelihood, {**_LARGE, "epochs": 60, "rate": 0.1}, ">= -86.0, interval <= 1 nat, < 600 CPU s"),
    Row("RBM 784-16", likelihood, {"data": "mnist", "hidden": 16, "trainer": PCD, "epochs": 50, "rate": 0.1,
        "method": "exact"}, "exact >= -142.5"),
    Row("RBM 784-16 flipped", likelihood, {"data": "mnist", "flipped": True, "hidden": 16, "trainer": PCD,
        "epochs": 50, "rate": 0.1, "method": "exact"}, "within 0.5 nat of the row before"),
    Row("bars and stripes", likelihood, {"data": "bars_and_stripes", "hidden": 64, "trainer": {**PCD, "k": 10},
        "epochs": 30_000, "batch": 32, "rate": 0.3, "method": "exact"}, "within 0.05 nat of it"),
    Row("labelled shifter", likelihood, {"data": "labelled_shifter", "hidden": 100, "trainer": {**PCD, "k": 10,
        "chains": 500}, "epochs": 5000, "batch": 256, "rate": 0.2, "method": "exact"}, "within 0.05 nat of it"),
    *(Row(f"RBM 784-20 {name}", likelihood, {"data": "binarized_mnist", "hidden": 20, "trainer": trainer, "epochs": 60,
          "rate": 0.05, "method": "exact"}, "never worse than PCD") for name, trainer in TRAINERS.items()),
    *(Row(f"two modes {name}", modes, {"rows": 1000, "hidden": 4, "trainer": trainer, "epochs": 600, "rate": 0.1},
          "PTT keeps both", seeds=5) for name, trainer in {**TRAINERS, "PTT": {**TRAJECTORY, "every": 1}}.items()),
    Row("ClassRBM hybrid", labels, {"data": "mnist", "hidden": 1500, "generative": 0.01, "epochs": 40, "rate": 1e-3},
        "<= 1.4 % errors"),
    Row("Gaussian RBM 2-4", mixture, {"rows": 50_000, "tested": 50_000, "trainer": {**PCD, "k": 5, "chains": 1000},
        "precision": 3.0, "epochs": 100, "rate": 0.05}, ">= -2.737 where the law's own is -2.736"),
    Row("Frey faces", faces, {"hidden": 100, "epochs": 100, "steps": 1000}, "no NaN, looked at", seeds=5),
]  # fmt: skip
CANDIDATES = [
    replace(RBMS[0], setting={**_LARGE, "epochs": epochs, "rate": rate, "trainer": {**PCD, "chains": 300,
            "weight_decay": decay}})
    for epochs in (60, 100) for rate in (0.05, 0.1) for decay in (0.0, 1e-4, 3e-4)
] + [
    replace(RBMS[1], setting={**RBMS[1].setting, "rate": rate}) for rate in (0.05, 0.1, 0.2, 0.4)
]  # fmt: skip
ROWS, FULL = RBMS, RBMS
