"""``deepgen embed``."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepgen.cli.begun import ELSEWHERE
from deepgen.cli.frame import Stopped
from deepgen.cli.options import Root
from deepgen.errors import ArgumentError, DataError, DivergenceError

if TYPE_CHECKING:
    from deepgen import Embeddings

GRAPHS, TEXTS = ("karate", "les-miserables"), ("shakespeare",)  # by name
OF_GRAPHS = ("p", "q", "walks_per_node", "walk_length", "directed", "variable")
OF_TEXTS = ("min_count",)
Learn = Callable[..., "Embeddings"]


def command(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option(
            help="File of the vectors: .npz or .safetensors; .txt or .vec (word2vec's text) or .bin (its binary form), "
            "also .gz."
        ),
    ],
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="An edge list (two names a line and perhaps a weight; also .gz), a .mat file, a folder of Graph.save; "
            "with --words a text, a sentence a line.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="The same, or a name: karate, les-miserables; shakespeare, a text (its file in --root)."),
    ] = None,
    words: Annotated[bool, typer.Option("--words", help="FILE is a text: vectors of its words.")] = False,
    dim: Annotated[int, typer.Option(min=1, help="Numbers of a vector.")] = 128,
    p: Annotated[
        float | None, typer.Option(help="Graph: the larger, the less often a walk goes straight back (1).")
    ] = None,
    q: Annotated[
        float | None, typer.Option(help="Graph: above 1 a walk stays near where it came from, below 1 it leaves (1).")
    ] = None,
    walks_per_node: Annotated[int | None, typer.Option(min=1, help="Graph: walks from each node (10).")] = None,
    walk_length: Annotated[int | None, typer.Option(min=1, help="Graph: nodes of a walk (80).")] = None,
    directed: Annotated[
        bool | None,
        typer.Option(
            "--directed/--undirected", help="Graph: whether edges lead one way only (edge list: no; .mat: as it is)."
        ),
    ] = None,
    variable: Annotated[str | None, typer.Option(help="Which matrix of a .mat file (the one that is square).")] = None,
    min_count: Annotated[
        int | None, typer.Option(min=1, help="Text: words that came less often are left out (1).")
    ] = None,
    window: Annotated[
        int | None, typer.Option(min=1, help="How far neighbours are away, at most (graph 10, text 5).")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes, each with new walks (graph 1, text 5).")] = None,
    negatives: Annotated[int | None, typer.Option(min=1, help="Noise tokens of each pair (5).")] = None,
    cbow: Annotated[bool, typer.Option("--cbow", help="CBOW in the place of skip-gram.")] = False,
    hierarchical: Annotated[
        bool, typer.Option("--hierarchical", help="Hierarchical softmax in the place of negative sampling.")
    ] = False,
    sample: Annotated[
        float | None, typer.Option(help="Subsample tokens with more than this share of all (0.001); 0 is off.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Learning rate at the start (0.025); it falls along a line.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of walks and of learning.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="As many as there are cores by default.")] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same bits in each run: one thread learns.")
    ] = False,
    root: Root = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace the file that --out names.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Vectors of the nodes of a graph (node2vec), or of the words of a text (word2vec)."""
    if (file is None) == (data is None):
        raise ArgumentError("give one FILE, or --data with a name such as karate")
    source = (file or data or "").removesuffix("/")
    words = words or source in TEXTS
    options = {"dim": dim, "p": p, "q": q, "walks_per_node": walks_per_node, "walk_length": walk_length,
               "directed": directed, "variable": variable, "min_count": min_count, "window": window, "epochs": epochs,
               "negatives": negatives, "cbow": cbow or None, "hierarchical": hierarchical or None, "sample": sample,
               "rate": rate, "seed": seed, "threads": threads, "deterministic": deterministic}  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    _agree(source, words, given)
    again = shlex.join(["deepgen", *(word for word in context.obj or [] if word != "--fresh")])
    try:
        _apart(source, out)
        _place(out, fresh)  # imports torch: seconds in which Ctrl-C may come
        _embed(source, words, given, out, root, quiet, again)
    except KeyboardInterrupt as error:
        kept = f"; {out} is the file that was there" if out.exists() else "; nothing was written"
        anew = f"{again} --fresh" if out.exists() else again
        raise Stopped(f"interrupted before the end{kept}; to start again: {anew}") from error


