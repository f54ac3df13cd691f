"""The page: well formed, complete in itself, deaf to hostile names, and true to the numbers it was given."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch.distributions import constraints

import deepgen as dg
from deepgen.data import Data
from deepgen.errors import ArgumentError
from deepgen.evaluate.estimate import Bracket, Estimate
from deepgen.plot import Entry, mosaic, report
from deepgen.train import History, Record

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks nesting while it reads; keeps tags, ids, addresses, and the text of table cells."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> inside <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)
        if self.rows and ("td" in self.open or "th" in self.open):
            self.rows[-1][-1] += data

    def row(self, *words: str) -> list[str]:
        """The one table row that has all the words."""
        (found,) = [r for r in self.rows if len(r) > 3 and all(any(w in cell for cell in r) for w in words)]
        return found


def data(image_shape: tuple[int, int] | None = (3, 3)) -> Data:
    stream = torch.Generator().manual_seed(0)
    train, valid, test = (torch.randint(2, (n, 9), generator=stream).float() for n in (50, 20, 30))
    facts = {"name": "tiles", "source": "coin flips", "binarisation": "none needed", "rows": {"train": 50}}
    return Data(train, valid, test, torch.Size([9]), constraints.boolean, facts, image_shape)


def full_entry(name: str = "RBM 9-4", seed: int = 1) -> Entry:
    rbm = dg.explicit.RBM(visible=9, hidden=4, generator=seed)
    stream = torch.Generator().manual_seed(seed)
    return Entry(
        name,
        estimates=[
            Estimate(-5.125, 0.0, "exact", "enumeration", unit="nats/example", stderr_data=0.31),
            Estimate(-5.0, 0.1, "above", "AIS", n=50, ess=41.5, unit="nats/example", settings={"temperatures": 77}),
        ],
        seconds=12.34,
        samples=torch.randint(2, (20, 9), generator=stream).float(),
        filters=rbm,
        history={"epoch": [1, 2, 3], "error": [0.3, 0.2, 0.1]},
        trace={"free energy": torch.randn(100, 4, generator=stream)},
        settings={"objective": "PersistentCD(k=1)"},
    )


def written(tmp_path: Path, *entries: Entry, **options) -> tuple[str, Page]:
    path = report(tmp_path / "out" / "report.html", entries, **options)
    assert os.listdir(path.parent) == ["report.html"]  # nothing left beside it
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    text, page = written(tmp_path, full_entry(), full_entry("second", 2), data=data())
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"@import|url\((?!#)", text)
    assert not {"script", "iframe", "object", "embed", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:", "#"))
        assert not any(name.startswith("on") for name in attributes)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = {a["href"][1:] for tag, a in page.tags if tag == "a"}
    assert links == {"results", "samples", "nearest", "filters", "curves", "chains", "details"}
    assert links <= set(ids)
    assert len(text) < 5e6


def test_every_picture_has_a_text_in_its_place(tmp_path: Path) -> None:
    _, page = written(tmp_path, full_entry(), data=data())
    images = [a for tag, a in page.tags if tag == "img"]
    assert images
    assert all(a["alt"] for a in images)
    for attributes in (a for tag, a in page.tags if tag == "svg"):
        assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    assert ("html", {"lang": "en"}) in page.tags


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"
    entry = full_entry(evil)
    entry = Entry(
        evil,
        Estimate(-1.0, 0.1, "below", evil, n=3, settings={evil: evil}),
        samples=entry.samples,
        filters=entry.filters,
        history={evil: [1.0, 2.0]},
        trace={evil: entry.trace["free energy"]},
        settings={evil: evil},
    )
    text, page = written(tmp_path, entry, data=data(), title=evil, summary=evil, facts={evil: evil})
    assert "<script" not in text
    assert not [a for tag, a in page.tags if tag == "img" and not a["src"].startswith("data:image/png;base64,")]
    assert not any(name.startswith("on") for _, a in page.tags for name in a)
    assert "".join(page.text).count(evil) > 8


def test_numbers_keep_their_signs_sides_and_errors(tmp_path: Path) -> None:
    entries = [
        full_entry(),
        Entry("flow", Estimate(2.5, 0.25, "unbiased", "importance", n=100, unit="nats/example"), seconds=250.0),
        Entry("vae", Estimate(-90.0, 0.5, "below", "IWAE", n=100)),
        Entry("dbm", Estimate(-84.5, 0.5, "undetermined", "bound minus AIS", n=100)),
        Entry("big", Bracket(Estimate(-9.5, 0.2, "below", "reverse", n=30), Estimate(-9.0, 0.1, "above", "AIS", n=30))),
    ]
    _, page = written(tmp_path, *entries)
    exact, annealed = page.row("RBM 9-4", "enumeration"), page.row("RBM 9-4", "above")
    assert exact[1:] == ["−5.12", "0", "0.31", "", "exact", "enumeration", "12.3"]
    low, high = entries[0].each_estimate()[1].interval()
    assert annealed[1] == f"−5.0095 %: −{-low:.2f} to −{-high:.2f}"
    assert annealed[2:] == ["0.10", "–", "", "above", "AIS", ""]
    assert page.row("importance")[1].startswith("2.5095 %: 2.00 to 3.00")
    assert page.row("importance")[5:] == ["unbiased", "importance", "250"]
    assert page.row("IWAE")[5] == "below"
    assert page.row("bound minus AIS")[5] == "undetermined"
    both = page.row("reverse | AIS")
    assert both[1].startswith("−9.50 to −9.0095 %: −9.91 to −8.80")
    assert both[2] == "0.20, 0.10"
    assert both[5:7] == ["two-sided", "reverse | AIS"]
    assert [a["value"] for tag, a in page.tags if tag == "data"] == [
        "-5.125",
        "-5.0",
        "2.5",
        "-90.0",
        "-84.5",
        "-9.5",
        "-9.0",
    ]
    legend = "".join(page.text)
    assert "the truth is at or above the value" in legend
    assert "the truth is at or below the value" in legend


@pytest.mark.parametrize("value", [0.0, -1e6, 1e-9, float("-inf")])
def test_one_lonely_or_infinite_value_still_has_a_scale(value: float, tmp_path: Path) -> None:
    text, page = written(tmp_path, Entry("a", Estimate(value, 0.0, "exact", "sum")))
    assert "nan" not in text.lower().replace("nanmean", "")
    assert page.row("sum")[1] == ("−∞" if value == float("-inf") else f"{value:,.2f}".replace("-", "−"))


def test_pictures_on_the_page_are_the_samples(tmp_path: Path) -> None:
    entry, rows = full_entry(), data()
    _, page = written(tmp_path, entry, data=rows)
    images = {a["alt"]: a["src"] for tag, a in page.tags if tag == "img"}

    def pixels(alt: str) -> np.ndarray:
        raw = base64.b64decode(images[alt].split(",", 1)[1])
        return np.round(imread(io.BytesIO(raw)) * 255).astype(int)

    for alt, x in (("20 samples of RBM 9-4", entry.samples), ("30 images of held-out data", rows.test)):
        grid = mosaic(x, (3, 3), columns=8).numpy().astype(int)
        seen = pixels(alt)
        block = seen.shape[0] // grid.shape[0]
        assert block > 1
        assert np.array_equal(seen, grid.repeat(block, 0).repeat(block, 1))


def test_real_rows_of_a_page_are_of_all_classes_where_the_file_is_sorted(tmp_path: Path) -> None:
    """As binarised MNIST's test file is: of its first 64 images each is a nought."""
    rows = dataclasses.replace(data(), test=torch.cat([torch.zeros(500, 9), torch.ones(500, 9)]))
    _, page = written(tmp_path, full_entry(), data=rows)
    (src,) = (a["src"] for tag, a in page.tags if tag == "img" and a["alt"] == "64 images of held-out data")
    seen = np.round(imread(io.BytesIO(base64.b64decode(src.split(",", 1)[1]))) * 255)
    zeros, ones = (mosaic(torch.full((64, 9), v), (3, 3), columns=8).numpy() for v in (0.0, 1.0))
    block = seen.shape[0] // len(zeros)
    inside = (zeros != ones).repeat(block, 0).repeat(block, 1)
    share = (seen == ones.repeat(block, 0).repeat(block, 1))[inside].mean()
    assert 0.25 < share < 0.75


