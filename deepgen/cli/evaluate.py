"""``deepgen evaluate``."""

from __future__ import annotations

import json
import math
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from deepgen.cli.options import Root
from deepgen.errors import ArgumentError


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
            help="auto, exact, bound, elbo, iwae, ais, reverse, bidirectional, raise, pseudo (no likelihood)."
        ),
    ] = "auto",
    split: Annotated[Split, typer.Option(help="Which rows of the data.")] = Split.test,
    data: Annotated[str | None, typer.Option(help="Other data than those it was trained on: a name or a path.")] = None,
    root: Root = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the Monte-Carlo methods.")] = 0,
    quality: Annotated[bool, typer.Option("--quality", help="Judge samples too, against these rows.")] = False,
) -> None:
    """State a model's log-likelihood in nats per example, with its error, its side and its method."""
    from deepgen.cli.baseline import baseline, law, worse
    from deepgen.cli.progress import told_of_compiling
    from deepgen.cli.quality import judged_draws
    from deepgen.cli.restated import in_words, restated
    from deepgen.cli.rundir import judge, open_run, rows_of, weights
    from deepgen.cli.threads import fitting_threads
    from deepgen.evaluate import Bracket
    from deepgen.evaluate.arguments import LIKELIHOOD
    from deepgen.typing import Bound, Joint, LogProb

    opened = open_run(run)
    rows = opened.data(data, root)
    x = getattr(rows, split.value)
    if len(x) == 0:
        raise ArgumentError(f"{rows.provenance['name']} has no {split.value} rows: try --split train, or other --data")
    exact, bound = isinstance(opened.model, LogProb), isinstance(opened.model, Bound)
    latent = isinstance(opened.model, Joint) and method in ("elbo", "iwae", "prior", "ais")
    plain = ("auto", "exact" if exact else "bound")
    if (exact or bound) and not latent and method in LIKELIHOOD and method not in plain:
        has = "an exact likelihood" if exact else "a bound of its own"
        raise ArgumentError(f"{opened.title} has {has}, so it needs no --method {method}: leave --method out")
    with fitting_threads(weights(opened.model)), told_of_compiling():
        answer = judge(opened.model, rows, x, method=method, seed=seed)
        held_out = split is not Split.train
        draws = judged_draws(opened, rows, rows_of(x), held_out=held_out, seed=seed) if quality else None
    plainest = None if method == "pseudo" else baseline(opened.model, rows, x)
    again, ceiling = restated(answer, rows), None if method == "pseudo" else law(rows, x)
    beside = restated(plainest[1], rows) if plainest else None
    if as_json:
        head: dict[str, object] = {"run": str(run), "model": opened.title, "split": split.value, "seed": seed}
        if isinstance(answer, Bracket):
            head["crossed"] = answer.crossed  # true: one bound or its error bar has failed
        if opened.unfinished:
            head["unfinished"] = opened.unfinished
        if again:
            head[again.unit] = again.to_dict()
        if plainest:
            head["baseline"] = {
                "model": plainest[0],
                **({beside.unit: beside.to_dict()} if beside else {}),
                "log_likelihood": plainest[1].to_dict(),
            }
        if ceiling:
            head["law"] = {"model": ceiling[0], "log_likelihood": ceiling[1].to_dict()}
        if draws:
            head["sample_quality"] = draws.to_dict()
        print(json.dumps({**head, "log_likelihood": answer.to_dict()}, indent=2))
        return
    count = f"{len(x)} {split.value} row{'s' if len(x) > 1 else ''}"
    print(f"{opened.title} on {count} of {rows.provenance['name']}: {answer}")
    if again:
        print(f"that is {in_words(again)}")
    if plainest:
        print(f"baseline, {plainest[0]}: {plainest[1]}" + (f", {in_words(beside)}" if beside else ""))
        if worse(answer, plainest[1]):
            print("this model is worse than its baseline, by more than the error: it has learned less than that")
    if ceiling:
        print(f"ceiling, {ceiling[0]}: {ceiling[1]}")
    spread = (answer.below if isinstance(answer, Bracket) else answer).stderr_data
    if math.isfinite(spread):
        print(f"other {split.value} rows of that number would move the value by about {spread:.2g}")
    if draws:
        print(f"\n{draws}")
