"""``deepgen evaluate``."""

from __future__ import annotations

import json
import math
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepgen.cli.options import Binarise, Root
from deepgen.cli.ranks import ranks_of
from deepgen.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from deepgen.data import Data
    from deepgen.evaluate import Bracket, Estimate
    from deepgen.implicit import SemiSupervised


class Split(str, Enum):
    """Which rows."""

    train = "train"
    valid = "valid"
    test = "test"


def command(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `deepgen train` wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with every setting.")] = False,
    method: Annotated[
        str,
        typer.Option(
            help="auto, exact, bound, elbo, iwae, prior, ais, reverse, bidirectional, raise, pseudo (no likelihood)."
        ),
    ] = "auto",
    split: Annotated[Split, typer.Option(help="Which rows of the data.")] = Split.test,
    data: Annotated[str | None, typer.Option(help="Other data than those it was trained on: a name or a path.")] = None,
    root: Root = None,
    binarise: Binarise = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the Monte-Carlo methods.")] = 0,
    quality: Annotated[bool, typer.Option("--quality", help="Judge samples too, against these rows.")] = False,
) -> None:
    """State a model's log-likelihood in nats per example, with its error, its side and its method.

    A GAN has none; its samples are judged instead. Nor has an autoencoder; its reconstruction loss is stated.
    """
    import torch

    from deepgen.cli import denoising
    from deepgen.cli.asking import given_labels, judge, of_rows_alone, rows_of, silent, weights
    from deepgen.cli.classified import classified
    from deepgen.cli.progress import told_of_compiling
    from deepgen.cli.quality import DRAWN_GIVEN, judged_draws
    from deepgen.cli.rundir import open_run
    from deepgen.cli.threads import fitting_threads
    from deepgen.evaluate.arguments import LIKELIHOOD
    from deepgen.evaluate.latent import OWN, methods_of
    from deepgen.explicit import ClassRBM
    from deepgen.implicit import CVAE, GAN, Autoencoder
    from deepgen.typing import Bound, Joint, LogProb

    opened = open_run(run)
    rows = opened.data(data, root, binarise)
    x = getattr(rows, split.value)
    if len(x) == 0:
        raise ArgumentError(f"{rows.provenance['name']} has no {split.value} rows: try --split train, or other --data")
    why, noise = silent(opened.model), opened.source.get("noise")
    exact, bound = isinstance(opened.model, LogProb), isinstance(opened.model, Bound)
    given = isinstance(opened.model, CVAE)
    latents = given or isinstance(opened.model, Joint)
    latent = latents and method in (*OWN, "ais")
    plain = ("auto", "exact" if exact else "bound")
    if why and method != "auto":
        raise ArgumentError(f"{why}: leave --method out")
    if (exact or bound) and not latent and method in LIKELIHOOD and method not in plain:
        has = "an exact likelihood" if exact else "a bound of its own"
        several = ", ".join(methods_of(opened.model, torch.zeros(1, dtype=torch.int64) if given else None))
        instead = f"take one of {several}, or leave --method out" if latents else "leave --method out"
        raise ArgumentError(f"{opened.title} has {has}, so it needs no --method {method}: {instead}")
    with ranks_of() as ranks, ranks.split_chains(), fitting_threads(weights(opened.model)), told_of_compiling():
        answer, restored = None, None
        if isinstance(opened.model, Autoencoder):
            restored = denoising.losses(opened.model, rows_of(x), noise, seed=seed)
        elif not why:
            shown = sys.stderr.isatty() and not as_json
            answer = judge(opened.model, rows, split.value, method=method, seed=seed, progress=shown)
        labelled = classified(opened.model, rows, split.value, {} if data else opened.source)
        held_out = split is not Split.train
        asked = quality or isinstance(opened.model, GAN)
        draws = judged_draws(opened, rows, split.value, held_out=held_out, seed=seed) if asked else None
    head: dict[str, object] = {"run": str(run), "model": opened.title, "split": split.value, "seed": seed}
    if opened.unfinished:
        head["unfinished"] = opened.unfinished
    count = f"{opened.title} on {len(x)} {split.value} row{'s' if len(x) > 1 else ''} of {rows.provenance['name']}"
    if given_labels(opened.model):
        count, head["given"] = f"{count}, given their labels", "labels"
    if isinstance(opened.model, ClassRBM):
        count, head["of"] = f"{count} with their labels", "rows and labels"
    if isinstance(opened.model, Autoencoder) and restored is not None:
        head |= {"log_likelihood": None, "why": why, **restored.to_dict()}
        first, *others = restored.lines(opened.model, noise)
        lines = [f"{count}: {first}", *others, why]
    elif answer is None:
        head |= {"log_likelihood": None, "why": why}
        lines = [f"{count}: {why}"]
    else:
        beside = method != "pseudo" and of_rows_alone(opened.model)  # else of another quantity
        told, lines = _likelihood(answer, opened.model, rows, x, beside=beside)
        head, lines = {**head, **told}, [f"{count}: {answer}", *lines]
    if labelled:
        head["classification_error"] = labelled[0]
        lines += labelled[1]
    if draws:
        found, fallen = draws
        head["sample_quality"], head["collapsed"] = found.to_dict(), fallen
        lines += [f"\n{found}", *([f"{opened.title} has {fallen}"] if fallen else [])]
        if given_labels(opened.model):
            lines.append(DRAWN_GIVEN)
    if "data" not in opened.source and binarise is None and rows.binarised:
        lines.append(
            f"{rows.provenance['name']} is binarised by its own way, {rows.provenance['binarisation']}, as {run} does "
            "not say what it was trained on: --binarise takes another"
        )
    if ranks.is_first:
        print(json.dumps(head, indent=2) if as_json else "\n".join(lines))


