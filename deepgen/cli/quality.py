"""What ``deepgen evaluate --quality`` and ``deepgen compare`` do: draws of a model against held-out rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError

if TYPE_CHECKING:
    from deepgen.cli.rundir import Opened
    from deepgen.data import Data
    from deepgen.evaluate import Quality

MOST = 2000  # rows of each sample: distances are of all pairs
DRAWN_GIVEN = (
    "its draws are given labels in the shares that the rows have, which are no work of its own, and figures that "
    "depend on these (KL of modes first of all) flatter it beside a model given none"
)


def judged_draws(opened: Opened, rows: Data, split: str, *, held_out: bool, seed: int) -> tuple[Quality, str]:
    """`sample_quality` of as many draws as the split has rows, 2,000 at most; and whether they collapsed, in words.

    Memorisation is looked for where the split is ``held_out``.
    """
    from deepgen.cli.asking import rows_of, usual_steps
    from deepgen.cli.collapse import collapse
    from deepgen.explicit.tokens import TokenModel

    if isinstance(opened.model, TokenModel):
        raise ArgumentError("--quality judges rows of numbers, and this run is of a text")
    fake = fakes(
        opened.model, rows, split, steps=usual_steps(opened.model), seed=seed, noise=opened.source.get("noise")
    )
    width = rows.event_shape.numel()
    if fake.shape[1] != width:
        raise ArgumentError(
            f"draws of this run have {fake.shape[1]} columns, and {rows.provenance['name']} has {width}: give --data "
            "with as many"
        )
    quality = against(rows, split, fake, held_out=held_out, seed=seed)
    return quality, collapse(quality, shown(rows, rows_of(getattr(rows, split))), shown(rows, fake))


def fakes(model: nn.Module, rows: Data, split: str, *, steps: int, seed: Any, noise: float | None = None) -> Tensor:
    """As many draws ``[n, features]`` as the split has rows, 2,000 at most; of a model given labels with labels of the
    split, a random choice of them, as the rows may be in their order.
    """
    from deepgen.cli.asking import draw, given_labels, known_labels
    from deepgen.random import generator

    total = len(getattr(rows, split))
    labels = None
    if given_labels(model):
        labels = known_labels(model, rows, split)[torch.randperm(total, generator=generator(0))[:MOST]]
    return draw(model, min(total, MOST), steps=steps, seed=seed, labels=labels, noise=noise)


def against(rows: Data, split: str, fake: Tensor, *, held_out: bool, seed: int) -> Quality:
    """`sample_quality` of ``fake`` against rows of a split, whole grey levels as values from 0 to 1.

    Of more than 2,000 rows as many are chosen at random: the first of a file need not be like the others (MNIST's
    are easier).
    """
    from deepgen.cli.asking import rows_of
    from deepgen.evaluate import sample_quality
    from deepgen.evaluate.mmd import at_most
    from deepgen.random import generator

    stream = generator(seed)
    real = shown(rows, at_most(rows_of(getattr(rows, split)), MOST, stream))
    train = training(rows, real) if held_out else None
    return sample_quality(real=real, fake=in_grey(real, shown(rows, fake)), train=train, generator=stream)


def training(rows: Data, real: Tensor) -> Tensor | None:
    """The training rows as `shown`, for the memorisation test; None where the held-out ones are among them, as of sets
    that hold all there is (bars and stripes): no draw could be nearer to these than those are."""
    from deepgen.cli.asking import rows_of
    from deepgen.evaluate.copies import within

    train = shown(rows, rows_of(rows.train))
    return None if within(real, train) else train


def in_grey(real: Tensor, fake: Tensor) -> Tensor:
    """``fake`` as the default features of ``real`` take it: as a picture would show it where these are a digit network.

    A model of real values has some mass outside [0, 1], and a digit network refuses it.
    """
    from deepgen.evaluate import DigitFeatures
    from deepgen.evaluate.feature_maps import default_features

    return fake.clamp(0, 1) if isinstance(default_features(real), DigitFeatures) else fake


def shown(rows: Data, x: Tensor) -> Tensor:
    """``x`` ``[n, features]`` as values from 0 to 1 where ``rows`` hold whole grey levels, and as it is elsewhere."""
    from deepgen.cli.values import in_whole_numbers, kind

    whole = in_whole_numbers(rows) and kind(rows) == "grey"
    assert rows.levels is not None or not whole
    scaled = x.flatten(1) / ((rows.levels or 2) - 1) if whole else x.flatten(1)
    if hasattr(x, "provenance"):
        scaled.provenance = x.provenance  # type: ignore[attr-defined]
    return scaled
