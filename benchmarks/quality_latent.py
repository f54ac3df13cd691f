"""Rows of `quality.py latent`: the network of Burda, Grosse & Salakhutdinov 2016 on binary MNIST.

One stochastic layer: 784-200-200 tanh, 50 latents, and back. The figure is the importance-weighted bound of 5000 draws
a row, which lies below log p(x). What is compared with another row is so on the same rows of data.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from quality_rows import Results, Row, Task, about, digest, trained
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import deepgen as dg

LATENT, CLASSES = 50, 10
MONITORED = 2000  # validation rows behind the curve of training
PAIRED = 2000  # test rows of those that are compared with one another, whose differences are told by few
PART = 500  # rows whose bounds are kept together, so that an evaluation can be stopped
DRAWS = {"test": 5000, "valid": 500}  # of a row; 500 tell candidates apart


def run(row: Row, task: Task) -> Results:
    """Train one network, and judge it by its bound; beside another row's, where the setting names one."""
    mine, elbo, cost, text = judged(row, task)
    figures = _figures(mine, elbo, task.judge)
    if "beside" in row.setting:
        other = BY_NAME[row.setting["beside"]]
        theirs, their_elbo, _, _ = judged(other, _of(other, task))
        for name, gain in (("bound", mine - theirs), ("ELBO", elbo - their_elbo)):
            error = float(gain.std() / len(gain) ** 0.5)
            figures[f"{name}, above {other.name}"] = f"{float(gain.mean()):.3f} +- {error:.3f}"
    return {"data": text, **figures, **cost}


def judged(row: Row, task: Task) -> tuple[Tensor, Tensor, Results, str]:
    """The bound and the ELBO of every held-out row, kept beside the run in parts; its costs, and what the data are."""
    model, data, cost = fitted(row, task)
    text, count, draws = about(data, task.judge), len(getattr(data, task.judge)), DRAWS[task.judge]
    if row.name in COMPARED:
        count = min(count, PAIRED)
        text = f"{text}, the first {count}"
    rows = getattr(data, task.judge)[:count].split(PART)
    contexts = getattr(data.labels, task.judge)[:count].split(PART) if "classes" in row.setting else [None] * len(rows)
    streams = dg.random.spawn(dg.random.generator(task.seed), len(rows))
    place, found = task.folder.with_name(f"{task.folder.name}_{task.judge}"), []
    place.mkdir(exist_ok=True)
    for number, (x, context, stream) in enumerate(zip(rows, contexts, streams, strict=True)):
        part = place / f"{number}.npy"
        if not part.exists():
            started = time.process_time()
            with warnings.catch_warnings():  # of heavy tails, of which the page of results speaks
                warnings.simplefilter("ignore", dg.errors.DegenerateWeights)
                own = None if context is None else context.to(task.device)
                bound = dg.evaluate.latent_bound(
                    model, x.to(task.device), [1, draws], context=own, generator=_there(stream, task.device)
                )
            seconds = torch.full_like(bound.pareto_k, (time.process_time() - started) / len(x))
            beside = part.with_suffix(".tmp")
            with beside.open("wb") as file:
                np.save(
                    file,
                    torch.cat([bound.values, bound.variances, torch.stack([bound.pareto_k, seconds])]).cpu().numpy(),
                )
            beside.replace(part)
        found.append(torch.from_numpy(np.load(part)))
    elbo, best, _, variance, tail, seconds = torch.cat(found, 1)
    cost["stderr of draws"] = round(float(variance.sum()) ** 0.5 / count, 4)
    cost["rows with Pareto k above 0.7"] = f"{float((tail > 0.7).double().mean()):.0%}"
    cost["evaluate CPU s"] = round(float(seconds.sum()))
    return best, elbo, cost, text


def fitted(row: Row, task: Task) -> tuple[Any, dg.data.Data, Results]:
    """The trained model of a row, from its checkpoint if there is one, with its data and what it cost."""
    s = row.setting
    data = dg.data.load(s["data"], root=task.root, binarise="dynamic" if s["data"] == "mnist" else None)
    model = _network(s, task.seed)
    _begin(model, data.train, task.seed)
    spent = 0
    if "after" in s:
        before = BY_NAME[s["after"]]
        earlier, _, paid = fitted(before, _of(before, task))
        model.load_state_dict(earlier.state_dict())
        spent = paid.get("with those before", paid["train CPU s"])
    train: Any = data.train
    valid: Any = data.valid[:MONITORED]
    if "classes" in s:
        assert data.labels is not None
        train = train.beside(data.labels.train)
        valid = TensorDataset(valid, data.labels.valid[:MONITORED])
    k = s["k"]
    path = s.get("path gradient", k > 1)  # of one draw it is that of Roeder et al. 2017
    objective = dg.objectives.IWAE(k, dreg=path) if path or k > 1 else dg.objectives.ELBO()
    cost = trained(model.to(task.device), train, valid, objective, row, task, monitor=_bound_of(k))
    if spent:
        cost["with those before"] = cost["train CPU s"] + spent
    return model.eval(), data, cost


