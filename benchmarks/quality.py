"""Quality against published figures: `python benchmarks/quality.py rbm [--root FOLDER] [--out DIR] [--seed 0]
[--choose] [--threads 1]`.

Each row trains one model on real data within a stated CPU budget and evaluates it on the held-out test set. With
`--choose` every candidate setting is trained instead and judged on the validation rows: the settings of the rows are
the best candidates of that table, so that the test rows have no part in the choice. Rows that are done are kept in
DIR/results.json and a row that was stopped resumes from its checkpoint, so the command can be repeated until the table
is full. Every row says the data and binarisation, seed, interval and CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import deepgen as dg


@dataclass(frozen=True)
class Row:
    """One figure to meet: an RBM 784-``hidden`` trained for ``epochs`` at ``rate`` on a named data set."""

    name: str
    data: str
    hidden: int
    epochs: int
    rate: float
    chains: int
    method: str
    target: str


# Centred PCD-1, batch 100, rate falling linearly to zero, visible biases started at the base rates.
_SMALL = Row("RBM 784-20", "binarized_mnist", 20, 60, 0.2, 100, "exact", "exact >= -138.5")
_LARGE = Row("RBM 784-500", "binarized_mnist", 500, 100, 0.1, 300, "bidirectional", "interval >= -92, width <= 1.5")
SUITES = {"rbm": [_SMALL, _LARGE]}
CANDIDATES = {
    "rbm": [
        *(replace(_SMALL, epochs=epochs, rate=rate) for epochs in (30, 60) for rate in (0.05, 0.1, 0.2)),
        *(replace(_LARGE, epochs=60, rate=rate, chains=chains) for rate in (0.1, 0.15, 0.2) for chains in (100, 300)),
        *(replace(_LARGE, epochs=100, rate=rate, chains=300) for rate in (0.1, 0.15)),
    ]
}


def run(row: Row, root: str | None, folder: Path, seed: int, judge: str) -> dict[str, Any]:
    """Train one row and evaluate it on the ``judge`` part of the data ("test" or "valid"); return what is printed."""
    data = dg.data.load(row.data, root=root)
    rbm = dg.explicit.RBM(visible=784, hidden=row.hidden, generator=seed).initialise(data.train)
    history = dg.fit(
        rbm,
        data.train,
        dg.objectives.PersistentCD(k=1, chains=row.chains),
        epochs=row.epochs,
        batch_size=100,
        optimizer=torch.optim.SGD(rbm.parameters(), lr=row.rate),
        schedule=lambda done: 1.0 - done,
        seed=seed,
        out=folder,
    )
    started = time.process_time()
    held_out = getattr(data, judge)
    settings = {} if row.method == "exact" else {"base": data.train, "temperatures": 10_000}
    answer = dg.evaluate.log_likelihood(rbm, held_out, method=row.method, generator=seed, progress=True, **settings)
    below, above = (answer.below, answer.above) if isinstance(answer, dg.evaluate.Bracket) else (answer, answer)
    low, high = answer.interval()
    return {
        "row": row.name,
        **({"target": row.target} if judge == "test" else {}),
        "data": f"{data.provenance['name']}, {data.provenance['binarisation']}, {len(data.train)} train, "
        f"{len(held_out)} {judge}",
        "seed": seed,
        "setting": f"PCD-1, {row.chains} chains, {row.epochs} epochs, rate {row.rate} to 0, batch 100",
        "method": f"{below.method} | {above.method}" if below is not above else below.method,
        f"{judge} log-likelihood, nats": [round(below.value, 2), round(above.value, 2)],
        "95 % interval": [round(low, 2), round(high, 2)],
        f"stderr over {judge} rows": round(below.stderr_data, 2),
        "train CPU s": round(history[-1].cpu_seconds, 1),
        "evaluate CPU s": round(time.process_time() - started, 1),
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("--root", default=os.environ.get("DEEPGEN_DATA"), help="folder with the data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/quality"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--choose", action="store_true", help="compare the candidate settings on the validation rows")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    judge, suites = ("valid", CANDIDATES) if arguments.choose else ("test", SUITES)
    folder = arguments.out / f"{arguments.suite}-{arguments.seed}{'-choice' if arguments.choose else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    done_file = folder / "results.json"
    done = json.loads(done_file.read_text()) if done_file.exists() else {}
    for row in suites[arguments.suite]:
        key = repr(row)
        if key not in done:
            name = f"{row.name}-{row.epochs}-{row.rate}-{row.chains}".replace(" ", "-")
            done[key] = run(row, arguments.root, folder / name, arguments.seed, judge)
            beside = done_file.with_suffix(".tmp")
            beside.write_text(json.dumps(done, indent=1))
            beside.replace(done_file)
        print(table(done[key]), flush=True)


def table(result: dict[str, Any]) -> str:
    return "\n".join(f"{name:>26}  {value}" for name, value in result.items()) + "\n"


if __name__ == "__main__":
    main()
