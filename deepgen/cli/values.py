"""What values data hold, in words and as a model takes them: grey values as whole levels, a text in the run's alphabet.

Grey levels come from the loader scaled to [0, 1]. Models of whole numbers take them as they stand in the file,
0 .. L - 1: the probability of an image is the same, and samples are in the file's own numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributions import constraints

from deepgen.data.redrawn import Redrawn
from deepgen.data.splits import name_split
from deepgen.errors import ArgumentError

if TYPE_CHECKING:
    from deepgen.data import Data

BITS = "binary"
MODELS = {
    BITS: "rbm, mixture, made, nade, deep-nade, a flow such as nsf, vae, gan or energy",
    "real": "nice, realnvp, maf, nsf, vae, gan or energy (or rbm with --visible gaussian, on standardised columns)",
    "text": "lstm or transformer",
}


def kind(data: Data) -> str:
    """``binary``, ``grey`` (so many levels), ``unit`` (anything from 0 to 1), ``real`` or ``text``."""
    if data.support is constraints.boolean:
        return BITS
    if "alphabet" in data.provenance:
        return "text"
    if data.levels is not None:
        return "grey"
    return "real" if data.support is constraints.real else "unit"


def in_whole_numbers(data: Data) -> bool:
    """Whether values are whole levels or codes, so that a model gives them probabilities and not densities."""
    return isinstance(data.support, type(constraints.integer_interval(0, 1)))


def column(data: Data, index: int) -> str:
    """Such as ``column 3 (height)``, with the name where the header of the file has one."""
    names = data.provenance.get("columns")
    return f"column {index + 1}" + (f" ({names[index]})" if names else "")


def described(data: Data) -> str:
    """What the values are, and of nearly binary ones the first that spoils it."""
    words = {
        BITS: "zeros and ones",
        "grey": f"{data.levels} grey levels",
        "unit": "numbers from 0 to 1",
        "real": "real numbers",
        "text": "characters",
    }
    stray = data.provenance.get("nearly_binary")
    x = data.train
    if kind(data) == "real" and isinstance(x, Tensor) and bool((x == x.round()).all()):
        words["real"] = f"whole numbers from {x.min():g} to {x.max():g}, which count as real"
    return words[kind(data)] + (f" ({stray})" if stray else "")


def refused(what: str, data: Data) -> ArgumentError:
    """The error for data of another kind than a model takes: ``what`` it takes, what they are, and what to do."""
    return ArgumentError(f"{what}; {data.provenance['name']} holds {described(data)}: {_advice(data)}")


def _advice(data: Data) -> str:
    found, images = kind(data), data.image_shape is not None
    if found == BITS:
        others = f"{MODELS[BITS]}{', or pixelcnn or gated-pixelcnn' if images else ''}"
        return f"{'keep the grey levels by --binarise none, or ' if data.binarised else ''}train {others}"
    if found in ("grey", "unit"):
        few = ", or made where levels are few" if found == "grey" else ""
        return f"make bits of them by --binarise threshold (or fixed, or dynamic), or train a flow such as nsf{few}"
    return f"train {MODELS[found]}"


def whole(data: Data) -> Data:
    """Grey values as the whole levels 0 .. L - 1."""
    if kind(data) != "grey" or data.levels is None:
        raise refused("this model takes grey levels as whole numbers", data)
    top = data.levels - 1
    # what the loader did not do a flow may do by itself, so the page had better not deny it
    facts = {**data.provenance, "values": f"whole grey levels 0 to {top}"}
    facts.pop("dequantisation", None)
    return _mapped(data, lambda x: (x * top).round(), facts, support=constraints.integer_interval(0, top))


def as_images(data: Data) -> Data:
    """Rows ``[rows, height, width]`` of rows ``[rows, features]``, for networks that convolve."""
    sides = data.image_shape
    assert sides is not None
    shaped = _mapped(data, lambda x: x.unflatten(1, sides), data.provenance, support=data.support)
    return replace(shaped, event_shape=torch.Size(sides))


def spelled(data: Data, alphabet: str) -> Data:
    """A text in the codes of ``alphabet``, which numbers the characters that a model knows."""
    own = data.provenance.get("alphabet")
    if own is None:
        raise refused("this model takes a text", data)
    if own == alphabet:
        return data
    if unknown := sorted(set(own) - set(alphabet)):
        raise ArgumentError(
            f"{data.provenance['name']} has {_few(unknown)}, which the text that this model was trained on has not: "
            "take them out"
        )
    code = torch.tensor([alphabet.index(character) for character in own])
    facts, support = {**data.provenance, "alphabet": alphabet}, constraints.integer_interval(0, len(alphabet) - 1)
    return replace(_mapped(data, lambda x: code[x], facts, support=support), levels=len(alphabet))


def encoded(text: str, alphabet: str) -> list[int]:
    """The codes of ``text``."""
    if unknown := sorted(set(text) - set(alphabet)):
        raise ArgumentError(f"--prompt has {_few(unknown)}, which the text that this model was trained on has not")
    return [alphabet.index(character) for character in text]


def as_trained(data: Data, source: dict[str, Any]) -> Data:
    """``data`` in the numbers that a run was trained on, as `deepgen train` noted them in its ``source``."""
    if source.get("alphabet") is not None:
        return spelled(data, source["alphabet"])
    if source.get("images"):
        return as_images(data)
    if source.get("levels") is None:
        return data
    if kind(data) != "grey" or data.levels != source["levels"]:
        raise ArgumentError(
            f"this model takes {source['levels']} grey levels; {data.provenance['name']} holds {described(data)}"
        )
    return whole(data)


def _few(characters: list[str]) -> str:
    shown = ", ".join(map(repr, characters[:5]))
    return shown if len(characters) <= 5 else f"{shown} and {len(characters) - 5} more characters"


def _mapped(data: Data, change: Callable[[Tensor], Tensor], facts: dict[str, Any], *, support: Any) -> Data:
    """The three splits changed alike; each still knows where it comes from."""

    def changed(rows: Any) -> Any:
        if isinstance(rows, Redrawn):
            return Redrawn(change(rows.values), rows.noise, levels=rows.levels, generator=rows.generator)
        return change(rows)

    parts: dict[str, Any] = {
        split: name_split(changed(getattr(data, split)), split, facts) for split in ("train", "valid", "test")
    }
    return replace(data, **parts, support=support, provenance=facts)
