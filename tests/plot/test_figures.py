"""Files written whole or not at all, and figures that leave pyplot alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from deepgen import plot
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot import curves, image_grid, save, traces
from deepgen.plot.figures import PALETTE, inline_svg, render, write
from deepgen.plot.page import DARK


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.PDF", b"%PDF")])
def test_the_ending_says_the_format(tmp_path: Path, name: str, start: bytes) -> None:
    path = save(image_grid(torch.zeros(4, 9)), tmp_path / "new" / "folders" / name)
    assert path.read_bytes().startswith(start)
    assert os.listdir(path.parent) == [name]


def test_scale_multiplies_the_pixels() -> None:
    figure = image_grid(torch.zeros(4, 9))
    one, two = (int.from_bytes(render(figure, "png", s)[16:20], "big") for s in (1, 2))
    assert two == 2 * one


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_figure_gives_the_same_bytes(kind: str) -> None:
    first, second = (render(curves({"a": [1, 2, 3]}), kind) for _ in range(2))
    assert first == second


def test_unknown_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"\.png, \.svg or \.pdf"):
        save(Figure(), tmp_path / "a.jpeg2000")
    assert os.listdir(tmp_path) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "page.html", b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ArgumentError, match=r"page\.html: No space left"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_folder_in_the_way_is_one_typed_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ArgumentError, match=r"a\.png"):
        save(image_grid(torch.zeros(4, 9)), tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="cannot write"):
        write(tmp_path / "file" / "b.png", b"")
    assert sorted(os.listdir(tmp_path)) == ["a.png", "file"]


def test_written_files_get_the_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    ours = write(tmp_path / "ours", b"").stat().st_mode
    assert stat.S_IMODE(ours) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_inline_svg_carries_no_address_of_the_web_and_no_id_twice() -> None:
    trace = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    pages = [inline_svg(traces(trace), 'say "hi" <b>', prefix) for prefix in ("one", "two")]
    for page in pages:
        assert page.startswith("<svg")
        assert "http" not in page
        assert "&quot;hi&quot; &lt;b&gt;" in page
        assert "var(--s0)" in page
        assert not any(colour in page for colour in PALETTE.values())
    ids = [{part.split('"')[0] for part in page.split(' id="')[1:]} for page in pages]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = {part.split(")")[0] for part in pages[0].split("url(#")[1:]}
    used |= {part.split('"')[0] for part in pages[0].split('href="#')[1:]}
    assert used
    assert used <= ids[0]


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("palette", "ground"), [(PALETTE, "#fdfdfc"), (DARK, "#14171a")])
def test_colours_can_be_read_on_their_ground(palette: dict[str, str], ground: str) -> None:
    """WCAG 2: a contrast of at least 4.5 to 1, for text and lines; rules are ornament."""
    assert palette.keys() == PALETTE.keys()
    for name, colour in palette.items():
        bright, dim = sorted((_luminance(colour), _luminance(ground)), reverse=True)
        assert name == "rule" or (bright + 0.05) / (dim + 0.05) >= 4.5, name


def test_pyplot_is_never_imported_and_matplotlib_only_on_use() -> None:
    code = (
        "import sys, torch, deepgen.plot as p\n"
        "assert 'matplotlib' not in sys.modules\n"
        "p.image_grid(torch.zeros(4, 9)); p.curves({'a': [1, 2]}); p.traces(torch.eye(3))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("draw", "error"),
    [
        (lambda: plot.boundaries({"a": (lambda x: x[:, 0] > 0, torch.full((2, 2), torch.nan), torch.tensor([0, 1]))}),
         SupportError),
        (lambda: plot.completions(torch.zeros(0, 4), torch.zeros(4).bool(), torch.zeros(0, 2, 4)), ShapeError),
        (lambda: plot.code_map(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)), ShapeError),
        (lambda: plot.regions(lambda x: -x.square().sum(1), {"a": torch.zeros(5, 2)}, box=((0, 1), (0, 1)), masses=()),
         ArgumentError),
        (lambda: plot.filters(torch.zeros(9, 4), units=[7]), ArgumentError),
        (lambda: plot.filters(torch.zeros(9, 4), units=[]), ArgumentError),
    ],
    ids=["boundaries", "completions", "code_map", "regions", "filters", "no filters"],
)  # fmt: skip
def test_empty_and_broken_input_is_told_in_words(draw, error) -> None:
    with pytest.raises(error):
        draw()
