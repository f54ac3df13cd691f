"""Maximum likelihood: by gradient for any normalised model, and by exact EM steps for a mixture.

    maximise  L = 1/N sum_n log p(x_n),  in nats per example

The gradient is autograd's over each batch (an unbiased estimate of that of L). Expectation-maximisation (Dempster,
Laird & Rubin 1977) needs all rows at once and no rate, and never lowers its objective.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability, check_real
from deepgen.explicit.mixture import BernoulliMixture
from deepgen.objectives.adam import adam
from deepgen.objectives.bounds import Loss, descend
from deepgen.share import places
from deepgen.share_means import sum_rows
from deepgen.typing import LogProb, Update, require


class Nothing(NamedTuple):
    """The state of an objective that carries nothing from step to step."""


class Rows(NamedTuple):
    """rows: how many examples the whole data have, 0-d."""

    rows: Tensor


@dataclass(frozen=True)
class MaximumLikelihood:
    """Gradient ascent on the mean log-likelihood of the batch, for any model with `LogProb`.

    A batch is ``x``, or a pair of ``x`` and its context. The metric is ``log_likelihood``, in nats per example, of each
    batch before its step; of a model with dropout that of the thinned network, which lies lower.

    >>> import deepgen as dg
    >>> model = dg.explicit.BernoulliMixture(4)
    >>> update = MaximumLikelihood().update(model, torch.optim.SGD(model.parameters(), lr=0.1))
    >>> _, metrics = update(Nothing(), torch.ones(5, 4), generator=dg.random.generator(0))
    >>> metrics["log_likelihood"]  # -4 log 2
    tensor(-2.7726)
    """

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Nothing:
        """The empty state; `MissingCapability` unless ``model`` has `LogProb`."""
        require(model, LogProb, "train by maximum likelihood")
        return Nothing()

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: ascend the mean of log p over a batch ``[rows, *event]``, in nats per example."""
        require(model, LogProb, "train by maximum likelihood")
        return descend(partial(self.loss, model), optimizer)

    def loss(self, model: Any, batch: Any, *, generator: torch.Generator) -> Loss:
        """Minus the mean log-likelihood of a batch, in nats per example."""
        value = _mean_log_prob(model, batch, generator)
        return Loss(-value, {"log_likelihood": value.detach()})

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam at 0.001, the rate of its paper (Kingma & Ba 2015)."""
        return adam(model, lr=1e-3)


def _mean_log_prob(model: Any, batch: Any, generator: torch.Generator) -> Tensor:
    rows = batch if isinstance(batch, (tuple, list)) else (batch,)
    if getattr(model, "dropout", 0.0) and hasattr(model, "dropout_log_prob"):  # a module of the user's may drop too
        return model.dropout_log_prob(*rows, generator=generator).mean()
    return model.log_prob(*rows).mean()


@dataclass(frozen=True)
class ExpectationMaximisation:
    """Exact EM steps for a `BernoulliMixture`; call ``fit`` with ``batch_size=len(x)``.

    With ``pseudo_count`` c, every component sees c extra rows of each value in every column, and c extra rows in all
    (the posterior mode under a Beta(1 + c, 1 + c) prior on rates and a Dirichlet(1 + c) prior on weights). At c = 0 it
    is maximum likelihood, and the likelihood never falls; a constant column then gets the rate 1e-7 or 1 - 1e-7.

    The metric is ``log_likelihood``, in nats per example, before the step. The optimizer is not used.

    >>> import deepgen as dg
    >>> x = dg.data.bars_and_stripes(2)
    >>> model = dg.explicit.BernoulliMixture(4, components=3).initialise(x, generator=0)
    >>> history = dg.fit(model, x, ExpectationMaximisation(), epochs=20, batch_size=len(x), progress=False)
    >>> history[-1].metrics["log_likelihood"] > history[0].metrics["log_likelihood"]
    True
    """

    pseudo_count: float = 0.5

    def __post_init__(self) -> None:
        check_real("pseudo_count", self.pseudo_count, 0)

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Rows:
        """How many rows ``x`` has; `MissingCapability` unless ``model`` is a `BernoulliMixture`."""
        _as_mixture(model)
        return Rows(torch.tensor(len(x)))

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: responsibilities of all rows, then rates and weights from their sums; no rate is used."""
        mixture = _as_mixture(model)

        @torch.no_grad()
        def step(state: Rows, batch: Tensor, *, generator: torch.Generator) -> tuple[Rows, dict[str, Tensor]]:
            if places(len(batch))[1] != int(state.rows):
                raise ArgumentError(f"an EM step needs all {int(state.rows)} rows at once: fit with that batch_size")
            joint = mixture.log_joint(batch)
            total = joint.logsumexp(-1, keepdim=True)
            mine = (joint - total).exp()  # [rows, components], responsibilities
            counts, c = sum_rows(mine.sum(0)), self.pseudo_count
            tiny = 1e-7
            ones = sum_rows(mine.t() @ batch.to(mine))  # [components, features], how many each component answers for
            rate = ((ones + c) / (counts + 2 * c).clamp_min(tiny).unsqueeze(-1)).clamp(tiny, 1 - tiny)
            mixture.logits.copy_(rate.logit())
            mixture.weight_logits.copy_((counts + c).clamp_min(tiny).log())
            return state, {"log_likelihood": total.mean()}

        return step

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """SGD at rate 0, for a loop that wants an optimizer: an EM step takes none."""
        return torch.optim.SGD(model.parameters(), lr=0.0)


def _as_mixture(model: nn.Module) -> BernoulliMixture:
    if not isinstance(model, BernoulliMixture):
        raise MissingCapability(f"exact EM is for a BernoulliMixture, got {type(model).__name__}")
    return model
