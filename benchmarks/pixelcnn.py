"""Drawing images of 28 x 28 from PixelCNNs, by cached walks and by sweeps: `python benchmarks/pixelcnn.py`.

The naive way is a whole network pass for each of the 784 pixels. Its time here is 784 times that of one pass, which
takes turns with the cached walk; at batch 1 it is also run once as it is (``method="sequential"``), to see that the two
agree. A sweep of the Jacobi iteration is a pass too, and how many there are depends on the model. Weights are initial
ones, those of the last layer 60 times as large: pixels then matter little to one another and few sweeps do. A trained
model takes tens of them, so its Jacobi time is (sweeps) times the time of a pass, not what stands here.

One thread, CPU time, float32, binary images, 8 layers. Options: ``--channels``, ``--batches``, ``--rounds``,
``--json``.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import floor
import torch

from deepgen.explicit import GatedPixelCNN, PixelCNN
from deepgen.explicit.completion import quantile
from deepgen.random import generator

PIXELS = 784


def model_of(kind: Any, channels: int) -> Any:
    model = kind((28, 28), channels=channels, layers=8, generator=0)
    with torch.no_grad():
        for head in model.heads:
            head.out.weight.mul_(60)
    return model


def once(call: Any) -> tuple[Any, float]:
    """What a call gives, and its CPU milliseconds."""
    start = time.process_time()
    result = call()
    return result, 1e3 * (time.process_time() - start)


@torch.no_grad()
def measure(kind: Any, channels: int, batch: int, rounds: int) -> dict[str, Any]:
    """CPU milliseconds an image, and how often the naive time holds the cached one."""
    model = model_of(kind, channels)
    stream = generator(0)
    images = torch.randint(2, (PIXELS, batch), generator=stream).float()
    uniform = torch.rand(PIXELS, batch, generator=stream)
    order = model.orders[0].tolist()
    sides = {
        "pass": lambda: quantile(model.conditionals(images, None, order), uniform),
        "cached": lambda: model.sample(batch, method="incremental", generator=0),
    }
    times = floor.alternate(sides, rounds, warmup=1)
    low, middle, high = floor.quartiles(floor.ratios(times, "pass", "cached"))
    naive = PIXELS * floor.median(times, "pass") / 1e3
    drawn, jacobi = once(lambda: model.draw(batch, method="jacobi", generator=0))
    row: dict[str, Any] = {
        "model": kind.__name__, "channels": channels, "batch": batch, "naive, ms/image": naive / batch,
        "cached, ms/image": floor.median(times, "cached") / 1e3 / batch, "naive/cached": PIXELS * middle,
        "quartiles": [PIXELS * low, PIXELS * high], "jacobi, ms/image": jacobi / batch, "sweeps": drawn.sweeps[0],
    }  # fmt: skip
    if batch == 1:
        row["naive run once / 784 passes"] = once(lambda: model.sample(1, method="sequential", generator=0))[1] / naive
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, nargs="+", default=[64])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", help="also write the table there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = []
    for kind in (PixelCNN, GatedPixelCNN):
        for channels in arguments.channels:
            for batch in arguments.batches:
                table.append(measure(kind, channels, batch, arguments.rounds))
                cells = [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                         for key, value in table[-1].items() if key != "quartiles"]  # fmt: skip
                print("; ".join(cells), "; quartiles {:.0f} to {:.0f}".format(*table[-1]["quartiles"]), flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