def _network(s: Any, seed: int) -> nn.Module:
    stream = dg.random.generator(seed)
    posterior = None
    if "flow of noise" in s:
        couplings = dg.explicit.RealNVP(LATENT, **s["flow of noise"], context=2 * LATENT, generator=stream).transform
        both = dg.transforms.Chain([dg.transforms.ContextAffine(LATENT), couplings])  # both read the encoder's numbers
        posterior = dg.explicit.Flow(both, LATENT, context=2 * LATENT)
    if "classes" not in s:
        return dg.implicit.mlp_vae(784, [200, 200], latent=LATENT, posterior=posterior, generator=stream)
    prior = dg.implicit.DiagonalGaussian(LATENT, inputs=CLASSES, generator=stream)
    return dg.implicit.mlp_cvae(784, [200, 200], latent=LATENT, classes=CLASSES, prior=prior, generator=stream)


@torch.no_grad()
def _begin(model: Any, train: Any, seed: int) -> None:
    """Weights of Glorot & Bengio 2010 for tanh, and the data's own mean as the decoder's, as in the paper."""
    stream = dg.random.generator(seed)
    for layer in (*model.encoder.layers, *model.decoder.layers):
        nn.init.xavier_uniform_(layer.weight, generator=stream)
        layer.bias.zero_()
    rows = train.values if isinstance(train, dg.data.Redrawn) else train
    model.decoder.layers[-1].bias.copy_(rows.mean(0).clamp(1e-3, 1 - 1e-3).logit())


def _bound_of(k: int) -> Callable[[nn.Module, Any], float]:
    """The bound that is trained, on validation rows, from the same stream at every call."""

    def monitor(model: Any, valid: Any) -> float:
        home = next(model.parameters()).device
        stream = dg.random.generator(0, home)
        given = valid.tensors if isinstance(valid, TensorDataset) else (valid,)
        parts = zip(*(part.to(home).split(200) for part in given), strict=True)
        return float(torch.cat([model.bound(*part, samples=k, generator=stream) for part in parts]).double().mean())

    return monitor


def _there(stream: torch.Generator, device: str) -> torch.Generator:
    """The stream itself on a CPU; elsewhere one of that device, seeded from it."""
    return stream if device == "cpu" else dg.random.generator(dg.random.key(stream), device)


def _figures(bound: Tensor, elbo: Tensor, judge: str) -> Results:
    return {
        f"{judge} bound, {DRAWS[judge]} draws": round(float(bound.mean()), 3),
        "stderr over rows": round(float(bound.std()) / len(bound) ** 0.5, 3),
        "side": "below",
        f"{judge} ELBO": round(float(elbo.mean()), 3),
    }


def _of(row: Row, task: Task) -> Task:
    """The task of another row, in the same place and with the same seed."""
    return replace(task, folder=task.folder.with_name(f"{row.folder()}_seed-{task.seed}"))


def anneal(row: Row, task: Task) -> Results:
    """AIS in z of some held-out rows beside their bound, and the gap to reverse AIS on as many simulated rows."""
    s = row.setting
    other = BY_NAME[s["of"]]
    bound, _, _, text = judged(other, _of(other, task))
    model, data, _ = fitted(other, _of(other, task))
    started = time.process_time()
    x = getattr(data, task.judge)[: s["rows"]].to(task.device)
    same: Any = {"generator": task.seed, "progress": True, **{key: s[key] for key in ("chains", "leaps", "start")}}
    ahead = dg.evaluate.latent_ais(model, x, temperatures=s["temperatures"], **same)
    back = dg.evaluate.bidirectional_gap(model, s["simulated"], temperatures=ahead.plan, **same)
    gain = ahead.values.cpu() - bound[: len(x)]
    return {
        "data": f"{text}, the first {len(x)}",
        f"{task.judge} AIS": round(ahead.estimate.value, 3),
        "stderr of chains": round(ahead.estimate.stderr, 3),
        "side": "below",
        "bound on these rows": round(float(bound[: len(x)].mean()), 3),
        "AIS above the bound": f"{float(gain.mean()):.3f} +- {float(gain.std() / len(gain) ** 0.5):.3f}",
        "bidirectional gap": f"{back.gap.value:.3f} +- {back.gap.stderr:.3f}, {s['simulated']} simulated rows",
        "ESS of chains a row": round(float(ahead.ess.mean()), 1),
        "evaluate CPU s": round(time.process_time() - started),
    }


