"""What `deepgen.train.Monitors` makes of its figures: warnings in words, each said once in a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from deepgen.train.activations import EDGE

BAND = (1e-5, 1e-1)  # of update-to-weight ratios: a hundred times either side of 1e-3
DEAD, SATURATED = 0.25, 0.5  # shares that are too many; a few dead units are common in healthy networks
ROWS = 100  # looked at, below which a unit that was 0 in all of them may only have been idle
VANISHED = 1e-3  # of the largest gradient of a layer
EARLIEST = 100  # steps, before which a last layer that starts near 0 lets hardly any gradient through


class MonitorWarning(RuntimeWarning):
    """A figure of `deepgen.train.Monitors` is one of a network that does not learn as it should.

    >>> issubclass(MonitorWarning, Warning)
    True
    """


class Health:
    """Told of the figures of an epoch; keeps what was said before, and which weights were ever within the band."""

    def __init__(self, band: tuple[float, float]) -> None:
        self.band = band
        self.said: set[str] = set()
        self.moved: set[str] = set()  # weights that some epoch has seen move enough
        self._high: dict[str, float] = {}
        self._low: dict[str, float] = {}
        self.flow: dict[str, float] = {}  # gradients by layer, of looks that were not early

    def look(self, names: Sequence[str], ratio: Tensor, floored: Tensor, weights: Sequence[bool]) -> None:
        """Take ratios ``[looks, parameters]`` of an epoch, of which those of biases (not ``weights``) do not count.

        Of ``floored`` the denominators are at least what torch's initial law would give: a last layer that was started
        near 0 moves by a large share of itself and at no high rate.
        """
        mean, most = ratio.nanmean(0).tolist(), ratio.nan_to_num(0.0).amax(0).tolist()
        least = floored.nan_to_num(0.0).amin(0).tolist()
        each = [
            (name, *three) for name, *three, weight in zip(names, mean, most, least, weights, strict=True) if weight
        ]
        self._high = {name: mean for name, mean, _, least in each if least > self.band[1]}
        self.moved |= {name for name, _, most, _ in each if most >= self.band[0]}
        # A rate that falls to 0 ends every run below the band, and a weight whose turn has not come stands still.
        self._low = {name: mean for name, mean, _, _ in each if name not in self.moved and mean > 0}

    def __call__(self, epoch: int, found: dict[str, Any]) -> None:
        """Warn of what is wrong in ``found`` and was not said yet, once for all layers that have the same."""
        alike: dict[str, list[tuple[str, str]]] = {}
        for kind, name, words in (*self._of_ratios(), *_of_activations(found), *self._of_gradients(found)):
            if f"{kind} {name}" not in self.said:
                self.said.add(f"{kind} {name}")
                alike.setdefault(kind, []).append((name, words))
        for (_, words), *others in alike.values():
            more = f". So it is with {_listed([name for name, _ in others])}" if others else ""
            warnings.warn(f"epoch {epoch}: {words}{more}", MonitorWarning, stacklevel=3)
        self._high, self._low, self.flow = {}, {}, {}

    def _of_ratios(self) -> Iterable[tuple[str, str, str]]:
        low, high = self.band
        fast = f"more than {high:g} at every look of the epoch: lower the rate"
        slow = f"less than {low:g} at every look so far: raise the rate, or look whether a gradient reaches it"
        for kind, which, words in (("high", self._high, fast), ("low", self._low, slow)):
            for name, mean in which.items():
                told = f"a step changes {name} by {mean:.2g} of its norm, where about 0.001 is healthy, and by {words}"
                yield kind, name, told

    def _of_gradients(self, found: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
        flow = self.flow
        if len(flow) < 3 or found["gradient_of"] != "gradient":
            return
        (first, least), most = next(iter(flow.items())), max(flow, key=lambda layer: flow[layer])
        if least < VANISHED * flow[most]:
            told = f"that of the first layer, {first}, is {least / flow[most]:.1g} of that of {most}"
            remedy = "Take rectifiers, residual blocks or batch normalisation, or fewer layers"
            yield "gradients", first, f"gradients vanish with depth: {told}. {remedy}"

    def state_dict(self) -> dict[str, Any]:
        return {"said": sorted(self.said), "moved": sorted(self.moved)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.said, self.moved = set(state["said"]), set(state["moved"])


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")


def _of_activations(found: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    for name, seen in found.get("activation", {}).items():
        if seen["dead"] >= DEAD and seen["rows"] >= ROWS:
            count, units, rows = round(seen["dead"] * seen["units"]), seen["units"], seen["rows"]
            told = f"{count} of the {units} units that {name} reads are dead: 0 in all of the {rows:,} rows looked at"
            yield "dead", name, f"{told}. Lower the rate, start from other biases, or take a leaky rectifier"
        if seen["saturated"] is not None and seen["saturated"] >= SATURATED:
            told = f"{100 * seen['saturated']:.0f} % of the values that {name} reads are saturated, within {EDGE} of an"
            told += " end of their activation, where it passes hardly any gradient on"
            yield "saturated", name, f"{told}. Start from smaller weights, lower the rate, or normalise the inputs"
