"""Small networks whose features judge samples of digits: one for 8x8 scans, one for 28x28 images of the MNIST format.

    x [n, 1, side, side] -> convolutions with ReLU -> h = W c + b [n, width] -> ReLU -> logits of the digits [n, 10]

The features are h, before its ReLU: their law is nearer to a Gaussian, which is what the Fréchet distance compares.
Each has the standard deviation 1 over the training digits.
Grey values lie in [0, 1], and others are refused: features of pixels from 0 to 255 or from -1 to 1 would be those of a
network far from all that it has seen, and a distance in them would look as good as any. Training showed grey,
thresholded and Bernoulli versions of each image, shifted by up to a pixel (two at side 28), so that binarised samples
can be judged too. `benchmarks/digit_features.py` trains both and states their accuracy. The weights are checkpoints
beside this file; nothing is downloaded.

Limits: digits. On other images of these shapes the features are those of a network that has seen only digits: usable to
compare, as random convolutions are, and worse than ones made for the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.random import lend, resolve

WEIGHTS = Path(__file__).parent / "weights"
WIDTHS = {8: 32, 28: 64}  # features, by the side of the image
_ROWS = 1000  # at a time
_SLACK = 1e-3  # outside [0, 1], of arithmetic in few bits


class DigitFeatures(nn.Module):
    """A convolutional network for digits of ``side`` x ``side``; `digit_features` gives it trained.

    Args:
        side: 8 or 28.
        generator: of the weights before training: a generator, a seed, or None for fresh entropy.

    Raises:
        ArgumentError: another side.
        SupportError: of a call: values outside [0, 1].

    >>> DigitFeatures(8, generator=0)(torch.zeros(5, 64)).shape
    torch.Size([5, 32])
    """

    def __init__(self, side: int, *, generator: torch.Generator | int | None = None) -> None:
        super().__init__()
        if side not in WIDTHS:
            raise ArgumentError(f"side must be 8 or 28, got {side!r}")
        self.side = side
        with lend(resolve(generator)):
            if side == 8:
                maps = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()]
            else:
                maps = [nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1)]
                maps += [nn.ReLU(), nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.ReLU()]
            self.convolutions = nn.Sequential(*maps, nn.Flatten())
            self.features = nn.Linear(32 * 4 * 4, WIDTHS[side])
            self.digits = nn.Linear(WIDTHS[side], 10)

    @property
    def name(self) -> str:
        """What results call it."""
        return f"digit network {self.side}x{self.side}, {WIDTHS[self.side]} features"

    def arguments(self) -> Mapping[str, Any]:
        """The constructor's arguments."""
        return {"side": self.side}

    def forward(self, x: Tensor) -> Tensor:
        """The features ``[n, width]`` of grey images ``[n, side^2]``, ``[n, side, side]`` or ``[n, 1, side, side]``."""
        if x.dim() < 2 or math.prod(x.shape[1:]) != self.side**2:
            raise ShapeError(f"images must be [n, 1, {self.side}, {self.side}] or flat, got {list(x.shape)}")
        x = x.reshape(-1, 1, self.side, self.side).to(self.features.weight)
        _check_grey(x)
        h: Tensor = self.features(self.convolutions(x))
        return h

    def logits(self, x: Tensor) -> Tensor:
        """Unnormalised log-probabilities of the ten digits, ``[n, 10]``."""
        logits: Tensor = self.digits(self.forward(x).relu())
        return logits

    @torch.no_grad()
    def classes(self, x: Tensor) -> Tensor:
        """The digit seen in each image, ``[n]``; of ``[n, channels, side, side]`` the digits read as one number.

        Channels are decimal places, the first the highest, as in stacked MNIST: (a, b, c) is 100 a + 10 b + c.

        >>> DigitFeatures(28, generator=0).classes(torch.zeros(5, 3, 28, 28)).shape
        torch.Size([5])
        """
        channels = x.shape[1] if x.dim() == 4 else 1
        if x.dim() < 2 or math.prod(x.shape[1:]) != channels * self.side**2:
            want = f"[n, channels, {self.side}, {self.side}]"
            raise ShapeError(f"images must be {want}, without channels or flat, got {list(x.shape)}")
        parts = x.reshape(-1, self.side**2).split(_ROWS)
        digits = torch.cat([self.logits(part).argmax(1) for part in parts]).view(len(x), channels)
        places = 10 ** torch.arange(channels - 1, -1, -1, device=digits.device)
        return (digits * places).sum(1)


def _check_grey(x: Tensor) -> None:
    """Raise `SupportError` unless all values lie in [0, 1], give or take rounding."""
    least, most = (float(end) for end in x.detach().aminmax()) if x.numel() else (0.0, 1.0)
    if least >= -_SLACK and most <= 1 + _SLACK:
        return
    if most > 2 and least >= 0:
        advice = "whole grey levels are divided by the highest, 255 say: x / 255"
    elif -1 <= least < -0.5 and most <= 1:
        advice = "where they go from -1 to 1, give (x + 1) / 2"
    elif math.isnan(least) or math.isnan(most):
        advice = "NaN is no grey value"
    else:
        advice = "grey values with noise are brought back by x.clamp(0, 1)"
    raise SupportError(
        f"the digit network was trained on grey values from 0 to 1, got values from {least:.4g} to {most:.4g}: {advice}"
    )


def digit_features(side: int) -> DigitFeatures:
    """The trained network for images of ``side`` 8 or 28, from the weights that come with deepgen.

    >>> import deepgen as dg
    >>> data = dg.data.load("digits")
    >>> seen = digit_features(8).classes(data.test)  # binarised digits
    >>> bool((seen == data.labels.test).double().mean() > 0.85)
    True
    """
    from deepgen.train import load_weights

    network = DigitFeatures(side, generator=0)
    load_weights(network, WEIGHTS / f"digits_{side}")
    return network.eval().requires_grad_(False)
