"""Rows of `quality.py boltzmann`: deep machines 784-500-1000 on binarised MNIST, with pre-training and without.

Pre-training is that of the lower two levels as a machine of their own, by PCD: with a top level that sends next to
nothing the deep machine starts as good as that one. The stack of Salakhutdinov & Hinton 2009, each of whose machines
stands for a deep one that is not there yet, starts far lower (docs/results/boltzmann.md).

The log-likelihood is a variational bound less log Z from both sides, so that its upper end belongs to the bound. Mean
field's own bound lies below by as much as levels go together given a row; weighted draws from its law make that up.
The machine is that of Salakhutdinov & Hinton 2009, whose figure is -84.62, and so are bits drawn anew at each pass.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from quality_levels import LEVELS, guessed
from quality_rows import Results, Row, Task, drawn, fitting_rows, products
from torch import Tensor, nn

import deepgen as dg
from deepgen.evaluate.log_f import log_f


def run(row: Row, task: Task) -> Results:
    """Train one machine and state its bounds less log Z: by draws from mean field's law, and by that law alone."""
    data = dg.data.load(row.setting["data"], root=task.root, binarise=row.setting.get("binarise"))
    train, words = fitting_rows(row, task, data)
    dbm, cost = trained(row, task, train)
    started, s = time.process_time(), row.setting
    judged, base = getattr(data, task.judge).to(task.device), drawn(train, task.seed).to(task.device)
    log_z = dg.evaluate.log_partition(
        dbm, "bidirectional", base=base, temperatures=s["temperatures"], chains=s["runs"], generator=task.seed,
        progress=True,
    )  # fmt: skip
    assert isinstance(log_z, dg.evaluate.Bracket)
    bounds = [
        log_f(dbm, judged, draws, patience=0.0, generator=task.seed, progress=True) for draws in (None, s["draws"])
    ]
    product, answer = (dg.evaluate.Bracket(f.over(log_z.above), f.over(log_z.below)) for f in bounds)
    return {
        "data": words,
        **_figures(answer, task.judge),
        "by mean field's bound": [round(product.below.value, 2), round(product.above.value, 2)],
        **cost,
        "evaluate CPU s": round(time.process_time() - started, 1),
    }


def stacked(row: Row, task: Task) -> Results:
    """A network 784-500-2000 whose top starts as the mirror of a machine 784-500, and its bound less log Z.

    The top then learns units drawn anew at each pass from the machine below, by PCD as that one did; where a share of
    the bits is drawn anew, given these.
    """
    s = row.setting
    data = dg.data.load(s["data"], root=task.root)
    train, words = fitting_rows(row, task, data)
    rows, words, told = guessed(row, task, train, words)
    below = dg.RBM(784, s["hidden"][0], generator=task.seed).initialise(train)
    first = _climbed(below, rows, s, task, "below")
    dbn = dg.explicit.DBN.from_rbms([below]).deepened(width=s["hidden"][1], generator=task.seed)
    with torch.no_grad():
        units = dg.data.Redrawn(below.transform(train), "binary") if rows is train else _Units(below, rows)
    second = _climbed(dbn.top, units, {**s, **s["top"]}, task, "top")
    started = time.process_time()
    answer = dg.evaluate.log_likelihood(
        dbn, getattr(data, task.judge), method="bidirectional", base=train, samples=s["draws"],
        temperatures=s["temperatures"], chains=s["runs"], generator=task.seed, progress=True,
    )  # fmt: skip
    return {
        "data": words,
        **_figures(answer, task.judge),
        **told,
        "train CPU s": [round(first, 1), round(second, 1)],
        "evaluate CPU s": round(time.process_time() - started, 1),
    }


class _Units(dg.data.Redrawn):
    """Hidden units of a machine, drawn anew at each access given its rows, which are drawn anew themselves."""

    def __init__(self, below: dg.RBM, rows: dg.data.Redrawn) -> None:
        # its shape alone is used: draw() makes the rows
        super().__init__(torch.zeros(len(rows), below.hidden_bias.numel()), "binary")
        self.below, self.rows = below, rows

    @torch.no_grad()
    def draw(self, index: Any = slice(None), *, generator: torch.Generator | None = None) -> Tensor:
        source = self.generator if generator is None else generator
        means = self.below.hidden.mean(self.below.hidden_field(self.rows.draw(index, generator=source)))
        return torch.empty_like(means).uniform_(generator=source).lt_(means)

    def to(self, device: torch.device | str) -> _Units:
        return _Units(self.below.to(device), self.rows.to(device))


