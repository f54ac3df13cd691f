"""Levels of a deep machine: one layer of units each, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepgen.errors import ArgumentError
from deepgen.explicit.product import Product
from deepgen.explicit.units import Bernoulli, Units, as_units


def as_parts(level: Any, name: str) -> list[Units]:
    """The layers of a level that is given as a layer, as a number of Bernoulli units, or as a list of them."""
    if isinstance(level, (list, tuple)):
        if not level:
            raise ArgumentError(f"{name} is an empty list: give a layer or several")
        return [as_units(part, f"a part of {name}") for part in level]
    return [as_units(level, name)]


def joined(parts: Sequence[Units]) -> Units:
    """One layer of all of ``parts``; of Bernoulli layers a Bernoulli layer, which has the faster ways.

    >>> joined([Bernoulli(2), Bernoulli(3)]).width, joined([Bernoulli(2)]).width
    (5, 2)
    """
    if len(parts) == 1:
        return parts[0]
    if all(type(part) is Bernoulli for part in parts):
        return Bernoulli(sum(part.width for part in parts))
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Product) else [part])]
    return Product(*flat)


def written(visible: Sequence[Units], *hidden: Sequence[Units]) -> str:
    """Widths of all levels, with those of their parts where there are several.

    >>> written([Bernoulli(6), Bernoulli(4)], [Bernoulli(3)])
    '10 visible (6, 4); hidden 3'
    """

    def told(level: Sequence[Units], word: str = "") -> str:
        widths = [part.width for part in level]
        return f"{sum(widths)}{word}" + (f" ({', '.join(map(str, widths))})" if len(widths) > 1 else "")

    return f"{told(visible, ' visible')}; hidden {', '.join(map(told, hidden))}"
