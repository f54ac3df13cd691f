"""What the folder of ``deepgen train`` holds already, and whether the command goes on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepgen.cli.options import extendable
from deepgen.errors import ArgumentError, CheckpointError

ELSEWHERE = "choose another --out, or discard it with --fresh"


def begun(out: Path, source: dict[str, Any]) -> int:
    """The epochs done of the run in ``out``; refuse, in the words of the command line, one begun with other options."""
    from deepgen.cli.compare.asked import ASKED
    from deepgen.cli.rundir import DIVERGED
    from deepgen.train import load_run
    from deepgen.train.store import MANIFEST

    if (out / ASKED).exists():
        raise ArgumentError(f"{out} holds a comparison or a demo, and a run needs its own folder: choose another --out")
    if not (out / MANIFEST).exists():
        return 0
    try:
        history = load_run(out).history
    except CheckpointError as error:
        told = str(error).partition(";")[0]  # what Python is to do
        raise CheckpointError(f"{told}: {ELSEWHERE}") from error
    before = history.settings.get("extras") or {}
    if "plan" in before:
        raise ArgumentError(
            f"{out} holds a model of a comparison by `deepgen compare`, whose budget ended its training: {ELSEWHERE}"
        )
    if "model" not in before:
        raise ArgumentError(f"{out} holds a run that was begun in Python, not by `deepgen train`: {ELSEWHERE}")
    differing = {name: value for name, value in source.items() if name in before and before[name] != value}
    if "model" in differing:  # whose options do not compare
        differing = {"model": differing["model"]}
    if extendable(source) and source["epochs"] >= len(history):
        differing.pop("epochs", None)  # no rate was planned ahead: any number of epochs may be added
    if differing:
        words = "; ".join(
            f"{name.replace('_', '-')} {_said(before[name])}, now {_said(value)}" for name, value in differing.items()
        )
        advice = f"repeat its command to go on, {ELSEWHERE}"
        if (out / DIVERGED).exists():
            advice = "its training diverged: discard it with --fresh, or choose another --out"
        elif set(differing) == {"epochs"}:
            advice = longer(source)
        raise ArgumentError(f"{out} holds a run begun with {words}: {advice}")
    return len(history)


def _said(value: Any) -> str:
    if value is None:
        return "not given"
    if value is True:
        return "given"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def longer(source: dict[str, Any]) -> str:
    """How to train longer than a run did."""
    if extendable(source):
        return "to train longer give more --epochs, to begin anew --fresh"
    return (
        "its learning rate was planned to fall over these epochs, so it cannot be made longer: "
        "give more --epochs with another --out, or with --fresh to begin anew"
    )
