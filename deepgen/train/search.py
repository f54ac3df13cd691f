"""Random search from coarse to fine, which can be stopped and taken up again.

Random points find good values of the few settings that matter with far fewer trials than a grid (Bergstra & Bengio
2012, "Random search for hyper-parameter optimization"). Points are drawn by scikit-learn's `ParameterSampler`. After a
round the ranges shrink to those of the best quarter of the trials so far, with half a round's spacing around them, and
choices to the ones that occur there.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepgen.errors import ArgumentError, CheckpointError, check_count
from deepgen.train.lock import held

Space = Mapping[str, Any]
FILE = "trials.jsonl"


@dataclass(frozen=True)
class Search:
    """What `search` found; as a string, a sentence.

    Attributes:
        trials: one a trial in their order: its ``settings``, ``score`` and ``round``.
        best: the one of the highest score; `ArgumentError` if none is finite.

    >>> print(Search([{"settings": {"rate": 0.1}, "score": -3.0, "round": 0}]))
    best of 1 trial: -3 with rate 0.1
    """

    trials: list[dict[str, Any]]

    @property
    def best(self) -> dict[str, Any]:
        found = max(self.trials, key=lambda trial: _order(trial["score"]))
        if not math.isfinite(found["score"]):
            raise ArgumentError(
                f"none of {len(self.trials)} trials has a finite score: look at .trials, widen the space"
            )
        return found

    def __str__(self) -> str:
        told = ", ".join(
            f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in self.best["settings"].items()
        )
        count = f"{len(self.trials)} trial{'s' if len(self.trials) > 1 else ''}"
        return f"best of {count}: {self.best['score']:.5g} with {told}"


def search(
    trial: Callable[..., float],
    space: Space,
    *,
    trials: int = 20,
    rounds: int = 2,
    out: str | Path | None = None,
    seed: int = 0,
) -> Search:
    """Call ``trial(**settings)`` for random settings, higher is better, and close in on the best.

    Args:
        trial: fits and returns a score, such as the likelihood of validation rows; what is not finite counts as worst.
        space: by name a list of choices, or a range ``(low, high)``, uniform; ``(low, high, "log")``, uniform in the
            logarithm, as rates should be; of two integers whole numbers, both ends included.
        trials: in all.
        rounds: how many parts of these, each in narrower ranges; 1 never narrows.
        out: a folder, where ``trials.jsonl`` keeps each trial as it ends; the same call goes on after those in it, and
            ends as one that was not stopped. More ``trials`` with 1 round make a search longer.
        seed: of the settings.

    Raises:
        ArgumentError: a space that is none, or with ``out`` has choices that are not JSON's; a trial that returns no
            number.
        CheckpointError: ``out`` holds another search or a file that is damaged, or another process is at work there.

    >>> found = search(lambda rate: -abs(rate - 0.01), {"rate": (1e-4, 1.0, "log")}, trials=40, rounds=4)
    >>> 0.005 < found.best["settings"]["rate"] < 0.02
    True
    """
    check_count(trials=trials, rounds=rounds)
    if not space:
        raise ArgumentError("a search needs at least one setting to vary")
    space = {name: _checked(name, one) for name, one in space.items()}
    head = {"search": {name: list(one) for name, one in space.items()}, "rounds": rounds, "seed": seed}
    head |= {} if rounds == 1 else {"trials": trials}
    with nullcontext() if out is None else held(out):
        return _searched(trial, space, trials, rounds, seed, *_read(out, head))


def _searched(
    trial: Callable[..., float],
    space: Space,
    trials: int,
    rounds: int,
    seed: int,
    done: list[dict[str, Any]],
    file: Path | None,
) -> Search:
    """The trials after those that are ``done``."""
    parts = [trials * (r + 1) // rounds for r in range(rounds)]
    for i in range(len(done), trials):
        r = next(k for k, end in enumerate(parts) if i < end)
        first = parts[r - 1] if r else 0
        settings = _draw(_narrowed(space, done[:first], r, first), seed, r, i - first)
        one = {"settings": settings, "score": _number(trial(**settings), settings), "round": r}
        done.append(one)
        _append(file, one)
    return Search(done[:trials])


def _number(score: Any, settings: dict[str, Any]) -> float:
    try:
        if hasattr(score, "__float__"):
            return float(score)
    except (TypeError, ValueError, RuntimeError):  # a tensor or an array of several
        pass
    raise ArgumentError(f"trial(**{settings}) must return a score, a number of which more is better, got {score!r}")


def _checked(name: str, one: Any) -> Any:
    if isinstance(one, list) and one:
        return one
    if isinstance(one, tuple) and len(one) in (2, 3) and one[2:] in ((), ("log",)):
        low, high = one[:2]
        numbers = all(isinstance(v, (int, float)) and math.isfinite(v) for v in (low, high))
        if numbers and low < high and (len(one) == 2 or low > 0):
            return one
    raise ArgumentError(
        f"{name} must be a list of choices, (low, high) or (low, high, 'log') with low > 0, got {one!r}"
    )


def _whole(one: tuple[Any, ...]) -> bool:
    return isinstance(one[0], int) and isinstance(one[1], int)


def _law(one: Any) -> Any:
    from scipy import stats

    if isinstance(one, list):
        return one
    low, high = one[:2]
    if len(one) == 3:
        return stats.loguniform(low, high)
    return stats.randint(low, high + 1) if _whole(one) else stats.uniform(low, high - low)


def _draw(space: Space, seed: int, r: int, number: int) -> dict[str, Any]:
    """The ``number``-th point of round ``r``, the same in every call."""
    import numpy as np
    from sklearn.model_selection import ParameterSampler

    # One state a point: a sampler of lists alone would draw without replacement and run out of points.
    state = np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, r, number])))
    laws = {name: _law(one) for name, one in space.items()}
    found = next(iter(ParameterSampler(laws, 1, random_state=state)))
    return {name: _plain(found[name], space[name]) for name in space}


def _plain(value: Any, one: Any) -> Any:
    if isinstance(one, list):
        return value.item() if hasattr(value, "item") else value
    return round(float(value)) if _whole(one) else float(value)


def _narrowed(space: Space, done: Sequence[dict[str, Any]], r: int, count: int) -> Space:
    if not done:
        return space
    top = sorted(done, key=lambda one: _order(one["score"]), reverse=True)[: max(len(done) // 4, 1)]
    found: dict[str, Any] = {}
    for name, one in space.items():
        values = [trial["settings"][name] for trial in top]
        if isinstance(one, list):
            found[name] = [choice for choice in one if choice in values]
            continue
        to, back = (math.log, math.exp) if len(one) == 3 else (float, float)
        margin = (to(one[1]) - to(one[0])) / (2 * max(count, 2))
        low = max(back(max(to(min(values)) - margin, to(one[0]))), one[0])
        high = min(back(min(to(max(values)) + margin, to(one[1]))), one[1])
        if _whole(one):
            low, high = math.floor(low), math.ceil(high)
        found[name] = (low, high, *one[2:]) if low < high else [low]
    return found


def _order(score: float) -> float:
    return score if math.isfinite(score) else -math.inf


def _read(out: str | Path | None, head: dict[str, Any]) -> tuple[list[dict[str, Any]], Path | None]:
    """The trials that ``out`` holds, and its file."""
    if out is None:
        return [], None
    file, kept = Path(out) / FILE, json.loads(_line(head))
    if kept != head:
        raise ArgumentError(
            f"out= keeps choices as JSON, and there {head} is {kept}: give lists in place of tuples, say"
        )
    if not file.exists() or not file.stat().st_size:
        _append(file, head)
        return [], file
    try:
        *lines, rest = file.read_text(encoding="utf-8").split("\n")
        first, *done = [json.loads(line) for line in lines]
    except ValueError as error:
        raise CheckpointError(f"{file} is damaged: {error}; remove it, or pass another out=") from error
    if first != head:
        raise CheckpointError(f"{file} holds another search ({first}): pass another out=, or the same space and seed")
    if rest:  # a line that a crash cut off
        with file.open("r+", encoding="utf-8") as end:
            end.truncate(len("".join(f"{line}\n" for line in lines).encode()))
    return done, file


def _append(file: Path | None, one: dict[str, Any]) -> None:
    if file is not None:
        line = _line(one)  # before the file is opened, so that one which cannot be written leaves none
        with file.open("a", encoding="utf-8") as end:
            end.write(f"{line}\n")
            end.flush()
            os.fsync(end.fileno())


def _line(one: dict[str, Any]) -> str:
    try:
        return json.dumps(one)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"out= keeps choices as JSON, which has numbers, texts, truth values, None and lists of them: {error}; "
            "name each choice by a text, and let trial look up what it stands for"
        ) from error
