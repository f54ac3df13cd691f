"""Kronecker factors of the Fisher matrix of one layer, and the damped inverse that they give.

    F_layer ~ A (x) G       A = E sum_t a_t a_t',   G = (1 / T) E sum_t g_t g_t'

a_t is what the layer sees at place t, with a 1 for the bias, and g_t the gradient of one row's loss in nats with
respect to what it puts out there. A linear layer over ``[rows, inputs]`` has one place; a convolution has one for each
pixel of its output, and sees patches; calls of one layer again count as places too. Exact where a and g are
independent, and different places are uncorrelated in g: of a linear network with Gaussian likelihood all of it.

With damping l, and V the gradient ``[outputs, inputs + 1]``,

    step = (G + sqrt(l) / pi I)^-1 V (A + pi sqrt(l) I)^-1,         pi^2 = (tr A / dim A) / (tr G / dim G)

which is (A (x) G + l I)^-1 but for the cross terms, that this pi makes small in the trace norm.

Sources: Martens & Grosse 2015, sections 3 and 6.3; Grosse & Martens 2016 (convolutions).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import DivergenceError, MissingCapability

Layer = nn.Linear | nn.Conv1d | nn.Conv2d
KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def check_layer(name: str, layer: nn.Module | nn.Parameter) -> None:
    """Raise `MissingCapability` unless there are factors for ``layer``.

    >>> check_layer("1", nn.BatchNorm1d(3))
    Traceback (most recent call last):
    deepgen.errors.MissingCapability: K-FAC has no factors for the BatchNorm1d '1': ...
    """
    own = next((kind for kind in KINDS if isinstance(layer, kind)), None)
    if isinstance(layer, nn.Parameter):  # as other optimizers take them
        raise MissingCapability("K-FAC takes a network or a list of its layers, and no parameters: KFAC(net, ...)")
    if own is None:
        why = f"the {type(layer).__name__} {name!r}: it knows"
    elif type(layer).forward is not own.forward:  # a mask, say: then the input and the weight are not all there is
        why = f"the {type(layer).__name__} {name!r}, which computes something else than a {own.__name__}: it knows"
    elif getattr(layer, "groups", 1) != 1:
        why = f"the {type(layer).__name__} {name!r} with groups={layer.groups}: it knows ungrouped"
    elif layer.weight.dtype not in (torch.float32, torch.float64):
        why = f"the {type(layer).__name__} {name!r} in {layer.weight.dtype}: it knows float32 and float64"
    else:
        return
    known = ", ".join(kind.__name__ for kind in KINDS)
    raise MissingCapability(
        f"K-FAC has no factors for {why} {known}. Pass it a list of such layers, and the other parameters to another "
        "optimizer"
    )


def factors(layer: Layer, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """A ``[inputs + 1, ...]`` (without bias ``[inputs, ...]``) and G ``[outputs, ...]`` of one call.

    Args:
        x: what the layer was given, rows first.
        g: the gradient of the mean loss over rows with respect to what it put out.

    >>> layer, x = nn.Linear(2, 1), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> A, G = factors(layer, x, torch.tensor([[0.5], [-0.5]]))
    >>> A, G
    (tensor([[0.5000, 0.0000, 0.5000],
            [0.0000, 2.0000, 1.0000],
            [0.5000, 1.0000, 1.0000]]), tensor([[1.]]))
    """
    x, g = (_places(layer, x), g.flatten(2).transpose(1, 2)) if not isinstance(layer, nn.Linear) else (x, g)
    rows = len(x) if x.ndim > 1 else 1
    a, g = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
    if layer.bias is not None:
        a = F.pad(a, (0, 1), value=1.0)
    places = len(a) / rows
    return a.t() @ a / rows, g.t() @ g * (rows / places)  # the loss is a mean: a row's own gradient is rows times g


def _places(layer: Any, x: Tensor) -> Tensor:
    """The patches ``[rows, places, inputs]`` that a convolution sees."""
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x = F.pad(x, layer._reversed_padding_repeated_twice, mode=mode)
    flat = isinstance(layer, nn.Conv1d)
    sides = [(1, *each) if flat else each for each in (layer.kernel_size, layer.dilation, layer.stride)]
    kernel, dilation, stride = sides
    return F.unfold(x.unsqueeze(2) if flat else x, kernel, dilation=dilation, stride=stride).transpose(1, 2)


def inverses(name: str, A: Tensor, G: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """(A + pi sqrt(l) I)^-1 and (G + sqrt(l) / pi I)^-1, with l = ``damping``.

    Raises:
        DivergenceError: one of them is not finite, or singular in its precision.

    >>> [round(m.item(), 4) for m in inverses("0", torch.tensor([[4.0]]), torch.tensor([[1.0]]), 0.25)]
    [0.2, 0.8]
    """
    size_a, size_g = float(A.trace() / len(A)), float(G.trace() / len(G))
    finite = math.isfinite(size_a) and math.isfinite(size_g)
    pi = math.sqrt(size_a / size_g) if finite and size_a > 0 and size_g > 0 else 1.0  # a dead layer: no size to match
    found = []
    for matrix, extra in ((A, pi * math.sqrt(damping)), (G, math.sqrt(damping) / pi)):
        root, broken = torch.linalg.cholesky_ex(matrix + extra * torch.eye(len(matrix)).to(matrix))
        if not finite or bool(broken):
            raise DivergenceError(
                f"the factors of layer {name!r} are not positive definite: raise damping, or lower the rate if the "
                "loss has become infinite"
            )
        found.append(torch.cholesky_inverse(root))
    return found[0], found[1]
