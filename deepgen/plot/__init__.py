"""Figures of data, samples, weights, training and chains, and the self-contained HTML report.

Every function returns a `matplotlib.figure.Figure` of its own (pyplot and its global state are never touched), and
writes it too when given ``path=``. matplotlib is imported on the first call, not before.
"""

from deepgen.plot.class_regions import boundaries
from deepgen.plot.decision_regions import regions
from deepgen.plot.distances import nearest, neighbours
from deepgen.plot.figures import save
from deepgen.plot.galleries import mistakes, worst
from deepgen.plot.heat_maps import heat_map
from deepgen.plot.html_report import Entry, report
from deepgen.plot.images import filters, image_grid, mosaic
from deepgen.plot.latent import code_map, manifold, traversals
from deepgen.plot.lines import curves, traces
from deepgen.plot.monitors import activations, gradient_flow, update_ratios
from deepgen.plot.plane import planes
from deepgen.plot.predictive import calibration, fan
from deepgen.plot.rate_ranges import rates
from deepgen.plot.restored_rows import completions
from deepgen.plot.ways import paths

__all__ = [
    "Entry",
    "activations",
    "boundaries",
    "calibration",
    "code_map",
    "completions",
    "curves",
    "fan",
    "filters",
    "gradient_flow",
    "heat_map",
    "image_grid",
    "manifold",
    "mistakes",
    "mosaic",
    "nearest",
    "neighbours",
    "paths",
    "planes",
    "rates",
    "regions",
    "report",
    "save",
    "traces",
    "traversals",
    "update_ratios",
    "worst",
]