def test_copies_of_training_rows_are_counted(tmp_path: Path) -> None:
    rows = data()
    entry = Entry("parrot", samples=rows.train[:7])
    text, _ = written(tmp_path, entry, data=rows)
    held_out = int((rows.test[:, None] == rows.train[None]).all(-1).any(1).sum())
    assert "Median Hamming distance of 7 samples 0, of held-out data" in text
    assert f"Exact copies: 7 of 7 (held-out data {held_out} of 30)" in text


def test_chains_that_disagree_are_called_so(tmp_path: Path) -> None:
    stream = torch.Generator().manual_seed(0)
    good = torch.randn(500, 4, generator=stream)
    apart = good + 10 * torch.arange(4)
    text, _ = written(tmp_path, Entry("good", trace=good), Entry("apart", trace={"level": apart}))
    cards = text.split("<figcaption>")[1:]
    assert "(mixed)" in cards[0]
    assert "not mixed" not in cards[0]
    assert "(not mixed" in cards[1]
    assert "4 chains of 500 draws" in cards[1]


def test_still_chains_are_not_called_mixed(tmp_path: Path) -> None:
    text, _ = written(tmp_path, Entry("still", trace=torch.ones(50, 3)))
    assert "not mixed" in text
    assert "R-hat –" in text


def test_what_was_run_stands_on_the_page(tmp_path: Path) -> None:
    date = dt.datetime(2031, 2, 3, 4, 5, tzinfo=dt.timezone.utc)
    _, page = written(tmp_path, full_entry(), data=data(), facts={"seed": 17}, title="Tiles", summary="Why.", date=date)
    text = " ".join(page.text)
    for words in ("Tiles", "Why.", "tiles", "50 / 20 / 30", "none needed", "coin flips", "17", "2031-02-03 04:05 UTC"):
        assert words in text
    for words in (dg.__version__, torch.__version__, "PersistentCD(k=1)", "temperatures", "77", "50, 41.5"):
        assert words in text


