"""Gibbs chains of an RBM on an accelerator: `python benchmarks/gpu.py [--device cuda] [--json FILE]`.

Case: 784 visible and 500 hidden units, float32, 100, 1,000 and 100,000 chains. Per case: chain-steps per second, and
the time of a step over that of its two matrix products, run one call at a time (eager) and, on CUDA, captured in a
graph of ten steps. Before that the mean hidden and visible activities of chains on the device are held against those
on the CPU, within six standard errors. Needs torch, numpy and safetensors only; on a CPU a small version runs.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
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


def seconds(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median wall time of a call, waiting for the device."""
    times = []
    for i in range(repeats + 2):
        _wait(device)
        start = time.perf_counter()
        call()
        _wait(device)
        if i >= 2:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


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


def check(device: torch.device, chains: int) -> float:
    """The largest difference between device and CPU moments, in standard errors."""
    pairs = zip(moments(machine(device), chains), moments(machine(torch.device("cpu")), chains), strict=True)
    if device.type == "cpu":  # other numbers, not the same ones again
        pairs = zip(moments(machine(device), chains), moments(machine(device).double(), chains), strict=True)
    return max(abs(a - b) / math.hypot(da, db) for (a, da), (b, db) in pairs)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", metavar="FILE", help="also write the table there")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    small = device.type == "cpu"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    print(f"{name}, torch {torch.__version__}, float32 products: {torch.get_float32_matmul_precision()}")
    distance = check(device, 500 if small else 10_000)
    print(f"moments against the CPU: {distance:.2f} standard errors {'(fine)' if distance < 6 else '(WRONG)'}")
    table = [case(device, chains, 5 if small else 30) for chains in ((100, 1000) if small else (100, 1000, 100_000))]
    for row in table:
        print(", ".join(f"{key} {value:.4g}" for key, value in row.items()))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(
                {"device": name, "torch": torch.__version__, "distance": distance, "cases": table}, file, indent=1
            )
    if distance >= 6:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
