"""What differs between the settings of two runs, in words that fit on a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ROWS = {"data": "training rows", "valid": "validation rows"}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Each setting of ``here`` that is another one ``there``, both as JSON has them.

    >>> differences({"seed": 0, "optimizer": {"class": "SGD", "lr": 0.1}}, {"seed": 0, "optimizer": {"lr": 0.01}})
    ['optimizer class: SGD there, none here', 'optimizer lr: 0.1 there, 0.01 here']
    """
    return [
        words for name in here if there.get(name) != here[name] for words in _one(name, there.get(name), here[name])
    ]


def _one(name: str, there: Any, here: Any) -> Iterator[str]:
    if name in ROWS:
        first, second = _rows(there), _rows(here)
        yield f"{ROWS[name]}: " + (f"other values in {first}" if first == second else f"{first} there, {second} here")
    elif isinstance(there, Mapping) and isinstance(here, Mapping) and "function" not in (*there, *here):
        if {"class"} <= there.keys() & here.keys() and there["class"] != here["class"]:
            yield f"{name}: {there['class']} there, {here['class']} here"  # whose settings do not compare
            return
        for key in dict.fromkeys((*there, *here)):
            if there.get(key) != here.get(key):
                yield from _one(
                    name if key in ("arguments", "rebuild") else f"{name} {key}", there.get(key), here.get(key)
                )
    elif isinstance(there, Mapping) or isinstance(here, Mapping):
        yield f"{name}: another one there"  # a function, or no such thing on one side
    else:
        yield f"{name}: {_plain(there)} there, {_plain(here)} here"


def _rows(known: Any) -> str:
    if not isinstance(known, Mapping):
        return "none"
    provenance = known.get("provenance") or {}
    name, shape = provenance.get("name") or provenance.get("data") or "unnamed", known.get("shape") or []
    return f"{shape[0]:,} of {name}" if shape else str(name)


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
