"""``deepgen sample``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepgen.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = (".png", ".npy", ".npz", ".csv")
DIGITS = "%.9g"  # so that float32 reads back to the bit, and whole numbers stay whole


def command(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `deepgen train` wrote.")],
    n: Annotated[int | None, typer.Option("-n", "--number", min=1, help="How many samples (64; 1 text).")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to: a grid of images (.png), rows of numbers (.npy, .npz, .csv), a text (.txt). By default "
            "samples.png, for rows that are no images samples.csv, and for texts the terminal."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=0, help="rbm, energy (2000, at least 40), autoencoder (500): steps from the start of each chain."
        ),
    ] = None,
    label: Annotated[
        int | None,
        typer.Option(min=0, help="cvae, cgan, m2: the label to draw rows of; by default all in turn, of m2 at random."),
    ] = None,
    prompt: Annotated[str, typer.Option(help="Of a text: what it begins with.")] = "",
    length: Annotated[int | None, typer.Option(min=1, help="Of a text: characters to draw (500).")] = None,
    temperature: Annotated[
        float, typer.Option(help="Of a text: below 1 draws are likelier than those of the model, above 1 wilder.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
) -> None:
    """Draw samples from a trained model."""
    import torch

    from deepgen.cli.asking import CHAINED, draw, given_labels, own_labels, usual_steps, weights
    from deepgen.cli.progress import told_of_compiling
    from deepgen.cli.rundir import open_run
    from deepgen.cli.texts import LENGTH, write_texts
    from deepgen.cli.threads import fitting_threads
    from deepgen.explicit import ClassRBM
    from deepgen.explicit.tokens import TokenModel
    from deepgen.implicit import Autoencoder

    opened = open_run(run)
    if steps is not None and not isinstance(opened.model, CHAINED):
        raise ArgumentError(
            "--steps is for the chains of an rbm, dbn, dbm, energy model or autoencoder, and this run is of "
            f"{opened.title}, which has none"
        )
    classes = own_labels(opened.model)
    if label is not None and isinstance(opened.model, ClassRBM):
        raise ArgumentError(f"{opened.title} draws rows with labels of their own: leave --label out")
    if label is not None and label >= classes:
        has = f"labels 0 to {classes - 1}" if classes else "no labels"
        raise ArgumentError(f"--label {label}: this run is of {opened.title}, which has {has}")
    alphabet = opened.source.get("alphabet")
    if isinstance(opened.model, TokenModel) and alphabet is not None:
        with fitting_threads(weights(opened.model)), told_of_compiling():
            write_texts(
                opened.model,
                alphabet,
                n or 1,
                out,
                prompt=prompt,
                length=length or LENGTH,
                temperature=temperature,
                seed=seed,
            )
        if out is not None:
            print(f"{n or 1} texts from {run} in {out}")
        return
    if prompt or length or temperature != 1:
        raise ArgumentError("--prompt, --length and --temperature are for models of a text, and this run is of none")
    out = out or Path("samples.csv" if opened.image_shape is None else "samples.png")
    if out.suffix not in FORMATS:
        raise ArgumentError(f"--out must end in one of {', '.join(FORMATS)}, got {str(out)!r}")
    with fitting_threads(weights(opened.model)), told_of_compiling():
        total, several = n or 64, given_labels(opened.model)
        every = torch.arange(total) % several if several else None
        labels = every if label is None else torch.full((total,), label)
        steps = usual_steps(opened.model) if steps is None else steps
        noise = opened.source.get("noise")
        samples = draw(opened.model, total, steps=steps, seed=seed, labels=labels, noise=noise)
    if out.suffix == ".png" and opened.image_shape is None and "data" not in opened.source:
        raise ArgumentError(
            f"{run} does not say that its rows are images, as `deepgen train` would have: take --out samples.npy, and "
            "in Python deepgen.plot.image_grid(samples, (height, width), path=)"
        )
    write(samples, out, opened.image_shape, opened.source.get("levels"), opened.source.get("columns"), labels)
    print(f"{total} samples from {run} in {out}")
    if isinstance(opened.model, Autoencoder):
        print(
            f"ends of chains of {steps} steps, noise and a draw of the denoiser: no exact draws, their law is as near "
            "that of the data as the denoiser is good"
        )


def write(
    samples: Tensor,
    out: Path,
    image_shape: tuple[int, ...] | None,
    levels: int | None = None,
    columns: Sequence[str] | None = None,
    labels: Tensor | None = None,
) -> None:
    """Store ``[n, features]`` in the format that the ending of ``out`` names.

    ``levels`` are those of grey values, ``columns`` the names of the features, for the first line of a table; a .npz
    holds the ``labels`` too that the rows were drawn for.
    """
    import numpy as np

    from deepgen.data.files import replacing
    from deepgen.data.packed import write_npy

    if out.suffix == ".png" and image_shape is None:
        raise ArgumentError("these data are not images, so there is no .png of them: use --out samples.npy or .csv")
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".png":
        from deepgen.plot import image_grid

        image_grid(samples, image_shape, limits=None if levels is None else (0, levels - 1), path=out)
    elif out.suffix == ".npy":
        with replacing(out) as file:
            write_npy(file, samples.numpy())
    elif out.suffix == ".npz":
        with replacing(out) as file:
            arrays: dict[str, Any] = {"samples": samples.numpy()}
            arrays |= {} if labels is None else {"labels": labels.numpy()}
            np.savez_compressed(file, **arrays)
    else:
        with replacing(out) as file:
            if columns is not None:
                first = io.StringIO()
                csv.writer(first, lineterminator="\n").writerow(columns)
                file.write(first.getvalue().encode())
            np.savetxt(file, samples.numpy(), delimiter=",", fmt=DIGITS)
