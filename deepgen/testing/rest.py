"""Does a model answer as the network at rest does, whatever mode it is in, and is it left as it was?"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.testing.checkpoints import demand_same_state
from deepgen.testing.failure import demand


def check_rest(model: nn.Module, ask: Callable[[], Tensor], what: str) -> None:
    """Check that ``ask()`` gives the same bits of ``model`` in training and in evaluation, and changes nothing of it.

    Parameters, buffers, and the mode of each part are to be as before. The model is left in evaluation mode.

    Raises:
        CheckFailed: ``what``, a model's name and method, is in the message.

    >>> import deepgen as dg
    >>> net = dg.layers.Dense(2, [4], 1, norm=True, generator=0)
    >>> vae = dg.implicit.Autoencoder(net, torch.nn.Linear(1, 2), likelihood=dg.implicit.Gaussian(1.0))
    >>> check_rest(vae, lambda: vae.encode(torch.eye(2)), "Autoencoder.encode")
    >>> check_rest(vae, lambda: vae.code(torch.eye(2)).detach(), "Autoencoder.code")
    Traceback (most recent call last):
    deepgen.testing.failure.CheckFailed: Autoencoder, after its code: encoder.norms.0.running_mean differs
    """
    name, _, method = what.partition(".")
    answers = []
    for training in (True, False):
        model.train(training)
        part: Any = next((m for m in model.modules() if not any(True for _ in m.children())), None)
        if part is not None and part is not model:
            part.training = not training  # a mode of its own, which putting all back to one would lose
        before, modes = copy.deepcopy(model), [m.training for m in model.modules()]
        answers.append(ask())
        demand_same_state(before, model, f"{name}, after its {method}")
        kept = modes == [m.training for m in model.modules()]
        demand(kept, f"{name} or a part of it is in another mode (train or eval) after its {method}")
    model.eval()
    demand(torch.equal(*answers), f"{what} in training is not that in evaluation: ask the network at rest, by eval()")
