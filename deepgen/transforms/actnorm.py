"""Activation normalisation: an affine map started so that the first batch comes out with mean 0 and variance 1.

    z = (x - b) e^{-s},     b, e^s: mean and standard deviation of the first batch, then trained like any parameter

(Kingma & Dhariwal 2018). Whether that has happened is a buffer, saved with the weights: a loaded model keeps its values
instead of taking them anew from the next batch, a fault that several libraries have had.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepgen.transforms.affine import Affine
from deepgen.transforms.base import check_event


class ActNorm(Affine):
    """`Affine` whose start comes from data: the first ``encode`` in training mode, or `initialise`.

    Args:
        features: number of variables.

    >>> layer, x = ActNorm(2), torch.tensor([[0.0, 1.0], [4.0, 3.0]])
    >>> layer.encode(x)[0].tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    >>> bool(layer.initialised)
    True
    """

    initialised: Tensor

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.register_buffer("initialised", torch.tensor(False))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> ActNorm:
        """Take shift and scale from rows ``[batch, features]``; a constant column, or a single row, keeps scale 1."""
        check_event(x, *self.shape)
        scale = x.std(0, correction=0)
        self.shift.copy_(x.mean(0))
        self.log_scale.copy_(torch.where(scale > 0, scale, torch.ones_like(scale)).log())
        self.initialised.fill_(True)
        return self

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``[batch, features] -> ([batch, features], [batch])``."""
        if self.training and not self.initialised:
            self.initialise(x)
        return super().encode(x)
