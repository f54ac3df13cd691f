"""What a careful person looks at while a network trains, measured at some of the steps.

    ratio     r_p = |p' - p| / |p|,  of a parameter p that one step makes p'      (Euclidean norms)
    gradient  |dL / dW_l| by layer l, in order of depth
    activations, saturated values, dead units: see `deepgen.train.activations`

A ratio of about 1e-3 is healthy (Karpathy, CS231n notes "Neural networks 3", 2015; "about 1e-2" by others): far above
it weights are thrown about, far below it nothing is learned.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.train.activations import Reader
from deepgen.train.health import BAND, EARLIEST, Health
from deepgen.train.history import Record


class Monitors:
    """A callback of `deepgen.fit` that measures ratios, gradients and activations, and warns in words.

    Each epoch's record keeps the means over the sampled steps in ``record.measured["monitors"]``:

    - ``looks``: how many steps were sampled; none of the rest is there when it was 0.
    - ``ratio``: of each parameter; biases that are 0 have none.
    - ``gradient``: the norm by layer, in order of depth where the layers were seen to be called, else of definition;
      ``gradient_of`` is ``gradient``, or ``step`` where the objective left none in ``p.grad`` (an exact EM step, or
      contrastive divergence under plain SGD, which adds to the weights at once) and the norm is that of the step.
    - ``activation``: of what each layer reads, ``mean``, ``std``, ``dead`` (share of units that were 0 in every row
      looked at in the epoch), ``saturated`` (share of values within 0.01 of an end, of tanh and sigmoid; None of
      others), and a histogram: ``counts`` between two ``ends``, of the last step. Layers whose weights are used without
      calling them (Boltzmann machines, masked networks, compiled kernels) have none.

    A `MonitorWarning` says once each that a weight's ratio was above ``band`` in all looks of an epoch, or below it in
    all looks so far, that a quarter of a layer's units is dead, that half of its values are saturated, and that
    gradients vanish with depth: less than a thousandth of the largest reaches the first layer. Last layers often start
    near 0: for that warning their norm counts as that of torch's own initial law, and gradients count from step 100 on.

    Args:
        every: the first step is sampled, and every ``every``-th after it. A sampled step copies the weights once and
            reads weights, gradients and activations once more; other steps cost nothing, and none waits for the device.
        band: the healthy ratios, a hundredth and a hundred times 1e-3 by default.

    Raises:
        ArgumentError: no such steps, or a band that is none.

    >>> import deepgen as dg
    >>> vae, elbo = dg.implicit.mlp_vae(6, [8], latent=2, generator=0), dg.objectives.ELBO()
    >>> history = dg.fit(vae, torch.eye(6), elbo, epochs=2, callbacks=[Monitors(every=1)], progress=False)
    >>> found = history[-1].measured["monitors"]
    >>> [*found["gradient"]][:2], 1e-4 < found["ratio"]["encoder.layers.0.weight"] < 1e-2
    (['encoder.layers.0', 'encoder.layers.1'], True)
    """

    def __init__(self, every: int = 20, band: tuple[float, float] = BAND) -> None:
        check_count(every=every)
        if len(band) != 2 or not 0 <= band[0] < band[1]:
            raise ArgumentError(f"band must be two ratios, the lower one first, got {band!r}")
        self.every, self.band = int(every), band
        self.step = 0
        self.health = Health(band)
        self._norms: list[Tensor] = []  # [3, parameters] of each look: of the step, the weights, the gradients
        self._before: list[Tensor] = []
        self._model: nn.Module | None = None
        self._reader: Reader | None = None
        self._loaded: dict[str, Any] = {}

    def begin(self, model: nn.Module) -> None:
        """Begin to watch ``model``, whose next step may be a sampled one; `deepgen.fit` calls it."""
        self._model, self._reader = model, Reader(model)
        if self._loaded:
            self._reader.order, self._reader.seen = list(self._loaded["order"]), dict(self._loaded["seen"])
            like = next(model.parameters(), torch.zeros(0))
            self._norms = [look.to(like.device) for look in self._norms]  # read from disk, they are on the CPU
            self._loaded = {}
        self._arm()

    def _arm(self) -> None:
        if self._model is not None and self._reader is not None and self.step % self.every == 0:
            self._before = [p.detach().clone() for _, p in self._named()]
            self._reader.look()

    def _named(self) -> list[tuple[str, nn.Parameter]]:
        return [] if self._model is None else [(n, p) for n, p in self._model.named_parameters() if p.requires_grad]

    @torch.no_grad()
    def advance(self) -> None:
        """Take the figures of the step that was made, if it was sampled; `deepgen.fit` calls it after every step."""
        if self._before and self._reader is not None:
            self._reader.rest()
            rows = []
            for (_, p), old in zip(self._named(), self._before, strict=True):
                written = p.new_full((), torch.nan, dtype=torch.float64) if p.grad is None else _norm(p.grad)
                rows.append(torch.stack([_norm(p - old), _norm(old), written]))
            self._norms.append(torch.stack(rows, 1))
            self._before = []
        self.step += 1
        self._arm()

    def __call__(self, record: Record, model: nn.Module) -> None:
        found: dict[str, Any] = {"looks": len(self._norms)}
        if self._norms and self._reader is not None:
            found |= self._means(torch.stack(self._norms).cpu())
            found["activation"] = self._reader.read()
            self._norms = []
        record.measured["monitors"] = found
        self.health(record.epoch, found)

    def _means(self, norms: Tensor) -> dict[str, Any]:
        step, weight, gradient = norms.unbind(1)  # each [looks, parameters]
        names = [name for name, _ in self._named()]
        ratio = torch.where(weight > 0, step / weight, torch.nan)
        written = not bool(gradient.isnan().all())
        flow = gradient if written else step
        layers: dict[str, list[int]] = {}
        for i, name in enumerate(names):
            layers.setdefault(name.rpartition(".")[0], []).append(i)
        called = [name for name in (self._reader.order if self._reader else []) if name in layers]
        order = called if len(called) == len(layers) else [*layers]

        def by_layer(looks: Tensor) -> dict[str, float]:
            return {
                layer or "model": float(looks[:, layers[layer]].square().nansum(1).sqrt().mean()) for layer in order
            }

        first = self.every * ((self.step - 1) // self.every - len(norms) + 1)  # steps before the first of these looks
        early = max(0, -((first - EARLIEST) // self.every))
        tables = [p.ndim > 1 for _, p in self._named()]
        # uniform on (-r, r), r = 1 / sqrt(fan in): a norm of sqrt(fan out / 3)
        usual = torch.tensor([math.sqrt(len(p) / 3) if p.ndim > 1 else 0.0 for _, p in self._named()])
        self.health.look(names, ratio, step / weight.maximum(usual), tables)
        self.health.flow = by_layer(flow[early:]) if early < len(norms) else {}
        return {
            "ratio": {n: float(r) for n, r in zip(names, ratio.nanmean(0), strict=True) if r.isfinite()},
            "gradient": by_layer(flow),
            "gradient_of": "gradient" if written else "step",
        }

    def close(self) -> None:
        """Remove all hooks and let go of the model."""
        if self._reader is not None:
            self._reader.rest()
        self._model, self._reader, self._before = None, None, []

    def state_dict(self) -> dict[str, Any]:
        reader = self._reader
        return {
            "step": self.step,
            "norms": list(self._norms),
            "order": list(reader.order) if reader else [],
            "seen": {name: dict(seen) for name, seen in reader.seen.items()} if reader else {},
            "health": self.health.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self._norms = state["step"], list(state["norms"])
        self.health.load_state_dict(state["health"])
        self._loaded = {"order": state["order"], "seen": state["seen"]}


def _norm(x: Tensor) -> Tensor:
    """The Euclidean norm in float64, of a sparse tensor too."""
    values = x.coalesce().values() if x.is_sparse else x
    return torch.linalg.vector_norm(values, dtype=torch.float64)
