"""What the layers of a network read in a training step: mean, spread, histogram, saturated values and dead units.

A layer is a module that has parameters of its own and no modules inside, and what it reads is what the layer before it
put out after its activation, be that a module or a function. Rows of data are told from activations by autograd:
activations depend on parameters, data and draws made without gradients do not, and are left out.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

BINS = 24
EDGE = 0.01  # of an end of (0, 1) or (-1, 1), within which a value is saturated
_CHANNELS_FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm)


class Reader:
    """Forward hooks on all layers of ``model``, there from ``look`` to ``rest``, and what they saw since ``read``.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> reader = Reader(net)
    >>> reader.look()
    >>> _ = net(torch.ones(4, 2))
    >>> reader.rest()
    >>> [*reader.read()], reader.order
    (['2'], ['0', '2'])
    """

    def __init__(self, model: nn.Module) -> None:
        named = dict(model.named_modules())
        self.layers = {n: m for n, m in named.items() if not [*m.children()] and [*m.parameters(recurse=False)]}
        self.order: list[str] = []  # of the first calls, which is that of depth
        self.seen: dict[str, dict[str, Tensor]] = {}
        self._hooks: list[Any] = []

    def look(self) -> None:
        """Begin to watch."""
        for name, layer in self.layers.items():
            self._hooks.append(layer.register_forward_pre_hook(lambda _, inputs, name=name: self._take(name, inputs)))

    def rest(self) -> None:
        """Remove the hooks."""
        while self._hooks:
            self._hooks.pop().remove()

    @torch.no_grad()
    def _take(self, name: str, inputs: tuple[Any, ...]) -> None:
        if name not in self.order:
            self.order.append(name)
        h = inputs[0] if inputs else None
        if not isinstance(h, Tensor) or h.grad_fn is None or h.ndim < 2 or not h.numel():
            return
        h = h.detach()
        units = h.movedim(1 if isinstance(self.layers[name], _CHANNELS_FIRST) else -1, -1).flatten(0, -2)
        wide, low, high = units.double(), units.min(), units.max()
        # Which law a value is saturated under is known when the epoch is over and all values were seen.
        new = {
            "rows": torch.tensor(float(len(h))),
            "numbers": torch.tensor(float(h.numel())),
            "sum": wide.sum(),
            "squares": wide.square().sum(),
            "low": low.double(),
            "high": high.double(),
            "ones": (units.abs() > 1 - EDGE).sum().double(),
            "zeros": (units.abs() < EDGE).sum().double(),
            "alive": (units != 0).any(0),
        }
        old = self.seen.get(name)
        if old is not None:
            new = {key: _JOIN.get(key, torch.add)(old[key].to(value), value) for key, value in new.items()}
        # torch.histc takes ends as numbers, so the device is waited for when they are drawn, not here
        self.seen[name] = {**new, "sample": units.flatten()[:: math.ceil(units.numel() / 4096)].clone()}

    def read(self) -> dict[str, dict[str, Any]]:
        """Plain values of each layer since the last call, in order of depth, and forget them."""
        found = {name: _plain(self.seen[name]) for name in self.order if name in self.seen}
        self.seen = {}
        return found


_JOIN = {"low": torch.minimum, "high": torch.maximum, "alive": torch.logical_or}


def _plain(seen: dict[str, Tensor]) -> dict[str, Any]:
    numbers, low, high = float(seen["numbers"]), float(seen["low"]), float(seen["high"])
    mean = float(seen["sum"]) / numbers
    at = seen["sample"].double().cpu()
    span = (low, high) if high > low else (low - 0.5, high + 0.5)
    saturated = None
    if -1 <= low < -0.5 and high <= 1:  # a tanh's
        saturated = float(seen["ones"]) / numbers
    elif (low > 0 or (low == 0 and high > 1 - EDGE)) and high <= 1:  # a sigmoid's; rectifiers go to 0 and beyond 1
        saturated = float(seen["ones"] + seen["zeros"]) / numbers
    return {
        "mean": mean,
        "std": math.sqrt(max(float(seen["squares"]) / numbers - mean**2, 0.0)),
        "dead": 1.0 - float(seen["alive"].double().mean()),
        "saturated": saturated,
        "units": len(seen["alive"]),
        "rows": int(seen["rows"]),
        "ends": list(span),
        "counts": [int(n) for n in torch.histc(at, BINS, *span)],
    }
