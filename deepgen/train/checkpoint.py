"""Models and runs in directories: `save`, `load`, `load_weights`, and `load_run` for what a fit left behind.

See `deepgen.train.store` for the files and `deepgen.train.rebuild` for how a model is written down.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import CheckpointError, MissingCapability
from deepgen.train.history import History
from deepgen.train.lock import LOCK, held
from deepgen.train.rebuild import decode, encode
from deepgen.train.store import malformed, read, write

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Run:
    """What a fit's directory holds.

    Attributes:
        model: the model, at its best epoch once a run with early stopping has ended; None if it was built from the
            user's own classes (then build it and call `load_weights`).
        history: the records so far; ``history.settings`` has the settings.
        settings: those of the fit: seed, batch size, objective, data with provenance, and the caller's ``extras``.
        step: updates done, those of an epoch that was not ended included.

    >>> import tempfile, deepgen as dg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = dg.fit(dg.RBM(3, 2), torch.eye(3), dg.objectives.PersistentCD(), epochs=2, out=folder, progress=False)
    ...     run = load_run(folder)
    >>> run.settings["objective"]["class"], run.history["step"]
    ('PersistentCD', [1, 2])
    """

    model: nn.Module | None
    history: History
    settings: dict[str, Any]
    step: int


def save(model: nn.Module, directory: Path) -> None:
    """Store ``model`` in ``directory``, in place of what is there.

    Raises:
        CheckpointError: the disk refuses, or a run holds the directory; what was there before is unharmed.

    >>> import tempfile, deepgen as dg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dg.save(dg.explicit.RBM(visible=6, hidden=dg.explicit.Gaussian(2)), folder)
    ...     dg.load(folder)
    RBM(
      6 visible, 2 hidden
      (visible): Bernoulli()
      (hidden): Gaussian()
    )
    """
    with held(directory) if (FilePath(directory) / LOCK).exists() else nullcontext():
        write(directory, {"kind": "model", "model": describe_model(model)})


def load(directory: Path) -> nn.Module:
    """Rebuild the model stored in ``directory`` by `save` or by `deepgen.fit`, on the CPU.

    Raises:
        CheckpointError: no checkpoint there, a damaged one, or one of a model built from classes outside deepgen.

    >>> import tempfile, deepgen as dg
    >>> mixture = dg.explicit.BernoulliMixture(3, components=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(mixture, folder)
    ...     again = load(folder)
    >>> torch.equal(again.logits, mixture.logits)
    True
    """
    content = read(directory)
    with malformed(directory):
        return _rebuild(content, directory)


def load_weights(model: nn.Module, directory: Path) -> None:
    """Copy the weights stored in ``directory`` into ``model``, which must have parameters of the same names and shapes.

    Raises:
        CheckpointError: no checkpoint there, a damaged one, or one of a different model.

    >>> import tempfile
    >>> one, other = nn.Linear(2, 1), nn.Linear(2, 1)  # a class of the user's own would do as well
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(one, folder)
    ...     load_weights(other, folder)
    >>> torch.equal(one.weight, other.weight)
    True
    """
    content = read(directory)
    with malformed(directory):
        put_weights(model, content["model"]["weights"], directory)


def load_run(directory: Path) -> Run:
    """Return model, history and settings of the fit in ``directory``.

    Raises:
        CheckpointError: no checkpoint there, a damaged one, or a model that was saved without a run.

    >>> import tempfile, deepgen as dg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rbm, objective = dg.RBM(visible=3, hidden=2), dg.objectives.PersistentCD()
    ...     _ = dg.fit(rbm, torch.eye(3), objective, epochs=2, out=folder, progress=False)
    ...     run = load_run(folder)
    >>> run.model, len(run.history), run.settings["seed"]
    (RBM(
      3 visible, 2 hidden
      (visible): Bernoulli()
      (hidden): Bernoulli()
    ), 2, 0)
    """
    content = read(directory)
    with malformed(directory):
        if content["kind"] != "run":
            raise CheckpointError(f"{directory} holds a saved model without a history; expected the out= of a fit")
        history = History.from_dict(content["history"])
        model = None if content["model"]["rebuild"] is None else _rebuild(content, directory)
        step = int(content["position"]["step"])
    return Run(model, history, history.settings, step)


def describe_model(model: nn.Module) -> dict[str, Any]:
    """What a checkpoint holds of a model: how to rebuild it (None if only the user can), and its weights."""
    try:
        rebuild = encode(model)
    except MissingCapability:
        rebuild = None
    return {"class": type(model).__name__, "rebuild": rebuild, "weights": dict(model.state_dict())}


def put_weights(model: nn.Module, weights: dict[str, Tensor], directory: Path) -> None:
    """Load ``weights`` or say what does not fit."""
    own = model.state_dict()
    if own.keys() != weights.keys():
        differing = ", ".join(sorted(own.keys() ^ weights.keys()))
        raise CheckpointError(f"{directory} holds another model: these names are not in both: {differing}")
    for name, value in weights.items():
        if own[name].shape != value.shape:
            raise CheckpointError(
                f"{directory} holds another model: {name} is {list(value.shape)} there, {list(own[name].shape)} here"
            )
    model.load_state_dict(weights)


def _rebuild(content: dict[str, Any], directory: Path) -> nn.Module:
    stored = content["model"]
    if stored["rebuild"] is None:
        raise CheckpointError(
            f"{directory} holds a {stored['class']} with parts that are not deepgen's own: "
            "build it yourself and call deepgen.load_weights(model, directory)"
        )
    model = decode(stored["rebuild"], sum(tensor.numel() for tensor in stored["weights"].values()))
    if not isinstance(model, nn.Module):
        raise CheckpointError(f"{directory} names {stored['rebuild']}, which is no model")
    for name, tensor in model.state_dict(keep_vars=True).items():  # a model saved in float64 comes back in float64
        if name in stored["weights"]:
            with torch.no_grad():
                tensor.data = tensor.data.to(stored["weights"][name].dtype)
    put_weights(model, stored["weights"], directory)
    return model
