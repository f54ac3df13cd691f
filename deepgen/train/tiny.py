"""The first test of a model, its objective and its rate together: can they learn a handful of rows by heart?

Of n rows of discrete values no law has a mean log-likelihood above minus the entropy of their own frequencies,

    mean_i log p(x_i) <= sum_v f_v log f_v,        f_v the share of rows with value v, -log n if all differ,

which a model rich enough reaches (`deepgen.data.ceiling`). A model that stays below on ten rows has a fault, too small
a network, or a wrong rate, and a whole data set would only hide it (Karpathy, CS231n notes "Neural networks 3", 2015).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.data.batches import as_tensor
from deepgen.data.generated import ceiling
from deepgen.errors import MissingCapability, ShapeError, check_count, check_real
from deepgen.random import generator
from deepgen.train.fit import check_kinds, fit
from deepgen.train.rates import optimizer_of
from deepgen.typing import Joint, Objective


@dataclass(frozen=True)
class TinyFit:
    """What `overfit_tiny` found; as a string, a sentence.

    Attributes:
        start, end: the figure before and after, of ``what``.
        optimum: the best that any model can do, None where nobody knows.
        within: how far from the optimum counts as reached.
        what: the figure, and its unit.
        rows, steps: how many.

    >>> print(TinyFit(start=-5.5, end=-2.09, optimum=-2.0794, within=0.1, what="score", rows=8, steps=500))
    reached: on 8 rows the score came from -5.5 to -2.09 in 500 steps, and the best of any model is -2.079
    """

    start: float
    end: float
    optimum: float | None
    within: float
    what: str
    rows: int
    steps: int

    @property
    def reached(self) -> bool | None:
        """Whether the optimum was reached; None where it is not known."""
        return None if self.optimum is None else bool(abs(self.optimum - self.end) <= self.within)

    def __str__(self) -> str:
        found = {True: "reached", False: "not reached", None: "no optimum known"}[self.reached]
        told = f"{found}: on {self.rows} rows the {self.what} came from {self.start:.4g} to {self.end:.4g} in "
        told += f"{self.steps} steps"
        if self.optimum is None:
            return f"{told}; judge by eye whether it is as far as it should get"
        told += f", and the best of any model is {self.optimum:.4g}"
        return (
            told
            if self.reached
            else f"{told}: more steps, another rate (find_rate), a larger model, or there is a fault"
        )


def overfit_tiny(
    model: nn.Module,
    data: Any,
    objective: Objective,
    *,
    rows: int = 10,
    steps: int = 1000,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
    measure: Callable[[nn.Module, Tensor], float] | None = None,
    optimum: float | None = None,
    within: float = 0.1,
    seed: int = 0,
) -> TinyFit:
    """Train a copy of ``model`` on a few rows of ``data`` and say whether it learned them; the model is left as it is.

    Args:
        model, objective: as for `deepgen.fit`.
        data: ``[rows, *event]``, of which ``rows`` are drawn.
        rows: how many; one batch.
        steps: updates of the copy.
        optimizer: makes that of the copy, such as ``lambda m: torch.optim.Adam(m.parameters(), lr=0.01)``; if None
            the objective does.
        measure: ``measure(model, rows)``, what to judge by; if None `deepgen.evaluate.log_likelihood`, in nats per
            example; of a Boltzmann machine the exact one, so it should be small; of a latent-variable model a bound,
            which cannot pass the optimum either.
        optimum: the best value of the figure; if None and the model is over discrete values that of the log-likelihood.
        within: how near to it is near enough, in the figure's unit.
        seed: of the rows, and of all draws.

    Raises:
        ShapeError: fewer rows than asked for.
        MissingCapability: the model has no likelihood; give ``measure=``.

    >>> import deepgen as dg
    >>> x = dg.data.bars_and_stripes(3)
    >>> made = dg.explicit.MADE(9, hidden=[64], generator=0)
    >>> def adam(m):
    ...     return torch.optim.Adam(m.parameters(), lr=0.02)
    >>> found = overfit_tiny(made, x, dg.objectives.MaximumLikelihood(), rows=4, steps=300, optimizer=adam)
    >>> found.reached, round(found.optimum, 3)
    (True, -1.386)
    """
    check_kinds(model, objective)
    check_count(rows=rows, steps=steps)
    check_count(0, 2**64 - 1, seed=seed)
    check_real("within", within, 0)
    x = as_tensor(data, double=next(model.parameters(), torch.zeros(0)).dtype == torch.float64)
    if not isinstance(x, Tensor) or len(x) < rows:
        got = f"{len(x)} rows" if isinstance(x, Tensor) else type(x).__name__
        raise ShapeError(f"a tiny set of {rows} rows is drawn from a tensor of at least as many, got {got}")
    tiny = x[torch.randperm(len(x), generator=generator(seed))[:rows]]
    made = copy.deepcopy(model)
    what = "figure" if measure is not None else "log-likelihood, nats per example,"
    if measure is None and optimum is None and _discrete(model):
        optimum = ceiling(tiny)
    judge = measure or (lambda m, at: _log_likelihood(m, at, seed))
    start = float(judge(made.eval(), tiny))
    made.train(model.training)
    chosen = None if optimizer is None else optimizer_of(made, optimizer)
    fit(made, tiny, objective, epochs=steps, batch_size=rows, optimizer=chosen, seed=seed, progress=False)
    return TinyFit(start, float(judge(made.eval(), tiny)), optimum, within, what, rows, steps)


@torch.no_grad()
def _discrete(model: nn.Module) -> bool:
    """Whether rows are of discrete values: by the model's support, or by that of p(x | z), which is that of p(x)."""
    from deepgen.samplers.laws import innermost

    support = getattr(model, "support", None)
    if support is None and isinstance(model, Joint):
        like = next(model.parameters(), torch.zeros(0))
        law = model.likelihood(like.new_zeros(1, *model.prior().event_shape))
        with suppress(NotImplementedError):  # of a law that does not say
            support = law.support
    return bool(getattr(innermost(support), "is_discrete", False))


def _log_likelihood(model: nn.Module, x: Tensor, seed: int) -> float:
    from deepgen.evaluate import Bracket, log_likelihood

    like = next(model.parameters(), torch.zeros(0))
    try:
        found = log_likelihood(model, x.to(like), generator=generator(seed, like.device))
    except MissingCapability as error:
        raise MissingCapability(
            f"{type(model).__name__} has no likelihood to judge a tiny set by: give measure=, a function (model, rows) "
            "-> float, and optimum= where one is known"
        ) from error
    return float(found.below.value if isinstance(found, Bracket) else found.value)
