"""Convolution over p4, the group of shifts and quarter turns: turn the image, and the maps turn with it.

    lifting:  h(r, t) = b + sum_{c, y} x_c(y) psi_c(R^-r (y - t))                                     r = 0, 1, 2, 3
    group:    h(r, t) = b + sum_{c, s, y} x_c(s, y) psi_c(s - r, R^-r (y - t))            R a quarter turn (s - r mod 4)

A map of the group has an axis of turns: ``[rows, channels, 4, height, width]``. If x is turned once, h is turned and
its axis of turns moved on by one (`p4_turn`), exactly: the grid is turned into itself. Two conditions are checked. A
stride must divide what the kernel leaves free, or the places it lands on are others after a turn; and a pool must fill
the image. One b for all turns, and in torch's terms a norm over each channel with its turns: ``nn.BatchNorm3d``.
`p4_pool` takes the greatest over turns: maps that turn with the image as an image does, and whose mean over places does
not change at all.

Source: Cohen & Welling 2016, "Group equivariant convolutional networks", equations 10 and 11, section 6.3 (pooling).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ShapeError, check_count
from deepgen.layers.convolution import HE
from deepgen.layers.entering import Entering
from deepgen.random import resolve

TURNS = 4


class P4Conv(nn.Module):
    """``[rows, inputs, 4, height, width] -> [rows, outputs, 4, height', width']``; lifting takes plain images.

    Args:
        inputs, outputs: channels, not counting turns.
        kernel: side of psi.
        lift: the first layer, ``[rows, inputs, height, width]`` in.
        stride, padding: as of ``nn.Conv2d``; None pads to keep the size, for an odd kernel at stride 1.
        bias: whether there is a b.
        generator: source of the initial weights, U(-r, r) with r = sqrt(6 / number of weights of one output): He's.

    Raises:
        ArgumentError: a size outside its range.
        ShapeError: in ``forward``, maps of another shape, or a stride that does not fit them.

    >>> first, second = P4Conv(1, 3, lift=True, generator=0), P4Conv(3, 2, generator=1)
    >>> x = torch.randn(2, 1, 6, 6)
    >>> h = second(first(x).relu())
    >>> h.shape
    torch.Size([2, 2, 4, 6, 6])
    >>> torch.allclose(second(first(x.rot90(1, (-2, -1))).relu()), p4_turn(h), atol=1e-5)
    True
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        lift: bool = False,
        stride: int = 1,
        padding: int | None = None,
        bias: bool = True,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(inputs=inputs, outputs=outputs, kernel=kernel, stride=stride)
        padding = (kernel - 1) // 2 if padding is None else padding
        check_count(0, padding=padding)
        self._arguments = {"inputs": int(inputs), "outputs": int(outputs), "kernel": int(kernel), "lift": bool(lift),
                           "stride": int(stride), "padding": int(padding), "bias": bool(bias)}  # fmt: skip
        self.inputs, self.outputs, self.kernel, self.lift = int(inputs), int(outputs), int(kernel), bool(lift)
        self.stride, self.padding, stream = int(stride), int(padding), resolve(generator)
        shape = (outputs, inputs, 1 if lift else TURNS, kernel, kernel)
        bound = HE / math.sqrt(math.prod(shape[1:]))
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=stream))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def entering(self) -> dict[str, Entering]:
        """psi of each channel put out; see `deepgen.layers.constrain`."""
        return {"weight": Entering()}

    def bank(self) -> Tensor:
        """psi in its four turns as one plain kernel, ``[outputs * 4, inputs * turns in, kernel, kernel]``."""
        turned = [self.weight.roll(r, 2).rot90(r, (-2, -1)) for r in range(TURNS)]
        return torch.stack(turned, 1).flatten(2, 3).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        channels = (self.inputs,) if self.lift else (self.inputs, TURNS)
        if x.ndim != len(channels) + 3 or x.shape[1:-2] != channels:
            raise ShapeError(
                f"maps must be [rows, {', '.join(map(str, channels))}, height, width], got {list(x.shape)}"
            )
        for side in x.shape[-2:]:
            free = side + 2 * self.padding - self.kernel
            if free < 0 or free % self.stride:
                raise ShapeError(
                    f"side {side} with padding {self.padding} leaves {free} beyond the kernel of {self.kernel}, which "
                    f"must be a multiple of the stride {self.stride}: other places would be seen after a turn"
                )
        bias = None if self.bias is None else self.bias.repeat_interleave(TURNS)
        h = F.conv2d(x.flatten(1, -3), self.bank(), bias, self.stride, self.padding)
        return h.unflatten(1, (self.outputs, TURNS))

    def extra_repr(self) -> str:
        first = ", lifting" if self.lift else ""
        return f"{self.inputs} to {self.outputs}, {self.kernel} x {self.kernel}{first}, stride {self.stride}"


def p4_turn(h: Tensor, times: int = 1) -> Tensor:
    """Maps ``[..., 4, height, width]`` as they are when the image is turned: each turned, and their axis moved on.

    >>> h = torch.arange(4.0).view(4, 1, 1)
    >>> p4_turn(h).flatten()
    tensor([3., 0., 1., 2.])
    """
    _check_turns(h)
    return h.roll(times, -3).rot90(times, (-2, -1))


def p4_pool(h: Tensor) -> Tensor:
    """The greatest over turns, ``[..., 4, height, width] -> [..., height, width]``.

    >>> p4_pool(torch.arange(4.0).view(4, 1, 1))
    tensor([[3.]])
    """
    _check_turns(h)
    return h.amax(-3)


def p4_max_pool(h: Tensor, side: int = 2) -> Tensor:
    """The greatest of each ``side x side`` places, turn by turn: ``[rows, c, 4, H, W] -> [rows, c, 4, H', W']``.

    Raises:
        ShapeError: windows that do not fill the maps, and would be others after a turn.

    >>> p4_max_pool(torch.zeros(2, 3, 4, 6, 6)).shape
    torch.Size([2, 3, 4, 3, 3])
    """
    check_count(side=side)
    _check_turns(h)
    if h.ndim != 5 or h.shape[-1] % side or h.shape[-2] % side:
        raise ShapeError(
            f"maps must be [rows, channels, 4, H, W] with H and W multiples of {side}, got {list(h.shape)}"
        )
    return F.max_pool2d(h.flatten(1, 2), side).unflatten(1, h.shape[1:3])


def _check_turns(h: Tensor) -> None:
    if h.ndim < 3 or h.shape[-3] != TURNS:
        raise ShapeError(f"maps of the group must be [..., 4, height, width], got {list(h.shape)}")
