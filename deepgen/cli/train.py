"""``deepgen train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepgen.cli.fitting import train
from deepgen.cli.interrupted import parting
from deepgen.cli.optimizers import OPTIMIZERS, SCHEDULES
from deepgen.cli.options import Binarise, Root, model_name, settle
from deepgen.cli.ranks import ranks_of
from deepgen.errors import ArgumentError, unknown_name

DEVICES = ("auto", "cpu", "cuda")


def command(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="rbm, dbn, dbm, class-rbm (of rows and labels), bernoulli (independent units), mixture; made, nade, "
            "deep-nade; for images pixelcnn, gated-pixelcnn; flows nice, realnvp, maf, nsf; vae, iwae, cvae (given "
            "labels), m2 (few labels), gan, cgan (given labels), energy; autoencoder (no likelihood); for text rnn, "
            "lstm, gru, mlstm (multiplicative LSTM), transformer.",
        ),
    ],
    data: Annotated[str, typer.Option(help="A name from `deepgen data list`, or the path of your own file.")],
    out: Annotated[Path, typer.Option(help="Directory of the run: model, history, checkpoint.")],
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Passes over the rows (rbm, dbn, dbm, mixture, deep-nade, vae, autoencoder, gan 200; made, nade, "
            "energy 100; flows 50; pixelcnn 30; text 10).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of initial weights, order of the rows and chains.")] = 0,
    patience: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Stop after so many epochs without a better validation likelihood, and keep the best (20; text 3; "
            "rbm, dbn, dbm and energy, by a quick AIS, mixture, gan and cgan: never). 0 keeps the last epoch.",
        ),
    ] = None,
    binarise: Binarise = None,
    root: Root = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on from what is in --out, or discard it.")
    ] = True,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Learning rate at the start (rbm, dbn, dbm 0.1, class-rbm 0.01, rnn to mlstm 0.003, others 0.001; of "
            "another optimizer its own)."
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(OPTIMIZERS)} (rbm, dbn, dbm sgd, others adam). Of networks the first three need --rate."
        ),
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help=f"How the rate falls over the run: {', '.join(SCHEDULES)} (linear, to 0).")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Rows per step (50; text 32).")] = None,
    hidden: Annotated[
        str | None,
        typer.Option(
            help="Hidden units (rbm, class-rbm 128, nade 500, rnn to mlstm 256), or of each layer: dbn, dbm 128,128; "
            "made 500; deep-nade 500,500; flows 128,128; vae, autoencoder, gan 200,200, beside convolutions 256; "
            "energy 256,256."
        ),
    ] = None,
    components: Annotated[
        int | None, typer.Option(min=1, help="mixture (20), --prior mixture or vamp (50): components.")
    ] = None,
    visible: Annotated[
        str | None,
        typer.Option(
            help="rbm: units for zeros and ones bernoulli or spin, for few grey levels softmax, for real values "
            "gaussian (bernoulli)."
        ),
    ] = None,
    hidden_units: Annotated[str | None, typer.Option(help="rbm: bernoulli, spin or gaussian (bernoulli).")] = None,
    networks: Annotated[
        str | None,
        typer.Option(
            help="vae, iwae, cvae, m2, autoencoder: dense or, for images, conv (dense); autoencoder of bits also tied; "
            "gan, cgan also maxout and resnet (conv for images of levels with sides that are multiples of 4 from 16 "
            "on, else dense)."
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(help="vae, iwae, cvae, m2: of latents, normal, mixture, vamp (vae, iwae) or flow (normal)."),
    ] = None,
    posterior: Annotated[
        str | None, typer.Option(help="vae, iwae, cvae, m2: of latents given a row, diagonal, full or flow (diagonal).")
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="rbm, class-rbm, dbn, dbm (1), energy (10): chain steps per update; iwae: draws of the bound (5).",
        ),
    ] = None,
    chains: Annotated[
        int | None, typer.Option(min=1, help="rbm, class-rbm, dbn, dbm, energy: persistent chains (100).")
    ] = None,
    latent: Annotated[
        int | None,
        typer.Option(
            min=1, help="vae, autoencoder: width of the code (an eighth of the columns, from 2 to 50); gan (16)."
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="autoencoder: share of the values that are set to 0 before it restores them; of real values the size "
            "of normal noise, in standard deviations of the column (0.3). 0 for none."
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help="gan, cgan: relativistic, minimax, non-saturating, least-squares, hinge or wasserstein (relativistic)."
        ),
    ] = None,
    penalty: Annotated[
        str | None,
        typer.Option(
            help="gan, cgan: on the discriminator's gradient, r1-r2, r1, r2, gradient (of WGAN-GP) or none (r1-r2); "
            "autoencoder: on codes, none, contraction, l1 or sparsity (none)."
        ),
    ] = None,
    penalty_weight: Annotated[float | None, typer.Option(help="autoencoder: of --penalty (0.1).")] = None,
    spectral_norm: Annotated[
        bool | None, typer.Option("--spectral-norm", help="gan, cgan: normalise the layers of the discriminator.")
    ] = None,
    labelled: Annotated[
        int | None, typer.Option(min=1, help="m2: how many training rows keep their labels (100).")
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option(help="cgan: how the discriminator sees a label, projection or concatenation (projection)."),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(min=0.0, help="rbm, dbn, dbm: of the weights, not the biases (0).")
    ] = None,
    max_norm: Annotated[
        float | None,
        typer.Option(
            help="rbm, made, vae, iwae, cvae, m2, autoencoder, gan, cgan: the greatest norm of the weights into a "
            "unit, after every step (none). The gradient of an rbm is then not centred."
        ),
    ] = None,
    non_negative: Annotated[
        bool | None,
        typer.Option("--non-negative", help="rbm (its gradient not centred), autoencoder: no weight below 0."),
    ] = None,
    orders: Annotated[
        int | None, typer.Option(min=1, help="made (1), deep-nade (8): orders of the variables whose mixture it is.")
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            min=1, help="pixelcnn: features of each layer (32); convolutional networks: of their first one (32)."
        ),
    ] = None,
    layers: Annotated[
        int | None, typer.Option(min=1, help="pixelcnn (6), rnn to mlstm (1), transformer (2): how many.")
    ] = None,
    transforms: Annotated[int | None, typer.Option(min=1, help="flows: couplings or other layers (5).")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="transformer: of a character inside (128).")] = None,
    heads: Annotated[int | None, typer.Option(min=1, help="transformer: of each attention (4).")] = None,
    dropout: Annotated[float | None, typer.Option(help="Of a text: rate (0).")] = None,
    length: Annotated[int | None, typer.Option(min=1, help="Of a text: characters of a row (64).")] = None,
    monitors: Annotated[
        bool,
        typer.Option(
            "--monitors", help="Watch steps, gradients and activations: warnings in words, and a section of the report."
        ),
    ] = False,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, or auto: a GPU if there is one, of several ranks one for each.")
    ] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Fit a model and leave it in a directory that sample, evaluate and report read.

    Run again, the same command goes on where it was stopped, to the weights it would have had unstopped.
    """
    model = model_name(model)
    given = {"epochs": epochs, "patience": patience, "visible": visible, "hidden": hidden, "rate": rate,
             "batch": batch, "k": k, "chains": chains, "weight_decay": weight_decay, "components": components,
             "orders": orders, "channels": channels, "layers": layers, "transforms": transforms, "width": width,
             "heads": heads, "dropout": dropout, "length": length, "latent": latent, "noise": noise,
             "hidden_units": hidden_units, "networks": networks, "prior": prior, "posterior": posterior,
             "optimizer": optimizer, "schedule": schedule, "loss": loss, "penalty": penalty,
             "penalty_weight": penalty_weight, "spectral_norm": spectral_norm, "max_norm": max_norm,
             "non_negative": non_negative, "condition": condition, "labelled": labelled}  # fmt: skip
    chosen = {"seed": seed, "binarise": binarise, "monitors": monitors or None, **settle(model, given)}
    source = {"model": model, "data": absolute(data), "root": root and str(Path(root).resolve()), **chosen}
    if out.exists() and not out.is_dir():
        raise ArgumentError(f"--out is the directory of the run, and {out} is a file: choose another name")
    if device not in DEVICES:
        raise unknown_name("device", device, DEVICES)
    with parting(out, context.obj or [], fresh=not resume), ranks_of(out, device) as ranks:
        train(model, data, root, out, source, patience, ranks, resume=resume, quiet=quiet)


def absolute(data: str) -> str:
    """A path that later commands, run elsewhere, will find; names stay names."""
    from deepgen.data import names

    return data if data.lower().replace("-", "_") in names() else str(Path(data).expanduser().resolve())
