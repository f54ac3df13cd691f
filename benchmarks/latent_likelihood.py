"""CPU time of the importance-weighted bound, beside its floor and pythae: `python benchmarks/latent_likelihood.py`.

The network of the papers: 784-200-200 tanh, 50 latent variables, 200-200-784, binary rows, k = 5000 draws a row. What
no estimator can avoid is the decoder's three matrix products for every draw, its two tanh, and log(1 + e^l) of each
logit; ``floor`` is that alone, in batches of the size that `latent_bound` uses, on numbers drawn beforehand. ``bound``
adds the draws, prior and posterior densities, float64 sums, ESS and Pareto k. pythae's `get_nll`
encodes a row k times, one row after the other, and answers with the mean of +log p(x); it is timed where it is
installed (``pip install pythae``), on the same rows and the same sizes, and left out, with a word, where it is not.

One thread, float32. The sides take turns. Options: ``--rows``, ``--draws``, ``--rounds``, ``--json``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable
from typing import Any

import floor
import torch
from torch import Tensor

import deepgen as dg
from deepgen.evaluate.latent_bound import _NUMBERS

WIDTH, HIDDEN, LATENT = 784, 200, 50


def arithmetic(model: Any, x: Tensor, draws: int, stream: torch.Generator) -> Callable[[], Tensor]:
    """The decoder and log p(x | z) of every draw, and nothing else."""
    pairs, each = draws * len(x), max(1, _NUMBERS // WIDTH)
    z = torch.randn(each, LATENT, generator=stream)
    rows = x[torch.arange(each) % len(x)]

    @torch.no_grad()
    def run() -> Tensor:
        total = torch.zeros(())
        for _ in range(-(-pairs // each)):
            total = total + model.likelihood(z).log_prob(rows).logsumexp(0)
        return total

    return run


def peer(draws: int, x: Tensor) -> Callable[[], object] | None:
    """pythae's `get_nll` on networks of the same sizes, or None where pythae is not installed."""
    if importlib.util.find_spec("pythae") is None:
        return None
    import pythae_likelihood

    model = pythae_likelihood.peer().eval()
    images = x.view(-1, 1, 28, 28)

    @torch.no_grad()
    def run() -> object:
        return model.get_nll(images, n_samples=draws, batch_size=100)

    return run


def measure(rows: int, draws: int, rounds: int) -> dict[str, Any]:
    stream = dg.random.generator(0)
    model = dg.implicit.mlp_vae(WIDTH, [HIDDEN, HIDDEN], latent=LATENT, generator=stream).requires_grad_(False)
    x = torch.bernoulli(torch.full((rows, WIDTH), 0.2), generator=stream)
    sides: dict[str, Callable[[], object]] = {
        "floor": arithmetic(model, x, draws, stream),
        "bound": lambda: dg.evaluate.latent_bound(model, x, draws, generator=0),
    }
    pythae = peer(draws, x)
    if pythae is not None:
        sides["pythae"] = pythae
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.errors.DegenerateWeights)  # untrained networks
        times = floor.alternate(sides, rounds, warmup=1)
    found: dict[str, Any] = {name: floor.median(times, name) / rows / 1e6 for name in sides}
    found["bound / floor"] = floor.ratio(times, "bound", "floor")
    if pythae is not None:
        found["pythae / bound"] = floor.ratio(times, "pythae", "bound")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    floor.keep_memory()
    found = measure(options.rows, options.draws, options.rounds)
    if options.json:
        print(json.dumps({**found, **vars(options), **floor.setting("pythae")}))
        return
    print(f"CPU seconds a row at k = {options.draws}, {options.rows} rows, one thread")
    for name, value in found.items():
        print(f"{name:16} {value:.4f}" if "/" not in name else f"{name:16} {value:.2f}")
    if "pythae" not in found:
        print("pythae is not installed, so its get_nll was not timed (pip install pythae)")


if __name__ == "__main__":
    main()
