"""What is found of one model in a comparison: a plain record, and the same as JSON and back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from deepgen.evaluate import Bracket, Estimate, Quality, Score

GROUPS = {
    "exact": "exact",
    "two-sided": "between two estimates, one from each side",
    "tentative": "between two estimates, one from each side if the chain behind the undetermined one has mixed",
    "below": "lower bounds: the truth is at or above",
    "bound": "two estimates around a lower bound, of no certain side",
    "above": "above the truth on average",
    "unbiased": "right on average",
    "undetermined": "of no known side",
    "given": "given the labels: another quantity, log p(x | label)",
    "none": "no likelihood",
    "failed": "failed",
}


@dataclass(frozen=True)
class Difference:
    """From the best model of the same side, on the same rows.

    Attributes:
        to: the title of that model.
        value: the mean difference, in nats per example.
        stderr: its standard error: of the differences over the rows, and of the Monte Carlo of both.
    """

    to: str
    value: float
    stderr: float


@dataclass(frozen=True)
class Judged:
    """One model.

    Attributes:
        model: its name on the command line.
        title: in a word or two, with its size; in a comparison with ``model`` too where others are called the same.
        likelihood: its log-likelihood of the held-out rows, one or several estimates; none where it has none.
        quality: its draws against the held-out rows.
        collapsed: how it is seen that its draws are of few kinds, in words; empty of a model that has not collapsed.
        seconds: of training, on the wall, validation included.
        updates: steps of the optimizer in that time.
        passes: over the training rows in these, no whole number.
        kept: updates behind the state that was judged: fewer than all where it was better on validation rows.
        given: ``labels`` of a model that is given them: then its likelihood, if any, is that of rows given their
            labels, and so are its draws.
        failed: why there is no model, in words; empty of a model that was trained.
        notes: what else must be known, in words: why a figure is missing, what was warned of.
        bits: the likelihood in the unit that the field compares by, where there is one.
        settings: of the model and its training.
        difference: from the best model of its group; None of that one itself, and before all are known.
    """

    model: str
    title: str
    likelihood: Sequence[Estimate | Bracket] = ()
    quality: Quality | None = None
    collapsed: str = ""
    seconds: float | None = None
    updates: int = 0
    passes: float = 0.0
    kept: int = 0
    given: str = ""
    failed: str = ""
    notes: Sequence[str] = ()
    bits: Estimate | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    difference: Difference | None = None

    @property
    def group(self) -> str:
        """Under which of `GROUPS` it stands, by its first estimate: only within one do values compare."""
        if self.failed:
            return "failed"
        if not self.likelihood:
            return "none"
        if self.given:
            return "given"
        first = self.likelihood[0]
        if isinstance(first, Bracket):
            if first.of_bound:
                return "below" if first.below.side != "undetermined" else "bound"
            return "tentative" if self.tentative else "two-sided"
        return first.side

    @property
    def comparable(self) -> bool:
        """Whether it has a likelihood of these rows by themselves: not failed, not without one, not given labels."""
        return self.group not in ("failed", "none", "given")

    @property
    def tentative(self) -> bool:
        """Whether an end of a bracket is on its side only if the chain behind it has mixed."""
        brackets = (each for each in self.likelihood if isinstance(each, Bracket))
        return any("undetermined" in (each.below.side, each.above.side) for each in brackets)

    def range(self, *, mixed: bool = False) -> tuple[float, float]:
        """Between what its log-likelihood of these very rows is known to lie, at 95 % of the Monte-Carlo error.

        An end of no certain side excludes nothing; those of a bracket do if chains are taken to have ``mixed``.
        """
        low, high = -math.inf, math.inf
        for estimate in () if self.given else self.likelihood:
            ends = estimate.interval()
            if isinstance(estimate, Bracket):
                sure = [mixed or end.side != "undetermined" for end in (estimate.below, estimate.above)]
                sure = [False, False] if estimate.crossed else [sure[0], sure[1] and not estimate.of_bound]
                one = (ends[0] if sure[0] else -math.inf, ends[1] if sure[1] else math.inf)
            elif estimate.side in ("exact", "unbiased"):
                one = ends
            else:
                one = (
                    ends[0] if estimate.side == "below" else -math.inf,
                    ends[1] if estimate.side == "above" else math.inf,
                )
            low, high = max(low, one[0]), min(high, one[1])
        return low, high

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            **plain,
            "group": self.group,
            "likelihood": [each.to_dict() for each in self.likelihood],
            "bits": self.bits and self.bits.to_dict(),
            "quality": self.quality and self.quality.to_dict(),
            "notes": list(self.notes),
            "settings": dict(self.settings),
            "difference": self.difference and asdict(self.difference),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Judged:
        """Undo `to_dict`."""
        own = {each.name: plain[each.name] for each in fields(cls)}
        return cls(**{
            **own,
            "likelihood": [_estimate(each) for each in plain["likelihood"]],
            "bits": None if plain["bits"] is None else _one(plain["bits"]),
            "quality": None if plain["quality"] is None else _quality(plain["quality"]),
            "difference": None if plain["difference"] is None else Difference(**plain["difference"]),
        })  # fmt: skip


def told_apart(judged: Sequence[Judged]) -> list[Judged]:
    """Titles that several have, each with its model's words on the command line behind it.

    >>> [one.title for one in told_apart([Judged("a", "A"), Judged("a --batch 20", "A"), Judged("b", "B")])]
    ['A (a)', 'A (a --batch 20)', 'B']
    """
    many = Counter(one.title for one in judged)
    return [replace(one, title=f"{one.title} ({one.model})") if many[one.title] > 1 else one for one in judged]


def ranked(judged: Sequence[Judged]) -> list[Judged]:
    """Group by group, within each the largest value first."""
    order = list(GROUPS)

    def key(one: Judged) -> tuple[int, float]:
        value = -one.likelihood[0].interval()[0] if one.likelihood else 0.0
        return order.index(one.group), value

    return sorted(judged, key=key)


def leaders(judged: Sequence[Judged], *, mixed: bool = False) -> tuple[list[Judged], Judged | None]:
    """Those of which any may have the largest log-likelihood of these rows, and the one with the largest sure value.

    A lower bound alone excludes nothing above it, so its model is among the first whatever its value. ``mixed``: see
    `Judged.range`.
    """
    known = [one for one in judged if one.comparable]
    if not known:
        return [], None
    surest = max(known, key=lambda one: one.range(mixed=mixed)[0])
    floor = surest.range(mixed=mixed)[0]
    return [one for one in known if one.range(mixed=mixed)[1] >= floor], surest if math.isfinite(floor) else None


def _estimate(plain: Mapping[str, Any]) -> Estimate | Bracket:
    return Bracket(_one(plain["lower"]), _one(plain["upper"])) if "lower" in plain else _one(plain)


def _one(plain: Mapping[str, Any]) -> Estimate:
    numbers = {name: _number(plain[name]) for name in ("value", "stderr", "ess", "stderr_data")}
    return Estimate(**{**plain, **numbers, "n": plain["n"] or 0})


def _quality(plain: Mapping[str, Any]) -> Quality:
    texts = ("name", "side", "features", "note")
    scores = {
        key: Score(**{name: value if name in texts else _number(value) for name, value in score.items()})
        for key, score in plain["scores"].items()
    }
    return Quality(**{**plain, "scores": scores})


def _number(value: Any) -> Any:
    """What strict JSON holds for a number: None is NaN, and infinities are words."""
    return math.nan if value is None else float(value) if isinstance(value, str) else value