def _likelihood(
    answer: Estimate | Bracket, model: nn.Module, rows: Data, x: Tensor, *, beside: bool
) -> tuple[dict[str, object], list[str]]:
    """What is printed of a likelihood, as JSON and as lines; with the plainest model and the law where they compare."""
    from deepgen.cli.baseline import baseline, law, worse
    from deepgen.cli.restated import in_words, restated
    from deepgen.evaluate import Bracket
    from deepgen.implicit import SemiSupervised

    plainest, ceiling = (baseline(model, rows, x), law(rows, x)) if beside else (None, None)
    again, marked = restated(answer, rows), restated(plainest[1], rows) if plainest else None
    head: dict[str, object] = {}
    lines = []
    if isinstance(answer, Bracket):
        head["crossed"] = answer.crossed  # true: one bound or its error bar has failed
    if again:
        head[again.unit] = again.to_dict()
        lines.append(f"that is {in_words(again)}")
    lines += weighted(answer)
    lines += [few_draws(model, answer)] if isinstance(model, SemiSupervised) else []
    if plainest:
        units = {marked.unit: marked.to_dict()} if marked else {}
        head["baseline"] = {"model": plainest[0], **units, "log_likelihood": plainest[1].to_dict()}
        lines.append(f"baseline, {plainest[0]}: {plainest[1]}" + (f", {in_words(marked)}" if marked else ""))
        if worse(answer, plainest[1]):
            lines.append("this model is worse than its baseline, by more than the error: it has learned less than that")
    if ceiling:
        head["law"] = {"model": ceiling[0], "log_likelihood": ceiling[1].to_dict()}
        lines.append(f"ceiling, {ceiling[0]}: {ceiling[1]}")
    spread = (answer.below if isinstance(answer, Bracket) else answer).stderr_data
    if math.isfinite(spread):
        split = getattr(x, "provenance", {}).get("split", "such")
        lines.append(f"other {split} rows of that number would move the value by about {spread:.2g}")
    return {**head, "log_likelihood": answer.to_dict()}, lines


def few_draws(model: SemiSupervised, answer: Estimate | Bracket) -> str:
    """Why the bound of an M2 lies further below than that of a VAE."""
    draws = getattr(answer, "settings", {})["k"]
    return (
        f"its bound sums its {model.classes} labels, with {draws} draws of the code for each; a VAE's takes 1,000 "
        "and lies nearer to the truth for that"
    )


def weighted(answer: Estimate | Bracket) -> list[str]:
    """Of an importance bound, in words: draws, how many of them count, and for how many rows they cannot be trusted.

    >>> from deepgen.evaluate import Estimate
    >>> settings = {"k": 1000, "rows": 4, "rows with Pareto k above 0.7": 1}
    >>> bound = Estimate(-9.0, 0.1, "below", "importance-weighted bound", n=4000, ess=400.0, settings=settings)
    >>> weighted(bound)
    ['of 1,000 draws a row 100 count on average (ESS); for 1 of 4 rows the weights have a tail with Pareto k above ...']
    """
    settings = getattr(answer, "settings", {})
    heavy, rows = settings.get("rows with Pareto k above 0.7"), settings.get("rows", 0)
    ess = getattr(answer, "ess", math.nan) if rows else math.nan
    if heavy is None or not math.isfinite(ess):
        return []
    tail = f"for {heavy:,} of {rows:,} rows the weights have a tail with Pareto k above 0.7"
    tail += ": there the bound lies below by more than its error says" if heavy else ""
    return [f"of {settings['k']:,} draws a row {ess / rows:.3g} count on average (ESS); {tail}"]
