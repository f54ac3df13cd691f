"""A log-likelihood in the unit that the field compares by: bits per grey value, nats per character."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from deepgen.cli.values import in_whole_numbers, kind
from deepgen.evaluate import Bracket, Estimate, bits_per_dim, plus_minus
from deepgen.evaluate.error_bars import decimal

if TYPE_CHECKING:
    from deepgen.data import Data


def restated(answer: Estimate | Bracket, data: Data) -> Estimate | None:
    """``answer`` as bits/dim of grey levels or nats/character of a text; None where neither is the custom.

    A density of grey values in [0, 1], of a model that `deepgen train` did not fit, has no bits/dim of the levels.
    """
    if isinstance(answer, Bracket) or not in_whole_numbers(data):
        return None
    width = data.event_shape.numel()
    if kind(data) == "grey":
        return bits_per_dim(answer, width)
    if kind(data) == "text":
        return replace(
            answer,
            value=answer.value / width,
            stderr=answer.stderr / width,
            stderr_data=answer.stderr_data / width,
            unit="nats/character",
            each=None if answer.each is None else answer.each / width,
        )
    return None


def in_words(estimate: Estimate) -> str:
    """Such as ``2.131 bits/dim (exact)``; of a text in bits too."""
    value = plus_minus(estimate.value, estimate.stderr) if estimate.stderr else decimal(estimate.value, 3)
    bits = f", {decimal(-estimate.value / math.log(2), 3)} bits" if estimate.unit == "nats/character" else ""
    return f"{value} {estimate.unit}{bits} ({estimate.side})"
