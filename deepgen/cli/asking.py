"""What later commands ask of a trained model: draws, a likelihood, the labels it knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.cli import denoising
from deepgen.cli.feed import labels_of
from deepgen.cli.units import decoded, taken
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.evaluate import Bracket, Estimate, log_likelihood
from deepgen.explicit import DBM, DBN, RBM, ClassRBM, EnergyModel
from deepgen.implicit import CVAE, GAN, Autoencoder, SemiSupervised
from deepgen.random import generator
from deepgen.typing import Samples

if TYPE_CHECKING:
    from deepgen.data import Data


def weights(model: nn.Module) -> int:
    """How many numbers the model learned, for `fitting_threads`."""
    return sum(parameter.numel() for parameter in model.parameters())


MACHINES = (RBM, DBM, DBN)
CHAINED = (*MACHINES, EnergyModel, Autoencoder)  # what draws by chains, of so many steps
STEPS = 2000  # of the chains, but for those of `denoising`


def usual_steps(model: nn.Module) -> int:
    """Steps of the chains of ``model`` where none were asked for."""
    return denoising.STEPS if isinstance(model, Autoencoder) else STEPS


def draw(
    model: nn.Module, n: int, *, steps: int, seed: Any, labels: Tensor | None = None, noise: float | None = None
) -> Tensor:
    """``n`` samples ``[n, features]``: the ends of ``n`` chains of a Boltzmann machine or a denoiser, or exact draws.

    Of a model given labels those of ``labels`` ``[n]``, by default all of its own in turn; by default M2 draws them.
    ``noise`` is what an autoencoder was trained under. ``seed`` may be a generator.
    """
    with torch.no_grad():
        if isinstance(model, Autoencoder):
            return denoising.chain_draws(model, n, noise, steps=steps, seed=seed).flatten(1)
        if isinstance(model, (*MACHINES, EnergyModel)):
            return decoded(model, model.sample(n, steps=steps, generator=seed).flatten(1))
        if labels is not None and isinstance(model, SemiSupervised):
            model = model.cvae
        if classes := given_labels(model):
            given: Any = model
            labels = torch.arange(n) % classes if labels is None else labels
            drawn: Tensor = given.sample(n, labels, generator=seed)
            return drawn.flatten(1)
        if isinstance(model, Samples):
            return model.sample(n, generator=seed).flatten(1)
    raise MissingCapability(f"{type(model).__name__} cannot be sampled: it has no sample(n, generator=)")


def judge(
    model: nn.Module,
    data: Data,
    split: str,
    *,
    method: str = "auto",
    seed: int = 0,
    progress: bool = False,
    **options: Any,
) -> Estimate | Bracket:
    """The log-likelihood of a split of ``data``, given the labels where the model takes them, or of both.

    Annealing starts from the base rates of the training rows; ``options`` are others of `log_likelihood`.

    Raises:
        MissingCapability: a GAN or an autoencoder, which have none.
    """
    if why := silent(model):
        raise MissingCapability(why)
    if isinstance(model, ClassRBM):
        known_labels(model, data, split)
    annealed = isinstance(model, MACHINES)
    # a split that is redrawn is drawn once
    still = replace(data, train=rows_of(data.train)) if annealed or split == "train" else data
    x = taken(model, still, split)
    base = taken(model, still, "train") if annealed else None
    given = (x, known_labels(model, data, split)) if isinstance(model, CVAE) else x
    return log_likelihood(model, given, method=method, base=base, generator=seed, progress=progress, **options)


NO_LIKELIHOOD = (
    "a GAN has no likelihood: its law is known by its draws alone, and no bound of its density is at hand, so only "
    "its draws can be judged"
)


def silent(model: nn.Module) -> str:
    """Why ``model`` has no likelihood, in words; empty of one that has."""
    if isinstance(model, GAN):
        return NO_LIKELIHOOD
    return denoising.NO_LIKELIHOOD if isinstance(model, Autoencoder) else ""


def of_rows_alone(model: nn.Module) -> bool:
    """Whether what `judge` states is log p(x), and not of rows given their labels or with them."""
    return not isinstance(model, (CVAE, ClassRBM))


def given_labels(model: nn.Module) -> int:
    """How many labels a `CVAE` or a `GAN` is given, 0 of one without, and of another model.

    Raises:
        MissingCapability: it is given vectors, which no file holds.
    """
    if not isinstance(model, (CVAE, GAN)):
        return 0
    if model.context and not model.classes:
        raise MissingCapability(
            f"this {type(model).__name__} is given vectors, which no file here says: in Python it is model = "
            "deepgen.load(DIR), and model.sample(n, context) with one for each row"
        )
    return model.classes


def own_labels(model: nn.Module) -> int:
    """How many labels a model knows, whether it is given them or has a law of them; 0 of one of rows alone."""
    return model.classes if isinstance(model, (SemiSupervised, ClassRBM)) else given_labels(model)


def known_labels(model: nn.Module, data: Data, split: str) -> Tensor:
    """The labels of a split, all of them among those that ``model`` was trained on."""
    classes = own_labels(model)  # says first where it is vectors that the model is given
    labels = labels_of(data, split)
    if int(labels.max()) >= classes:
        raise ArgumentError(
            f"the model was trained on labels 0 to {classes - 1}, and the {split} rows of "
            f"{data.provenance['name']} have {int(labels.max())}"
        )
    return labels


def rows_of(split: Any) -> Tensor:
    """Rows of a split as one tensor; those that are redrawn at each use are drawn once."""
    return split if isinstance(split, Tensor) else split.draw(generator=generator(0))
