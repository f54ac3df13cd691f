"""Persistent contrastive divergence of a deep Boltzmann machine: mean field for the data, chains for the model.

The bound of `deepgen.explicit.dbm`, with its product law q held where mean field left it, minus log Z has as gradient a
difference of two means, over data with q (d) and over the model (m). With offsets mu_l for every level it is taken in
centred form,

    dW_l = <(x_l - mu_l)(x_(l+1) - mu_(l+1))'>_d - <...>_m
    db_l = <x_l>_d - <x_l>_m - dW_l mu_(l+1) - dW_(l-1)' mu_(l-1)

which is the gradient of the machine written in x_l - mu_l, mapped back: fixed points stay, flipped bits of any level
change nothing, and a deep machine learns without pre-training. Sources: Salakhutdinov & Hinton 2009, "Deep Boltzmann
machines"; Montavon & Mueller 2012, "Deep Boltzmann machines and the centering trick"; Melchior, Fischer & Wiskott 2016,
"How to center deep Boltzmann machines", equations 9 to 11.

The offsets are running means over data, and mean field starts at them: what the higher levels are without a row to look
at. Chains live at the odd levels. A Gibbs step draws the even ones from the odd ones, then the odd ones from them. Of
x_l and x_(l+1) one gave the other, and the mean of x_l x_(l+1)' is taken over drawn states of the lower and the mean
that they gave to the upper: even ones of the last step, or the odd ones that it began with. What a draw of x_(l+1)
would add of its own is noise, the more of it the less a level hears from below. After 8 passes at a rate of 0.1 the
top's weights of a machine 784-500-1000, which mean field pulls to zero, had a norm of 9.5 with it, and of 0.9 without.

With ``posterior_steps`` the data side is drawn as the model side is, by Gibbs steps with the row held that start from
draws of mean field, and the gradient is that of log p(v) as far as they have left mean field behind. Mean field's bound
is cheaper but has a trap. Where the weights W_l to a level are near zero, data give it the covariance of *means* of the
level below, and chains that of its *states*, larger by what each unit varies for itself. The difference pulls W_l to
zero, and a level that starts at small weights may stay dead: the best product law leaves it out. Draws have no such
pull, and pre-training starts beyond it.

As weights of 1/rows for data and -1/chains for chains, which the means of the upper level carry, sum to 0 (over all
ranks, where there are several), one product of centred rows for each coupling gives both means at once. At one hidden
level all this is the step of an `RBM`.

Under ``torch.autocast`` what levels send each other is in its precision, which makes states a little wrong; the
gradient, a small difference of large means, is in that of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError
from deepgen.explicit.dbm import DBM
from deepgen.explicit.mean_field import field, settle
from deepgen.objectives.chain_memory import ChainMemory, remembered
from deepgen.objectives.descent import Descent
from deepgen.share_means import balance, over_rows

if TYPE_CHECKING:
    from deepgen.objectives.contrastive import PersistentCD

ROWS = 1000  # whose mean responses the offsets start at


class DeepState(NamedTuple):
    """chains: odd levels side by side ``[chains, odd]``; means: of every level, visible first, side by side: running
    means over data, which serve as offsets ``[all levels]``; memory: how long the chains remember."""

    chains: Tensor
    means: Tensor
    memory: ChainMemory | None = None

    def per_chain(self) -> tuple[str, ...]:
        """The fields that have a row for each chain."""
        return ("chains",)


class Side(NamedTuple):
    """What data or chains give to the gradient, by level: states as they were drawn, and the mean of each level given
    the states of its neighbours, with its field; of the visible level, which has no other below it, the states."""

    fields: Sequence[Tensor]
    states: Sequence[Tensor]
    means: Sequence[Tensor]


class Joint(NamedTuple):
    """A block of weights and the columns it joins, of level ``below`` and of the next."""

    below: int
    block: nn.Parameter
    columns: slice
    columns_above: slice


@torch.no_grad()
def start(model: DBM, x: Tensor, options: PersistentCD, generator: torch.Generator) -> DeepState:
    """Chains at the mean field of random rows of the data ``x``, offsets at the means over ``x``."""
    model.check(x)
    rows = torch.randint(len(x), (max(options.chains, ROWS),), generator=generator, device=generator.device)
    v = x[rows.to(x.device)].to(model.biases[0])
    fields, means, _ = settle(model, v, tolerance=options.tolerance, turns=options.turns)
    odd = [
        units.sample(field[: options.chains], generator=generator)
        for units, field in zip(model.levels[1::2], fields[1::2], strict=True)
    ]
    visible_mean = x.sum(0).to(v) / len(x)
    chains = torch.cat(odd, 1)
    offsets = torch.cat([visible_mean, *(mean.mean(0) for mean in means[1:])])
    return DeepState(chains, offsets, ChainMemory.of(chains))


class DeepStep:
    """The `Update` of ``options`` for one machine and optimizer; gradients are those of minus bound minus log Z."""

    def __init__(self, model: DBM, optimizer: torch.optim.Optimizer, options: PersistentCD) -> None:
        if options.binary is True:
            raise ArgumentError("binary=True takes the products of an RBM; for a DBM leave it at 'auto'")
        self.model, self.options = model, options
        self.widths = [units.width for units in model.levels]
        self.joints = [Joint(below, *j) for below, coupling in enumerate(model.couplings) for j in coupling.joints()]
        parts = (units for units in model.levels if isinstance(units, nn.Module))
        self.own = list(dict.fromkeys(p for units in parts for p in units.parameters() if p.requires_grad))
        blocks = [joint.block for joint in self.joints]
        joint = [*blocks, *model.biases]
        centred = joint if options.centred else ()
        self.descent = Descent(optimizer, [*joint, *self.own], len(blocks), centred=centred)

    @torch.no_grad()
    def __call__(
        self, state: DeepState, batch: Tensor, *, generator: torch.Generator
    ) -> tuple[DeepState, dict[str, Tensor]]:
        options, model, offsets = self.options, self.model, state.means.split(self.widths)
        v = batch.to(model.biases[0])
        fields, levels, turns = settle(
            model, v, tolerance=options.tolerance, turns=options.turns, start=offsets[1:] if options.centred else None
        )
        data = Side(fields, levels, levels)
        if options.posterior_steps and len(self.widths) > 2:
            odd = [u.sample(f, generator=generator) for u, f in zip(model.levels[1::2], fields[1::2], strict=True)]
            data, _ = walk(model, torch.cat(odd, 1), options.posterior_steps, generator, v)
        free, chains = walk(model, state.chains, options.k, generator)
        with torch.autocast(v.device.type, enabled=False):
            gaps, means = self._move(state, data, free)
        memory, told = remembered(state.memory, chains, options.k)
        return DeepState(chains, means, memory), {
            "moment_gap": torch.linalg.vector_norm(over_rows(torch.cat(gaps[1:]))),
            **told,
            "turns": torch.tensor(float(turns)),
        }

    def _move(self, state: DeepState, data: Side, free: Side) -> tuple[list[Tensor], Tensor]:
        """Step along the gradient; <x_l>_d - <x_l>_m of every level, and the new running means."""
        options, offsets, v = self.options, state.means.split(self.widths), data.means[0]
        chains = len(free.means[0])
        share = torch.cat((v.new_full((len(v),), 1 / len(v)), v.new_full((chains,), -balance() / chains)))
        lower = [torch.cat(pair) for pair in zip(data.states[:-1], free.states[:-1], strict=True)]
        upper = [torch.cat(pair) for pair in zip(data.means[1:], free.means[1:], strict=True)]
        gaps = [x.t() @ share for x in (lower[0], *upper)]
        means = torch.cat([mean.mean(0) for mean in data.means]).lerp_(state.means, 1 - options.sliding)
        if self.own:
            self._own(data, free)
        if options.centred:
            for x, offset in zip((*lower, *upper), (*offsets[:-1], *offsets[1:]), strict=True):
                x.sub_(offset)
        for x in upper:
            x.mul_(share.unsqueeze(1))
        self._biases(lower, upper, gaps, offsets, means)
        rate = self.descent.rate()
        self._weights(lower, upper, rate)
        self.descent.move(rate)
        return gaps, means

    def _weights(self, lower: Sequence[Tensor], upper: Sequence[Tensor], rate: float | None) -> None:
        """Minus dW and the decay to the gradients, or, with a ``rate``, their step."""
        decay = self.options.weight_decay
        for joint, gradient in zip(self.joints, self.descent.gradients, strict=False):
            below, above = lower[joint.below][:, joint.columns].t(), upper[joint.below][:, joint.columns_above]
            if rate is None:
                gradient.copy_(joint.block).mul_(decay).addmm_(below, above, alpha=-1.0)
            else:
                joint.block.addmm_(below, above, beta=1 - rate * decay, alpha=rate)

    def _biases(
        self,
        lower: Sequence[Tensor],
        upper: Sequence[Tensor],
        gaps: Sequence[Tensor],
        offsets: Sequence[Tensor],
        means: Tensor,
    ) -> None:
        """Minus db through the rows, which are fewer numbers than dW, and what sparsity adds."""
        gradients = self.descent.gradients[len(self.joints) : len(self.joints) + len(gaps)]
        for gradient, gap in zip(gradients, gaps, strict=True):
            torch.neg(gap, out=gradient)
        if self.options.centred:
            decay = self.options.weight_decay
            for low, block, columns, above in self.joints:
                x, y = lower[low][:, columns], upper[low][:, above]
                here, there = offsets[low][columns], offsets[low + 1][above]
                gradients[low][columns].addmv_(x.t(), y @ there)
                gradients[low + 1][above].addmv_(y.t(), x @ here)
                if decay and block.requires_grad:  # the decay moves weights, and centred biases stay
                    gradients[low][columns].addmv_(block, there, alpha=-decay)
                    gradients[low + 1][above].addmv_(block.t(), here, alpha=-decay)
        if self.options.sparsity is not None:
            goal, cost = self.options.sparsity
            for gradient, mean in zip(gradients[1:], means.split(self.widths)[1:], strict=True):
                gradient.add_(mean - goal, alpha=cost)

    def _own(self, data: Side, free: Side) -> None:
        """Minus the gradients of the levels' own parameters, data minus chains.

        Of the visible level that of u(x), of one above, known by its field f, that of -A(f), the mean of u(x) under it.
        """
        with torch.enable_grad():
            total = torch.zeros(())
            for level, units in enumerate(self.model.levels):
                here = -units.cumulant(data.fields[level]).mean() if level else units.energy(data.states[0]).mean()
                drawn = -units.cumulant(free.fields[level]) if level else units.energy(free.states[0])
                total = total + here - balance() * drawn.mean()
            gradients = torch.autograd.grad(total, self.own)
        for buffer, gradient in zip(self.descent.gradients[-len(self.own) :], gradients, strict=True):
            buffer.copy_(gradient)


def walk(
    model: DBM, chains: Tensor, k: int, generator: torch.Generator, v: Tensor | None = None
) -> tuple[Side, Tensor]:
    """``k`` Gibbs steps from odd levels ``chains`` ``[chains, odd]``, at rows ``v`` ``[chains, visible]`` if given.

    Returns what the gradient takes of the last step, and the next chains.
    """
    levels, count = model.levels, len(model.levels)
    states, fields = [chains] * count, [chains] * count
    for level, values in zip(range(1, count, 2), chains.split([u.width for u in levels[1::2]], 1), strict=True):
        states[level] = values
    first, before = 0, states
    if v is not None:
        states[0], fields[0], first = v, v, 2
    for _ in range(k):
        before = [*states]
        for level in (*range(first, count, 2), *range(1, count, 2)):
            fields[level] = field(model, level, states)
            states[level] = levels[level].sample(fields[level], generator=generator)
    giving = [before[level] if level % 2 else states[level] for level in range(count)]
    means = [states[0], *(units.mean(f) for units, f in zip(levels[1:], fields[1:], strict=True))]
    return Side(fields, giving, means), torch.cat(states[1::2], 1)
