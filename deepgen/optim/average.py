"""Averages of weights along a run, and of weights saved: less noise than the last step has.

    exponential, every step     w'_t = (1 - beta) sum_i beta^(t-i) w_i / (1 - beta^t)        beta = ``decay``
    all alike, every step       w'_t = (w_1 + .. + w_t) / t                                  Polyak & Juditsky 1992
    all alike, every epoch      the same of the weights at the ends of epochs                Izmailov et al. 2018

The steps of a constant rate scatter around the optimum; an average over them is nearer by the root of how many
independent ones it holds. Weights far apart have no useful average: begin where training has settled (``first``).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any

from torch import nn

from deepgen.errors import ArgumentError, CheckpointError, check_count, check_real, unknown_name
from deepgen.optim.blend import blend, share


class WeightAverage:
    """The average of a model's weights along a run: a callback of `deepgen.fit`, or for a loop of your own.

    As a callback it is part of the checkpoint, and at the end of the fit the model gets the averaged weights; a run
    that is made longer goes on from those that were trained. `deepgen.implicit.GAN` has one of its generator built in.
    Source: see `deepgen.optim.average`.

    Args:
        model: the model to follow. ``module`` is a copy of it in eval mode, with the averaged weights.
        decay: beta of the exponential average, in [0, 1); None weighs all alike.
        every: ``"step"``, or ``"epoch"`` for an average of checkpoints.
        first: the first step or epoch that counts, from 1.

    Raises:
        ArgumentError, UnknownName: a number out of its range, another word for ``every``, or no module; a fit of
            another model than the one followed.
        CheckpointError: a state with other settings.

    >>> import torch, deepgen as dg
    >>> model, x = dg.explicit.BernoulliMixture(3), torch.eye(3)
    >>> average = WeightAverage(model, decay=0.9)
    >>> _ = dg.fit(model, x, dg.objectives.MaximumLikelihood(), epochs=20, callbacks=[average], progress=False)
    >>> average.updates, torch.equal(model.logits, average.module.logits)
    (20, True)
    """

    def __init__(self, model: nn.Module, decay: float | None = 0.999, *, every: str = "step", first: int = 1) -> None:
        if not isinstance(model, nn.Module):
            raise ArgumentError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        if decay is not None:
            check_real("decay", decay, 0, below=1)
        check_count(first=first)
        if every not in ("step", "epoch"):
            raise unknown_name("every", every, ("step", "epoch"))
        self.model, self.decay, self.every, self.first = model, decay, every, int(first)
        self.module = copy.deepcopy(model).requires_grad_(False).eval()
        self.seen, self.updates = 0, 0

    def begin(self, model: nn.Module) -> None:
        """What `deepgen.fit` calls before the first step: it must train the model that is followed."""
        if model is not self.model:
            raise ArgumentError(
                f"this WeightAverage follows another {type(self.model).__name__} than the {type(model).__name__} that "
                "is trained, which would end with that one's weights: make it of the model handed to fit"
            )

    def follow(self) -> None:
        """Take the weights as they are now into the average, unless they come before ``first``."""
        self.seen += 1
        if self.seen >= self.first:
            self.updates += 1
            blend(self.module, self.model, share(self.decay, float(self.updates)))

    def advance(self) -> None:
        """What `deepgen.fit` calls after every step."""
        if self.every == "step":
            self.follow()

    def __call__(self, record: Any, model: nn.Module) -> None:
        """What `deepgen.fit` calls after every epoch."""
        if self.every == "epoch":
            self.follow()

    def finish(self, model: nn.Module) -> None:
        """Give ``model`` the averaged weights, where there are any."""
        if self.updates:
            model.load_state_dict(self.module.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """The average and its counts, for a checkpoint."""
        counts = {"seen": self.seen, "updates": self.updates}
        return {**self._settings(), **counts, "weights": dict(self.module.state_dict())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict` of an average of the same kind."""
        other = {name: state.get(name) for name, own in self._settings().items() if state.get(name) != own}
        if other:
            raise CheckpointError(
                f"the average was kept with {', '.join(f'{name}={value!r}' for name, value in other.items())}, and "
                f"this one has {', '.join(f'{name}={getattr(self, name)!r}' for name in other)}: give it the same, or "
                "start anew (resume=False)"
            )
        self.seen, self.updates = int(state["seen"]), int(state["updates"])
        self.module.load_state_dict(state["weights"])

    def _settings(self) -> dict[str, Any]:
        return {"decay": self.decay, "every": self.every, "first": self.first}


def average_checkpoints(directories: Sequence[str | os.PathLike[str]], model: nn.Module | None = None) -> nn.Module:
    """A model whose weights are the mean of those that `deepgen.save` or `deepgen.fit` left in ``directories``.

    They should be of one run: between runs there is no path of good weights, and their mean is a bad model.

    Args:
        directories: one or more, of models alike.
        model: for networks of your own, which `deepgen.load` cannot rebuild: one to take the weights.

    Raises:
        ArgumentError: no directory.
        CheckpointError: a directory without a checkpoint, a damaged one, or one of another model.

    >>> import tempfile, deepgen as dg
    >>> mixture = dg.explicit.BernoulliMixture(3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for epoch in (1, 2, 3):
    ...         _ = mixture.logits.data.fill_(epoch)
    ...         dg.save(mixture, f"{folder}/{epoch}")
    ...     mean = average_checkpoints([f"{folder}/{epoch}" for epoch in (1, 2, 3)])
    >>> mean.logits.mean().item()
    2.0
    """
    from deepgen.train import load, load_weights  # which takes longer to import than all optimizers

    if isinstance(directories, (str, os.PathLike)) or not len(directories):
        raise ArgumentError(f"directories must be a list of at least one checkpoint, got {directories!r}")
    if model is None:
        model = load(directories[0])
    else:
        load_weights(model, directories[0])
    other = copy.deepcopy(model)
    for count, directory in enumerate(directories[1:], 2):
        load_weights(other, directory)
        blend(model, other, share(None, float(count)))
    return model
