"""log p(x) of models with latent variables: which estimator a method's name stands for, and the ladder of all of them.

    ELBO <= L_10 <= L_100 <= L_1000 <= ... <= log p(x),     AIS <= log p(x),      each in expectation

The ladder puts them side by side on the same rows, with the bidirectional gap on rows that the model draws itself: how
far below the truth AIS may lie on average. A rung is in nats per example; its side says what it bounds.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, DegenerateWeights, check_count
from deepgen.evaluate.annealed import Temperatures
from deepgen.evaluate.arguments import check_rows, split_context
from deepgen.evaluate.estimate import Estimate, number
from deepgen.evaluate.latent_ais import LatentAIS, latent_ais
from deepgen.evaluate.latent_bound import LatentBound, latent_bound
from deepgen.evaluate.latent_gap import BidirectionalGap, bidirectional_gap
from deepgen.evaluate.latent_path import check_annealing
from deepgen.evaluate.latent_rows import at, is_joint, require_joint, require_one_device, with_contexts
from deepgen.evaluate.pareto import TRUSTED
from deepgen.random import resolve
from deepgen.rest import at_rest
from deepgen.typing import Bound, Joint, Latent, LogProb

OWN = ("elbo", "iwae", "prior")  # methods of log_likelihood that no other model has
_DRAWS = {"elbo": 100, "iwae": 1000, "prior": 1000}
_CHAINS = 16


def by_latent(model: Any, context: Tensor | None, method: str) -> bool:
    """Whether `log_likelihood` estimates by latent variables; a method that is only theirs is refused to other models.

    Raises:
        MissingCapability: a method of latent-variable models, and a model that is none.
    """
    if method not in (*OWN, "ais", "auto") or (method == "auto" and isinstance(model, LogProb)):
        return False
    beside = None if context is None else context[:1]
    if method in OWN:
        require_joint(model, beside, posterior=method != "prior", purpose=f"for method={method!r}")
        return True
    return is_joint(model, beside) if context is None or not isinstance(model, LogProb) else False


def methods_of(model: Any, context: Tensor | None = None) -> tuple[str, ...]:
    """The methods of `log_likelihood` that serve a model with a density or a bound of its own, or latent variables.

    >>> import deepgen as dg
    >>> methods_of(dg.implicit.mlp_vae(6, [8], latent=2, generator=0))
    ('auto', 'bound', 'elbo', 'iwae', 'prior', 'ais')
    >>> methods_of(dg.explicit.BernoulliMixture(3))
    ('auto', 'exact')
    """
    view = at(model, None if context is None else context[:1])
    own = ("exact",) if isinstance(model, LogProb) else ("bound",) if isinstance(model, Bound) else ()
    latent = (*OWN, "ais") if isinstance(view, Latent) else ("prior", "ais") if isinstance(view, Joint) else ()
    return ("auto", *own, *latent)


def latent_likelihood(
    model: Any,
    x: Tensor,
    context: Tensor | None,
    method: str,
    options: Mapping[str, Any],
    *,
    generator: torch.Generator | int | None,
    progress: bool,
) -> Estimate:
    """`deepgen.evaluate.log_likelihood` of a model with latent variables: ``elbo``, ``iwae``, ``prior`` or ``ais``."""
    if method == "auto":
        method = "iwae" if isinstance(at(model, None if context is None else context[:1]), Latent) else "ais"
    takes = ("chains", "temperatures") if method == "ais" else ("samples",)
    for name, value in options.items():
        if value is not None and name not in takes:
            raise ArgumentError(f"method={method!r} of a latent-variable model takes no {name}, but {', '.join(takes)}")
    if method == "ais":
        chains, temperatures = options["chains"], options["temperatures"]
        return latent_ais(
            model, x, chains=_CHAINS if chains is None else chains, context=context, generator=generator,
            temperatures="adaptive" if temperatures is None else temperatures, progress=progress,
        ).estimate  # fmt: skip
    draws = _DRAWS[method] if options["samples"] is None else options["samples"]
    check_count(samples=draws)
    return latent_bound(
        model, x, 1 if method == "elbo" else draws, draws=draws, context=context, generator=generator,
        proposal="prior" if method == "prior" else "posterior", progress=progress,
    ).estimate()  # fmt: skip


@dataclass(frozen=True)
class LikelihoodLadder:
    """The rungs of `likelihood_ladder`, to print.

    Attributes:
        rungs: estimates by name, in nats/example, from the loosest bound up; the gap on simulated rows last.
        bound: the importance bounds row by row, with ESS and Pareto k.
        ais: AIS row by row.
        simulated: both ends on simulated rows, or None.
    """

    rungs: Mapping[str, Estimate]
    bound: LatentBound
    ais: LatentAIS
    simulated: BidirectionalGap | None

    def __str__(self) -> str:
        rows = [("rung", "nats/example", "side", "rows", "draws/row", "ESS/row")]
        for name, rung in self.rungs.items():
            count = rung.settings["rows"]
            ess = "" if rung.ess != rung.ess else f"{rung.ess / count:.1f}"
            rows.append((name, number(rung), rung.side, str(count), str(rung.n // count) if rung.n else "", ess))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        heavy = int((self.bound.pareto_k > TRUSTED).sum())
        about = f"p(x | z) is {self.bound.likelihood}; Pareto k above 0.7 for {heavy} of {len(self.bound.ess)} rows"
        return "\n".join([*lines, about])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, rung by rung."""
        return {name: rung.to_dict() for name, rung in self.rungs.items()}


