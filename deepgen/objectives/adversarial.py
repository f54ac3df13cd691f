"""Adversarial training: a loss, penalties, and two optimizers' steps by turns.

    D:  minimise  <loss.discriminator(D(real), D(G(z)))> + c_t sum of penalties  ``critic_steps`` times, a batch each
    G:  minimise  <loss.generator(D(real), D(G(z)))>                             once, with fresh z
        and take its weights into the average that `deepgen.implicit.GAN` draws from

Losses are in `deepgen.objectives.adversarial_losses`, penalties in `adversarial_penalties`: any of the one with any of
the others. The default is relativistic pairing with R1 and R2 (Huang et al. 2024), of which local convergence is known.

    c_t = early^(1 - min(1, t / warmup)),    t: the discriminator's updates done

is 1 unless asked for. A penalty that is as small as narrow modes need leaves a discriminator that is flat between them:
a mode without draws then attracts none. One that begins ``early`` times as large and comes down (Huang et al. 2024
bring gamma down as well) lets the draws reach all modes first.

One torch optimizer holds both networks in two groups of parameters, each with its own rate (two time scales: Heusel et
al. 2017). A half-step hands gradients to its own network alone, and an optimizer passes over parameters without one, so
moments, schedules and checkpoints are those of any other fit.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, check_count, check_real, not_by_name
from deepgen.implicit.gan import GAN
from deepgen.objectives.adam import adam
from deepgen.objectives.adversarial_losses import Loss, Relativistic, Wasserstein
from deepgen.objectives.adversarial_penalties import R1, R2, Judged, Penalty
from deepgen.objectives.adversarial_watch import AdversarialWarning, Watch, ends_in_sigmoid
from deepgen.objectives.batch_norm import refuse_batch_norm
from deepgen.objectives.give import give
from deepgen.objectives.warmup import come_so_far
from deepgen.rest import at_rest
from deepgen.typing import Update

Gradients = Sequence[Tensor | None]
_LOSSES = [
    f"deepgen.objectives.{name}"
    for name in ("Minimax", "NonSaturating", "LeastSquares", "Hinge", "Wasserstein", "Relativistic")
]
_PENALTIES = [f"deepgen.objectives.{name}" for name in ("R1", "R2", "GradientPenalty")]
_FIRST = 64  # rows that the first state is made from


class Played(NamedTuple):
    """steps: updates done; generator_loss, generator_gradient: of the last step of the generator (or of the start)."""

    steps: Tensor
    generator_loss: Tensor
    generator_gradient: Tensor


@dataclass(frozen=True)
class Adversarial:
    """The game between the two networks of a `deepgen.implicit.GAN`. A batch is ``x``, or ``x`` and its context.

    Metrics, means over a batch before its step: ``discriminator_loss`` (without the penalty), ``generator_loss``,
    ``penalty`` (without its factor c_t), ``real_logit``, ``fake_logit``, ``told_apart`` (share of pairs in which the
    real row has the higher logit, 1/2 for a discriminator that knows nothing), ``diversity`` (root mean square distance
    between draws over that between rows), ``discriminator_gradient`` and ``generator_gradient`` (norms over all
    parameters). Losses of such a game are no likelihood and do not say how good draws are. `deepgen.fit` warns when a
    network has won (`AdversarialWarning`).

    Args:
        loss: such as `NonSaturating`, `Hinge` or `Wasserstein`.
        penalty: one, several in a tuple, or none, ``()``.
        early: how many times as large penalties are at the first update, from which they come down geometrically.
        warmup: updates of the discriminator over which they do.
        critic_steps: updates of the discriminator for each of the generator.
        generator_rate, discriminator_rate: of the default optimizer, Adam.
        betas: of Adam; no momentum, as is usual in games.

    Raises:
        ArgumentError: a loss or a penalty that is none, ``early`` without ``warmup``, or numbers out of range.

    >>> import deepgen as dg
    >>> G, D = dg.implicit.Dense(2, [8], 2, generator=0), dg.implicit.Dense(2, [8], (), generator=1)
    >>> gan = dg.implicit.GAN(G, D, latent=2)
    >>> x = dg.random.draw(dg.data.gaussian_ring(), (200,), generator=dg.random.generator(0))
    >>> history = dg.fit(gan, x, Adversarial(), epochs=2, progress=False)
    >>> 0 < history[-1].metrics["told_apart"] < 1
    True
    """

    loss: Loss = Relativistic()  # noqa: RUF009 (frozen)
    penalty: Penalty | tuple[Penalty, ...] = (R1(), R2())
    _: KW_ONLY
    early: float = 1.0
    warmup: int = 0
    critic_steps: int = 1
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.0, 0.99)

    def __post_init__(self) -> None:
        check_count(critic_steps=self.critic_steps)
        check_count(0, warmup=self.warmup)
        check_real("early", self.early, 1)
        if self.early > 1 and self.warmup == 0:
            raise ArgumentError(f"early={self.early} comes down over warmup updates, and there are none: give warmup=")
        check_real("generator_rate", self.generator_rate, 0)
        check_real("discriminator_rate", self.discriminator_rate, 0)
        if not isinstance(self.betas, tuple | list) or len(self.betas) != 2:
            raise ArgumentError(f"betas must be two numbers, got {self.betas!r}")
        for beta in self.betas:
            check_real("each of betas", beta, 0, below=1)
        if isinstance(self.loss, str):
            raise not_by_name("loss", self.loss, _LOSSES)
        if isinstance(self.loss, type) or not hasattr(self.loss, "discriminator"):
            raise ArgumentError(f"loss must be such as Hinge() of deepgen.objectives, got {self.loss!r}")
        for penalty in self.penalties:
            if isinstance(penalty, str):
                raise not_by_name("penalty", penalty, _PENALTIES)
            if isinstance(penalty, type) or not callable(penalty):
                raise ArgumentError(f"penalty must be such as R1(1.0), a tuple of them or (), got {penalty!r}")

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """``penalty`` as a tuple."""
        given: Any = self.penalty
        return () if given is None else tuple(given) if isinstance(given, (tuple, list)) else (given,)

    def arguments(self) -> dict[str, Any]:
        """The settings as plain values, by which a checkpoint knows the run again."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**own, "loss": _described(self.loss), "penalty": [_described(p) for p in self.penalties]}

    def watch(self) -> Watch:
        """What `deepgen.fit` calls after every epoch, to notice when a network has won."""
        return Watch(["won"] if isinstance(self.loss, Wasserstein) else [])

    def start(self, model: nn.Module, x: Any, *, generator: torch.Generator) -> Played:
        """No steps yet, and the generator's loss as it is.

        Raises:
            MissingCapability: ``model`` is not a `GAN`.
            ArgumentError, ShapeError, SupportError: a context that is missing, uncalled for or wrong.
            ShapeError: draws have another shape than rows.
            ArgumentError: a penalty, and batch norm in the discriminator.

        An `AdversarialWarning` tells of a discriminator that ends in a sigmoid.
        """
        gan = _as_gan(model)
        if self.penalties:
            refuse_batch_norm(
                gan.discriminator, "discriminator", "logit", "a gradient penalty", "SpectralNorm, or penalty=()"
            )
        rows, context = _parts(x)
        gan.check_context(context, len(rows))
        few, context = rows[:_FIRST], None if context is None else context[:_FIRST]
        with _unmoved(gan):
            with torch.no_grad():
                draws = gan.generator(gan.draw_latents(2, generator=generator), *_given(context, 2))
            if draws.shape[1:] != few.shape[1:]:
                raise ShapeError(
                    f"the generator draws {list(draws.shape[1:])} and the data have rows {list(few.shape[1:])}: "
                    "they must have one shape, so reshape the data (x.view(len(x), ...)) or the generator's output"
                )
            self._warn_of_sigmoid(gan, few, context)
            loss, gradients = self._generator(gan, few, context, generator)
        return Played(torch.zeros((), dtype=torch.int64), loss, _norm(gradients))

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: a step of the discriminator, and of the generator where it is due."""
        gan = _as_gan(model)
        mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
        judge, maker = (_trained(network) for network in (gan.discriminator, gan.generator))
        for name, network in (("discriminator", judge), ("generator", maker)):
            if network and not any(id(p) in mine for p in network):
                raise ArgumentError(f"the optimizer has no parameters of the {name}: give it both networks, in groups")

        def step(state: Played, batch: Any, *, generator: torch.Generator) -> tuple[Played, dict[str, Tensor]]:
            rows, context = _parts(batch)
            metrics, gradients = self._discriminator(gan, rows, context, state.steps, generator)
            _take(optimizer, judge, gradients)
            metrics["discriminator_gradient"] = _norm(gradients)
            done = state.steps + 1
            if int(done) % self.critic_steps == 0:  # on the CPU: nothing waits
                loss, gradients = self._generator(gan, rows, context, generator)
                _take(optimizer, maker, gradients)
                gan.follow()
                state = Played(done, loss, _norm(gradients))
            state = Played(done, *state[1:])
            return state, {**metrics, **{name: getattr(state, name) for name in Played._fields[1:]}}

        return step

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam over two groups, the generator's first, each at its rate."""
        gan = _as_gan(model)
        groups = [
            {"params": _trained(gan.generator), "lr": self.generator_rate},
            {"params": _trained(gan.discriminator), "lr": self.discriminator_rate},
        ]
        return adam(groups, lr=self.generator_rate, betas=self.betas)

    def _warn_of_sigmoid(self, gan: GAN, rows: Tensor, context: Tensor | None) -> None:
        with torch.enable_grad(), at_rest(gan.discriminator):  # in training, norms would move and dropout would draw
            logits = gan.logit(rows.detach().requires_grad_(rows.is_floating_point()), context)
        if ends_in_sigmoid(logits):
            warnings.warn(
                f"the discriminator ends in a sigmoid, and {type(self.loss).__name__} takes logits, numbers of any "
                "size: leave the sigmoid out",
                AdversarialWarning,
                stacklevel=2,
            )

    def _discriminator(
        self, gan: GAN, rows: Tensor, context: Tensor | None, done: Tensor, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Gradients]:
        score = _score(gan, context)
        with torch.no_grad():
            draws = gan.generator(gan.draw_latents(len(rows), generator=generator), *_given(context))
        real, fake = (x.detach().requires_grad_(bool(self.penalties)) for x in (rows, draws))
        on_real, on_fake = Judged(real, score(real)), Judged(fake, score(fake))
        loss = self.loss.discriminator(on_real.logits, on_fake.logits).mean()
        paid = [_mean(each, each(on_real, on_fake, score, generator=generator), len(rows)) for each in self.penalties]
        penalty = sum(paid, start=loss.new_zeros(()))
        factor = self.early ** (1 - come_so_far(done, self.warmup))
        judge = _trained(gan.discriminator)
        gradients = torch.autograd.grad(loss + factor * penalty, judge, allow_unused=True) if judge else ()
        a, b = on_real.logits.detach(), on_fake.logits.detach()
        metrics = {
            "discriminator_loss": loss.detach(),
            "penalty": penalty.detach(),
            "real_logit": a.mean(),
            "fake_logit": b.mean(),
            "told_apart": ((a > b).to(a) + (a == b).to(a) / 2).mean(),
            "diversity": _spread(draws) / _spread(rows).clamp_min(torch.finfo(rows.dtype).tiny),
        }
        return metrics, gradients

    def _generator(
        self, gan: GAN, rows: Tensor, context: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Gradients]:
        score = _score(gan, context)
        draws = gan.generator(gan.draw_latents(len(rows), generator=generator), *_given(context))
        real = None
        if self.loss.paired:
            with torch.no_grad():
                real = score(rows)
        loss = self.loss.generator(real, score(draws)).mean()
        maker = _trained(gan.generator)
        return loss.detach(), torch.autograd.grad(loss, maker, allow_unused=True) if maker else ()


