"""CPU time of one more token after a prefix, Transformer and LSTM, beside its floor: `python benchmarks/tokens.py`.

A Transformer with cached keys and values multiplies one row by its weights, 12 width^2 a layer, which no prefix
changes, and reads the keys and values of the prefix, 2 prefix width a layer. One row makes each product wait for
memory, so the floor of a token is the time to read both: ``weights`` are the products alone, ``attention`` is
`scaled_dot_product_attention` alone over keys and values of all layers, outside of any model. By that count a token
after ``prefix`` others costs 1 + prefix / (6 width) of the first: flat to 10 % up to 0.6 width, and no further.

One thread, float32, 6 layers of width 384 with 6 heads, LSTM of 512 units. The sides take turns. Options: ``--batch``,
``--rounds``, ``--json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import floor
import torch
import torch.nn.functional as F

from deepgen.explicit import CharRNN, Transformer
from deepgen.explicit.token_steps import TokenSteps
from deepgen.random import generator

WIDTH, HEADS, LAYERS = 384, 6, 6
PREFIXES = (16, 64, 128, 256, 512, 1024)
TOKENS = 32  # drawn in a round, after each prefix


def further(model: Any, batch: int, prefix: int) -> Callable[[], None]:
    """A function that puts ``TOKENS`` tokens after the prefix, the first code included, with the logits after each."""
    steps = TokenSteps(model, batch, prefix + TOKENS)
    steps.put(0, torch.zeros(batch, prefix - 1, dtype=torch.int64))
    steps.logits()

    def run() -> None:
        for cache in steps.state if isinstance(model, Transformer) else ():
            cache.filled = prefix  # what follows is forgotten
        for _ in range(TOKENS):
            steps.put(0, torch.zeros(batch))
            steps.logits()

    return run


def weights(batch: int, stream: torch.Generator) -> Callable[[], None]:
    """The products of a token with the weights of all layers, alone."""
    shapes = [(3 * WIDTH, WIDTH), (WIDTH, WIDTH), (4 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH)] * LAYERS
    matrices = [torch.randn(shape, generator=stream) for shape in shapes]
    rows = {width: torch.randn(batch, width, generator=stream) for width in (WIDTH, 4 * WIDTH)}

    def run() -> None:
        for _ in range(TOKENS):
            for matrix in matrices:
                F.linear(rows[matrix.shape[1]], matrix)

    return run


def attention(batch: int, prefix: int, stream: torch.Generator) -> Callable[[], None]:
    """Attention of one query to a prefix, alone, in all layers."""
    shape = (LAYERS, 2, batch, HEADS, prefix, WIDTH // HEADS)
    query = torch.randn(batch, HEADS, 1, WIDTH // HEADS, generator=stream)
    kept = torch.randn(shape, generator=stream)

    def run() -> None:
        for _ in range(TOKENS):
            for keys, values in kept:
                F.scaled_dot_product_attention(query, keys, values)

    return run


@torch.no_grad()
def measure(batch: int, rounds: int) -> list[dict[str, Any]]:
    transformer = Transformer(65, PREFIXES[-1] + TOKENS, WIDTH, HEADS, LAYERS, generator=0)
    lstm = CharRNN(65, hidden=512, generator=0)
    stream = generator(0)
    sides: dict[str, Callable[[], object]] = {"weights": weights(batch, stream)}
    for prefix in PREFIXES:
        sides[f"transformer {prefix}"] = further(transformer, batch, prefix)
        sides[f"attention {prefix}"] = attention(batch, prefix, stream)
    times = floor.alternate(sides, rounds, warmup=1)
    # Apart: its weights fit the cache, from which a Transformer that has many keys to read drives more of them.
    times |= floor.alternate({f"lstm {prefix}": further(lstm, batch, prefix) for prefix in PREFIXES}, rounds, warmup=1)
    table = []
    for prefix in PREFIXES:
        row: dict[str, Any] = {"prefix": prefix}
        for name in ("transformer", "lstm", "attention"):
            row[f"{name}, us"] = floor.median(times, f"{name} {prefix}") / TOKENS
        row["weights, us"] = floor.median(times, "weights") / TOKENS
        for name in ("transformer", "lstm"):
            row[f"{name} / shortest"] = floor.ratio(times, f"{name} {prefix}", f"{name} {PREFIXES[0]}")
        row["transformer / floor"] = floor.ratio(times, f"transformer {prefix}", "weights", f"attention {prefix}")
        row["1 + prefix / (6 width)"] = 1 + prefix / (6 * WIDTH)
        table.append(row)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", metavar="FILE", help="also write the table there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = measure(arguments.batch, arguments.rounds)
    print("  ".join(table[0]))
    for row in table:
        print("  ".join(f"{value:{len(key)}.4g}" for key, value in row.items()))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
