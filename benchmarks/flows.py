"""Speed of flows against the matrix products they cannot avoid, and against their peers: `python benchmarks/flows.py`.

Case: 43 variables (as MINIBOONE), 5 transforms, networks of 2 x 128, batch 512, float32, one thread, CPU time. The
floor is the matrix products of those networks alone, into memory allocated beforehand: forwards for a sample; for a
step (``log_prob`` and its gradients in all parameters) also backwards. The sides of a ratio take turns of some 20 ms,
so that all see the same machine, each in caches that it has filled itself, as in a loop; printed are the median over
rounds and the quartiles. Last come our targets, and whether the medians meet them; one row alone is compared with the
quickest peer, as its products cost next to nothing.

Peers are zuko, nflows, normflows and pyro, those that are installed (``pip install 'deepgen[peers]'``); in what they
differ stands in `flow_peers.py`. A floor counts whole matrices, masked entries included, and the same one serves all.

Options: ``--quick``, ``--json FILE``, ``--no-peers``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import floor
import torch
from floor import setting
from flow_peers import BINS, BOX, Side, peers
from torch import Tensor

from deepgen.explicit import MAF, NSF

FEATURES, TRANSFORMS, HIDDEN, BATCH = 43, 5, [128, 128], 512
TURN = 20.0  # milliseconds for which a side is timed at once
# At most so many times the products; and of the quickest peer's time.
TARGETS = {
    "MAF, step": 1.6,
    f"MAF, sample of {BATCH}": 8.0,
    "spline coupling, step": 2.3,
    f"spline coupling, sample of {BATCH}": 2.6,
}
ALONE = "MAF, sample of 1", 0.1
PEERS = "zuko", "nflows", "normflows", "pyro-ppl"
Shapes = list[list[tuple[int, int]]]


def layer_shapes(name: str) -> Shapes:
    """``(outputs, inputs)`` of every matrix of every network."""
    networks = []
    for i in range(TRANSFORMS):
        if name == "MAF":
            ends = FEATURES, 2 * FEATURES
        else:
            kept = (FEATURES + i % 2) // 2
            ends = kept, (3 * BINS - 1) * (FEATURES - kept)
        sizes = [ends[0], *HIDDEN, ends[1]]
        networks.append(list(zip(sizes[1:], sizes[:-1], strict=True)))
    return networks


def products(shapes: Shapes, rows: int, backward: bool, device: torch.device | str | None = None) -> Callable[[], None]:
    """The products of networks of these shapes for ``rows`` rows, and those of their gradients in all but the data."""
    pieces: list[tuple[Tensor, Tensor, Tensor]] = []
    for number, network in enumerate(shapes):
        for place, (outputs, inputs) in enumerate(network):
            sizes = (outputs, inputs), (inputs, rows), (outputs, rows)
            weight, x, out = (torch.randn(size, device=device) for size in sizes)
            pieces.append((weight, x, torch.empty_like(out)))
            if backward:
                pieces.append((out, x.t(), torch.empty_like(weight)))
            if backward and (number or place):
                pieces.append((weight.t(), out, torch.empty_like(x)))

    def run() -> None:
        for a, b, out in pieces:
            torch.mm(a, b, out=out)

    return run


def ours() -> dict[str, Side]:
    maf = MAF(FEATURES, TRANSFORMS, HIDDEN, generator=0)
    coupling = NSF(FEATURES, TRANSFORMS, HIDDEN, bins=BINS, box=BOX, generator=0)
    return {
        name: Side(flow.log_prob, lambda n, f=flow: f.sample(n, generator=0), flow)
        for name, flow in (("MAF", maf), ("spline coupling", coupling))
    }


def step(side: Side, x: Tensor) -> Callable[[], None]:
    """One evaluation of the mean log-likelihood and of its gradients in all parameters."""
    parameters = list(side.module.parameters())

    def run() -> None:
        for parameter in parameters:
            parameter.grad = None
        (-side.log_prob(x).mean()).backward()

    return run


def draws(side: Side, rows: int) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            side.sample(rows)

    return run


def quartiles(values: list[float]) -> dict[str, float]:
    low, middle, high = floor.quartiles(values)
    return {"median": middle, "low": low, "high": high}


def timed(side: Callable[[], object], calls: int) -> float:
    """CPU milliseconds of one of so many calls, after a third as many that fill the caches with what is this side's."""
    for _ in range(calls // 3 + 1):
        side()
    start = time.process_time_ns()
    for _ in range(calls):
        side()
    return (time.process_time_ns() - start) / 1e6 / calls


def measure(case: str, sides: dict[str, Callable[[], object]], base: Callable[[], object], rounds: int) -> list[Any]:
    """One row for each side: its milliseconds, and its ratio to the products of the same round."""
    sides = {"products": base, **sides}
    calls = {name: max(1, round(TURN / timed(side, 2))) for name, side in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            times[name].append(timed(side, calls[name]))
    table = []
    for name, series in times.items():
        x, ours = quartiles(floor.ratios(times, name, "products")), floor.ratio(times, "deepgen", name)
        table.append({"case": case, "side": name, "ms": quartiles(series), "x": x, "deepgen / it": ours})
    return table


def show(rows: list[Any]) -> None:
    """The rows of one case, as soon as it is measured."""
    for row in rows:
        label, ms, x = row["case"] if row is rows[0] else "", row["ms"], row["x"]
        print(f"{label:32s}{row['side']:12s}{ms['median']:8.2f} ({ms['low']:7.2f}, {ms['high']:7.2f}) "
              f"{x['median']:10.2f} ({x['low']:7.2f}, {x['high']:7.2f})", flush=True)  # fmt: skip


def verdicts(table: list[Any]) -> list[dict[str, Any]]:
    """Our medians beside the targets; without peers that of one row is left out."""
    found = [
        {"case": row["case"], "figure": "x products", "value": row["x"]["median"], "target": TARGETS[row["case"]]}
        for row in table
        if row["side"] == "deepgen" and row["case"] in TARGETS
    ]
    others = [row for row in table if row["case"] == ALONE[0] and row["side"] not in ("products", "deepgen")]
    if others:
        best = min(others, key=lambda row: row["ms"]["median"])
        figure = f"x {best['side']}, the quickest peer"
        found.append({"case": ALONE[0], "figure": figure, "value": best["deepgen / it"], "target": ALONE[1]})
    return [{**one, "met": one["value"] <= one["target"]} for one in found]


def show_verdicts(found: list[dict[str, Any]]) -> None:
    print("\ntargets")
    for one in found:
        verdict = "met" if one["met"] else "MISSED"
        print(f"{one['case']:32s}{one['value']:7.3g} <= {one['target']:<5g}{verdict:8s}{one['figure']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", metavar="FILE", help="also write the table there")
    parser.add_argument("--no-peers", action="store_true", help="only ours and the products")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)  # peers draw from the global stream
    print(", ".join(f"{name} {value}" for name, value in setting(*PEERS).items()))
    libraries = {"deepgen": ours()} | ({} if arguments.no_peers else peers(FEATURES, TRANSFORMS, HIDDEN))
    x, table = torch.randn(BATCH, FEATURES), []
    print(f"{'':44s}{'ms':>8s} {'quartiles':>18s} {'x products':>10s} {'quartiles':>18s}")
    for name in ("MAF", "spline coupling"):
        sides = {library: flows[name] for library, flows in libraries.items()}
        counts = {library: sum(p.numel() for p in side.module.parameters()) for library, side in sides.items()}
        print(f"{name}, parameters:", ", ".join(f"{library} {count}" for library, count in counts.items()))
        shapes, rounds = layer_shapes(name), 10 if arguments.quick else 30
        cases = [("step", {library: step(side, x) for library, side in sides.items()}, products(shapes, BATCH, True))]
        for rows in (BATCH, 1):
            samples = {library: draws(side, rows) for library, side in sides.items()}
            cases.append((f"sample of {rows}", samples, products(shapes, rows, False)))
        for case, each, base in cases:
            table += (measured := measure(f"{name}, {case}", each, base, rounds))
            show(measured)
    found = verdicts(table)
    show_verdicts(found)
    record = {**setting(*PEERS), "table": table, "targets": found}
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)


if __name__ == "__main__":
    main()
