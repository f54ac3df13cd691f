"""The table of a report: sides are told, small errors keep their digits, brackets that failed say so."""

from __future__ import annotations

from pathlib import Path

from deepgen.evaluate.estimate import Bracket, Estimate
from deepgen.plot import Entry
from deepgen.plot.figures import series
from deepgen.plot.page import STYLE, variable
from deepgen.plot.results import results

from .test_report import written


def test_a_bracket_with_an_unproved_end_is_not_called_two_sided(tmp_path: Path) -> None:
    sure = Estimate(-9.0, 0.1, "above", "AIS", n=30)
    for low_side, word in (("undetermined", "two-sided, if mixed"), ("below", "two-sided")):
        bracket = Bracket(Estimate(-9.5, 0.2, low_side, "reverse", n=30), sure)
        _, page = written(tmp_path, Entry("big", bracket))
        assert page.row("reverse | AIS")[4] == word


def test_only_sides_that_occur_are_explained(tmp_path: Path) -> None:
    text, _ = written(tmp_path, Entry("a", Estimate(-1.0, 0.0, "exact", "sum")))
    assert "by enumeration or in closed form" in text
    assert "at or above" not in text


def test_small_errors_keep_two_digits_and_crossed_ends_are_told(tmp_path: Path) -> None:
    low, high = Estimate(-9.12342, 0.00312, "below", "reverse", n=30), Estimate(-9.1, 0.1, "above", "AIS", n=30)
    _, page = written(tmp_path, Entry("sharp", low), Entry("good", Bracket(low, high)))
    ends = [f"−{-end:.4f}" for end in low.interval()]
    assert page.row("sharp")[1:3] == [f"−9.123495 %: {ends[0]} to {ends[1]}", "0.0031"]
    assert page.row("good")[2] == "0.0031, 0.10"
    assert "contradict" not in "".join(page.text)
    _, page = written(tmp_path, Entry("bad", Bracket(low + 2.0, high)))
    assert page.row("bad")[4] == "ends crossed"
    assert "The two bounds contradict one another" in "".join(page.text)


def test_values_in_reverse_order_are_told_and_explained(tmp_path: Path) -> None:
    low, high = Estimate(-9.0, 0.1, "below", "reverse", n=30), Estimate(-9.1, 0.1, "above", "AIS", n=30)
    _, page = written(tmp_path, Entry("close", Bracket(low, high)))
    assert page.row("close")[4] == "two-sidedin reverse order"
    assert "the wrong way round by less than their errors" in "".join(page.text)
    _, page = written(tmp_path, Entry("far", Bracket(low + -1.0, high)))
    assert "reverse order" not in "".join(page.text)


def test_the_level_of_intervals_is_one_and_told(tmp_path: Path) -> None:
    text, page = written(tmp_path, Entry("a", Estimate(0.0, 1.0, "unbiased", "mean", n=10**6)))
    assert "are 95 % intervals" in text
    assert page.row("mean")[1] == "0.0095 %: −1.96 to 1.96"


def test_rows_that_span_the_table_span_all_of_it_and_no_table_widens_the_page() -> None:
    one = Estimate(-2.0, 0.1, "below", "bound", n=9, unit="nats/example", stderr_data=0.2)
    text = results([Entry("a", one, group="lower bounds", note="why")])
    assert text.startswith("<p>")
    head = text[text.index("<thead>") : text.index("</thead>")]
    columns = head.count("<th>") + head.count("<th ")
    assert f'<tr class="group"><th colspan="{columns}">' in text
    assert f'<td colspan="{columns - 1}">why' in text
    assert '<div class="held"><table' in text
    assert ".held{overflow-x:auto" in STYLE


def test_the_colours_of_ten_models_are_ten() -> None:
    assert len({variable(index) for index in range(10)}) == len({series(index) for index in range(10)}) == 10