def _climbed(rbm: dg.RBM, train: Any, s: Mapping[str, Any], task: Task, name: str) -> float:
    history = dg.fit(
        rbm, train, dg.objectives.PersistentCD(chains=s["chains"], weight_decay=s["decay"]), epochs=s["epochs"],
        batch_size=100, optimizer=torch.optim.SGD(rbm.parameters(), lr=s["rate"]), schedule=_falling, seed=task.seed,
        out=task.folder / name,
    )  # fmt: skip
    return history[-1].cpu_seconds


def errors(row: Row, task: Task) -> Results:
    """Train one machine on bits drawn anew, then its mean-field network on their labels, and count errors.

    The network sees grey levels and the means that they give; in training both are drawn as bits, anew at each pass.
    """
    s = row.setting
    data = dg.data.load(s["data"], root=task.root, binarise="dynamic")
    grey = dg.data.load(s["data"], root=task.root, binarise="none")
    train, words = fitting_rows(row, task, data)
    dbm, cost = trained(row, task, train)
    parts = ("train", "valid") if len(train) > len(grey.train) else ("train",)
    x = torch.cat([_seen(dbm, getattr(grey, part)) for part in parts])
    y = torch.cat([getattr(grey.labels, part) for part in parts])
    network = dg.explicit.MeanFieldNetwork(dbm, outputs=10, generator=task.seed).to(task.device)
    adam = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=s["tuning rate"])
    history = dg.fit(
        _Told(network), dg.data.Redrawn(x, "binary", context=y), dg.objectives.MaximumLikelihood(),
        epochs=s["tuning epochs"], batch_size=100, optimizer=adam, schedule=_falling, seed=task.seed,
        out=task.folder / "tuning",
    )  # fmt: skip
    started = time.process_time()
    wrong = {p: _wrong(network, _seen(dbm, getattr(grey, p)), getattr(grey.labels, p)) for p in ("train", task.judge)}
    return {
        "data": f"{words}, bits drawn anew in training, grey levels in their place when judged",
        **{f"{part} error, %": round(100 * float(found.mean()), 2) for part, found in wrong.items()},
        "stderr over rows, %": round(100 * float(wrong[task.judge].std()) / len(wrong[task.judge]) ** 0.5, 2),
        **cost,
        "tuning CPU s": round(history[-1].cpu_seconds, 1),
        "evaluate CPU s": round(time.process_time() - started, 1),
    }


