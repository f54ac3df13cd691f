"""deepgen: probabilistic generative modelling on PyTorch, with likelihoods that can be believed."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepgen import (
        data,
        distributions,
        errors,
        evaluate,
        explicit,
        graphs,
        implicit,
        interop,
        layers,
        objectives,
        optim,
        plot,
        random,
        samplers,
        testing,
        train,
        transforms,
        typing,
        words,
    )
    from deepgen.cli.compare.run import compare
    from deepgen.embeddings import Embeddings
    from deepgen.explicit import RBM
    from deepgen.train import load, load_weights, save
    from deepgen.train.fit import fit

__version__ = "0.1.0"
__all__ = [
    "RBM",
    "Embeddings",
    "compare",
    "data",
    "distributions",
    "errors",
    "evaluate",
    "explicit",
    "fit",
    "graphs",
    "implicit",
    "interop",
    "layers",
    "load",
    "load_weights",
    "objectives",
    "optim",
    "plot",
    "random",
    "samplers",
    "save",
    "testing",
    "train",
    "transforms",
    "typing",
    "words",
]
_HOME = {
    "Embeddings": "embeddings",
    "RBM": "explicit",
    "compare": "cli.compare.run",
    "fit": "train",
    "load": "train",
    "load_weights": "train",
    "save": "train",
}


def __getattr__(name: str) -> object:
    """Parts load when they are first named, so that the command line can answer before torch has loaded."""
    if name in _HOME:
        return getattr(import_module(f"deepgen.{_HOME[name]}"), name)
    if name in __all__:
        return import_module(f"deepgen.{name}")
    raise AttributeError(f"module 'deepgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
