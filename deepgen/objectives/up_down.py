"""Wake-sleep fine-tuning of a deep belief network, all levels together: the up-down algorithm.

    wake:   x_1, ..., x_(L-1) ~ q(. | v);      ascend  sum_l log p(x_l | x_(l+1))  in the way down
    top:    descend  F(x_(L-1)) - F(y_(L-1)),  y_(L-1) the chain in the top machine: contrastive, or persistent
    sleep:  y_(L-2), ..., y_0 ~ p down from y_(L-1);      ascend  sum_l log q(y_(l+1) | y_l)  in the way up

With exact draws y of the top, wake and top are the gradient of the variational bound at these q, and sleep that of
-KL(p(h | y_0) || q(h | y_0)) over fantasies, which is not the KL of the bound: no single number falls at every step.
Source: Hinton, Osindero & Teh 2006, section 5 and appendix B; Hinton, Dayan, Frey & Neal 1995.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.explicit.dbn import DBN
from deepgen.objectives.chain_memory import ChainMemory, remembered
from deepgen.objectives.equilibrium_watch import ChainWatch
from deepgen.objectives.layer_wise import as_dbn, drawn_above
from deepgen.samplers.kernel import advance
from deepgen.share_means import balance
from deepgen.typing import Update


class TopChains(NamedTuple):
    """position: of the chains in the top machine ``[chains, width]``; no rows where they start at the batch;
    memory: how long they remember, None where they are too few to tell."""

    position: Tensor
    memory: ChainMemory | None = None

    def per_chain(self) -> tuple[str, ...]:
        """The fields that have a row for each chain."""
        return ("position",)


@dataclass(frozen=True)
class UpDown:
    """Up-down training of a `DBN` whose way up has weights of its own (`DBN.untie`).

    The metrics, in nats per example of the batch before its step: ``down``, sum log p(x_l | x_(l+1)), and ``up``,
    sum log q(y_(l+1) | y_l) of fantasies; ``gap``, F(x) - F(y) of the top; with ten persistent
    chains or more ``autocorrelation``, as of `PersistentCD`. The bound needs log Z, see
    `deepgen.evaluate.log_likelihood`.

    Args:
        k: Gibbs steps in the top machine between updates.
        chains: persistent chains in the top machine; None to start them anew at each batch (the contrastive up-down
            algorithm of 2006).

    >>> import deepgen as dg
    >>> dbn, x = dg.explicit.DBN(6, [4, 3], generator=0).untie(), torch.eye(6)
    >>> history = dg.fit(dbn, x, UpDown(chains=10), epochs=2, progress=False)
    >>> list(history[-1].metrics)
    ['down', 'up', 'gap', 'autocorrelation']
    """

    k: int = 1
    chains: int | None = 100

    def __post_init__(self) -> None:
        check_count(k=self.k)
        if self.chains is not None:
            check_count(chains=self.chains)

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> TopChains:
        """Chains at the level below the top, drawn by the way up given random rows of the data ``x``."""
        dbn = as_dbn(model, untied=True)
        dbn.check(x)
        rows = torch.randint(len(x), (self.chains or 1,), generator=generator, device=generator.device)
        position = dbn.propose(x[rows.to(x.device)], generator=generator).position
        position = position if self.chains else position[:0]
        return TopChains(position, ChainMemory.of(position))

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: up, chains, down, and one step of ``optimizer`` over all."""
        dbn = as_dbn(model, untied=True)

        def step(state: Any, batch: Tensor, *, generator: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
            wake = [batch.to(dbn.top.weight)]
            for level in range(len(dbn.rbms) - 1):
                wake.append(drawn_above(dbn, level, wake[-1], generator))
            kernel = dbn.top.gibbs()
            begun = kernel.init(state.position if self.chains else wake[-1])
            chains = advance(kernel, begun, self.k, generator=generator).position
            sleep = dbn.down(chains, generator=generator)[::-1]
            optimizer.zero_grad(set_to_none=True)
            down, up, gap = parts(dbn, wake, sleep)
            (gap - down - up).backward()
            optimizer.step()
            kept = chains if self.chains else state.position
            memory, told = remembered(state.memory, kept, self.k)
            return TopChains(kept, memory), {"down": down.detach(), "up": up.detach(), "gap": gap.detach()} | told

        return step

    def watch(self) -> ChainWatch:
        """Says in words that the top's chains forget slowly."""
        return ChainWatch(self.k)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Plain SGD at 0.01, as fine-tuning should not undo what the machines know."""
        return torch.optim.SGD(as_dbn(model, untied=True).parameters(), lr=0.01)


def parts(dbn: DBN, wake: list[Tensor], sleep: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """(down, up, gap) of states of the levels below the top, visible first: means over rows, with gradients.

    The way down learns from ``wake``, the way up from ``sleep``, the top from both.
    """
    below = range(len(dbn.rbms) - 1)
    zero = dbn.top.weight.new_zeros(())
    down = sum((dbn.below(level, wake[level + 1]).log_prob(wake[level]).mean() for level in below), zero)
    up = sum((dbn.above(level, sleep[level]).log_prob(sleep[level + 1]).mean() for level in below), zero)
    chains = balance()
    return down, chains * up, dbn.top.free_energy(wake[-1]).mean() - chains * dbn.top.free_energy(sleep[-1]).mean()
