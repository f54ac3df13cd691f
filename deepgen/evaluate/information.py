"""How much do codes tell of rows, and how far is the codes' own law from the prior? The mean KL, taken apart.

    < KL(q(z | x) || p(z)) >  =  I(x; z)  +  KL(q(z) || p(z)),        q(z) = < q(z | x) >

mean over the law of the data: what z tells of x, and what the prior misses, which draws from it pay for (Hoffman &
Johnson 2016, "ELBO surgery"). q(z) is not known, but rows stand for it: with z_n ~ q(z | x_n), n = 1 .. N,

    below:  < log q(z_n | x_n) - log 1/N sum_m q(z_n | x_m) >                  own row among them; at most log N
    above:  < log q(z_n | x_n) - log 1/(N - 1) sum_{m != n} q(z_n | x_m) >     own row left out

by Jensen's inequality the first lies below I in expectation, the second above (van den Oord et al. 2018; Poole et al.
2019, equations 10 and 13). Where I comes near log N, more rows are needed: the first stops there and the second runs
away. Of the second term the sides change places. Everything costs N^2 densities a draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import MissingCapability, ShapeError, check_count
from deepgen.evaluate.arguments import check_rows
from deepgen.evaluate.estimate import Bracket, Estimate, Side
from deepgen.evaluate.latent_rows import ROWS, blocks, drawn, require_joint, require_one_device, with_contexts
from deepgen.random import resolve
from deepgen.rest import at_rest

_TABLE, _NUMBERS = 2**23, 2**21  # densities kept at once; numbers of z that are scored together


@dataclass(frozen=True)
class Information:
    """What `mutual_information` found, in nats/example; errors are those of rows and draws together.

    Attributes:
        kl: the mean of KL(q(z | x) || p(z)).
        information: I(x; z), from both sides.
        marginal: KL(q(z) || p(z)), from both sides.
        rows: N.

    >>> nothing = Estimate(0.0, 0.0, "below", "rows, own among them"), Estimate(0.0, 0.0, "above", "own row left out")
    >>> Information(Estimate(0.0, 0.0, "unbiased", "draws"), Bracket(*nothing), Bracket(*nothing), 100).ceiling
    4.605170185988092
    """

    kl: Estimate
    information: Bracket
    marginal: Bracket
    rows: int

    @property
    def ceiling(self) -> float:
        """log N: no row can be told from the others by more."""
        return math.log(self.rows)

    def __str__(self) -> str:
        return (
            f"KL(q(z | x) || p(z))  {self.kl}\n"
            f"I(x; z)               {self.information}; at most {self.ceiling:.2f} from {self.rows:,} rows\n"
            f"KL(q(z) || p(z))      {self.marginal}"
        )


@torch.no_grad()
def mutual_information(
    model: Any,
    x: Tensor,
    *,
    context: Tensor | None = None,
    draws: int = 4,
    generator: torch.Generator | int | None = None,
) -> Information:
    """I(x; z) under the posterior, from below and above, with the mean KL and the marginal KL that add up to it.

    Args:
        model: a `Latent`.
        x: at least two independent rows ``[rows, *event]``; as many as time allows, as log N is the ceiling.
        context: ``[rows, ...]``, or one for all, of a conditional model whose prior is the same for all contexts: what
            is told is then that of rows and contexts together. ``model(context)`` serves as well.
        draws: of z for each row.
        generator: source of the draws.

    Raises:
        MissingCapability: the model lacks a law, or its prior depends on the context.
        ShapeError, SupportError: ``x`` is no tensor of at least two rows that the model can take, or there is neither
            one context nor as many as rows.
        ArgumentError: the model, the rows or their contexts lie on different devices.

    >>> import deepgen as dg, deepgen.testing
    >>> model = dg.testing.LinearGaussian(5, 2, generator=0)
    >>> found = mutual_information(model, model.sample(300, generator=1), generator=2)
    >>> exact = float(torch.logdet(model.exact_posterior(torch.zeros(1, 5)).precision_matrix[0]).detach() / 2)
    >>> low, high = found.information.interval()
    >>> low < exact < high
    True
    """
    check_count(draws=draws)
    require_one_device(model, x, context)
    require_joint(model, context, posterior=True, purpose="to say what its codes tell")
    check_rows(model, x, context)
    if len(x) < 2:
        raise ShapeError(f"what tells rows apart needs at least 2 rows, got {len(x)}")
    model, context = with_contexts(model, len(x), context)
    laws, codes, priors = [], [], []
    for block in blocks(model, x, context, resolve(generator, x.device)):
        law, prior = block.view.posterior(block.x), block.view.prior()
        if prior.batch_shape:
            raise MissingCapability(
                "the prior depends on the context, so that there is no one law to compare q(z) with"
            )
        z, _ = drawn(law, draws, len(block.x), block.stream)
        laws.append((law, len(block.x)))
        codes.append(z)
        priors.append(prior.log_prob(z).double())
    z, log_p = torch.cat(codes, 1), torch.cat(priors, 1)  # [draws, rows, *latent], [draws, rows]
    with at_rest(model):
        own, every, others = _densities(laws, z)
    n = len(x)
    log_all, log_others = every - math.log(n), others - math.log(n - 1)
    settings = {"rows": n, "draws per row": draws, "ceiling": math.log(n), "stderr": "of rows and draws together"}

    def estimate(each: Tensor, side: Side, method: str) -> Estimate:
        rows = each.mean(0)
        error = float(rows.std()) / math.sqrt(n)
        return Estimate(float(rows.mean()), error, side, method, n=n, unit="nats/example", stderr_data=error,
                        settings=settings)  # fmt: skip

    with_own, without = f"q(z) from {n:,} rows", "own row left out"
    return Information(
        estimate(own - log_p, "unbiased", "draws of q(z | x)"),
        Bracket(estimate(own - log_all, "below", with_own), estimate(own - log_others, "above", without)),
        Bracket(estimate(log_others - log_p, "below", without), estimate(log_all - log_p, "above", with_own)),
        n,
    )


def _densities(laws: list[tuple[Any, int]], z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log q(z_n | x_n), and log sums of q(z_n | x_m) over all m and over m != n: ``[draws, rows]`` each, float64."""
    draws, n = z.shape[:2]
    flat, found = z.flatten(0, 1), []
    row = torch.arange(n, device=z.device).repeat(draws)
    each = max(1, min(_TABLE // n, _NUMBERS // (ROWS * flat[0].numel())))
    for part, place in zip(flat.split(each), row.split(each), strict=True):
        table = torch.cat([law.log_prob(part.unsqueeze(1)).double().expand(-1, rows) for law, rows in laws], 1)
        place = place.unsqueeze(1)
        own = table.gather(1, place)
        others = table.scatter(1, place, -math.inf).logsumexp(1)
        found.append(torch.stack([own.squeeze(1), table.logsumexp(1), others]))
    own, every, others = torch.cat(found, 1).view(3, draws, n).unbind(0)
    return own, every, others
