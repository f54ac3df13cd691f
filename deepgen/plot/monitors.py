"""What `deepgen.train.Monitors` saw of a run: update-to-weight ratios, gradients by depth, activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepgen.errors import ArgumentError
from deepgen.plot import page
from deepgen.plot.figures import PALETTE, axes_of, finished, inline_svg, quiet, save, series
from deepgen.plot.lines import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepgen.plot.html_report import Entry

HEALTHY = 1e-3
_LINES, _PANELS = 8, 12  # parameters and layers that one figure has room for
_LETTERS = 28


def update_ratios(history: Any, *, title: str | None = None, path: str | Path | None = None) -> Figure:
    """Draw the ratio |step| / |weight| of each parameter by epoch, biases apart, with 1e-3 marked.

    Args:
        history: of a fit with the callback `deepgen.train.Monitors`.
        title: a line above.
        path: write the figure there too.

    Raises:
        ArgumentError: a history of a fit without `Monitors`.

    >>> import deepgen as dg, torch
    >>> vae, elbo = dg.implicit.mlp_vae(4, [8], latent=2, generator=0), dg.objectives.ELBO()
    >>> history = dg.fit(vae, torch.eye(4), elbo, epochs=3, callbacks=[dg.train.Monitors()], progress=False)
    >>> len(update_ratios(history).axes[0].get_lines())  # weights of four layers, and what is healthy
    5
    """
    seen = _seen(history)
    names = list(dict.fromkeys(name for _, found in seen for name in found["ratio"]))
    weights = _some([name for name in names if "bias" not in name] or names, _LINES)
    ax = axes_of(560, 300)
    for i, name in enumerate(weights):
        at = [(epoch, found["ratio"][name]) for epoch, found in seen if found["ratio"].get(name, 0) > 0]
        _line(ax, at, series(i), name)
    ax.axhline(HEALTHY, color=PALETTE["muted"], linewidth=1, linestyle=":", label="healthy, about 0.001")
    ax.set_xlabel("epoch", fontsize=8, color=PALETTE["muted"])
    _whole(ax)
    return _done(ax, "norm of a step by norm of the weight", title, path)


def gradient_flow(
    *histories: Any, labels: Sequence[str] | None = None, title: str | None = None, path: str | Path | None = None
) -> Figure:
    """Draw the norm of the gradient by layer, the first layer on the left, at the first, a middle and the last epoch.

    A line that falls by decades towards the left is a gradient that vanishes with depth. Where the objective wrote no
    gradient the norm is that of the step, and the axis says so.

    Args:
        histories: of fits with the callback `deepgen.train.Monitors`. Of several there is one line each, at the first
            epoch that was looked at; their layers have the same names.
        labels: names of several histories, for the legend.
        title: a line above.
        path: write the figure there too.

    Raises:
        ArgumentError: no history, one of a fit without `Monitors`, a number of labels that does not fit, or other
            layers than those of the first.

    >>> import deepgen as dg, torch
    >>> vae, elbo = dg.implicit.mlp_vae(4, [8], latent=2, generator=0), dg.objectives.ELBO()
    >>> history = dg.fit(vae, torch.eye(4), elbo, epochs=3, callbacks=[dg.train.Monitors()], progress=False)
    >>> [text.get_text() for text in gradient_flow(history).axes[0].get_xticklabels()]
    ['encoder.layers.0', 'encoder.layers.1', 'decoder.layers.0', 'decoder.layers.1']
    """
    if not histories or (labels is not None and len(labels) != len(histories)):
        raise ArgumentError(
            f"gradient_flow draws one history or more, with a label for each, got {len(histories)} and "
            f"{len(labels or [])} labels"
        )
    if len(histories) == 1:
        seen = _seen(histories[0])
        lines = [(f"epoch {seen[k][0]}", seen[k][1]) for k in sorted({0, len(seen) // 2, len(seen) - 1})]
    else:
        names = labels or [f"history {i + 1}" for i in range(len(histories))]
        lines = [(name, _seen(history)[0][1]) for name, history in zip(names, histories, strict=True)]
        if any(found["gradient"].keys() != lines[0][1]["gradient"].keys() for _, found in lines):
            raise ArgumentError(
                f"histories in one figure must be of networks with the same layers, {[*lines[0][1]['gradient']]}"
            )
    layers = [*lines[-1][1]["gradient"]]
    ax = axes_of(560, 320)
    for i, (label, found) in enumerate(lines):
        at = [
            (float(j), found["gradient"][name]) for j, name in enumerate(layers) if found["gradient"].get(name, 0) > 0
        ]
        _line(ax, at, series(i), label)
    ax.set_xticks(range(len(layers)), [_short(name) for name in layers], rotation=30, ha="right")
    what = " or ".join(dict.fromkeys(found["gradient_of"] for _, found in lines))  # of several histories it may differ
    return _done(ax, f"norm of the {what} of a layer", title, path)


def activations(history: Any, *, title: str | None = None, path: str | Path | None = None) -> Figure:
    """Draw the histogram of what each layer reads in the last epoch that was looked at, one panel a layer.

    Arguments as for `update_ratios`.

    Raises:
        ArgumentError: a history of a fit without `Monitors`, or of a model whose layers were not called.

    >>> import deepgen as dg, torch
    >>> vae, elbo = dg.implicit.mlp_vae(4, [8], latent=2, generator=0), dg.objectives.ELBO()
    >>> history = dg.fit(vae, torch.eye(4), elbo, epochs=3, callbacks=[dg.train.Monitors()], progress=False)
    >>> len(activations(history).axes)  # all layers but the first, which reads data
    3
    """
    found = _seen(history)[-1][1]["activation"]
    if not found:
        raise ArgumentError("no activations to draw: the layers of this model are not called one by one")
    names = _some([*found], _PANELS)
    figure, axes = panels(len(names), title)
    for name, ax in zip(names, axes, strict=True):
        one = found[name]
        low, high = one["ends"]
        width = (high - low) / len(one["counts"])
        total = max(sum(one["counts"]), 1)
        ax.bar(
            [low + width * (i + 0.5) for i in range(len(one["counts"]))],
            [count / total for count in one["counts"]],
            width=width,
            color=series(0),
        )
        ax.set_title(f"read by {_short(name)}", fontsize=9, color=PALETTE["ink"], loc="left")
        told = f"mean {one['mean']:.2g}, std {one['std']:.2g}, dead units {100 * one['dead']:.0f} %"
        told += "" if one["saturated"] is None else f", saturated {100 * one['saturated']:.0f} %"
        ax.set_xlabel(told, fontsize=8, color=PALETTE["muted"])
        ax.set_ylabel("share", fontsize=8, color=PALETTE["muted"])
    if path is not None:
        save(figure, path)
    return figure


def section(entries: Sequence[Entry]) -> str:
    """The part of a report: the three figures of each entry whose history has them."""
    parts = []
    for number, entry in enumerate(entries):
        history = entry.history if entry.monitors is None else entry.monitors
        looked = _looks(history)
        if not looked:
            continue
        figures: list[tuple[Callable[..., Figure], str]] = [
            (update_ratios, "How much a step changes each weight, as a share of it."),
            (gradient_flow, "How much of the gradient reaches each layer, the first one on the left."),
        ]
        if looked[-1][1]["activation"]:
            figures.append((activations, "What layers read in the last epoch that was looked at."))
        cards = []
        for draw, words in figures:
            svg = inline_svg(draw(history), f"{words} {entry.name}", f"monitor{number}{draw.__name__}")
            cards.append(page.figure(svg, f"<b>{escape(entry.name)}</b>. {words}"))
        parts.append(f'<div class="cards wide">{"".join(cards[:2])}</div>{"".join(cards[2:])}')
    if not parts:
        return ""
    lead = (
        "<p>Ratios about 0.001 are healthy; a hundred times more throws weights about, a hundred times less learns "
        "nothing. Gradients that fall by decades towards the first layer vanish with depth. Histograms that stand at "
        "both ends are saturated units, and a single bar at 0 dead ones.</p>"
    )
    return lead + "".join(parts)


def _seen(history: Any) -> list[tuple[int, dict[str, Any]]]:
    found = _looks(history)
    if not found:
        raise ArgumentError("this history has no monitors: fit with callbacks=[deepgen.train.Monitors()]")
    return found


def _looks(history: Any) -> list[tuple[int, dict[str, Any]]]:
    """Epochs that were looked at, and what was seen."""
    records = getattr(history, "records", ())
    return [(r.epoch, r.measured["monitors"]) for r in records if r.measured.get("monitors", {}).get("looks")]


def _some(names: list[str], most: int) -> list[str]:
    """At most so many of them, evenly taken, both ends included."""
    if len(names) <= most:
        return names
    return [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"…{name[1 - _LETTERS :]}"


def _line(ax: Axes, at: Sequence[tuple[float, float]], colour: str, label: str) -> None:
    x, y = [a for a, _ in at], [b if math.isfinite(b) else math.nan for _, b in at]
    ax.plot(x, y, color=colour, linewidth=1.6, marker="o", markersize=3, label=_short(label))


def _whole(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def _done(ax: Axes, what: str, title: str | None, path: str | Path | None) -> Figure:
    ax.set_yscale("log")
    quiet(ax)
    ax.tick_params(which="minor", length=0, labelsize=8, labelcolor=PALETTE["muted"])
    ax.set_ylabel(what, fontsize=8, color=PALETTE["muted"])
    ax.legend(frameon=False, fontsize=8, labelcolor=PALETTE["ink"], loc="upper left", bbox_to_anchor=(1, 1))
    if title:
        ax.figure.figure.suptitle(title, fontsize=11, color=PALETTE["ink"])
    return finished(ax, None, path)
