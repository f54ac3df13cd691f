"""The importance-weighted bound of a latent-variable model, for every row, at any number of draws.

    L_k(x) = log 1/k sum_i w_i,   w_i = p(x | z_i) p(z_i) / q(z_i | x),   z_i ~ q(. | x),     E L_1 <= E L_k <= log p(x)

L_1 is the evidence lower bound (ELBO). ``draws`` independent z of a row give L_k for every k at once: the mean over
``draws // k`` groups of k, so that a curve over k takes the draws of its last point, and the ELBO is averaged over all.
The variance of a row's value is that between its groups, or with one group of k draws the delta method's,
(1/ess - 1/k) k / (k - 1), with ess = (sum w)^2 / sum w^2.

How loose the bound is these draws do not tell; `deepgen.evaluate.pareto` says when they cannot even tell their error.
Weights are kept and summed in float64. A row is encoded once; z is drawn for 64 rows and at most 100 draws together and
decoded in parts of ``chunk`` pairs, so memory does not grow with k beyond 8 bytes a weight. Sources: Burda, Grosse &
Salakhutdinov 2016, "Importance weighted autoencoders"; Owen 2013, chapter 9.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, DegenerateWeights, check_count
from deepgen.evaluate.arguments import check_rows
from deepgen.evaluate.error_bars import standard_error
from deepgen.evaluate.estimate import Estimate
from deepgen.evaluate.importance import check_weights, row_ess
from deepgen.evaluate.latent_rows import (
    Block,
    blocks,
    check_law_takes,
    drawn,
    log_likelihood,
    observed,
    require_joint,
    require_one_device,
    with_contexts,
)
from deepgen.evaluate.pareto import TRUSTED, pareto_k
from deepgen.progress import bar
from deepgen.random import resolve

DRAWS = 100  # of a row that are drawn at once
_MANY = 0.1  # share of rows with a heavy tail that is worth a warning
_NUMBERS = 2**21  # values of x that are decoded together: calls cost little then, and the bytes are still few


class LatentBound(NamedTuple):
    """What `latent_bound` found, row by row; `estimate` is the mean.

    Attributes:
        ks: draws of the bounds, rising.
        values: L_k of each row ``[len(ks), rows]``, in nats, float64.
        variances: their Monte-Carlo variances ``[len(ks), rows]``; NaN of a single draw.
        ess: effective number of all ``draws`` weights of a row ``[rows]``, from 1 to ``draws``.
        pareto_k: shape of the tail of each row's weights ``[rows]``; above 0.7 neither value nor error can be trusted
            to be near log p(x). NaN of fewer than 25 draws.
        draws: how many were drawn for each row.
        proposal: ``posterior`` or ``prior``.
        likelihood: the name of the law p(x | z).
    """

    ks: tuple[int, ...]
    values: Tensor
    variances: Tensor
    ess: Tensor
    pareto_k: Tensor
    draws: int
    proposal: str
    likelihood: str

    def estimate(self, k: int | None = None) -> Estimate:
        """The mean of L_k over the rows in nats/example, below log p(x); ``k`` by default the greatest.

        ``stderr`` is that of the importance weights on these rows, ``stderr_data`` that over rows. With one draw a row
        in all the two cannot be told apart, and ``stderr`` is that of both together, which is no less.

        Raises:
            ArgumentError: a ``k`` that is not among ``ks``.
        """
        k = self.ks[-1] if k is None else k
        if k not in self.ks:
            raise ArgumentError(f"k={k} was not asked for; there are {', '.join(map(str, self.ks))}")
        values, rows = self.values[self.ks.index(k)], self.values.shape[1]
        over_rows = standard_error(values)
        stderr = math.sqrt(float(self.variances[self.ks.index(k)].sum())) / rows
        used = self.draws // k * k
        settings: dict[str, Any] = {
            "k": k, "draws per row": used, "proposal": self.proposal, "likelihood": self.likelihood
        }  # fmt: skip
        if self.draws == 1:
            stderr, settings["stderr"] = over_rows, "of rows and draws together"
        elif k > 1 and not bool(self.pareto_k.isnan().any()):
            settings["rows with Pareto k above 0.7"] = int((self.pareto_k > TRUSTED).sum())
        name = "ELBO" if k == 1 else f"importance-weighted bound, k = {k}"
        return Estimate(
            float(values.mean()),
            stderr,
            "below",
            name + ("" if self.proposal == "posterior" else ", drawn from the prior"),
            n=used * rows,
            ess=float(self.ess.sum()) if k == self.draws > 1 else math.nan,
            unit="nats/example",
            stderr_data=over_rows,
            settings=settings,
            each=values,
        )


@torch.no_grad()
def latent_bound(
    model: Any,
    x: Tensor,
    k: int | Sequence[int] = 5000,
    *,
    draws: int | None = None,
    context: Tensor | None = None,
    proposal: str = "posterior",
    chunk: int | None = None,
    generator: torch.Generator | int | None = None,
    progress: bool = False,
) -> LatentBound:
    """The importance-weighted bounds of rows, for one k or a curve over several from the same draws.

    Args:
        model: a `Latent`: ``prior()``, ``posterior(x)``, ``likelihood(z)``; with ``proposal="prior"`` no posterior.
        x: rows ``[rows, *event]``.
        k: draws of the bound, or several such numbers.
        draws: z drawn for each row, at least the greatest k, which is the default: not one more is drawn.
        context: ``[rows, ...]``, or one for all, of a conditional model, whose laws are those of ``model(context)``;
            ``model(context)`` itself serves as well.
        proposal: where z is drawn, ``posterior`` or ``prior``.
        chunk: pairs of a row and a draw that are decoded together, at least 64; it bounds the memory, about
            8 ``chunk`` times the widest layer in bytes, and changes nothing else.
        generator: a generator, a seed, or None for fresh entropy.
        progress: show a bar with the time left.

    Warns:
        DegenerateWeights: more than a tenth of the rows have a Pareto k above 0.7.

    Raises:
        MissingCapability: the model lacks a prior, a likelihood, or the posterior that is to be drawn from.
        SupportError: rows outside the support of the likelihood.
        ShapeError: no rows, rows of another shape, neither one context nor as many as rows, or laws whose event axes
            are not summed.
        DivergenceError: a weight is NaN or infinite, or all weights of a row are zero.
        ArgumentError: the model, the rows or their contexts lie on different devices.

    >>> import deepgen as dg, deepgen.testing
    >>> model = dg.testing.LinearGaussian(5, 2, shift=0.2, generator=0)
    >>> x = model.sample(200, generator=1)
    >>> curve = latent_bound(model, x, [1, 10, 1000], generator=0)
    >>> print(curve.estimate(10).side, curve.values.shape)
    below torch.Size([3, 200])
    >>> truth = float(model.log_prob(x).detach().mean())
    >>> curve.estimate(1).value < curve.estimate(10).value < truth + 0.01
    True
    """
    listed: list[Any] = list(k) if isinstance(k, (list, tuple, range, set)) else [k]
    for each in listed or [None]:
        check_count(k=each)
    ks = tuple(sorted({int(each) for each in listed}))
    draws = ks[-1] if draws is None else draws
    check_count(ks[-1], draws=draws)
    if proposal not in ("posterior", "prior"):
        raise ArgumentError(f'proposal must be "posterior" or "prior", got {proposal!r}')
    require_one_device(model, x, context)
    require_joint(model, context, posterior=proposal == "posterior", purpose="for an importance-weighted bound")
    check_rows(model, x, context)
    model, context = with_contexts(model, len(x), context)
    chunk = max(1, _NUMBERS // x[0].numel()) if chunk is None else chunk
    check_count(chunk=chunk)
    parts, law = [], ""
    with bar(what="bound", unit="row", show=progress, total=len(x)) as moved:
        for block in blocks(model, x, context, resolve(generator, x.device)):
            weights, law = _log_weights(block, draws, proposal, chunk)
            parts.append(_summed(weights, ks))
            moved.update(len(block.x))
    values, variances, ess, tail = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    found = LatentBound(ks, values, variances, ess, tail, draws, proposal, law)
    heavy = int((tail > TRUSTED).sum())
    if ks[-1] > 1 and heavy > _MANY * len(x):
        warnings.warn(
            f"the weights of {heavy} of {len(x)} rows have a tail with Pareto k above 0.7: the value is a bound, but "
            'it lies below by more than its error says. Draw more, or anneal: method="ais"',
            DegenerateWeights,
            stacklevel=3,
        )
    return found


def _log_weights(block: Block, draws: int, proposal: str, chunk: int) -> tuple[Tensor, str]:
    """log w ``[draws, rows]``, float64, and the name of the law p(x | z)."""
    view, x, stream = block
    prior, rows, found, name = view.prior(), len(x), [], ""
    law = view.posterior(x) if proposal == "posterior" else prior
    for start in range(0, draws, DRAWS):
        z, log_q = drawn(law, min(DRAWS, draws - start), rows, stream)
        each = max(1, chunk // rows)
        for part, log_q_part in zip(z.split(each), log_q.split(each), strict=True):
            likelihood = view.likelihood(part)
            if not name:
                check_law_takes(likelihood, x)
                name = observed(likelihood)
            log_w = log_likelihood(view, part, x, len(prior.event_shape), likelihood).double()
            if proposal == "posterior":
                log_w += prior.log_prob(part).double() - log_q_part.double()
            found.append(log_w)
    return check_weights(torch.cat(found), axis=0), name


def _summed(weights: Tensor, ks: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Values and variances ``[len(ks), rows]``, ess and Pareto k ``[rows]`` of log weights ``[draws, rows]``."""
    draws, rows = weights.shape
    ess = row_ess(weights, 0)
    values, variances = [], []
    for k in ks:
        groups = weights[: draws // k * k].view(draws // k, k, rows).logsumexp(1) - math.log(k)
        values.append(groups.mean(0))
        if len(groups) > 1:
            spread = groups.var(0) / len(groups)
            variances.append(torch.where(values[-1] == -math.inf, math.inf, spread))
        else:
            used = row_ess(weights[:k], 0)
            delta = (1 / used - 1 / k).clamp_min(0) * k / (k - 1) if k > 1 else torch.full_like(used, math.nan)
            variances.append(delta)
    return torch.stack(values), torch.stack(variances), ess, pareto_k(weights.mT)
