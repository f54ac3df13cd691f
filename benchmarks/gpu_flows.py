"""Flows on an accelerator, for `gpu.py`: steps and samples beside the matrix products, by every method of sampling.

Case: 43 variables, 5 transforms, networks of 2 x 128, float32, one call at a time (eager), 512 and 65,536 rows; weights
enlarged, so that Jacobi's method needs more than a sweep or two (their numbers are printed). A step is ``log_prob`` and
its gradients in all parameters. Checked before: ``log_prob``, its gradients, and x from the same z by every method,
against the CPU in float64 with the same parameters; errors are in units of those that float32 has on the CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
from flows import BINS, BOX, FEATURES, HIDDEN, TRANSFORMS, Side, layer_shapes, products, step
from gpu_clock import Check, roundings, seconds
from torch import Tensor

from deepgen.explicit import MAF, NSF, Flow
from deepgen.random import generator

LIMIT = 10.0  # of errors
STRENGTH = 2.0, 200.0  # of first and inner layers, and of last ones, over their initial values
METHODS = ("incremental", "jacobi", "sequential")
BUILD = {
    "MAF": lambda: MAF(FEATURES, TRANSFORMS, HIDDEN, generator=0),
    "NSF": lambda: NSF(FEATURES, TRANSFORMS, HIDDEN, bins=BINS, box=BOX, generator=0),
    "NSF, autoregressive": lambda: NSF(
        FEATURES, TRANSFORMS, HIDDEN, bins=BINS, box=BOX, autoregressive=True, generator=0
    ),
}


def flow(name: str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Flow:
    """The same parameters on every device."""
    model = BUILD[name]()
    with torch.no_grad():
        for part in model.transform.transforms:  # type: ignore[union-attr]
            for layer in (part.net.first, *part.net.inner):
                layer.weight.mul_(STRENGTH[0])
            part.net.last.weight.mul_(STRENGTH[1])
    return model.to(device, dtype)


def score(model: Flow, x: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x), and the gradients of its mean in all parameters as one vector."""
    like = next(model.parameters())
    value = model.log_prob(x.to(like))
    slopes = torch.autograd.grad(value.mean(), list(model.parameters()))
    return value.detach(), torch.cat([slope.flatten() for slope in slopes])


@torch.no_grad()
def decoded(model: Flow, z: Tensor, method: str) -> Tensor:
    return model.solve(z.to(next(model.parameters())), method=method).value


def checks(device: torch.device, small: bool) -> Iterator[Check]:
    rows = 64 if small else 512
    x = 2 * torch.randn(rows, FEATURES, generator=generator(4), dtype=torch.float64)
    for name in BUILD:
        exact, narrow, there = flow(name, dtype=torch.float64), flow(name), flow(name, device)
        both = zip(score(there, x), score(narrow, x), score(exact, x), strict=True)
        for what, sides in zip(("log_prob", "gradient"), both, strict=True):
            yield Check(f"{name}, {what}: errors in units of the CPU's", roundings(*sides), LIMIT)
        truth, usual = decoded(exact, x, "sequential"), decoded(narrow, x, "sequential")
        for method in METHODS if name != "NSF" else ("auto",):
            yield Check(f"{name}, {method}: the same", roundings(decoded(there, x, method), usual, truth), LIMIT)


def cases(device: torch.device, small: bool) -> Iterator[dict[str, Any]]:
    repeats = 3 if small else 20
    for name in ("MAF", "NSF"):
        model = flow(name, device)
        shapes = layer_shapes("MAF" if name == "MAF" else "spline coupling")
        for rows in (64, 512) if small else (512, 65_536):
            x = torch.randn(rows, FEATURES, generator=generator(5)).to(device)
            side = Side(model.log_prob, model.sample, model)
            floor = seconds(products(shapes, rows, True, device), device, repeats)
            took = seconds(step(side, x), device, repeats)
            yield _row(name, "step", rows, took, floor)
            model.zero_grad(set_to_none=True)
            floor = seconds(products(shapes, rows, False, device), device, repeats)
            for method in ("incremental", "jacobi") if name == "MAF" else ("auto",):
                draws = functools.partial(model.sample, rows, method=method, generator=generator(6, device))
                took = seconds(draws, device, repeats)
                found = _row(name, f"sample, {method}", rows, took, floor)
                if method == "jacobi":
                    with torch.no_grad():
                        sweeps = model.draw(rows, method=method, generator=generator(7, device)).sweeps
                    found["sweeps"] = "/".join(map(str, sweeps))
                yield found


def _row(name: str, what: str, rows: int, took: float, floor: float) -> dict[str, Any]:
    return {
        "flow": name,
        "what": what,
        "rows": rows,
        "ms": 1e3 * took,
        "products, ms": 1e3 * floor,
        "ratio": took / floor,
    }
