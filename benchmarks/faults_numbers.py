"""NaN and infinity planted in the data and in the weights of models while they are trained."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faults_common as common
import torch
from faults_common import ROWS, Hang, Tally

import deepgen as dg
from deepgen.errors import DivergenceError, SupportError
from deepgen.train import Checkpoint


class Planted(torch.utils.data.Dataset[torch.Tensor]):
    """Rows of which one turns to NaN once so many were read."""

    def __init__(self, after: int) -> None:
        self.after, self.read = after, 0

    def __len__(self) -> int:
        return len(ROWS)

    def __getitem__(self, index: int) -> torch.Tensor:
        self.read += 1
        return ROWS[index] * (float("nan") if self.read == self.after else 1.0)


class Poison:
    """A callback that makes a number of a parameter or buffer NaN after so many steps."""

    def __init__(self, model: torch.nn.Module, step: int, dice: random.Random) -> None:
        self.model, self.left, self.dice = model, step, dice

    def advance(self) -> None:
        self.left -= 1
        if self.left == 0:
            tensor = self.dice.choice(list(self.model.parameters()))
            tensor.data.view(-1)[self.dice.randrange(tensor.numel())] = float(self.dice.choice(("nan", "inf", "-inf")))

    def __call__(self, *_: Any) -> None:
        pass


def models() -> dict[str, Callable[[], tuple[Any, Any]]]:
    """A model of each family and its objective."""
    likelihood, o = dg.objectives.MaximumLikelihood, dg.objectives
    return {
        "RBM": lambda: (common.machine(), o.PersistentCD(k=1, chains=10)),
        "mixture": lambda: (dg.explicit.BernoulliMixture(12, components=3), likelihood()),
        "MADE": lambda: (dg.explicit.MADE(12, hidden=[8], generator=0), likelihood()),
        "NADE": lambda: (dg.explicit.NADE(12, 8, generator=0), likelihood()),
        "VAE": lambda: (dg.implicit.mlp_vae(12, [8], latent=2, generator=0), o.ELBO()),
    }


def nans(place: Path, dice: random.Random, tries: int) -> list[Tally]:
    """NaN or infinity planted while a model is trained: `DivergenceError`, and the checkpoint is the last good one."""
    rows, inside = Tally("NaN in the data"), Tally("NaN in the weights")
    for name, make in models().items():
        for attempt in range(2 * tries):
            tally = (rows, inside)[attempt % 2]
            model, objective = make()
            out, what = place / f"{name}{attempt}", f"{name}, attempt {attempt}"
            options: dict[str, Any] = {"callbacks": [Checkpoint(steps=1 + attempt % 3)]}
            if tally is rows:
                options["data"] = Planted(dice.randrange(61, 240))
            else:
                options["callbacks"].append(Poison(model, dice.randrange(1, 12), dice))
            try:
                with common.in_time():
                    common.fitted(out, model=model, objective=objective, epochs=4, **options)
                tally.lost.append(f"{tally.name}: {what} was not noticed")
                continue
            except (Exception, Hang) as error:
                if not isinstance(error, (DivergenceError, SupportError)):
                    tally.lost.append(f"{tally.name}: {what}: {type(error).__name__}: {str(error)[:200]}")
                    continue
            kept = dg.load(out).state_dict()
            finite = all(bool(value.isfinite().all()) for value in kept.values())
            tally.failed += finite
            if not finite:
                tally.lost.append(f"{tally.name}: {what}: the checkpoint has it too")
    return [rows, inside]