def likelihood_ladder(
    model: Any,
    x: Tensor | tuple[Tensor, Tensor],
    *,
    k: Sequence[int] = (1, 10, 100, 1000),
    chains: int = _CHAINS,
    temperatures: Temperatures = "adaptive",
    leaps: int = 10,
    start: str = "prior",
    simulated: int = 50,
    generator: torch.Generator | int | None = None,
    progress: bool = False,
) -> LikelihoodLadder:
    """Every estimate of log p(x) for a model with latent variables, side by side on the same rows.

    AIS costs by far the most: ``chains`` x temperatures x ``leaps`` passes through the decoder and back for each row,
    and as many twice over for each simulated one. Hand over some hundred rows of a test set, not all of it.

    Args:
        model: with ``prior()``, ``likelihood(z)`` and ``posterior(x)``; without a posterior the importance bounds draw
            from the prior, and are named so.
        x: rows ``[rows, *event]``; for a model with ``context`` a pair, these and ``[rows, context]``.
        k: draws of the importance bounds; 1 is the ELBO.
        chains, temperatures, leaps, start: of AIS, as for `deepgen.evaluate.latent_ais`.
        simulated: rows that the model draws for the bidirectional gap, which anneal as the data did, at least 2; 0 for
            none. Their contexts are those of the rows, in turn.
        generator: a generator, a seed, or None for fresh entropy.
        progress: show bars with the time left.

    Raises:
        MissingCapability: no prior or likelihood, or latent variables that are not real.
        ShapeError, SupportError, ArgumentError, DivergenceError: as for `deepgen.evaluate.latent_bound`.

    >>> import deepgen as dg, deepgen.testing
    >>> model = dg.testing.LinearGaussian(4, 1, shift=0.5, generator=0)
    >>> print(likelihood_ladder(model, model.sample(5, generator=1), k=[1, 100], temperatures=20, simulated=5,
    ...     generator=0))
    rung                              nats/example    side   rows  draws/row  ESS/row
    ELBO                              -... ± 0...     below  5     100
    k = 100                           -... ± 0...     below  5     100        ...
    AIS                               -... ± 0...     below  5     16         ...
    exact                             -...            exact  5
    bidirectional gap, simulated rows ...    above  5     1
    p(x | z) is Normal of sigma 1; Pareto k above 0.7 for ... of 5 rows
    """
    rows, context = split_context(model, x)
    check_count(2 if simulated else 0, simulated=simulated)  # now, not after the hours of AIS
    check_annealing(chains, temperatures, leaps, start)
    require_one_device(model, rows, context)
    require_joint(model, context, posterior=start == "posterior", purpose="for its likelihood")
    check_rows(model, rows, context)
    model, context = with_contexts(model, len(rows), context)
    stream, beside = resolve(generator, rows.device), None if context is None else context[:1]
    drawn_from = "posterior" if isinstance(at(model, beside), Latent) else "prior"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateWeights)  # the table says it
        bound = latent_bound(model, rows, k, context=context, proposal=drawn_from, generator=stream, progress=progress)
    note = "" if drawn_from == "posterior" else ", from the prior"
    rungs = {("ELBO" if each == 1 else f"k = {each}") + note: bound.estimate(each) for each in bound.ks}
    ais = latent_ais(
        model, rows, chains=chains, temperatures=temperatures, leaps=leaps, start=start, context=context,
        generator=stream, progress=progress,
    )  # fmt: skip
    rungs["AIS"] = ais.estimate
    for rung in rungs.values():
        assert isinstance(rung.settings, dict)
        rung.settings["rows"] = len(rows)
    if isinstance(model, LogProb) and context is None:
        with torch.no_grad(), at_rest(model):
            value = float(model.log_prob(rows).double().mean())
        about = {"rows": len(rows)}
        rungs["exact"] = Estimate(value, 0.0, "exact", "mean log_prob", unit="nats/example", settings=about)
    gap = None
    if simulated:
        others = None if context is None else context[torch.arange(simulated) % len(context)]
        gap = bidirectional_gap(
            model, simulated, chains=chains, temperatures=ais.plan, start=start, context=others, generator=stream,
            progress=progress,
        )  # fmt: skip
        rungs["bidirectional gap, simulated rows"] = gap.gap
    return LikelihoodLadder(rungs, bound, ais, gap)
