"""``m2``: a VAE of rows and labels of which ``--labelled`` training rows keep theirs, and a classifier beside it.

The classifier has the encoder's networks. What is watched is the bound on log p(x) of validation rows, labels summed
out. Source: Kingma, Rezende, Mohamed & Welling 2014, "Semi-supervised learning with deep generative models", model M2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.cli.feed import classes_of, labels_of
from deepgen.cli.recipes.latent import DRAWS, latent_model, law_of_values, prepared
from deepgen.cli.recipes.networks import encoder_decoder
from deepgen.cli.recipes.recipe import Recipe, by_adam
from deepgen.errors import ArgumentError
from deepgen.evaluate import Bracket, Estimate, log_likelihood
from deepgen.implicit import SemiSupervised
from deepgen.objectives import SemiSupervisedELBO
from deepgen.random import generator, spawn

if TYPE_CHECKING:
    from deepgen.data import Data


def m2(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``m2``."""
    data, caveat, notes = prepared(name, data)
    classes, labels = classes_of(data, 2), labels_of(data, "train")
    kept, kinds = options["labelled"], len(labels.unique())
    if not kinds <= kept <= len(labels):
        raise ArgumentError(
            f"--labelled must be from {kinds}, one row for each label, to the {len(labels)} training rows of "
            f"{data.provenance['name']}, got {kept}"
        )
    cvae: Any = latent_model(data, options, classes)
    first, _ = spawn(generator(options["seed"]), 2)
    classifier, _ = encoder_decoder(data, options, classes, cvae.latent, law_of_values(data), generator=first)
    return by_adam(
        SemiSupervised(cvae, classifier),
        SemiSupervisedELBO(),
        data,
        options,
        monitor=_bound,
        caution=caveat,
        notes=notes,
        labelled=True,
        known=labelled_rows(labels, options),
        settled={"latent": cvae.latent},
    )


def labelled_rows(labels: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Which training rows keep their labels, bool ``[rows]``: of the options "labelled" and "seed" of a run."""
    return evenly(labels, options["labelled"], spawn(generator(options["seed"]), 2)[1])


def evenly(labels: Tensor, n: int, stream: torch.Generator) -> Tensor:
    """A random choice of ``n`` rows, equally many of each label as far as there are so many: bool ``[rows]``.

    >>> labels = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    >>> labels[evenly(labels, 5, generator(0))].bincount().tolist()
    [2, 2, 1]
    """
    order = torch.randperm(len(labels), generator=stream)
    same = torch.nn.functional.one_hot(labels[order])
    rank = (same.cumsum(0) * same).sum(1)  # 1 for the first of its label in the order
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[order[rank.argsort(stable=True)[:n]]] = True
    return chosen


def _bound(model: nn.Module, valid: Any) -> Estimate | Bracket:
    x = valid.tensors[0]
    return log_likelihood(model, x, samples=DRAWS, generator=0)
