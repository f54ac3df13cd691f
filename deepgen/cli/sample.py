"""``deepgen sample``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepgen.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = (".png", ".npy", ".npz", ".csv")


def command(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `deepgen train` wrote.")],
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many samples.")] = 64,
    out: Annotated[
        Path, typer.Option(help="Where to: a grid of images (.png), or rows of numbers (.npy, .npz, .csv).")
    ] = Path("samples.png"),
    steps: Annotated[int, typer.Option(min=0, help="Gibbs steps from the start of each chain.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
) -> None:
    """Draw samples from a trained model."""
    if out.suffix not in FORMATS:
        raise ArgumentError(f"--out must end in one of {', '.join(FORMATS)}, got {str(out)!r}")
    from deepgen.cli.rundir import draw, open_run, weights
    from deepgen.cli.threads import fitting_threads

    opened = open_run(run)
    with fitting_threads(weights(opened.model)):
        samples = draw(opened.model, n, steps=steps, seed=seed)
    write(samples, out, opened.image_shape)
    print(f"{n} samples from {run} in {out}")


def write(samples: Tensor, out: Path, image_shape: tuple[int, ...] | None) -> None:
    """Store ``[n, features]`` in the format that the ending of ``out`` names."""
    import numpy as np

    if out.suffix == ".png" and image_shape is None:
        raise ArgumentError("these data are not images, so there is no .png of them: use --out samples.npy or .csv")
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".png":
        from deepgen.plot import image_grid

        image_grid(samples, image_shape, path=out)
    elif out.suffix == ".npy":
        np.save(out, samples.numpy())
    elif out.suffix == ".npz":
        np.savez_compressed(out, samples=samples.numpy())
    else:
        np.savetxt(out, samples.numpy(), delimiter=",", fmt="%g")
