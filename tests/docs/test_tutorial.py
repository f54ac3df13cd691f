"""Every chapter of the tutorial runs, prints what it says, draws its picture, and quotes no number that it has not."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import NUMBER, ROOT, agrees, examples, value

TUTORIAL = ROOT / "docs" / "tutorial"
IMAGES = ROOT / "docs" / "images" / "tutorial"
CHAPTERS = sorted(path for path in TUTORIAL.glob("*.md") if path.name != "index.md")
UNITS = 1  # by which a printed number may differ in its last digit on another machine
FIRST = ["## The question", "## The formula", "## The program"]
PARTS = ["## What to notice", "## A trap", "## Read on"]
LARGEST = 60_000  # bytes of a picture


def name_of(page: Path) -> str:
    return page.stem


def quoted(text: str) -> list[str]:
    """The numbers that a page takes from its runs: all of what it says to notice and of its trap, code left out."""
    said = text[text.index(PARTS[0]) : text.index(PARTS[2])]
    said = re.sub(r"```.*?```", "", said, flags=re.S)
    said = re.sub(r"`[^`]*`|\]\([^)]*\)", "", said)
    return [match[0] for match in NUMBER.finditer(said)]


@pytest.mark.parametrize("page", CHAPTERS, ids=name_of)
def test_a_chapter_runs_prints_what_it_says_and_draws_its_picture(
    page: Path, tmp_path: Path, run_page: Callable[[Path, int], None]
) -> None:
    run_page(page, UNITS)
    shown = re.findall(r"\]\(\.\./images/tutorial/([^)]+)\)", page.read_text())
    assert shown
    assert sorted(shown) == sorted(path.name for path in tmp_path.glob("*.png"))
    for name in shown:
        raw, drawn = (IMAGES / name).read_bytes(), (tmp_path / name).read_bytes()
        assert len(raw) < LARGEST
        assert size(raw) == size(drawn), f"{name} was drawn by other code: python docs/draw_tutorial.py"


@pytest.mark.parametrize("page", CHAPTERS, ids=name_of)
def test_a_chapter_quotes_only_what_its_program_has_or_printed(page: Path) -> None:
    text = page.read_text()
    found = "\n".join(example.code + (example.output or "") for example in examples(text))  # settings are quoted too
    known = {abs(value(match[0])) for match in NUMBER.finditer(found)}  # a loss that is 0.06 lower differs by -0.06
    assert quoted(text)
    assert [number for number in quoted(text) if abs(value(number)) not in known] == []


@pytest.mark.parametrize("page", CHAPTERS, ids=name_of)
def test_a_chapter_has_its_parts_in_order(page: Path) -> None:
    headings = re.findall(r"^## .*$", page.read_text(), re.M)
    assert headings == FIRST + PARTS


def test_the_index_names_every_chapter_once_in_the_order_of_the_navigation() -> None:
    index = re.findall(r"\]\(([\w-]+\.md)\)", (TUTORIAL / "index.md").read_text())
    navigation = re.findall(r"tutorial/([\w-]+\.md)", (ROOT / "mkdocs.yml").read_text())
    assert index == [name for name in navigation if name != "index.md"]
    assert sorted(index) == [page.name for page in CHAPTERS]


def test_no_picture_is_left_over() -> None:
    text = "".join(page.read_text() for page in CHAPTERS)
    assert [path.name for path in IMAGES.iterdir() if path.name not in text] == []


def test_a_number_off_by_more_than_a_unit_is_seen() -> None:
    assert agrees("loss 0.25 ± 0.01 nats", "loss 0.26 ± 0.01 nats", UNITS)
    assert not agrees("loss 0.25 ± 0.01 nats", "loss 0.27 ± 0.01 nats", UNITS)
    assert not agrees("loss 0.25", "error 0.25", UNITS)
    assert not agrees("7 modes", "8 modes", UNITS)


def size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height
