"""What a comparison is asked to do: models, budget, data, in the words of the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepgen.cli.options import model_name
from deepgen.cli.values import kind
from deepgen.errors import ArgumentError, CheckpointError

if TYPE_CHECKING:
    from deepgen.data import Data

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
ASKED = "compare.json"


def seconds(budget: str | float) -> float:
    """A budget such as ``90s``, ``10m`` or ``1h`` in seconds; a number is seconds.

    >>> seconds("90s"), seconds("1.5m"), seconds("1h"), seconds(20)
    (90.0, 90.0, 3600.0, 20.0)
    """
    if isinstance(budget, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([smh]?)\s*", budget.lower())
        if found is None:
            raise ArgumentError(f"--budget must be a time such as 90s, 10m or 1h, got {budget!r}")
        budget = float(found[1]) * UNITS[found[2] or "s"]
    if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not 0 < budget < float("inf"):
        raise ArgumentError(f"--budget must be above 0, got {budget!r}")
    return float(budget)


def chosen(models: Sequence[str] | str | None, data: Data) -> list[str]:
    """The names of the models, each once; without any those that are a fair choice for the data."""
    if models is None:
        return usual(data)
    given = models.split(",") if isinstance(models, str) else list(models)
    names = list(dict.fromkeys(model_name(name.strip()) for name in given))
    if not names:
        raise ArgumentError("--models must name at least one model, such as rbm,made,vae")
    return names


def usual(data: Data) -> list[str]:
    """One model of each family that takes such values."""
    found, image = kind(data), data.image_shape is not None
    if found == "binary":
        return ["mixture", "rbm", "made", *(["pixelcnn"] if image else []), "nsf", "vae", "gan", "energy"]
    if found == "grey":
        few = data.levels is not None and data.levels <= 32
        return [*(["made"] if few else []), *(["pixelcnn"] if few and image else []), "realnvp", "nsf", "vae", "gan"]
    if found == "text":
        return ["lstm", "transformer"]
    return ["realnvp", "maf", "nsf", "vae", "gan", "energy"]


def settled(out: Path, asked: dict[str, Any], *, resume: bool) -> None:
    """Write down what is asked for in ``out``, or refuse where something else was begun there."""
    from deepgen.plot.figures import write

    path = out / ASKED
    if resume and path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(f"{path} is damaged ({error}): give another --out, or --fresh") from None
        differing = [name for name in asked if before.get(name) != asked[name]]
        if differing:
            words = "; ".join(f"{name} {before.get(name)}, now {asked[name]}" for name in differing)
            raise ArgumentError(
                f"{out} holds a comparison begun with {words}: repeat its command to go on, choose another --out, or "
                "discard it with --fresh"
            )
    write(path, (json.dumps(asked, indent=1) + "\n").encode())
