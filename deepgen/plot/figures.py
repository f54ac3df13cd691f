"""What all figures share: one palette, quiet axes, and writing a file so that a crash never leaves half of one."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepgen.data.files import replacing
from deepgen.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Each colour has a name because the report turns it into the CSS variable of that name, which has a second value for
# dark pages. All reach a contrast of 4.5 : 1 on white; the order keeps neighbours apart for the colour-blind.
PALETTE = {
    "ink": "#22262b",
    "muted": "#5f6770",
    "rule": "#d5d9de",
    "s0": "#2463a6",
    "s1": "#b8520f",
    "s2": "#2b7a4b",
    "s3": "#7a4da3",
    "s4": "#b5375b",
    "s5": "#7d650c",
    "s6": "#0d7480",
    "s7": "#9c2a93",
    "s8": "#5a7411",
    "s9": "#6b4a36",
}
SERIES = [colour for name, colour in PALETTE.items() if name[0] == "s"]
MISSING = "#e4572e"  # a NaN pixel: no grey, and no colour of the weight pictures
PAPER = 242 / 255  # what ink is drawn on: a little darker than a white page, so that one sees where an image ends
FORMATS = ("png", "svg", "pdf")
_DPI = 100


def series(index: int) -> str:
    """The colour of the ``index``-th series; it repeats after ten."""
    return SERIES[index % len(SERIES)]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` by ``height`` CSS pixels with its own Agg canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    return figure


def axes_of(width: float, height: float, ax: Axes | None = None) -> Axes:
    """The caller's axes if there are some, or else those of a new figure of ``width`` by ``height`` CSS pixels."""
    if ax is not None:
        return ax
    figure = new_figure(width, height)
    figure.set_layout_engine("constrained")
    return figure.subplots()


def finished(ax: Axes, title: str | None, path: str | Path | None) -> Figure:
    """The figure of ``ax``, with a line above these axes, and written where a path is given."""
    figure: Figure = ax.figure.figure
    if title:
        ax.set_title(title, fontsize=9, color=PALETTE["ink"], loc="left")
    if path is not None:
        save(figure, path)
    return figure


def quiet(ax: Axes) -> None:
    """Take away what carries no data: the box, dark ticks, a heavy grid."""
    from matplotlib.ticker import ScalarFormatter

    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(PALETTE["rule"])
    ax.tick_params(length=0, labelsize=8, colors=PALETTE["muted"], labelcolor=PALETTE["muted"])
    ax.grid(axis="y", color=PALETTE["rule"], linewidth=0.6)
    for axis in (ax.xaxis, ax.yaxis):  # numbers as they are: an offset or a factor in a corner is overlooked
        if isinstance(written := axis.get_major_formatter(), ScalarFormatter):
            written.set_useOffset(False)
            written.set_powerlimits((-5, 7))
    ax.set_axisbelow(True)
    ax.set_facecolor("none")


def save(figure: Figure, path: str | Path, *, scale: float = 1.0) -> Path:
    """Write ``figure`` as PNG, SVG or PDF, by the ending of ``path``, and return the path.

    The file is written beside its name and renamed into place, so a reader sees the old picture or the new one, never
    a part. Missing folders are made.

    Args:
        figure: any matplotlib figure.
        path: where to; the ending says the format.
        scale: pixels per CSS pixel for a PNG; 2 is crisp on dense screens.

    >>> from deepgen.plot import image_grid
    >>> import tempfile, torch
    >>> folder = Path(tempfile.mkdtemp())
    >>> save(image_grid(torch.eye(4).reshape(1, 16)), folder / "eye.png").name
    'eye.png'
    """
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise ArgumentError(f"a figure is written as .png, .svg or .pdf, got {path.name!r}")
    return write(path, render(figure, kind, scale))


def render(figure: Figure, kind: str, scale: float = 1.0, *, background: str = "auto") -> bytes:
    """The file of ``figure`` in format ``kind``; the same figure gives the same bytes (no date is put in)."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "deepgen"}):
        figure.savefig(buffer, format=kind, dpi=figure.dpi * scale, metadata=metadata, facecolor=background)
    return buffer.getvalue()


def write(path: str | Path, content: bytes) -> Path:
    """Write ``content`` beside ``path``, then rename it into place."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"cannot write {path}: {error.strerror}; choose a folder that can be written to") from error
    with replacing(path, ArgumentError) as file:
        file.write(content)
    return path


def inline_svg(figure: Figure, label: str, prefix: str) -> str:
    """``figure`` as an ``<svg>`` element for a page: colours become CSS variables, text takes the page's own font.

    matplotlib numbers its ids afresh in each figure, so they get ``prefix``; what names a resource on the web (the
    document type, the metadata, the namespaces HTML does not need) goes.
    """
    from html import escape

    text = render(figure, "svg", background="none").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{prefix}-", text)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    for name, colour in PALETTE.items():
        text = text.replace(colour, f"var(--{name})")
    text = re.sub(r'(<svg[^>]*?) width="([\d.]+)pt" height="[\d.]+pt"', r"\1", text, count=1)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(label, quote=True)}"', 1).strip()
