"""K-FAC: natural gradient with one Kronecker product for each layer in the place of the Fisher matrix.

    A <- e A + (1 - e) A_batch,  G <- e G + (1 - e) G_batch            e = min(1 - 1/k, decay) in step k
    D = (G + sqrt(l) / pi I)^-1 V (A + pi sqrt(l) I)^-1                V: the gradient of weight and bias, l: damping
    v <- momentum v - lr s D,    W <- W + v                            s = min(1, sqrt(2 max_kl / (lr^2 <D, V>)))

A and G are factors of the Fisher matrix (`deepgen.optim.kronecker`). <D, V> is about D'FD, so lr^2 <D, V> / 2 is how
far, in nats a row, the step moves the law that the network stands for; s keeps that below ``max_kl`` (Ba, Grosse &
Martens 2017). Without damping the path is the same in any affine coordinates of inputs and activations.

The loss must be a mean over rows, in nats. The Fisher matrix is of gradients at outcomes drawn from the network's own
law: ``fisher="sampled"``, and a backward pass for them within ``with optimizer.sampling()``. ``"empirical"`` takes the
gradients of the training loss itself, at no cost: no Fisher matrix, and too small where rows are fitted.

Source: Martens & Grosse 2015; Grosse & Martens 2016 (convolutions).
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from deepgen.errors import ArgumentError, MissingCapability, check_count, check_real, unknown_name
from deepgen.optim.kronecker import Layer, check_layer, factors, inverses
from deepgen.optim.settings import evaluated, some


class KFAC(Optimizer):
    """Natural gradient by Kronecker factors, of linear layers and convolutions (1-d and 2-d, without groups).

    Args:
        layers: a model that has no other parameters, or a list of layers.
        lr: the rate; 1 is Newton's step where the factors are exact.
        momentum: in [0, 1).
        damping: l; in units of the Fisher matrix, nats a row.
        decay: the most that running factors keep of themselves in a step, in [0, 1).
        every: steps from one inversion to the next.
        max_kl: the most that a step may move the law, nats a row; None for no limit.
        fisher: ``"empirical"`` or ``"sampled"``.

    Raises:
        ArgumentError, UnknownName: no parameters, or a number out of its range.
        MissingCapability: a layer of another kind; or, in `step`, one whose gradient did not pass through a call of it.
        DivergenceError: in `step`, factors that cannot be inverted.

    >>> import deepgen as dg
    >>> g = dg.random.generator(0)
    >>> net, x = nn.Linear(3, 1), torch.randn(500, 3, generator=g)
    >>> optimizer = KFAC(net, lr=1.0, momentum=0.0, damping=1e-8, max_kl=None, fisher="sampled")
    >>> for _ in range(5):
    ...     with optimizer.sampling():  # the law of the outcomes is N(net(x), 1)
    ...         outcome = net(x).detach() + torch.randn(500, 1, generator=g)
    ...         ((net(x) - outcome) ** 2 / 2).mean().backward()
    ...     optimizer.zero_grad()
    ...     ((net(x) - x.sum(1, keepdim=True)) ** 2 / 2).mean().backward()
    ...     optimizer.step()  # least squares, by the share of G that a draw misses
    >>> torch.allclose(net.weight, torch.ones(1, 3), atol=1e-2)
    True
    """

    def __init__(
        self,
        layers: nn.Module | Iterable[nn.Module],
        lr: float = 0.1,
        *,
        momentum: float = 0.9,
        damping: float = 1e-2,
        decay: float = 0.95,
        every: int = 10,
        max_kl: float | None = 1e-2,
        fisher: str = "empirical",
    ) -> None:
        check_real("lr", lr, 0)
        check_real("damping", damping, 1e-300)
        check_real("momentum", momentum, 0, below=1)
        check_real("decay", decay, 0, below=1)
        check_count(every=every)
        if max_kl is not None:
            check_real("max_kl", max_kl, 1e-300)
        if fisher not in ("empirical", "sampled"):
            raise unknown_name("Fisher matrix", fisher, ("empirical", "sampled"))
        self.layers = _layers(layers)
        settings = {"lr": lr, "momentum": momentum, "damping": damping, "decay": decay, "every": every}
        super().__init__(_trained(self.layers), {**settings, "max_kl": max_kl, "fisher": fisher})
        self.watching = fisher == "empirical"
        self.seen: dict[Layer, tuple[Tensor, Tensor, int]] = {}
        for layer in self.layers:
            layer.register_forward_hook(_watch(weakref.ref(self)), with_kwargs=True)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """The one group of all layers; refused later, as parameters alone do not say which layer they are of."""
        if self.param_groups:
            raise ArgumentError("KFAC takes layers, all of them when it is made, and no groups of parameters later")
        super().add_param_group(param_group)

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Take the factors from the backward pass in a ``with`` block, and leave the gradients as they were before.

        Raises:
            ArgumentError: ``fisher`` is not ``"sampled"``.
        """
        if self.defaults["fisher"] != "sampled":
            raise ArgumentError("this KFAC takes its factors from the training loss: make it with fisher='sampled'")
        before = [p.grad for p in self.param_groups[0]["params"]]
        for p in self.param_groups[0]["params"]:
            p.grad = None
        self.watching, self.seen = True, {}
        try:
            yield
        finally:
            self.watching = False
            for p, gradient in zip(self.param_groups[0]["params"], before, strict=True):
                p.grad = gradient

    @torch.no_grad()
    def observe(self, layer: Layer, x: Tensor, g: Tensor) -> None:
        """Add the factors of one call of ``layer``: several calls before a step count as places."""
        A, G, calls = *factors(layer, x, g), 1
        if layer in self.seen:
            sum_a, sum_g, before = self.seen[layer]
            A, G, calls = sum_a + A, sum_g + G, before + 1
        self.seen[layer] = A, G, calls

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One move of all layers that have a gradient. ``closure`` computes the loss anew, and is returned."""
        loss = evaluated(closure)
        group, found = self.param_groups[0], []
        for layer, name in self.layers.items():
            if layer.weight.grad is not None:
                found.append((layer, *self._direction(layer, name, group)))
        self.seen = {}
        lr, limit = group["lr"], group["max_kl"]
        if limit is not None and found:
            twice = lr**2 * float(sum((move * gradient).sum() for _, move, gradient in found))
            lr = lr * min(1.0, math.sqrt(2 * limit / twice)) if twice > 0 else lr
        for layer, move, _gradient in found:
            state = self.state[layer.weight]
            state["velocity"] = group["momentum"] * state.get("velocity", 0.0) - lr * move
            _add(layer, state["velocity"])
        return loss

    def _direction(self, layer: Layer, name: str, group: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """D and V ``[outputs, inputs + 1]``, after the factors have taken in what was seen."""
        state = self.state[layer.weight]
        if layer in self.seen:
            sum_a, sum_g, calls = self.seen[layer]
            state["updates"] = state.get("updates", 0) + 1
            keep = min(1 - 1 / state["updates"], group["decay"])
            for key, new in (("inputs", sum_a), ("outputs", sum_g / calls)):
                state[key] = new if keep == 0 else torch.lerp(new, state[key], keep)
        if "inputs" not in state:
            raise _unseen(name, group["fisher"])
        if state.get("steps", 0) % group["every"] == 0:
            pair = inverses(name, state["inputs"], state["outputs"], group["damping"])
            state["inverse_inputs"], state["inverse_outputs"] = pair
        state["steps"] = state.get("steps", 0) + 1
        gradient = _joined(layer)
        return state["inverse_outputs"] @ gradient @ state["inverse_inputs"], gradient

    def __getstate__(self) -> dict[str, Any]:
        raise MissingCapability(
            "KFAC cannot be copied or pickled, as it hears of its model by hooks: make another for the copy of the "
            "model, and hand on the state by load_state_dict"
        )


def _layers(given: nn.Module | Iterable[nn.Module]) -> dict[Layer, str]:
    """Each layer that is trained, and its name."""
    if isinstance(given, nn.Module):
        parts = ((name, part) for name, part in given.named_modules())
        named = [(part, name) for name, part in parts if any(p.requires_grad for p in part.parameters(recurse=False))]
    else:
        named = [(part, str(place)) for place, part in enumerate(given)]
    for part, name in named:
        check_layer(name, part)
        if not all(p.requires_grad for p in part.parameters()):
            raise ArgumentError(f"layer {name!r} is trained in part: KFAC moves weight and bias together, or neither")
    return dict(named)


def _unseen(name: str, fisher: str) -> MissingCapability:
    todo = (
        "run a backward pass within `with optimizer.sampling()` before the step"
        if fisher == "sampled"
        else "its weight is used by other code than its own forward; train it with another optimizer"
    )
    return MissingCapability(f"layer {name!r} has a gradient that came through no call K-FAC has seen: {todo}")


def _trained(layers: dict[Layer, str]) -> list[Tensor]:
    found: dict[Tensor, str] = {}
    for layer, name in layers.items():
        if layer.weight in found:
            raise MissingCapability(
                f"layers {found[layer.weight]!r} and {name!r} have one weight: K-FAC knows a layer by its weight"
            )
        found |= dict.fromkeys(layer.parameters(), name)
    return some(found, "layers, or a model")


def _watch(optimizer: weakref.ref[KFAC]) -> Callable[..., None]:
    """A forward hook that has the optimizer see the layer's input, and its output's gradient if there comes one.

    A plain function with a weak reference: a copy of the model copies no optimizer, and is none of the optimizer's.
    """

    def hook(layer: Any, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], output: Tensor) -> None:
        mine = optimizer()
        if mine is None or not mine.watching or not output.requires_grad or layer not in mine.layers:
            return
        x = (args[0] if args else kwargs["input"]).detach()

        def seen(g: Tensor) -> None:
            if not torch.is_grad_enabled():  # with create_graph the gradient is part of a penalty, and not of a loss
                mine.observe(layer, x, g)

        output.register_hook(seen)

    return hook


def _joined(layer: Layer) -> Tensor:
    """The gradients of weight and bias, ``[outputs, inputs + 1]``."""
    weight = layer.weight.grad.flatten(1)  # type: ignore[union-attr]
    return weight if layer.bias is None else torch.cat([weight, layer.bias.grad.unsqueeze(1)], 1)  # type: ignore[union-attr]


def _add(layer: Layer, move: Tensor) -> None:
    """Move weight and bias by ``[outputs, inputs + 1]``."""
    if layer.bias is not None:
        layer.bias.add_(move[:, -1])
        move = move[:, :-1]
    layer.weight.add_(move.reshape(layer.weight.shape))
