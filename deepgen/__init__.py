"""deepgen: probabilistic generative modelling on PyTorch, with likelihoods that can be believed."""

from importlib import import_module
from typing import TYPE_CHECKING

from deepgen import (
    data,
    distributions,
    errors,
    evaluate,
    explicit,
    layers,
    objectives,
    random,
    samplers,
    train,
    transforms,
    typing,
)
from deepgen.explicit import RBM
from deepgen.train import fit, load, load_weights, save

if TYPE_CHECKING:
    from deepgen import interop, plot, testing

__version__ = "0.1.0"
__all__ = [
    "RBM",
    "data",
    "distributions",
    "errors",
    "evaluate",
    "explicit",
    "fit",
    "interop",
    "layers",
    "load",
    "load_weights",
    "objectives",
    "plot",
    "random",
    "samplers",
    "save",
    "testing",
    "train",
    "transforms",
    "typing",
]


def __getattr__(name: str) -> object:
    if name in ("interop", "plot", "testing"):  # not needed to train and evaluate, so loaded when first named
        return import_module(f"deepgen.{name}")
    raise AttributeError(f"module 'deepgen' has no attribute {name!r}")
