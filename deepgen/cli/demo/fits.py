"""The models of the demo, trained and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.cli.asking import NO_LIKELIHOOD
from deepgen.cli.compare.judged import Judged
from deepgen.cli.compare.training import kept
from deepgen.cli.describe import describe
from deepgen.cli.evaluate import weighted
from deepgen.cli.optimizers import fall
from deepgen.cli.options import settle
from deepgen.cli.quality import against, fakes
from deepgen.cli.recipes import annealed, build
from deepgen.evaluate import Bracket, Estimate, log_likelihood
from deepgen.explicit import RBM, BernoulliMixture
from deepgen.objectives import ExpectationMaximisation, PersistentCD
from deepgen.train import EarlyStopping, fit, save

if TYPE_CHECKING:
    from deepgen.cli.progress import Bar, Steps
    from deepgen.data import Data
    from deepgen.evaluate import Quality
    from deepgen.train import History

COMPONENTS = (20, 40, 60, 80)
ANNEALED = 500  # chains behind each interval
STEPS = 5000  # Gibbs steps behind every sample
RATE = 0.2  # at the start; it falls to zero


@dataclass(frozen=True)
class Fitted:
    """One trained model with its learning curve and its test log-likelihoods."""

    name: str
    model: nn.Module
    history: History
    estimates: Sequence[Estimate | Bracket]
    settings: dict[str, Any]
    quality: Quality | None = None
    notes: Sequence[str] = ()

    @property
    def seconds(self) -> float:
        """Of training, on the wall."""
        return self.history[-1].seconds

    @property
    def judged(self) -> Judged:
        """What the table of a comparison says of it."""
        done = self.history[-1].step
        return Judged(
            type(self.model).__name__.lower(), self.name, self.estimates, self.quality, seconds=self.seconds,
            updates=done, passes=float(len(self.history)), kept=kept(self.history, done), notes=self.notes,
            settings=self.settings,
        )  # fmt: skip

    def with_quality(self, data: Data, seed: int) -> Fitted:
        """The same with its draws judged against the test rows."""
        draws = fakes(self.model, data, "test", steps=STEPS, seed=seed)
        return replace(self, quality=against(data, "test", draws, held_out=True, seed=seed))


def independent(data: Data, out: Path, bar: Bar, *, resume: bool) -> Fitted:
    """Each pixel on its own: the base rates."""
    bar.say("independent pixels")
    model = BernoulliMixture(64).initialise(_rows(data))
    history = _fit(model, data, ExpectationMaximisation(), out / "independent", bar.every(1), epochs=1, resume=resume)
    return Fitted("independent Bernoulli", model, history, [log_likelihood(model, data.test)], {})


def mixture(data: Data, out: Path, bar: Bar, seed: int) -> Fitted:
    """The mixture whose size, of those in ``COMPONENTS``, has the best validation likelihood."""
    tried: list[tuple[float, BernoulliMixture, History]] = []
    for components in COMPONENTS:
        bar.say(f"mixture of {components}")
        model = BernoulliMixture(64, components).initialise(_rows(data), generator=seed)
        history = _fit(model, data, ExpectationMaximisation(), None, bar.every(20), epochs=60, valid=data.valid)
        score = history[-1].monitor
        assert score is not None  # with validation rows there is one, and a log-likelihood of 0 would beat all
        tried.append((score, model, history))
    score, model, history = max(tried, key=lambda t: t[0])
    save(model, out / "mixture")
    settings = {
        "components": model.components,
        "chosen among": list(COMPONENTS),
        "validation log-likelihood": score,
        "seed": seed,
    }
    estimates = [log_likelihood(model, data.test)]
    return Fitted(f"Bernoulli mixture, {model.components} components", model, history, estimates, settings)


def machine(data: Data, out: Path, bar: Bar, hidden: int, seed: int, epochs: int, *, resume: bool) -> Fitted:
    """An RBM by persistent contrastive divergence, left at the epoch with the best annealed validation likelihood."""
    name, base = f"RBM 64-{hidden}", _rows(data)
    bar.say(name)
    model = RBM(64, hidden, generator=seed).initialise(base)
    history = _fit(
        model,
        data,
        PersistentCD(k=2, chains=200, weight_decay=1e-3),
        out / f"rbm-64-{hidden}",
        bar.every(1),
        epochs=epochs,
        batch_size=50,
        optimizer=torch.optim.SGD(model.parameters(), lr=RATE),
        schedule=fall,
        seed=seed,
        valid=data.valid,
        monitor=partial(annealed, base),
        callbacks=[EarlyStopping(patience=epochs)],
        resume=resume,
    )
    bar.say(f"log Z of {name}")
    estimates: list[Estimate | Bracket] = []
    if hidden <= 20:
        estimates.append(log_likelihood(model, data.test, method="exact"))
    estimates.append(
        log_likelihood(model, data.test, method="bidirectional", base=base, chains=ANNEALED, generator=seed)
    )
    return Fitted(
        name,
        model,
        history,
        estimates,
        {"k": 2, "chains": 200, "weight decay": 1e-3, "rate": RATE, "epochs": epochs, "seed": seed},
    )


def latent(data: Data, out: Path, bar: Bar, seed: int, epochs: int, *, resume: bool) -> Fitted:
    """A VAE, left at the epoch with the best validation bound."""
    bar.say("VAE")
    return _by_recipe("vae", {"epochs": epochs, "hidden": [200]}, data, out / "vae", bar, seed, resume=resume)


def adversarial(data: Data, out: Path, bar: Bar, seed: int, epochs: int, *, resume: bool) -> Fitted:
    """A GAN, left at the epoch whose draws are nearest to the validation rows."""
    bar.say("GAN")
    return _by_recipe("gan", {"epochs": epochs}, data, out / "gan", bar, seed, resume=resume)


def _by_recipe(
    name: str, options: dict[str, Any], data: Data, out: Path, bar: Bar, seed: int, *, resume: bool
) -> Fitted:
    """What `deepgen train` would fit with these options, and `deepgen compare` would say of it."""
    options = {**settle(name, {}), **options, "seed": seed}
    recipe = build(name, data, options)
    history = _fit(
        recipe.model,
        data,
        recipe.objective,
        out,
        bar.every(10),
        epochs=options["epochs"],
        batch_size=recipe.batch,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
        seed=seed,
        valid=recipe.valid,
        monitor=recipe.monitor,
        callbacks=[EarlyStopping(patience=options["epochs"])],
        resume=resume,
        source={"model": name, **(recipe.notes or {})},
    )
    title = describe(recipe.model, name)
    if name == "gan":
        return Fitted(title, recipe.model, history, [], options, notes=[NO_LIKELIHOOD])
    bar.say(f"bound of {title}")
    estimate = log_likelihood(recipe.model, data.test, generator=seed)
    return Fitted(title, recipe.model, history, [estimate], options, notes=weighted(estimate))


def _fit(
    model: nn.Module,
    data: Data,
    objective: Any,
    out: Path | None,
    bar: Steps,
    *,
    batch_size: int | None = None,
    callbacks: Sequence[Any] = (),
    source: dict[str, Any] | None = None,
    **options: Any,
) -> History:
    """`fit` under the demo's bar; the directory says where the data are from, for `deepgen evaluate`."""
    history = fit(
        model,
        data.train,
        objective,
        batch_size=batch_size or len(data.train),
        callbacks=[*callbacks, bar],
        out=out,
        progress=False,
        extras={"data": "digits", "binarise": None, "image_shape": [8, 8], **(source or {})},
        **options,
    )
    bar.to(len(history))  # of a run that was done before no epoch is told
    return history


def _rows(data: Data) -> Tensor:
    assert isinstance(data.train, Tensor)  # the embedded digits are binarised once, not redrawn
    return data.train