@contextmanager
def _unmoved(gan: GAN) -> Iterator[None]:
    """Leave all buffers as they were, such as statistics of norms, which a look at networks in training would move."""
    before = [(part, name, b, b.clone()) for part in gan.modules() for name, b in part.named_buffers(recurse=False)]
    try:
        yield
    finally:
        for part, name, buffer, was in before:
            if getattr(part, name) is buffer and buffer.shape == was.shape:
                buffer.copy_(was)  # whoever else holds it sees it too
            else:
                setattr(part, name, was)


def _mean(penalty: Penalty, paid: Tensor, rows: int) -> Tensor:
    if not isinstance(paid, Tensor) or paid.shape != (rows,):
        got = list(paid.shape) if isinstance(paid, Tensor) else type(paid).__name__
        raise ShapeError(f"a penalty gives one number a row, [{rows}], got {got} of {penalty!r}")
    return paid.mean()


def _take(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], gradients: Gradients) -> None:
    """One step of the parameters that have a gradient here; the others have none."""
    optimizer.zero_grad(set_to_none=True)
    give(parameters, gradients)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _score(gan: GAN, context: Tensor | None) -> Callable[[Tensor], Tensor]:
    return lambda x: gan.logit(x, context)


def _parts(batch: Any) -> tuple[Tensor, Tensor | None]:
    return (batch[0], batch[1]) if isinstance(batch, (tuple, list)) else (batch, None)