def test_the_monitor_is_named(tmp_path: Path) -> None:
    def history(estimate):
        return History([Record(k, k, 1.0, 1.0, {}, monitor=-float(k), estimate=estimate) for k in (1, 2)])

    pseudo = Estimate(-1.0, 0.0, "undetermined", "pseudo-likelihood", unit="nats/example").to_dict()
    bound = Bracket(Estimate(-1.0, 0.1, "below", "reverse AIS"), Estimate(-1.0, 0.1, "above", "AIS")).to_dict()
    text, _ = written(tmp_path, Entry("a", history=history(pseudo)))
    assert "The monitor (pseudo-likelihood for a)" in text
    assert "validation pseudo-likelihood by epoch for a" in text
    text, _ = written(tmp_path, Entry("a", history=history(pseudo)), Entry("b", history=history(bound)))
    assert "The monitor (pseudo-likelihood for a; reverse AIS for b)" in text
    assert "monitor on validation rows by epoch for a, b" in text


def test_a_bare_name_is_enough_and_nothing_is_not(tmp_path: Path) -> None:
    _, page = written(tmp_path, Entry("only a name"))
    assert not [tag for tag, _ in page.tags if tag == "section"]
    with pytest.raises(ArgumentError, match="at least one"):
        report(tmp_path / "x.html", [])


def test_a_failure_keeps_the_last_page(tmp_path: Path) -> None:
    path = report(tmp_path / "report.html", [Entry("first")])
    before = path.read_bytes()
    with pytest.raises(dg.errors.ShapeError):
        report(path, [Entry("second", trace=torch.zeros(3))])
    assert path.read_bytes() == before


def test_grey_rows_share_one_scale(tmp_path: Path) -> None:
    """A sample of half the brightness of the data looks half as bright, and is not stretched to full white."""
    rows = data()
    grey = Data(rows.train * 4, rows.valid * 4, rows.test * 4 - 0.5, rows.event_shape, constraints.real, {}, (3, 3))
    _, page = written(tmp_path, Entry("dim", samples=torch.full((2, 9), 1.5)), data=grey)
    (source,) = [a["src"] for tag, a in page.tags if tag == "img" and a["alt"] == "2 samples of dim"]
    seen = imread(io.BytesIO(base64.b64decode(source.split(",", 1)[1])))
    assert np.allclose(seen[0, 0, :3], 0.5, atol=0.005)
