"""Curves and traces draw the very numbers they are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepgen.errors import ArgumentError, ShapeError, SupportError, UnknownName
from deepgen.evaluate import Estimate
from deepgen.plot import curves, traces
from deepgen.plot.quantities import columns, quantities, quantity
from deepgen.samplers import EXACT, Trace
from deepgen.train import History, Record


def history() -> History:
    return History(
        [
            Record(1, 10, 0.5, 0.5, {"error": 0.3}, monitor=-20.0),
            Record(2, 20, 1.0, 1.0, {"error": 0.2}),
            Record(3, 30, 1.5, 1.5, {"error": 0.1, "late": 7.0}, monitor=-18.0),
        ]
    )


def test_a_history_is_drawn_panel_by_panel() -> None:
    figure = curves(history())
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["monitor on validation rows", "error", "late"]
    lines = [ax.get_lines()[0] for ax in figure.axes]
    assert all(line.get_xdata().tolist() == [1, 2, 3] for line in lines)
    assert lines[1].get_ydata().tolist() == [0.3, 0.2, 0.1]
    assert np.array_equal(lines[0].get_ydata(), [-20, np.nan, -18], equal_nan=True)
    assert lines[2].get_marker() == "o"  # a line through one point would be invisible


def test_a_curve_says_what_it_is_and_in_which_unit() -> None:
    exact = Estimate(-20.0, 0.0, "exact", "mean log_prob", unit="nats/example").to_dict()
    told = History([Record(k, k, 1.0, 1.0, {"log_likelihood": -107.5 - 0.01 * k}, -20.0, exact) for k in (1, 2, 3)])
    figure = curves(told)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "validation log-likelihood (mean log_prob)",
        "training log-likelihood",
    ]
    assert [ax.get_ylabel() for ax in figure.axes] == ["nats per example"] * 2
    figure.draw_without_rendering()
    for ax in figure.axes:
        assert all(float(tick).is_integer() for tick in ax.get_xticks())  # there is no half an epoch
        assert ax.yaxis.get_offset_text().get_text() == ""
    labels = [tick.get_text() for tick in figure.axes[1].get_yticklabels()]
    assert all(label.startswith("−107.5") for label in labels[1:-1])  # the numbers themselves, no difference to another


def test_a_long_method_stands_in_lines_that_the_panel_has_room_for() -> None:
    method = "reverse AIS from a chain (a bound if it has mixed)"
    found = Estimate(-20.0, 0.1, "undetermined", method, unit="nats/example").to_dict()
    figure = curves(History([Record(k, k, 1.0, 1.0, {}, -20.0, found) for k in (1, 2)]))
    figure.draw_without_rendering()
    (ax,) = figure.axes
    title = ax._left_title
    assert title.get_text().replace("\n", " ") == f"validation log-likelihood ({method})"
    assert title.get_window_extent().x1 <= figure.bbox.x1


def test_monitors_of_several_kinds_share_a_title_only_where_they_are_one_quantity() -> None:
    exact = Estimate(-20.0, 0.0, "exact", "mean log_prob", unit="nats/example").to_dict()
    ais = Estimate(-20.0, 0.1, "above", "AIS", unit="nats/example").to_dict()
    pseudo = Estimate(-20.0, 0.1, "undetermined", "pseudo-likelihood", unit="nats/example").to_dict()
    kinds = {"mean log_prob": exact, "AIS": ais, "pseudo-likelihood": pseudo, "": None}
    runs = {name: History([Record(1, 1, 1.0, 1.0, {}, -20.0, kind)]) for name, kind in kinds.items()}
    for methods, title in (
        (["AIS"], "validation log-likelihood (AIS)"),
        (["mean log_prob", "AIS"], "validation log-likelihood"),
        (["pseudo-likelihood"], "validation pseudo-likelihood"),
        (["pseudo-likelihood", "AIS"], "monitor on validation rows"),
        (["AIS", ""], "monitor on validation rows"),
    ):
        assert quantity("monitor", *[runs[method] for method in methods]).title == title


def test_clocks_are_no_quantities_and_unknown_values_are_holes() -> None:
    assert quantities(history()) == ["monitor", "error", "late"]
    table = columns({"epoch": [1, 2], "loss": [None, float("inf")], "fine": [1, torch.tensor(2.0)]})
    assert np.isnan(table["loss"]).all()
    assert table["fine"] == [1.0, 2.0]
    assert quantities({"epoch": [1, 2], "loss": [None, float("inf")], "fine": [1, 2]}) == ["fine"]


def test_each_history_keeps_its_own_line_and_label() -> None:
    figure = curves({"a": [1, 2]}, {"a": [3, 4], "b": [5, 6]}, labels=["first", "second"])
    drawn = [[line.get_ydata().tolist() for line in ax.get_lines()] for ax in figure.axes]
    assert drawn == [[[1, 2], [3, 4]], [[5, 6]]]
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["first", "second"]


@pytest.mark.parametrize("arguments", [(), ({},), ({"epoch": [1, 2]},), ({"a": [None]},), ("text",), ([1, 2],)])
def test_nothing_to_draw_is_refused(arguments: tuple) -> None:
    with pytest.raises(ArgumentError):
        curves(*arguments)


def test_labels_must_fit() -> None:
    with pytest.raises(ArgumentError, match="labels"):
        curves({"a": [1]}, labels=["x", "y"])


def test_traces_draw_the_chains_in_time() -> None:
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    figure = traces({"one": x, "two": 2 * x}, chains=3)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["one", "", "two", ""]
    for chain, line in enumerate(figure.axes[2].get_lines()):
        assert np.array_equal(line.get_ydata(), 2 * x[:, chain])
    bars = figure.axes[1].patches
    assert sum(bar.get_width() for bar in bars) == x.numel()  # the histogram counts every chain


def test_long_traces_are_thinned_evenly() -> None:
    x = torch.arange(1000.0).unsqueeze(1)
    line = traces(x, draws=100).axes[0].get_lines()[0]
    assert line.get_xdata().tolist() == line.get_ydata().tolist() == list(range(0, 1000, 10))


@pytest.mark.parametrize("values", [[3, 4, 5], list(range(64)), [0.25, 0.5, 0.75]])
def test_discrete_quantities_have_whole_values_in_each_bin(values: list[float]) -> None:
    x = torch.tensor(values).repeat(10).unsqueeze(1)
    counts = [bar.get_width() for bar in traces(x).axes[1].patches if bar.get_width() > 0]
    assert sum(counts) == len(x)
    assert min(counts[:-1]) == max(counts[:-1])  # equal values fill equal bins, but for the last


def test_a_trace_object_of_scalars_is_read() -> None:
    draws = torch.zeros(5, 2)
    figure = traces(Trace(draws, {}, None, EXACT, 0, 1))
    assert len(figure.axes[0].get_lines()) == 2
    with pytest.raises(ShapeError, match="free_energy"):
        traces(Trace(torch.zeros(5, 2, 9), {}, None, EXACT, 0, 1))


@pytest.mark.parametrize(
    ("trace", "error"),
    [
        (torch.zeros(5), ShapeError),
        (torch.zeros(0, 3), ShapeError),
        ({}, ShapeError),
        ({"a": [1, 2]}, ShapeError),
        (torch.tensor([[float("nan")]]), SupportError),
    ],
)
def test_what_is_no_trace_is_refused(trace: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        traces(trace)


def test_where_epochs_are_no_passes_the_axis_counts_passes() -> None:
    metrics = {"error": 0.5}
    part = [Record(n, 3 * n, 0.1 * n, 0.1 * n, metrics, passes=0.25 * n) for n in (1, 2)]
    whole = [Record(n, 3 * n, 0.1 * n, 0.1 * n, metrics) for n in (1, 2)]
    both = curves(History(part), History(whole)).axes[0]
    assert [line.get_xdata().tolist() for line in both.get_lines()] == [[0.25, 0.5], [1, 2]]
    assert both.get_xlabel() == "passes over the rows"
    assert curves(History(whole)).axes[0].get_xlabel() == "epoch"
    assert "passes" not in quantities(History(part))


def test_curves_and_traces_refuse_what_does_not_fit() -> None:
    table = {"epoch": [1, 2], "error": [0.3, 0.2]}
    with pytest.raises(UnknownName, match="unknown quantity 'eror': did you mean 'error'"):
        curves(table, names=["eror"])
    with pytest.raises(ArgumentError, match="2 histories need as many colours, got 1"):
        curves(table, table, colours=["red"])
    with pytest.raises(ShapeError, match="'error' has 3 numbers, and the epochs beside it are 2"):
        curves({"epoch": [1, 2], "error": [0.3, 0.2, 0.1]})
    for wrong in ({"draws": 0}, {"chains": 0}):
        with pytest.raises(ArgumentError, match="must be an integer of at least 1"):
            traces(torch.zeros(5, 2), **wrong)
