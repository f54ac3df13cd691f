"""Quality against published figures: `python benchmarks/quality.py rbm | boltzmann | tractable | latent | adversarial
| embeddings [--root FOLDER] [--out DIR] [--seed 0] [--choose] [--only WORDS] [--full] [--device cpu] [--threads 1]`.

Each row trains one model, states what that cost, and evaluates it on the held-out test set. With `--choose` every
candidate setting is trained instead and judged on the validation rows. A row that has candidates takes the best of that
table; it loads that run and trains nothing, unless it trains on the validation rows as well. A sole candidate is no
choice: where its setting comes from, and which saw test rows, stands in docs/results/tractable.md. Rows that are done
are kept in DIR/results.json and a row that was stopped resumes from its checkpoint, so the command can be repeated
until the table is full. `--only` takes the rows whose name contains one of its words, `--full` the papers' sizes, which
want a GPU. Every row says the data and binarisation, seed, error and CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import quality_adversarial
import quality_binary
import quality_boltzmann
import quality_deep
import quality_embeddings
import quality_flows
import quality_latent
import quality_photos
import quality_rbm
import quality_small
import quality_text
import torch
from quality_rows import Row, Task

SUITES = {
    "boltzmann": [*quality_boltzmann.ROWS, *quality_small.ROWS, *quality_deep.ROWS],
    "latent": quality_latent.ROWS,
    "rbm": quality_rbm.ROWS,
    "tractable": [*quality_binary.MNIST, *quality_flows.ROWS, *quality_binary.TABLES, *quality_text.ROWS],
    "adversarial": [*quality_adversarial.ROWS, *quality_photos.ROWS],
    "embeddings": quality_embeddings.ROWS,
}
CANDIDATES = {
    "boltzmann": [*quality_boltzmann.CANDIDATES, *quality_small.CANDIDATES, *quality_deep.CANDIDATES],
    "latent": quality_latent.CANDIDATES,
    "rbm": quality_rbm.CANDIDATES,
    "tractable": [*quality_binary.CANDIDATES, *quality_flows.CANDIDATES, *quality_text.CANDIDATES],
    "adversarial": quality_adversarial.CANDIDATES,
    "embeddings": quality_embeddings.CANDIDATES,
}
FULL = {
    "boltzmann": [*quality_boltzmann.FULL, *quality_small.ROWS, *quality_deep.ROWS],
    "latent": quality_latent.FULL,
    "rbm": quality_rbm.ROWS,
    "tractable": [*quality_binary.FULL, *quality_flows.FULL, *quality_text.FULL],
    "adversarial": [*quality_adversarial.FULL, *quality_photos.ROWS],
    "embeddings": quality_embeddings.ROWS,
}
OVER_SEEDS = ("likelihood", "error, %", "bits", "modes found", "good draws", "KL, nats", "Fréchet distance",
              "F1", "AUC", "AMI", "modularity", "held-out loss")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("--root", default=os.environ.get("DEEPGEN_DATA"), help="folder with the data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/quality"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--choose", action="store_true", help="compare the candidate settings on the validation rows")
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="rows whose name contains one of these")
    parser.add_argument("--full", action="store_true", help="the papers' sizes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    judge = "valid" if arguments.choose else "test"
    rows = (CANDIDATES if arguments.choose else FULL if arguments.full else SUITES)[arguments.suite]
    if arguments.choose:  # the rows that judge do not train as well
        rows = [replace(row, setting={k: v for k, v in row.setting.items() if k != "both parts"}) for row in rows]
    place = arguments.out / arguments.suite
    place.mkdir(parents=True, exist_ok=True)
    for row in rows:
        if arguments.only and not any(word in row.name for word in arguments.only):
            continue
        results = []
        for seed in range(arguments.seed, arguments.seed + row.seeds):
            folder = place / f"{row.folder()}_seed-{seed}"
            task = Task(arguments.root, folder, seed, judge, arguments.device)
            results.append(figures(row, task, place / "results.json"))
            print(table(results[-1]), flush=True)
        if len(results) > 1:
            print(over_seeds(row.name, results), flush=True)


def figures(row: Row, task: Task, store: Path) -> dict[str, Any]:
    """What is printed of one row and seed: from ``store`` if it is there, else run and put there."""
    key = f"{task.folder.name} {task.judge}"
    if key not in _read(store):
        result = {
            "row": row.name,
            **({"target": row.target} if row.target and task.judge == "test" else {}),
            **row.run(row, task),
            "seed": task.seed,
            "setting": dict(row.setting),
            "threads": torch.get_num_threads(),
        }
        beside = store.with_suffix(f".{os.getpid()}.tmp")
        beside.write_text(json.dumps({**_read(store), key: result}, indent=1))
        beside.replace(store)
    return _read(store)[key]


def _read(store: Path) -> dict[str, Any]:
    return json.loads(store.read_text()) if store.exists() else {}


def over_seeds(name: str, results: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over the seeds of every likelihood and figure of draws."""
    lines = []
    for key in results[0]:
        values = [result.get(key) for result in results]
        if any(words in key for words in OVER_SEEDS) and all(isinstance(value, (int, float)) for value in values):
            mean, spread = statistics.fmean(values), statistics.stdev(values)
            digits = 3 if abs(mean) >= 10 else 4
            lines.append(f"{name}: {key}: {mean:.{digits}f}, sd {spread:.{digits}f} over {len(values)} seeds")
    return "\n".join(lines) + "\n"


def table(result: dict[str, Any]) -> str:
    return "\n".join(f"{name:>28}  {value}" for name, value in result.items()) + "\n"


if __name__ == "__main__":
    main()
