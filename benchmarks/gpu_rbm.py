"""Gibbs chains of an RBM on an accelerator, for `gpu.py`.

Case: 784 visible and 500 hidden units, float32, 100, 1,000 and 100,000 chains. Per case: chain-steps per second, and
the time of a step over that of its two matrix products, run one call at a time (eager) and, on CUDA, captured in a
graph of ten steps. Before that the mean hidden and visible activities of chains on the device are held against those
on the CPU, within six standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from gpu_clock import Check, seconds
from torch import Tensor

from deepgen.explicit import RBM
from deepgen.random import generator

VISIBLE, HIDDEN, STEPS = 784, 500, 10


def machine(device: torch.device) -> RBM:
    """A machine with weights as large as trained ones, the same on every device."""
    rbm = RBM(VISIBLE, HIDDEN, generator=0)
    with torch.no_grad():
        rbm.weight.mul_(10.0)
        rbm.visible_bias.normal_(-2.0, 1.0, generator=generator(1))
    return rbm.to(device)


def steps(rbm: RBM, position: Tensor, stream: torch.Generator) -> Tensor:
    """``STEPS`` Gibbs steps."""
    kernel = rbm.gibbs()
    state = kernel.init(position)
    for _ in range(STEPS):
        state, _ = kernel.step(state, generator=stream)
    return state.position


def captured(rbm: RBM, position: Tensor, stream: torch.Generator) -> Callable[[], object]:
    """The same steps as one CUDA graph, which moves ``position`` in place at each replay."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            position.copy_(steps(rbm, position, stream))
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(stream)
    with torch.cuda.graph(graph):
        position.copy_(steps(rbm, position, stream))
    return graph.replay


def moments(rbm: RBM, chains: int) -> list[tuple[float, float]]:
    """Mean and standard error of the chains' visible activity and mean hidden response after some steps."""
    device = rbm.weight.device
    stream = generator(2, device)
    position = steps(rbm, torch.zeros(chains, VISIBLE, device=device), stream)
    with torch.no_grad():
        activities = position.mean(1).double(), rbm.hidden.mean(rbm.hidden_field(position)).mean(1).double()
    return [(float(a.mean()), float(a.std()) / math.sqrt(chains)) for a in activities]


def checks(device: torch.device, small: bool) -> list[Check]:
    """The largest difference between device and CPU moments, in standard errors."""
    chains, cpu = 500 if small else 10_000, torch.device("cpu")
    other = machine(cpu).double() if device.type == "cpu" else machine(cpu)  # other numbers, not the same ones again
    pairs = zip(moments(machine(device), chains), moments(other, chains), strict=True)
    distance = max(abs(a - b) / math.hypot(da, db) for (a, da), (b, db) in pairs)
    return [Check("RBM: moments against the CPU, standard errors", distance, 6.0)]


def cases(device: torch.device, small: bool) -> list[dict[str, Any]]:
    return [case(device, chains, 5 if small else 30) for chains in ((100, 1000) if small else (100, 1000, 100_000))]


@torch.no_grad()
def case(device: torch.device, chains: int, repeats: int) -> dict[str, Any]:
    rbm, stream = machine(device), generator(3, device)
    weight = rbm.weight.detach()
    v = (torch.rand(chains, VISIBLE, generator=stream, device=device) < 0.13).float()
    h = (torch.rand(chains, HIDDEN, generator=stream, device=device) < 0.5).float()
    up, down = torch.empty_like(h), torch.empty_like(v)

    def products() -> None:
        for _ in range(STEPS):
            torch.mm(v, weight, out=up)
            torch.mm(h, weight.t(), out=down)

    start = v.clone()
    eager = seconds(lambda: steps(rbm, start, stream), device, repeats)
    floor = seconds(products, device, repeats)
    result = {
        "chains": chains,
        "products, us per step": floor / STEPS * 1e6,
        "eager, chain-steps/s": chains * STEPS / eager,
        "eager / products": eager / floor,
    }
    if device.type == "cuda":
        graph = seconds(captured(rbm, start, stream), device, repeats)
        result |= {
            "graph, chain-steps/s": chains * STEPS / graph,
            "graph / products": graph / floor,
            "eager / graph": eager / graph,
            "mean activity after the graph's steps": float(start.mean()),
        }
    return result
