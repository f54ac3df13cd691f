"""From a trained model to what the table says of it: likelihood, draws, sample quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.cli.asking import given_labels, judge, rows_of, silent, usual_steps
from deepgen.cli.classified import classified
from deepgen.cli.collapse import collapse
from deepgen.cli.describe import describe
from deepgen.cli.evaluate import few_draws, weighted
from deepgen.cli.quality import DRAWN_GIVEN, against, fakes, in_grey, shown, training
from deepgen.cli.restated import restated
from deepgen.data import Splits
from deepgen.errors import ArgumentError
from deepgen.evaluate import Bracket, Estimate, Quality, sample_quality
from deepgen.evaluate.feature_maps import default_features
from deepgen.evaluate.quality import METRICS
from deepgen.explicit import EnergyModel
from deepgen.explicit.tokens import TokenModel
from deepgen.implicit import SemiSupervised
from deepgen.random import generator

if TYPE_CHECKING:
    from deepgen.cli.compare.judged import Judged
    from deepgen.data import Data

FEWEST = 30  # held-out rows: of fewer a mean and its error say nothing
ROWS = 2000  # held-out rows at most: the same for all models and for both kinds of figure
DEAR = 1000  # steps of the chains of an energy model, each a pass through its network
LETTERS = 800  # of a text


def held_out(data: Data) -> Data:
    """``data`` with at most `ROWS` of its test rows, chosen at random but always the same ones."""
    if len(data.test) <= ROWS:
        return data
    chosen = torch.randperm(len(data.test), generator=generator(0))[:ROWS].sort().values
    test = data.test[chosen]
    facts = {**data.provenance, "split": "test", "rows": f"{ROWS} of {len(data.test)} at random"}
    test.provenance = facts  # type: ignore[attr-defined]
    labels = data.labels
    if labels is not None and labels.test is not None:
        labels = Splits(labels.train, labels.valid, torch.as_tensor(labels.test)[chosen])
    return replace(data, test=test, labels=labels)


def _annealed(model: nn.Module) -> dict[str, Any]:
    """Settings of annealing for an energy model, whose kernels take several steps at each temperature."""
    if not isinstance(model, EnergyModel):
        return {}
    return {"chains": 50, "temperatures": 500 if model.discrete else 100}


def check_enough(data: Data) -> None:
    """Refuse data with too few rows to judge by, before anything is trained.

    Raises:
        ArgumentError: fewer than `FEWEST` held-out rows.
    """
    n, total = len(data.test), sum(map(len, (data.train, data.valid, data.test)))
    if n < FEWEST:
        raise ArgumentError(
            f"{data.provenance['name']} has {n} held-out row{'' if n == 1 else 's'} of {total} in all, and compare "
            f"needs at least {FEWEST} to judge by: take data with more rows (of a file a fifth is held out)"
        )


def judged(one: Judged, model: nn.Module, rows: Data, *, seed: int, source: Mapping[str, Any]) -> tuple[Judged, Tensor]:
    """``one`` with what is found of ``model`` on the test rows of ``rows``, and its draws ``[n, features]``.

    ``source`` are the options of its training.
    """
    notes = list(one.notes)
    likelihood: list[Estimate | Bracket] = []
    if why_none := silent(model):
        notes.append(why_none)
    else:
        likelihood = [judge(model, rows, "test", seed=seed, **_annealed(model))]
        notes += weighted(likelihood[0])
    collapsed = ""
    if isinstance(model, TokenModel):
        draws = torch.tensor([list(model.stream(length=LETTERS, generator=seed))])
        quality = None
    else:
        steps = DEAR if isinstance(model, EnergyModel) else usual_steps(model)
        draws = fakes(model, rows, "test", steps=steps, seed=seed, noise=source.get("noise"))
        quality, why = graded(rows, draws, seed=seed)
        notes += [why] if why else []
        collapsed = collapse(quality, shown(rows, rows_of(rows.test)), shown(rows, draws))
    notes += [DRAWN_GIVEN] if given_labels(model) else []
    notes += [few_draws(model, likelihood[0])] if isinstance(model, SemiSupervised) else []
    if told := classified(model, rows, "test", source):
        notes += told[1]
    bits = restated(likelihood[0], rows) if likelihood else None
    given = "labels" if given_labels(model) else ""
    title = describe(model, one.model.split()[0])
    found = replace(
        one, title=title, likelihood=likelihood, quality=quality, collapsed=collapsed, given=given, notes=notes,
        bits=bits,
    )  # fmt: skip
    return found, draws


def graded(rows: Data, draws: Tensor, *, seed: int) -> tuple[Quality | None, str]:
    """Sample quality of ``draws``; with fewer figures, or none, where the rows are too few, and then the reason."""
    if not bool(draws.isfinite().all()):
        return None, "no sample quality: draws are not finite"
    try:
        return against(rows, "test", draws, held_out=True, seed=seed), ""
    except ArgumentError as few:
        real = shown(rows, rows_of(rows.test))
        given: dict[str, Any] = {
            "real": real,
            "fake": in_grey(real, shown(rows, draws)),
            "train": training(rows, real),
        }
        try:
            known = hasattr(default_features(real), "classes")
            kept = [metric for metric in METRICS if metric != "frechet" and (known or metric != "modes")]
            return sample_quality(**given, metrics=kept, generator=seed), f"no Fréchet distance: {few}"
        except ArgumentError as fewer:
            return None, f"no sample quality: {fewer}"
