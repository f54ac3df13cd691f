"""What ``deepgen evaluate --quality`` adds: the model's draws against held-out rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from deepgen.errors import ArgumentError

if TYPE_CHECKING:
    from deepgen.cli.rundir import Opened
    from deepgen.data import Data
    from deepgen.evaluate import Quality

MOST = 2000  # rows of each sample: distances are of all pairs


def judged_draws(opened: Opened, rows: Data, x: Tensor, *, held_out: bool, seed: int) -> Quality:
    """`sample_quality` of as many draws as ``x`` has rows, 2,000 at most; memorisation where ``x`` is ``held_out``.

    Of more rows 2,000 are chosen at random: the first of a file need not be like the others (MNIST's are easier).
    """
    from deepgen.cli.rundir import draw, rows_of
    from deepgen.cli.sample import STEPS
    from deepgen.evaluate import sample_quality
    from deepgen.evaluate.mmd import at_most
    from deepgen.explicit.tokens import TokenModel
    from deepgen.random import generator

    if isinstance(opened.model, TokenModel):
        raise ArgumentError("--quality judges rows of numbers, and this run is of a text")
    stream = generator(seed)
    real = at_most(x, MOST, stream)
    fake = draw(opened.model, len(real), steps=STEPS, seed=seed)
    real = real.flatten(1)
    train = rows_of(rows.train).flatten(1) if held_out else None
    return sample_quality(real=real, fake=fake, train=train, generator=stream)
