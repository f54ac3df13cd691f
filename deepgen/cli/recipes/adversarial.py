"""Generative adversarial networks: relativistic pairing with R1 and R2, and the average of the generator.

``--loss``, ``--penalty`` and ``--spectral-norm`` choose another game, and a ``cgan`` is given labels. DCGAN's networks
are for images whose sides are multiples of 4, from 16 on, dense ones for all other rows; ``--networks`` has it
otherwise (``maxout``: dense, and the discriminator's units are maxout). Bits and grey levels are grey values while
training and rounded when drawn (`deepgen.implicit.Rounded`); real columns are standardised inside the networks. There
is no likelihood to watch: what is watched is how far draws are from validation rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.utils.data import TensorDataset

from deepgen.cli.asking import rows_of
from deepgen.cli.feed import classes_of
from deepgen.cli.quality import in_grey
from deepgen.cli.recipes.columns import varying
from deepgen.cli.recipes.players import players
from deepgen.cli.recipes.recipe import Recipe
from deepgen.cli.values import as_images, kind, refused
from deepgen.evaluate import kernel_distance
from deepgen.evaluate.feature_maps import default_features, mapped
from deepgen.implicit import GAN, Rounded, SpectralNorm
from deepgen.layers import Restored, Standardised
from deepgen.objectives import (
    R1,
    R2,
    Adversarial,
    GradientPenalty,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    Wasserstein,
)
from deepgen.random import generator as source
from deepgen.random import spawn

if TYPE_CHECKING:
    from deepgen.data import Data

SIDE = 16  # of images, from which convolutions pay
JUDGED = 1000  # validation rows and as many draws, at most
AVERAGE = 0.995
LOSSES: dict[str, Any] = {
    "relativistic": Relativistic(),
    "minimax": Minimax(),
    "non-saturating": NonSaturating(),
    "least-squares": LeastSquares(),
    "hinge": Hinge(),
    "wasserstein": Wasserstein(),
}
PENALTIES: dict[str, Any] = {
    "r1-r2": (R1(), R2()),
    "r1": R1(),
    "r2": R2(),
    "gradient": GradientPenalty(),
    "none": (),
}


def gan(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``gan``, and ``cgan`` of rows given their labels."""
    if kind(data) == "text":
        raise refused(f"{name} draws bits, grey levels or real values", data)
    levels = 2 if kind(data) == "binary" else data.levels
    networks = options["networks"] or _usual(data, levels)
    dense = networks in ("dense", "maxout")
    first, second, third = spawn(source(options["seed"]), 3)
    classes = classes_of(data) if name == "cgan" else 0
    generator, discriminator = players(data, {**options, "networks": networks}, classes, first, second)
    data = data if dense else as_images(data)
    if options["spectral_norm"]:
        discriminator = SpectralNorm(discriminator, generator=third)
    if levels is not None:
        generator = Rounded(generator, levels, squash=dense)
    elif dense:
        x = varying(name, data, density=False)
        generator = Restored(generator, x.shape[1]).initialise(x)
        discriminator = Standardised(discriminator, x.shape[1]).initialise(x)
    model = GAN(generator, discriminator, latent=options["latent"], average=AVERAGE, classes=classes)
    game = {"loss": LOSSES[options["loss"] or "relativistic"], "penalty": PENALTIES[options["penalty"] or "r1-r2"]}
    objective = Adversarial(**game, generator_rate=options["rate"], discriminator_rate=options["rate"])
    return Recipe(
        model=model,
        objective=objective,
        data=data,
        epochs=options["epochs"],
        batch=options["batch"],
        optimizer=objective.optimizer(model),
        monitor=Nearness() if len(data.valid) > 2 else None,
        notes={"images": not dense},
        labelled=classes > 0,
        settled={"networks": networks},
    )


def _usual(data: Data, levels: int | None) -> str:
    """``conv`` for images of levels with sides that it can halve twice, and large enough for that to pay."""
    sides = data.image_shape
    halved = sides is not None and all(side >= SIDE and side % 4 == 0 for side in sides)
    return "conv" if halved and levels is not None else "dense"


class Nearness:
    """A monitor: minus the kernel distance between validation rows and as many draws, in the features of the shape.

    Rows with labels are compared with draws given the same.
    """

    name = "minus the kernel distance of draws from validation rows, no unit"

    def __call__(self, model: nn.Module, valid: Any) -> float:
        x, labels = valid.tensors if isinstance(valid, TensorDataset) else (valid, None)
        real = rows_of(x)[:JUDGED]
        made: Any = model
        fake = in_grey(real, made.sample(len(real), None if labels is None else labels[:JUDGED], generator=0))
        features = default_features(real)
        x, y = (mapped(features, rows, "rows").double() for rows in (real, fake))
        return -kernel_distance(real=x, fake=y).value
