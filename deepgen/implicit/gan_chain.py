"""Better draws from a trained GAN: its discriminator says by how much each draw is too frequent.

If D(x) = log p_data(x) - log p_G(x) + c, then latents with the law

    f(z) = prior(z) exp(D(G(z)))

make draws x = G(z) with the law of the data (where G reaches at all: no chain adds what G cannot draw). That one target
is `latent_target`, and any sampler of the library may have it:

    mh_gan            independent candidates z ~ prior, accepted with min(1, e^(D(x') - D(x)))     exact
    latent_langevin   local moves up the gradient of log f                                         exact (mala)
    rejection         a draw is kept with probability e^(D(x) - M), M = max D                      exact if M is

Exact means: for the law of the target. How far that is from the data's is a matter of the discriminator, which
`deepgen.implicit.calibrate` tests. Sources: Turner et al. 2019, "Metropolis-Hastings generative adversarial networks";
Azadi et al. 2019, "Discriminator rejection sampling"; Che et al. 2020, "Your GAN is secretly an energy-based model and
you should use discriminator driven latent sampling" (its chains are `ula` over the same target).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, DivergenceError, check_count, check_real
from deepgen.implicit.calibration import Calibration, finite_logits
from deepgen.implicit.gan import judging
from deepgen.random import draw, resolve, uniform
from deepgen.rest import answered_at_rest
from deepgen.samplers.independence import IndependenceKernel, independence
from deepgen.samplers.langevin import mala
from deepgen.samplers.laws import density_of
from deepgen.samplers.target import Target


def latent_target(model: Any, calibration: Calibration | None = None) -> Target:
    """log f over latents, with the prior as its reference, so that tempering and annealing have it too.

    Args:
        model: a trained `GAN`, or ``gan(context)``; it is put in eval mode. Its parameters must not change meanwhile.
        calibration: of `deepgen.implicit.calibrate`; None takes D as it is.

    Raises:
        MissingCapability, ArgumentError: ``model`` is no `GAN`, or one whose context is missing.

    >>> import deepgen as dg
    >>> G, D = dg.implicit.Dense(3, [8], 2, generator=0), dg.implicit.Dense(2, [8], (), generator=1)
    >>> gan = dg.implicit.GAN(G, D, latent=3)
    >>> latent_target(gan).log_density(torch.zeros(5, 3)).shape
    torch.Size([5])
    """
    judging(model).eval()
    line, prior = _line(calibration), model.prior()
    log_prior = density_of(prior)
    return Target(lambda z: log_prior(z) + line.log_ratio(model.logit(model.generate(z))), reference=prior)


def mh_gan(model: Any, calibration: Calibration | None = None, *, ahead: int = 16) -> IndependenceKernel:
    """Independence Metropolis over latents; draws are ``model.generate(position)``.

    Args:
        model, calibration: as of `latent_target`.
        ahead: candidates a chain that are made and judged in one pass.

    >>> import deepgen as dg
    >>> G, D = dg.implicit.Dense(3, [8], 2, generator=0), dg.implicit.Dense(2, [8], (), generator=1)
    >>> gan = dg.implicit.GAN(G, D, latent=3)
    >>> trace = dg.samplers.sample_chain(mh_gan(gan), torch.zeros(10, 3), draws=5, generator=0)
    >>> gan.generate(trace.draws[-1]).shape, trace.exactness.kind
    (torch.Size([10, 2]), 'exact')
    """
    return independence(latent_target(model, calibration), model.prior(), ahead=ahead)


def latent_langevin(
    model: Any, calibration: Calibration | None = None, *, step_size: float | Tensor | None = None
) -> Any:
    """Langevin moves over latents, accepted or rejected: `deepgen.samplers.mala` over `latent_target`.

    Args:
        model, calibration: as of `latent_target`.
        step_size: h; None, found in a warm-up.

    >>> import deepgen as dg
    >>> G, D = dg.implicit.Dense(3, [8], 2, generator=0), dg.implicit.Dense(2, [8], (), generator=1)
    >>> gan = dg.implicit.GAN(G, D, latent=3)
    >>> trace = dg.samplers.sample_chain(latent_langevin(gan, step_size=0.5), torch.zeros(10, 3), draws=5, generator=0)
    >>> float(trace.info["acceptance"].mean()) > 0.5
    True
    """
    return mala(latent_target(model, calibration), step_size)


class Rejected(NamedTuple):
    """x: draws ``[n, *event]``; acceptance: share that was kept; bound: M; exceeded: share of candidates above it.

    Candidates above the bound are too rare among the draws by the factor e^(D - M): 0 exceeded is no proof of none.
    """

    x: Tensor
    acceptance: float
    bound: float
    exceeded: float


@answered_at_rest
def rejection(
    model: Any,
    n: int,
    calibration: Calibration | None = None,
    *,
    bound: float | None = None,
    pilot: int = 10_000,
    batch: int = 1000,
    tries: int = 1000,
    generator: torch.Generator | int | None = None,
) -> Rejected:
    """``n`` draws of ``model``, each kept with probability e^(log ratio - M).

    Args:
        model: a trained `GAN`, or ``gan(context)``, which is asked at rest.
        calibration: of `deepgen.implicit.calibrate`; None takes D as it is.
        bound: M in nats, above every log ratio; None: the greatest of ``pilot`` draws.
        batch: candidates in one pass.
        tries: passes at most.

    Raises:
        MissingCapability, ArgumentError: ``model`` is no `GAN`, or one whose context is missing.
        SupportError: logits that are NaN or infinite.
        DivergenceError: fewer than ``n`` were kept after ``tries`` passes; take `mh_gan`.

    >>> import deepgen as dg
    >>> G, D = dg.implicit.Dense(3, [8], 2, generator=0), dg.implicit.Dense(2, [8], (), generator=1)
    >>> gan = dg.implicit.GAN(G, D, latent=3)
    >>> found = rejection(gan, 50, generator=0)
    >>> found.x.shape, 0 < found.acceptance < 1
    (torch.Size([50, 2]), True)
    """
    check_count(n=n, pilot=pilot, batch=batch, tries=tries)
    if bound is not None:
        check_real("bound", bound)
    stream = resolve(generator, judging(model).updates.device)
    line, prior = _line(calibration), model.prior()

    def candidates(count: int) -> tuple[Tensor, Tensor]:
        x = model.generate(draw(prior, (count,), generator=stream))
        return x, line.log_ratio(finite_logits(model.logit(x)))

    if bound is None:
        rest = [candidates(min(batch, pilot - done))[1].max() for done in range(0, pilot, batch)]
        bound = float(torch.stack(rest).max())
    kept, have, seen, above = [], 0, 0, 0
    for _ in range(tries):
        x, ratio = candidates(batch)
        mine = x[uniform((batch,), generator=stream, dtype=ratio.dtype).log() < ratio - bound]
        kept.append(mine)
        have, seen, above = have + len(mine), seen + batch, above + int((ratio > bound).sum())
        if have >= n:
            return Rejected(torch.cat(kept)[:n], have / seen, bound, above / seen)
    raise DivergenceError(
        f"{have} of {seen} draws were kept, {n} were asked for: the discriminator finds hardly any as good as its best "
        f"(log ratio {bound:.3g}); take mh_gan, which needs no bound"
    )


def _line(calibration: Any) -> Calibration:
    if calibration is None:
        return Calibration()
    if not isinstance(calibration, Calibration):
        raise ArgumentError(f"calibration must be of deepgen.implicit.calibrate, or None, got {calibration!r}")
    return calibration
