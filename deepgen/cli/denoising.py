"""Autoencoders on the command line: the noise they learn under, their reconstruction loss, and draws by their chain.

Bits and grey levels are set to 0 at random. Real values get normal noise in standard deviations of their columns:
masked, they would leave the other values as they are, and a density of values that are known has no bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import DivergenceError, MissingCapability
from deepgen.evaluate import Estimate, plus_minus
from deepgen.evaluate.error_bars import standard_error
from deepgen.implicit import Autoencoder, DenoisingChain, GaussianNoise, Masking
from deepgen.layers import Standardised
from deepgen.random import resolve
from deepgen.rest import answered_at_rest
from deepgen.samplers import sample_chain

STEPS = 500  # of a chain, which takes noise away from all values at every step
REPEATS = 10  # noises on each row behind a loss
FAR = 1e3  # standard deviations of a column, where no data are
_ROWS = 1000  # at a time

NO_LIKELIHOOD = (
    "an autoencoder has no likelihood: its reconstruction loss is -log p(x | code) of a code that has seen x, and no "
    "prior pays for what the code tells"
)


def noise_of(model: Autoencoder, rate: float | None) -> Masking | GaussianNoise | None:
    """What ``--noise rate`` means to a model; None for no noise.

    >>> import deepgen as dg
    >>> noise_of(dg.implicit.mlp_autoencoder(3, [4], latent=2, generator=0), 0.3)
    Masking(rate=0.3, value=0.0)
    """
    if not rate:
        return None
    if isinstance(model.encoder, Standardised):
        return GaussianNoise([rate * scale for scale in model.encoder.scale.tolist()])
    return Masking(rate)


def in_words(model: Autoencoder, rate: float) -> str:
    """The noise as a line of a terminal has it.

    >>> import deepgen as dg
    >>> in_words(dg.implicit.mlp_autoencoder(3, [4], latent=2, generator=0), 0.3)
    '30 % of the values set to 0'
    """
    if isinstance(model.encoder, Standardised):
        return f"normal, {rate:g} standard deviations of each column"
    return f"{100 * rate:.3g} % of the values set to 0"


def chain_draws(model: Autoencoder, n: int, rate: float | None, *, steps: int, seed: Any) -> Tensor:
    """The ends of ``n`` chains of the denoiser ``[n, features]``, from zeros, or from the means of real columns.

    Of bits and levels each state leads to any other at every step, so that chains have one law, whatever their start.
    Of real values that is not known, and chains that run away are refused.

    Raises:
        MissingCapability: it was trained without noise, or does not say with which.
        DivergenceError: chains of real values that left the data far behind.
    """
    noise = noise_of(model, rate)
    if noise is None:
        how = "does not say under what noise it was trained" if rate is None else "was trained without noise"
        raise MissingCapability(
            f"this autoencoder {how}, so it has no chain to draw by: train one with --noise 0.3, or draw from a vae"
        )
    encoder: Any = model.encoder
    real = isinstance(encoder, Standardised)
    width = encoder.features if real else math.prod(encoder.inputs)
    start = encoder.shift.expand(n, width) if real else torch.zeros(n, width)
    if not steps:
        return start.clone()
    kernel = DenoisingChain(model, noise)
    stream = resolve(seed)
    draws = sample_chain(kernel, start, 1, warmup=steps - 1, generator=stream).draws[0]
    if real and not bool((((draws - encoder.shift) / encoder.scale).abs() < FAR).all()):
        raise DivergenceError(
            "the chain of this denoiser runs away from the data: train it longer or with less --noise, or draw from a "
            "flow such as nsf",
            step=steps,
        )
    return draws


class Losses(NamedTuple):
    """Mean reconstruction losses in nats per example; clean: of rows from their own codes; noisy: from the codes of
    the same rows under the noise of training, None without."""

    clean: Estimate
    noisy: Estimate | None

    def lines(self, model: Autoencoder, rate: float | None) -> list[str]:
        """As a terminal has them, the error being that by choice of rows and noise."""
        found = [f"reconstruction loss {_stated(self.clean)}, of rows from their own codes (± by choice of rows)"]
        if self.noisy is not None and rate:
            found.append(f"from rows under noise ({in_words(model, rate)}): {_stated(self.noisy)}")
        if isinstance(model.encoder, Standardised):
            found.append("(of densities in the units of the file, so it may be below 0, and is another in other units)")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        beside = {} if self.noisy is None else {"reconstruction_loss_under_noise": self.noisy.to_dict()}
        return {"reconstruction_loss": self.clean.to_dict(), **beside}


@answered_at_rest
def losses(model: Autoencoder, x: Tensor, rate: float | None, *, seed: Any, repeats: int = REPEATS) -> Losses:
    """-log p(x | f(x)) and -log p(x | f(x~)) on average over rows ``[n, ...]``, x~ being x under the noise of ``rate``.

    >>> import deepgen as dg
    >>> model = dg.implicit.mlp_autoencoder(3, [4], latent=2, generator=0)
    >>> found = losses(model, torch.eye(3), 0.3, seed=0)
    >>> found.clean.unit, found.clean.method, found.noisy.n
    ('nats/example', 'reconstruction loss', 30)
    """
    noise, like = noise_of(model, rate), next(model.parameters())
    x = x.to(like)
    model.check(x)
    settings: dict[str, Any] = {"rows": len(x)}
    clean = torch.cat([_loss(model, rows, rows) for rows in x.split(_ROWS)])
    stated = _mean(clean.unsqueeze(0), "exact", "reconstruction loss", settings)
    if noise is None:
        return Losses(stated, None)
    stream = resolve(seed)
    each = torch.stack([
        torch.cat([_loss(model, rows, noise(rows, generator=stream)) for rows in x.split(_ROWS)])
        for _ in range(repeats)
    ])  # fmt: skip
    assert rate is not None
    settings = {**settings, "noise": in_words(model, rate), "noises of each row": repeats}
    return Losses(stated, _mean(each, "unbiased", "reconstruction loss under noise", settings))


class Restoring:
    """A monitor: minus the loss that is trained on, on validation rows, their noise the same at every epoch."""

    name = "minus the reconstruction loss of validation rows, nats/example"

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, model: nn.Module, valid: Tensor) -> float:
        made: Any = model
        found = losses(made, valid, self.rate, seed=0, repeats=1)
        return -(found.clean if found.noisy is None else found.noisy).value


def _loss(model: Autoencoder, x: Tensor, seen: Tensor) -> Tensor:
    """-log p(x | f(seen)), ``[rows]`` in float64."""
    return model.loss_of(x, model.likelihood(model.code(seen))).double()


def _mean(each: Tensor, side: Any, method: str, settings: Mapping[str, Any]) -> Estimate:
    """Of losses ``[repeats, rows]``: the error by noise, and that by choice of rows and noise."""
    repeats, rows = each.shape
    by_row = each.mean(0)
    drawn = 0.0 if side == "exact" else math.nan
    if repeats > 1:
        drawn = math.sqrt(float(each.var(0).sum()) / repeats) / rows
    spread = standard_error(by_row)
    return Estimate(
        float(by_row.mean()), drawn, side, method, n=0 if side == "exact" else each.numel(), unit="nats/example",
        stderr_data=spread, settings=settings,
    )  # fmt: skip


def _stated(one: Estimate) -> str:
    return f"{plus_minus(one.value, one.stderr_data)} {one.unit}"