def _row(name: str, target: str, **setting: Any) -> Row:
    return Row(name, run, {"data": "mnist", **setting}, target)


def _named(row: Row) -> str:
    """A name that another row's setting knows it by: with other settings it is another one."""
    return f"{row.name} ({digest(row.folder())})"


def _other(row: Row, **setting: Any) -> Row:
    """The same row with other settings."""
    return replace(row, setting={**row.setting, **setting})


ONE = _row("dynamic, 1 draw", ">= -88.5", k=1, epochs=300, batch=100, rate=3e-3, products="bfloat16")
FIVE = _row(
    "dynamic, 5 draws", ">= -87.3", k=5, after=_named(ONE), epochs=150, batch=100, rate=2e-3, products="bfloat16"
)
FIFTY = _row(
    "dynamic, 50 draws", ">= -86.5", k=50, after=_named(FIVE), epochs=20, batch=50, rate=1e-3, products="bfloat16"
)
FEW = _row("static, 5 draws", "", k=5, epochs=100, batch=100, rate=3e-3, products="bfloat16", data="binarized_mnist")
STATIC = _row(
    "static, 50 draws", ">= -89", k=50, after=_named(FEW), epochs=12, batch=50, rate=1e-3, products="bfloat16",
    data="binarized_mnist",
)  # fmt: skip
PLAIN = replace(_other(ONE, epochs=60), name="diagonal posterior", target="")
PATH = _row("diagonal posterior, path gradient", "", k=1, epochs=60, batch=100, rate=3e-3, **{"path gradient": True})
FLOW = replace(
    _other(PATH, beside=_named(PATH), **{"flow of noise": {"transforms": 4, "hidden": [200]}}), name="flow posterior",
    target=">= 0.8 above the diagonal",
)  # fmt: skip
LABELS = replace(_other(PLAIN, classes=CLASSES, beside=_named(PLAIN)), name="labels", target=">= 3 above no labels")
ANNEALED = Row(
    "AIS",
    anneal,
    {
        "of": _named(FIFTY),
        "rows": 200,
        "simulated": 200,
        "chains": 8,
        "temperatures": 300,
        "leaps": 10,
        "start": "posterior",
    },
    "gap < 1, AIS at or above the bound",
)

ROWS = [ONE, FIVE, FIFTY, STATIC, PLAIN, PATH, FLOW, LABELS, ANNEALED]
CANDIDATES = [*(_other(ONE, epochs=8, rate=rate) for rate in (1e-3, 3e-3, 5e-3, 1e-2)), ONE]
PAPER: dict[str, Any] = {"epochs": 3280, "batch": 20, "rate": 1e-3}  # its passes and batch, not its steps of the rate
DREG = {
    k: _row(f"{k} draw{'s' * (k > 1)}, DReG, full", target, k=k, **PAPER, **{"path gradient": True})
    for k, target in ((1, ">= -86.1"), (5, ">= -84.9"), (50, ">= -84.3"))
}
FULL = [
    *(
        _row(f"{k} draw{'s' * (k > 1)}, full", target, k=k, **PAPER, **{"path gradient": False})
        for k, target in ((1, ">= -86.4"), (5, ">= -85.2"), (50, ">= -84.6"))
    ),
    *DREG.values(),
    replace(_other(DREG[50], data="binarized_mnist"), name="static, 50 draws, full", target=">= -86.8"),
    replace(
        _other(DREG[1], beside=_named(DREG[1]), **{"flow of noise": {"transforms": 4, "hidden": [200]}}),
        name="flow posterior, full", target=">= 1.3 above the diagonal",
    ),
    replace(
        _other(DREG[50], classes=CLASSES, beside=_named(DREG[50])), name="labels, 50 draws, full", target=">= -80.8"
    ),
    Row(
        "AIS, full",
        anneal,
        {**ANNEALED.setting, "of": _named(DREG[50]), "rows": 1000, "chains": 16, "temperatures": 1000},
        "gap < 1, 0.8 above the bound",
    ),
]  # fmt: skip
COMPARED = [row.name for row in (PLAIN, PATH, FLOW, LABELS)]
BY_NAME = {_named(row): row for row in [*ROWS, FEW, *FULL]}  # those that others start from or stand beside
