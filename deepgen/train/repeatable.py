"""Steps whose draws from torch's global stream belong to the run: what ``nn.Dropout`` in a user's network needs.

torch's own layers take no generator. In each step the global streams, of the CPU and of the model's device, are seeded
by (seed, step) and put back afterwards: the same seed draws the same masks, a resumed run goes on with those it would
have had, with nothing to keep in its checkpoint, and the user's own global numbers do not move. Layers of this library
that drop units draw from the stream that is lent so, too (`deepgen.layers.dropout`).

It costs some 30 microseconds a step where caches are full of other things, so it is done only where something may draw.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from deepgen.random import default_generator, generator, reseeded, spawn
from deepgen.typing import Objective, Update


class Repeatable:
    """An `Update` in whose steps torch's global streams are functions of ``seed`` and the number of the step.

    Args:
        seed: of the run.
        device: of the model.
        done: steps made before.
        needed: if False nothing is lent.

    >>> def update(state, batch, *, generator):
    ...     return state, {"noise": torch.rand(())}
    >>> one, other = Repeatable(0), Repeatable(0, done=1)
    >>> noises = [one.step(update)((), None, generator=None)[1]["noise"] for _ in range(2)]
    >>> noises[1] == other.step(update)((), None, generator=None)[1]["noise"] != noises[0]
    tensor(True)
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu", done: int = 0, *, needed: bool = True) -> None:
        self.base = spawn(generator(seed), 2)[1].initial_seed()  # the first is the seed of the objective's own stream
        self.done, self.needed = done, needed
        devices = [torch.device("cpu"), *([torch.device(device)] if torch.device(device).type == "cuda" else [])]
        self.streams = [default_generator(one) for one in devices] if needed else []

    def start(self, objective: Objective, model: nn.Module, x: Any, *, generator: torch.Generator) -> Any:
        """``objective.start``, which may run the networks, before the first step."""
        with reseeded(self.base, self.streams):
            return objective.start(model, x, generator=generator)

    def step(self, update: Update) -> Update:
        """``update``, each call of it the next step."""
        if not self.needed:
            return update

        def step(state: Any, batch: Any, *, generator: torch.Generator) -> tuple[Any, dict[str, torch.Tensor]]:
            self.done += 1
            with reseeded((self.base + self.done) % 2**64, self.streams):
                return update(state, batch, generator=generator)

        return step


def draws(objective: object, model: nn.Module) -> bool:
    """Whether steps may draw from torch's global streams: by layers that drop, or code of neither torch nor deepgen.

    >>> draws(None, nn.Linear(2, 2)), draws(None, nn.Sequential(nn.Linear(2, 2), nn.Dropout()))
    (False, True)
    """
    return any(_foreign(part) for part in (objective, *model.modules())) or any(map(_drops, model.modules()))


def _foreign(part: object) -> bool:
    return type(part).__module__.partition(".")[0] not in ("deepgen", "torch", "builtins")


def _drops(part: nn.Module) -> bool:
    """Of torch's layers and ours: `Dense` has two ``rates``, recurrent layers and attention a number."""
    rates = getattr(part, "rates", ())
    return (
        isinstance(part, (_DropoutNd, nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d))
        or bool(getattr(part, "dropout", 0.0))
        or (isinstance(rates, tuple) and any(rates))
    )
