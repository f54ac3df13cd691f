"""Embeddings in scikit-learn's manner: settings first, then ``fit`` and ``transform``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from deepgen.embeddings import Embeddings
from deepgen.errors import ArgumentError, MissingCapability, did_you_mean
from deepgen.words.train import train_embeddings

_OWN = ("batches", "counts", "tokens", "tokens_per_epoch", "options")  # which a learner gives the trainer itself

_ELSEWHERE = {  # what gensim and other libraries of node2vec call the same
    "alpha": "rate", "dimensions": "dim", "embedding_dim": "dim", "hs": "hierarchical=True", "iter": "epochs",
    "learning_rate": "rate", "lr": "rate", "ns_exponent": "power",
    "num_walks": "walks_per_node",
    "sg": "cbow=True (skip-gram is the default)", "size": "dim", "vector_size": "dim", "workers": "threads",
}  # fmt: skip


class Estimator:
    """A function from data to `Embeddings`, with its settings kept; a class of it names the function, ``learn``.

    Args:
        dim: length of the vectors.
        settings: further ones of the function.

    Attributes:
        embeddings_: the `Embeddings`, after ``fit``.

    Raises:
        ArgumentError: no such setting, with the nearest name.
    """

    learn: ClassVar[Callable[..., Embeddings]]

    def __init__(self, dim: int = 128, **settings: Any) -> None:
        check_options(self.learn, settings)
        self._settings = {"dim": dim, **settings}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._settings.items())})"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings."""
        return dict(self._settings)

    def set_params(self, **settings: Any) -> Estimator:
        """Change settings."""
        check_options(self.learn, settings)
        self._settings.update(settings)
        return self

    def fit(self, data: Any, y: None = None) -> Estimator:
        """Learn from data."""
        self.embeddings_ = self.learn(data, **self._settings)
        return self

    def transform(self, tokens: Iterable[Hashable]) -> npt.NDArray[np.float32]:
        """The vectors of tokens ``[n, dim]``.

        Raises:
            MissingCapability: before ``fit``.
            UnknownName: a token that was not in the data.
            ArgumentError: a token and no list of tokens.
        """
        if not hasattr(self, "embeddings_"):
            raise MissingCapability(f"{type(self).__name__} has no vectors yet: call fit first")
        if isinstance(tokens, str) or not isinstance(tokens, Iterable):
            raise ArgumentError(f"expected a list of tokens, got {tokens!r}: for one, write transform([{tokens!r}])")
        return self.embeddings_[list(tokens)]

    def fit_transform(self, data: Any, y: None = None) -> npt.NDArray[np.float32]:
        """Learn from data, and the vectors of its tokens in the order of ``embeddings_.tokens``."""
        return self.fit(data).embeddings_.vectors


def check_options(learn: Callable[..., Any], options: dict[str, Any]) -> None:
    """Raise `ArgumentError` unless all are arguments of ``learn``, but for its first, or of the trainer behind it."""
    given = [*inspect.signature(learn).parameters][1:]
    names = [name for name in (*given, *inspect.signature(train_embeddings).parameters) if name not in _OWN]
    for name in options:
        if name not in names:
            other = _ELSEWHERE.get(name, "")
            question = f"it is {other} here; " if other.split("=")[0] in names else did_you_mean(name, names)
            raise ArgumentError(f"{learn.__name__} has no option {name!r}: {question}see train_embeddings")