def _embed(
    source: str, words: bool, given: dict[str, Any], out: Path, root: str | None, quiet: bool, again: str
) -> None:
    from deepgen.cli.progress import Shares, told_of_compiling
    from deepgen.train.interrupt import delayed_interrupt
    from deepgen.words import LearningStopped
    from deepgen.words.files import check

    begin = time.monotonic()
    lines = not (quiet or sys.stderr.isatty())  # a terminal has a bar, which says all that these do
    with told_of_compiling(lines):
        tokens, what, learn = (_of_words if words else _of_nodes)(source, given, root)
        check(tokens, out)
        stopped: LearningStopped | None = None
        try:
            emb = learn(progress=Shares() if lines else not quiet)
        except LearningStopped as error:
            if not error.share:
                raise
            emb, stopped = error.embeddings, error
        except DivergenceError as error:
            raise DivergenceError(str(error).replace("rate=", "--rate "), step=error.step) from error
    with delayed_interrupt():  # it is quick, and all that was learned
        emb.save(out)
    if stopped is not None:
        raise Stopped(
            f"stopped after {stopped.share:.0%} of the tokens; the vectors learned by then are in {out}; learning "
            f"cannot go on from them; to start again: {again} --fresh"
        ) from stopped
    print(f"{what}: vectors of {emb.dim} numbers in {out}, {time.monotonic() - begin:.1f} s")


def _of_nodes(source: str, given: dict[str, Any], root: str | None) -> tuple[Sequence[Hashable], str, Learn]:
    """The nodes, what they are of, and what learns their vectors."""
    from functools import partial

    from deepgen.graphs import graph, node2vec

    reading = {name: given.pop(name) for name in ("directed", "variable") if name in given}
    if source in GRAPHS:
        from deepgen.interop.networkx import bundled

        for name in (name for name, value in reading.items() if value):
            raise ArgumentError(f"--{name} is of files, and {source} is an undirected graph that is known: drop it")
        found = graph(bundled(source), **reading)
    else:
        try:
            found = graph(source, **reading)
        except DataError as error:
            known = ", ".join((*GRAPHS, *TEXTS))
            text = ", line " in str(error) or not Path(source).exists()
            advice = f" (a text is read by --words; names are {known})" if text else ""
            raise DataError(f"{error}{advice}") from error
        except ArgumentError as error:
            raise ArgumentError(str(error).replace("with variable=", "with --variable")) from error
    what = f"{source}: {repr(found).removeprefix('Graph(').removesuffix(')')}"
    return found.nodes, what, partial(node2vec, found, **given)


def _of_words(source: str, given: dict[str, Any], root: str | None) -> tuple[Sequence[Hashable], str, Learn]:
    from functools import partial

    from deepgen.words import Corpus, word2vec

    path = source
    if source in TEXTS:
        from deepgen.data.published import shakespeare_file

        path = str(shakespeare_file(root))
    if path.endswith(".mat"):
        raise ArgumentError(f"{path} holds a matrix and no text: drop --words")
    corpus = Corpus(path, min_count=given.pop("min_count", 1))
    known = corpus.vocabulary
    what = f"{source}: {len(known)} words that came {known.counts.sum()} times"
    return known.tokens, what, partial(word2vec, corpus, **given)


def _agree(source: str, words: bool, given: dict[str, Any]) -> None:
    """Options that mean nothing here are refused rather than ignored."""
    foreign, kind, own = (OF_GRAPHS, "a text", "graphs") if words else (OF_TEXTS, "no text", "texts (--words)")
    for name in given:
        if name in foreign:
            raise ArgumentError(f"--{name.replace('_', '-')} is of {own}, and {source} is {kind}: drop it")
    if "hierarchical" in given and "negatives" in given:
        raise ArgumentError("--negatives is of negative sampling, and --hierarchical has none: drop one of them")


def _apart(source: str, out: Path) -> None:
    """See that ``out`` does not replace what is read, which ``--fresh`` would otherwise allow."""
    if out.exists() and Path(source).exists() and out.samefile(source):
        raise ArgumentError(f"--out {out} is the file that is read: choose another --out")


def _place(out: Path, fresh: bool) -> None:
    """See that ``out`` can be written, before anything is learned."""
    from deepgen.words.files import check

    try:
        check([], out)
    except ArgumentError as error:
        raise ArgumentError(f"--out {str(error).partition(', or format')[0]}") from error
    if out.is_dir():
        raise ArgumentError(f"--out is a file, and {out} is a folder: name a file in it")
    if out.exists() and not fresh:
        raise ArgumentError(f"{out} is there already: {ELSEWHERE}")
    out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK):
        raise ArgumentError(f"{out.parent} cannot be written to: choose another --out")
