"""The importance-weighted likelihood beside pythae's `get_nll`, on pythae's own model.

    python benchmarks/pythae_likelihood.py          (needs ``pip install pythae``, an extra: ``pip install .[peers]``)

pythae's encoder and decoder, 784-200-200 tanh, 50 latent variables, Bernoulli likelihood, binary rows, are wrapped as
the `deepgen.implicit.VAE` that they are (the decoder without its sigmoid, the encoder's log variance halved), and
trained for some steps first so that posterior and prior differ. Both then answer for the same rows at the same K:

- value: pythae calls the mean of log p(x) an NLL without turning its sign; that of ours must be the same within the
  standard error of their difference, from the scatter of the rounds, as pythae states none;
- draws: K = 10, 1000, 5000 and pythae's ``batch_size`` of 100 and 300, by counting the rows that its decoder is handed;
- time: CPU seconds a row at K = 5000, one thread, float32, the sides in turns, medians.

Options: ``--rows``, ``--draws``, ``--rounds``, ``--steps`` of training, ``--json``.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import warnings
from typing import Any

import floor
import torch
from torch import Tensor, nn

import deepgen as dg

WIDTH, HIDDEN, LATENT, TARGET = 784, 200, 50, 3.0


class Features(nn.Module):
    """pythae's encoder as one of ours: means and log standard deviations side by side."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        out = self.encoder(x)
        return torch.cat([out.embedding, out.log_covariance / 2], 1)


class Logits(nn.Module):
    """pythae's decoder up to its sigmoid."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, z: Tensor) -> Tensor:
        return self.decoder.logits(z)


def peer() -> Any:
    """pythae's VAE of these sizes. Its loss takes probabilities, so its decoder ends in a sigmoid."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    def body(inputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN), nn.Tanh())

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body, self.mean, self.log_var = body(WIDTH), nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)

        def forward(self, x: Tensor) -> Any:
            h = self.body(x.reshape(-1, WIDTH))
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body, self.last, self.rows = body(LATENT), nn.Linear(HIDDEN, WIDTH), 0

        def logits(self, z: Tensor) -> Tensor:
            self.rows += len(z)
            return self.last(self.body(z)).reshape(-1, 1, 28, 28)

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.logits(z).sigmoid())

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    return VAE(config, encoder=Encoder(), decoder=Decoder())


def images(rows: int, stream: torch.Generator) -> Tensor:
    """Blots: bits that are on around a place drawn for each row."""
    place = 28 * torch.rand(rows, 2, 1, 1, generator=stream)
    down, along = torch.arange(28.0).view(28, 1), torch.arange(28.0)
    square = (down - place[:, 0]).square() + (along - place[:, 1]).square()
    return torch.bernoulli((-square / 40).exp(), generator=stream).unsqueeze(1)


def measure(rows: int, draws: int, rounds: int, steps: int) -> dict[str, Any]:
    stream = dg.random.generator(0)
    with dg.random.lend(stream):
        model = peer()
    ours = dg.implicit.VAE(Features(model.encoder), Logits(model.decoder), latent=LATENT)
    objective = dg.objectives.ELBO()
    step, state = (
        objective.update(ours, objective.optimizer(ours)),
        objective.start(ours, images(2, stream), generator=stream),
    )
    for _ in range(steps):
        state, metrics = step(state, images(100, stream), generator=stream)
    model.eval().requires_grad_(False)
    x, counted = images(rows, stream), {}
    warnings.simplefilter("ignore", dg.errors.DegenerateWeights)  # which few steps of training leave
    for k, batch in ((10, 100), (1000, 300), (draws, 100)):
        model.decoder.rows = 0
        with torch.no_grad(), dg.random.lend(stream):
            model.get_nll(x[:1], n_samples=k, batch_size=batch)
        theirs, model.decoder.rows = model.decoder.rows, 0
        dg.evaluate.latent_bound(ours, x[:2], k, generator=stream)
        counted[f"K = {k}, batch_size = {batch}"] = (theirs, model.decoder.rows // 2)

    answers: dict[str, list[Any]] = {"pythae": [], "deepgen": []}

    @torch.no_grad()
    def theirs_once() -> None:
        with dg.random.lend(stream):
            answers["pythae"].append(float(model.get_nll(x, n_samples=draws, batch_size=100)))

    def ours_once() -> None:
        answers["deepgen"].append(dg.evaluate.latent_bound(ours, x, draws, generator=stream).estimate())

    times = floor.alternate({"pythae": theirs_once, "deepgen": ours_once}, rounds, warmup=1)
    mine = [found.value for found in answers["deepgen"]]
    value, mean = (statistics.mean(found) for found in (answers["pythae"], mine))
    spread = statistics.variance(answers["pythae"]) + statistics.variance(mine)  # each call draws afresh
    return {
        "bound in training": float(metrics["bound"]),
        "draws a row": counted,
        "get_nll": value,
        "log p(x)": mean,
        "difference": value - mean,
        "stderr of it": (spread / len(mine)) ** 0.5,
        "CPU s a row": {name: floor.median(times, name) / rows / 1e6 for name in times},
        "pythae / deepgen": floor.quartiles(floor.ratios(times, "pythae", "deepgen")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # of pythae's imports
    try:
        import pythae  # noqa: F401
    except ImportError:
        sys.exit("pythae is not installed: pip install pythae==0.1.2")
    torch.set_num_threads(1)
    floor.keep_memory()
    found = measure(options.rows, options.draws, options.rounds, options.steps)
    if options.json:
        print(json.dumps({**found, **vars(options), **floor.setting("pythae")}))
        return
    print(", ".join(f"{name} {version}" for name, version in floor.setting("pythae").items()))
    print(f"{options.rows} rows, K = {options.draws}, {options.rounds} rounds, one thread; ", end="")
    print(f"bound in training after {options.steps} steps {found['bound in training']:.2f}")
    print("draws a row, asked and made:")
    for asked, (theirs, mine) in found["draws a row"].items():
        print(f"  {asked:28}  pythae {theirs:5}  deepgen {mine:5}")
    apart = abs(found["difference"]) / found["stderr of it"]
    print(
        f"value, nats/example: get_nll {found['get_nll']:.3f} (a mean of +log p), deepgen {found['log p(x)']:.3f},",
        end=" ",
    )
    print(f"apart {found['difference']:.3f} +- {found['stderr of it']:.3f}: {'the same' if apart < 4 else 'DIFFERENT'}")
    seconds, (low, middle, high) = found["CPU s a row"], found["pythae / deepgen"]
    print(f"CPU seconds a row: pythae {seconds['pythae']:.4f}, deepgen {seconds['deepgen']:.4f};", end=" ")
    print(f"ratio {floor.verdict(middle, TARGET)}, quartiles {low:.2f} to {high:.2f}")


if __name__ == "__main__":
    main()
