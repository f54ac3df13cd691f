"""The page of a comparison: the families' draws side by side beside held-out rows, and the table over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepgen.cli.compare import tables
from deepgen.cli.compare.judged import GROUPS

if TYPE_CHECKING:
    from pathlib import Path

    from deepgen.cli.compare.comparison import Comparison
    from deepgen.data import Data

GRID = 64  # draws shown as images
ROWS = 1000  # and as rows of numbers


def page(found: Comparison, rows: Data) -> Path:
    """Write the page into the directory of ``found``; ``rows`` are the data as they were loaded."""
    from deepgen.cli.compare.comparison import draws_of, history_of
    from deepgen.cli.compare.paired import in_words
    from deepgen.cli.describe import counted
    from deepgen.cli.options import GAMES
    from deepgen.cli.pages import drawn
    from deepgen.implicit import GAN, Autoencoder
    from deepgen.plot import Entry, report

    entries = []
    kinds: dict[str, type] = {**dict.fromkeys(GAMES, GAN), "autoencoder": Autoencoder}
    many = GRID if rows.image_shape is not None else ROWS
    for one in found.models:
        name = one.model.split()[0]
        draws = draws_of(found.directory, one.model)
        history = history_of(found.directory, one.model)
        levels = rows.levels if "alphabet" not in rows.provenance else None
        if draws is not None and levels is not None and name not in GAMES:  # in whole levels, as models take them
            draws = draws / (levels - 1)
        settings = {
            "model": one.model,
            "command": found.command,
            "updates": f"{one.updates:,}",
            "passes over the training rows": counted(one.passes),
            "updates behind the state that was judged": f"{one.kept:,}",
        }
        entries.append(
            Entry(
                one.title,
                estimates=list(one.likelihood),
                seconds=one.seconds,
                samples=None if draws is None or one.failed else draws[:many],
                history=None if one.failed else drawn(history, kinds.get(name, object)),
                settings={**settings, **one.settings},
                quality=one.quality,
                mark="collapsed" if one.collapsed else "",
                group=GROUPS[one.group],
                note=one.failed
                or "; ".join(filter(None, (one.collapsed, in_words(one).replace("-", "−", 1), *one.notes))),
            )
        )
    verdict = tables.verdict(found.models).replace(" -", " −")
    fallen = [f" {one.title} has collapsed: its draws are of few kinds." for one in found.models if one.collapsed]
    return report(
        found.page,
        entries,
        rows,
        title=f"{len(found.models)} models of {found.data}",
        summary=f"{verdict}. Each was trained for the same time on the same rows.{''.join(fallen)}",
        facts={"trained": found.head, "directory": str(found.directory), "command": found.command},
    )