class _Told(nn.Module):
    """log p(label | x) with the drawn rows first, as a data set hands them out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def log_prob(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.network.log_prob(labels, x)


@torch.no_grad()
def _seen(dbm: dg.explicit.DBM, grey: Tensor) -> Tensor:
    """Grey levels and the mean-field means of all levels but the lowest, given them."""
    device = dbm.biases[0].device
    return torch.cat([torch.cat([x, *dbm.mean_field(x).means[1:]], 1).cpu() for x in grey.to(device).split(5000)])


def trained(row: Row, task: Task, train: Any) -> tuple[dg.explicit.DBM, Results]:
    """The machine of a row, from its checkpoints if there are some, and what it cost."""
    s, base = row.setting, drawn(train, task.seed)
    dbm = dg.explicit.DBM(base.shape[1], s["hidden"], generator=task.seed).initialise(base)
    dbm, x, first = dbm.to(task.device), train.to(task.device), 0.0
    if s["pre-training"]:
        below = dg.RBM(base.shape[1], s["hidden"][0], generator=task.seed).initialise(base).to(task.device)
        first = _climbed(below, x, {**s, "decay": 0.0, **s["pre-training"]}, task, "pre-training")
        with torch.no_grad():
            dbm.couplings[0].blocks[0].copy_(below.weight)
            for bias, found in zip(dbm.biases, (below.visible_bias, below.hidden_bias), strict=False):
                bias.copy_(found)
    norms = [float(dbm.couplings[-1].blocks[0].detach().norm())]
    objective = dg.objectives.PersistentCD(
        k=s["k"], chains=s["chains"], weight_decay=s["decay"], posterior_steps=s["posterior steps"]
    )
    with products(row, task):
        history = dg.fit(
            dbm, x, objective, epochs=s["epochs"], batch_size=100,
            optimizer=torch.optim.SGD(dbm.parameters(), lr=s["rate"]), schedule=lambda done: (1.0 - done) ** s["fall"],
            seed=task.seed, out=task.folder / "joint",
        )  # fmt: skip
    norms.append(float(dbm.couplings[-1].blocks[0].detach().norm()))
    return dbm, {
        "norm of the top's weights, first and last": [round(norm, 2) for norm in norms],
        "mean-field turns, last epoch": round(history[-1].metrics["turns"], 1),
        "pre-training CPU s": round(first, 1),
        "train CPU s": round(history[-1].cpu_seconds, 1),
    }


def _figures(answer: Any, judge: str) -> Results:
    low, high = answer.interval()
    return {
        "estimator": f"{answer.below.method} | {answer.above.method}",
        "sides": f"{answer.below.side} | {answer.above.side}",
        f"{judge} log-likelihood, nats": [round(answer.below.value, 2), round(answer.above.value, 2)],
        "stderr of chains": [round(answer.below.stderr, 2), round(answer.above.stderr, 2)],
        "95 % interval": [round(low, 2), round(high, 2)],
        "stderr over rows": round(answer.below.stderr_data, 2),
    }


def _falling(done: float) -> float:
    return 1.0 - done


@torch.no_grad()
def _wrong(network: dg.explicit.MeanFieldNetwork, x: Tensor, labels: Tensor) -> Tensor:
    device = next(network.parameters()).device
    found = [network(rows.to(device)).argmax(1).cpu() for rows in x.split(1000)]
    return (torch.cat(found) != labels).double()


def _other(row: Row, **setting: Any) -> Row:
    return replace(row, setting={**row.setting, **setting})


_MACHINE = {"hidden": (500, 1000), "k": 1, "chains": 300, "products": "bfloat16"}
_BOUND = {"draws": 100, "temperatures": 20_000, "runs": 100}
_TRAINED = {"data": "mnist", "binarise": "dynamic", **_MACHINE, "pre-training": {"epochs": 300, "rate": 0.1},
            "decay": 0.0, "epochs": 30, "rate": 0.01, "fall": 1, "posterior steps": 0, "both parts": True}  # fmt: skip
_DEEP = Row(
    "DBM 784-500-1000, pre-trained",
    run,
    {**_TRAINED, **_BOUND},
    "bound less two-sided log Z >= -84.6",
)  # fmt: skip
_PLAIN = replace(
    _other(_DEEP, **{"pre-training": None, "epochs": 200, "rate": 0.1}), name="DBM 784-500-1000, centred alone"
)
_TUNED = Row(
    "DBM 784-500-1000, fine-tuned",
    errors,
    {**_TRAINED, "tuning epochs": 150, "tuning rate": 1e-3},
    "test error <= 1.1 %",
)  # fmt: skip
_STACKED = Row(
    "DBN 784-500-2000",
    stacked,
    {"data": "binarized_mnist", "hidden": (500, 2000), "epochs": 100, "rate": 0.1, "decay": 0.0, "chains": 300,
     "top": {"epochs": 40, "rate": 0.05}, **_BOUND, "both parts": True, "draws": 50},
    "bound less two-sided log Z >= -86.2",
)  # fmt: skip
_GUESSED = replace(
    _other(_STACKED, epochs=300, runs=300, **{"share drawn anew": 0.5, "levels": LEVELS}),
    name="DBN 784-500-2000, levels guessed",
)
ROWS = [_DEEP, _PLAIN, _TUNED, _STACKED, _GUESSED]
CANDIDATES = [
    *(_other(_DEEP, **{"posterior steps": steps}) for steps in (0, 2)),
    *(_other(_PLAIN, epochs=100, rate=rate) for rate in (0.05, 0.1, 0.2)),
    *(_other(_TUNED, **{"tuning epochs": epochs}) for epochs in (15, 60, 150)),
]
