"""Rows of `quality.py boltzmann` with real units, and a small deep machine whose likelihood is exact."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from quality_rows import Results, Row, Task, about
from torch import Tensor

import deepgen as dg


def mixture(row: Row, task: Task) -> Results:
    """Two independent Laplace sources, mixed and whitened (Melchior, Wang & Wiskott 2017): the exact likelihood.

    Beside it that of the law itself and, of the same machine and rows, what maximum likelihood by exact gradients
    reaches. The seed draws the mixing, its entries uniform from -1/2 to 1/2, and the rows. Unlike the paper the
    whitening is of the training rows alone.
    """
    s, stream = row.setting, dg.random.generator(task.seed)
    law = torch.distributions.Laplace(torch.ones(2), 1.0)
    mixing = torch.rand(2, 2, generator=stream) - 0.5
    sources = dg.random.draw(law, (3 * s["rows"],), generator=stream)
    mixed = sources @ mixing.T
    white = dg.layers.Whitening(2).initialise(mixed[: s["rows"]])
    train, valid, test = white(mixed).split(s["rows"])
    judged, part = (test, 2) if task.judge == "test" else (valid, 1)
    own = law.log_prob(sources.split(s["rows"])[part]).sum(1) - torch.linalg.slogdet(white.matrix @ mixing)[1]
    rbm = _scattered(train, s["hidden"], task.seed)
    slow = rbm.visible.log_precision
    groups = [{"params": [p for p in rbm.parameters() if p is not slow]}, {"params": [slow], "lr": s["rate"] / 10}]
    history = dg.fit(
        rbm, train, dg.objectives.PersistentCD(k=s["k"], chains=s["chains"]), epochs=s["epochs"],
        batch_size=s["batch"], seed=task.seed, optimizer=torch.optim.SGD(groups, lr=s["rate"]), schedule=_falling,
        out=task.folder,
    )  # fmt: skip
    found = dg.evaluate.log_likelihood(rbm, judged, "exact")
    best = dg.evaluate.log_likelihood(_climbed(_scattered(train, s["hidden"], task.seed), train), judged, "exact")
    low, high = found.interval()
    return {
        "data": f"two mixed Laplace sources, {s['rows']} train, {s['rows']} {task.judge}",
        f"{task.judge} log-likelihood, nats": round(found.value, 4),  # type: ignore[union-attr]
        "side": found.side,  # type: ignore[union-attr]
        "stderr over rows": round(found.stderr_data, 4),  # type: ignore[union-attr]
        "the law's own likelihood, same rows": round(float(own.mean()), 4),
        "likelihood by exact gradients, same rows": round(best.value, 4),  # type: ignore[union-attr]
        "precisions": [round(float(p), 3) for p in slow.detach().exp()],
        "95 % interval": [round(low, 4), round(high, 4)],
        "train CPU s": round(history[-1].cpu_seconds, 1),
    }


def _scattered(train: Tensor, hidden: int, seed: int) -> dg.RBM:
    """A machine with means of components spread over the square of side 2, each a tenth of the one at the middle.

    At weights near zero the likelihood of white data is flat, and no rate leaves that place soon.
    """
    rbm = dg.RBM(dg.explicit.Gaussian(train.shape[1], learned=True), hidden, generator=seed).initialise(train)
    with torch.no_grad():
        rbm.weight.uniform_(-1.0, 1.0, generator=dg.random.generator(seed))
        rbm.hidden_bias.copy_(math.log(0.1) - rbm.weight.square().sum(0) / 2)
    return rbm


def _climbed(rbm: dg.RBM, train: Tensor) -> dg.RBM:
    """The machine at a maximum of the exact log-likelihood of ``train``, by L-BFGS."""
    rbm, rows = rbm.double(), train.double()
    h = rbm.hidden.enumerate(0, rbm.hidden.states).double()
    lbfgs = torch.optim.LBFGS(rbm.parameters(), max_iter=400, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        lbfgs.zero_grad()
        cumulants = rbm.visible.cumulant(rbm.visible_bias + h @ rbm.weight.t())
        value = rbm.free_energy(rows).mean() + (h @ rbm.hidden_bias + cumulants).logsumexp(0)
        value.backward()
        return value

    lbfgs.step(loss)  # type: ignore[no-untyped-call, arg-type]
    return rbm


def faces(row: Row, task: Task) -> Results:
    """A Gaussian RBM on standardised Frey faces at the default rate: finite, and how far draws lie from the data.

    A chain that has run away is finite for a long time; the spread of the draws tells.
    """
    s = row.setting
    data = dg.data.load("frey_faces", root=task.root)
    mean, deviation = data.train.mean(0), data.train.std(0).clamp_min(1e-3)
    x = (data.train - mean) / deviation
    visible = dg.explicit.Gaussian(x.shape[1], learned=s["learned"])
    rbm = dg.RBM(visible, s["hidden"], generator=task.seed).initialise(x)
    objective = dg.objectives.PersistentCD(k=1, chains=100)
    history = dg.fit(rbm, x, objective, epochs=s["epochs"], seed=task.seed, out=task.folder)
    drawn = rbm.sample(64, steps=s["steps"], generator=task.seed)
    smooth = rbm.reconstruct(drawn) * deviation + mean  # without the units' own noise
    nearest = torch.cdist(smooth, data.train).argmin(1)
    dg.plot.image_grid(smooth.clamp(0, 1), data.image_shape, path=task.folder / "faces.png")
    return {
        "data": about(data, task.judge),
        "finite": bool(drawn.isfinite().all() and all(p.isfinite().all() for p in rbm.parameters())),
        "mean, standard deviation of draws (0 and 1)": [round(float(drawn.mean()), 3), round(float(drawn.std()), 3)],
        "training faces that are nearest to a draw": f"{len(nearest.unique())} for {len(drawn)} draws",
        "precisions, least and greatest": [round(float(p), 2) for p in visible.precision(x).detach().aminmax()],
        "draws, steps": [len(drawn), s["steps"]],
        "picture": str(task.folder / "faces.png"),
        "train CPU s": round(history[-1].cpu_seconds, 1),
    }


def deep(row: Row, task: Task) -> Results:
    """A deep machine on bars and stripes by centred joint training without pre-training: the exact likelihood."""
    s, x = row.setting, dg.data.bars_and_stripes(4)
    dbm = dg.explicit.DBM(x.shape[1], s["hidden"], generator=task.seed).initialise(x)
    history = dg.fit(
        dbm, x, dg.objectives.PersistentCD(k=s["k"], chains=s["chains"]), epochs=s["epochs"], batch_size=len(x),
        seed=task.seed, optimizer=torch.optim.SGD(dbm.parameters(), lr=s["rate"]),
        schedule=lambda done: (1.0 - done) ** s["power"], out=task.folder,
    )  # fmt: skip
    found = dg.evaluate.log_likelihood(dbm.double(), x, "exact")
    return {
        "data": f"bars_and_stripes, all {len(x)} rows, each set of rows the same",
        f"{task.judge} log-likelihood": str(found),
        "ceiling, nats": round(dg.data.ceiling(x), 3),
        "gap in likelihood, nats": round(dg.data.ceiling(x) - found.value, 4),  # type: ignore[union-attr]
        "train CPU s": round(history[-1].cpu_seconds, 1),
    }


def _falling(done: float) -> float:
    return 1.0 - done


_MIXTURE = Row(
    "Gaussian RBM 2-4",
    mixture,
    {"rows": 50_000, "hidden": 4, "k": 1, "chains": 1000, "epochs": 50, "batch": 100, "rate": 0.5},
    ">= -2.737 of the paper's rows, where the law's own is -2.693",
    seeds=5,
)
_FACES = [
    Row(f"Frey faces, {words}", faces, {"hidden": 100, "learned": learned, "epochs": 100, "steps": 1000},
        "no NaN, looked at", seeds=5)
    for words, learned in (("precision 1", False), ("learned precisions", True))
]  # fmt: skip
_DEEP = Row(
    "bars and stripes DBM 16-16-8",
    deep,
    {"hidden": (16, 8), "k": 5, "chains": 800, "epochs": 24_000, "rate": 0.15, "power": 2},
    "within 0.05 nat of the ceiling",
    seeds=3,
)
ROWS = [_MIXTURE, *_FACES, _DEEP]
CANDIDATES = [
    replace(_MIXTURE, setting={**_MIXTURE.setting, "batch": batch, "rate": rate}, seeds=1)
    for batch, rate in ((1000, 0.5), (1000, 1.0), (100, 0.2), (100, 0.5))
]