def _given(context: Tensor | None, rows: int | None = None) -> tuple[Tensor, ...]:
    return () if context is None else (context if rows is None else context[:1].expand(rows, *context.shape[1:]),)


def _trained(network: nn.Module) -> list[nn.Parameter]:
    return [p for p in network.parameters() if p.requires_grad]


def _spread(x: Tensor) -> Tensor:
    """The root mean square distance between different rows, up to sqrt 2; 1 for a single row."""
    return x.flatten(1).var(0).sum().sqrt() if len(x) > 1 else x.new_ones(())


def _norm(gradients: Gradients) -> Tensor:
    found = [torch.linalg.vector_norm(g) for g in gradients if g is not None]
    return torch.linalg.vector_norm(torch.stack(found)) if found else torch.zeros(())


def _described(thing: Any) -> dict[str, Any]:
    settings = dataclasses.asdict(thing) if dataclasses.is_dataclass(thing) and not isinstance(thing, type) else {}
    return {"class": type(thing).__name__, **settings}


def _as_gan(model: nn.Module) -> GAN:
    if not isinstance(model, GAN):
        raise MissingCapability(
            f"adversarial training is of a deepgen.implicit.GAN(generator, discriminator, latent=...), got "
            f"{type(model).__name__}"
        )
    return model
