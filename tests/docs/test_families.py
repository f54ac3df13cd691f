"""Pages of families have one shape, name every model class, and state figures of the results; the gallery is whole."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
from matplotlib.image import imread
from torch import nn

import deepgen as dg
from tests.docs.pages import ROOT, examples

DOCS = ROOT / "docs"
FAMILIES = sorted(page for page in (DOCS / "families").glob("*.md") if page.name != "index.md")
RESULTS = "\n".join(
    path.read_text() for path in [*(DOCS / "results").glob("*.md"), *(ROOT / "benchmarks" / "results").glob("*.txt")]
)
NUMBER = re.compile(r"[−-]?\d+(?:,\d{3})*(?:\.\d+)?")
MEASURED = re.compile(r"^Measured.*(?:\n.+)*", re.M)


def name_of(page: Path) -> str:
    return page.stem


def models(module: ModuleType) -> list[str]:
    """Public modules that are drawn from, scored or encoded by; layers of units and networks are their parts."""
    public = [(name, getattr(module, name)) for name in module.__all__]
    return [
        name
        for name, thing in public
        if inspect.isclass(thing)
        and issubclass(thing, nn.Module)
        and not hasattr(thing, "cumulant")  # units: layers of a machine
        and any(hasattr(thing, method) for method in ("sample", "log_prob", "log_density", "bound", "encode"))
    ]


def cells(text: str, column: str) -> list[str]:
    """The cells of every table's columns whose head begins with ``column``."""
    found: list[str] = []
    wanted: list[int] = []
    for line in text.splitlines():
        row = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] if line.startswith("|") else []
        if row and not wanted:
            wanted = [i for i, cell in enumerate(row) if cell.startswith(column)] or [-1]
        elif row and wanted != [-1]:
            found += [row[i] for i in wanted if set(row[i]) - set("-: ")]
        wanted = wanted if row else []
    return found


def stated(number: str, text: str) -> bool:
    """Whether a text has this number as a whole, with either minus sign."""
    plain = re.escape(number.lstrip("−-"))
    return re.search(rf"(?<![\d.,]){plain}(?![\d]|[.,]\d)", text) is not None


@pytest.mark.parametrize("page", FAMILIES, ids=name_of)
def test_page_has_the_shape_of_its_kind(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"^## (.*)$", text, re.M) == ["Model", "When", "Cost", "Gotchas", "Figures"]
    assert len(examples(text)) == 1  # one block, which test_pages runs
    assert "\nMore: " in text
    assert page.name in (DOCS / "families" / "index.md").read_text()


@pytest.mark.parametrize("module", [dg.explicit, dg.implicit], ids=lambda module: str(module.__name__))
def test_every_model_stands_on_a_page(module: ModuleType) -> None:
    pages = "\n".join(page.read_text() for page in FAMILIES)
    found = models(module)
    assert len(found) > 5
    assert [name for name in found if re.search(rf"`{name}\b", pages) is None] == []


@pytest.mark.parametrize("page", FAMILIES, ids=name_of)
def test_figures_stand_in_the_results(page: Path) -> None:
    """What is said to be obtained or measured here was copied from a page of results or of a benchmark."""
    text = page.read_text()
    measured = [re.sub(r"\]\([^)]*\)", "", paragraph) for paragraph in MEASURED.findall(text)]
    said = [*cells(text.split("## Figures")[1], "here"), *measured]
    missing = [(words, number) for words in said for number in NUMBER.findall(words) if not stated(number, RESULTS)]
    assert missing == []


def test_cells_and_numbers_are_found() -> None:
    table = "| a | here: x | b |\n|---|---|---|\n| 1 | −2.5 ± 0.1 | 3 |\n\n| c |\n|---|\n| 4 |\n"
    assert cells(table, "here") == ["−2.5 ± 0.1"]
    assert stated("−2.5", "it is -2.5, or so")
    assert not stated("2.5", "12.5 and 2.55 and 2.5,1")


def test_the_page_of_optimizers_has_the_figures_of_the_gallery() -> None:
    """Losses on digits and times of a step, of all eight."""
    page = (DOCS / "concepts" / "optimizers.md").read_text()
    printed = (DOCS / "gallery.md").read_text().split("### optimizers\n")[1]
    line = r"^(\w[\w, -]*?)  .*\) +([\d.]+ ± [\d.]+) \( *([\d.]+)\) +([\d.]+ \([\d.]+ to [\d.]+\))$"
    found = re.findall(line, printed, re.M)
    assert len(found) == 8
    for name, loss, rate, ms in found:
        assert re.search(rf"^\| {re.escape(name)} \|.*\| {loss} \({rate}\) \| {re.escape(ms)} \|$", page, re.M), name


def test_the_page_of_rows_given_rows_has_the_figures_of_the_gallery() -> None:
    page = (DOCS / "families" / "seq2seq.md").read_text().split("## Figures")[1]
    printed = (DOCS / "gallery.md").read_text().split("### read_dates\n")[1].split("\n### ")[0]
    said = [number for cell in cells(page, "log p") + cells(page, "read right by") for number in NUMBER.findall(cell)]
    assert len(said) > 5
    assert [number for number in said if not stated(number, printed)] == []


def test_every_example_stands_in_the_gallery() -> None:
    text = (DOCS / "gallery.md").read_text()
    scripts = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
    assert sorted(re.findall(r"^### (\w+)$", text, re.M)) == scripts
    for script in scripts:
        section = text.split(f"### {script}\n")[1].split("\n##")[0]
        picture = DOCS / "images" / "gallery" / f"{script}.png"
        assert f"](images/gallery/{script}.png)" in section, script
        assert picture.stat().st_size < 60_000, script
        assert imread(picture).std() > 0.01, script  # something is drawn
        assert re.search(rf'```text title="{script}\.py: \d+ CPU s"\n.+?\n```', section, re.S), script
    pictures = sorted(path.stem for path in (DOCS / "images" / "gallery").glob("*.png"))
    assert pictures == scripts
