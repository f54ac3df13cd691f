"""What real rows score against real rows, and how the Fréchet distance falls with n:
`python benchmarks/sample_floors.py [digits mnist] [--root FOLDER] [--rows 2000] [--seed 0]`.

For each data set `sample_quality` judges validation rows as if they were generated, against test rows, in the built-in
features, at most --rows of each, chosen at random. Then Fréchet distances between disjoint random subsets of n training
rows each. Prints Markdown; docs/concepts/judging-samples.md shows it.
"""

from __future__ import annotations

import argparse
import time

import torch

import deepgen as dg
from deepgen.evaluate import digit_features, frechet_distance, frechet_infinity
from deepgen.evaluate.feature_maps import mapped

SIDES = {"digits": 8, "mnist": 28}
SIZES = {"digits": (100, 200, 400), "mnist": (100, 200, 500, 1000, 2000, 5000)}
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=["digits", "mnist"], help="digits, mnist or both")
    parser.add_argument("--root", default=None, help="folder with the data sets; DEEPGEN_DATA by default")
    parser.add_argument("--rows", type=int, default=2000, help="of each sample")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.sets:
        data = dg.data.load(name, binarise="none", **({"root": arguments.root} if name == "mnist" else {}))
        stream = dg.random.generator(arguments.seed)
        real, fake = (
            rows[torch.randperm(len(rows), generator=stream)[: arguments.rows]] for rows in (data.test, data.valid)
        )
        start = time.process_time()
        quality = dg.evaluate.sample_quality(real=real, fake=fake, generator=stream)
        seconds = time.process_time() - start
        print(f"\n{name}: validation rows as fakes, test rows as reals; {seconds:.0f} CPU s\n")
        print(quality.to_markdown(), flush=True)
        x = mapped(digit_features(SIDES[name]), data.train, "train")
        print(f"\n{name}: {REPEATS} pairs of disjoint subsets of the training rows: mean ± standard deviation of one\n")
        print("| n = n' | Fréchet distance | n → ∞ |\n|---|---|---|")
        for n in SIZES[name]:
            rows = [torch.randperm(len(x), generator=stream)[: 2 * n] for _ in range(REPEATS)]
            pairs = [(x[row[:n]], x[row[n:]]) for row in rows]
            cells = []
            for figure in (frechet_distance, frechet_infinity):
                values = torch.tensor([figure(real=real, fake=fake).value for real, fake in pairs])
                cells.append(dg.evaluate.plus_minus(float(values.mean()), float(values.std())))
            print(f"| {n:,} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main()
