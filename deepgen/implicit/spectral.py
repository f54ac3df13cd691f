"""Spectral norm: every linear layer and convolution of a network divided by its largest singular value.

    W / sigma(W),   sigma(W) = u' W v,   u and v by one power iteration a pass in training

The convolution's matrix is its weight as ``[outputs, the rest]``, as in the paper, which bounds the operator's norm
within a factor of the kernel's side; a group convolution's is its psi, and the factor twice that. u and v are buffers,
saved with the model, so that a resumed fit goes on from them. (An average of unit vectors is none:
`deepgen.optim.blend` is for a network whose weights are averages.) A weight that starts at 0, as in a `ResidualBlock`,
has no W / sigma(W): its layer starts from He's law instead, so that a block is no longer the identity at the start. By
torch's own parametrisation. Source: Miyato et al. 2018, "Spectral normalization for generative adversarial networks".
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from deepgen.errors import ArgumentError
from deepgen.implicit.vae import check_module
from deepgen.layers.p4_conv import P4Conv
from deepgen.random import lend, resolve

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
           P4Conv)  # fmt: skip


class SpectralNorm(nn.Module):
    """``net`` with all its linear layers and convolutions normalised, in place.

    Args:
        net: a network; its own layers are changed.
        generator: source of the first u and v, and of weights in the place of those that are all 0.

    Raises:
        ArgumentError: it is no module, has no such layer, or is normalised already.

    >>> import deepgen as dg
    >>> net = SpectralNorm(dg.implicit.Dense(2, [16], (), generator=0), generator=1)
    >>> float(torch.linalg.matrix_norm(net.net.layers[0].weight, 2).detach().round(decimals=3))
    1.0
    """

    def __init__(self, net: nn.Module, *, generator: torch.Generator | int | None = None) -> None:
        super().__init__()
        check_module("net", net)
        layers = [part for part in net.modules() if isinstance(part, _LAYERS)]
        if not layers or any(nn.utils.parametrize.is_parametrized(part) for part in layers):
            raise ArgumentError(f"{type(net).__name__} has no layers to normalise, or they are normalised already")
        self.net, self.context = net, getattr(net, "context", 0)
        stream = resolve(generator)
        for part in layers:
            if not bool(part.weight.any()):
                fresh = torch.empty_like(part.weight, device=stream.device)
                nn.init.kaiming_uniform_(fresh, nonlinearity="relu", generator=stream)
                with torch.no_grad():
                    part.weight.copy_(fresh)
        with lend(stream):
            for part in layers:
                spectral_norm(part)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"net": self.net}

    def forward(self, *rows: Tensor) -> Tensor:
        value: Tensor = self.net(*rows)
        return value
