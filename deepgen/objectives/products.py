"""The products and draws of one contrastive step, in buffers that carry nothing from one step to the next.

`Products` is the plain way, for any pair of unit layers on any device (large Bernoulli layers on a CPU are drawn by
`deepgen.explicit.binary_draw`, where numba can be loaded). Rows of the stacked buffers are the batch, then the chains
(``free``), then two rows for the offsets of the centred gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.explicit.compiled import why_not, worthwhile
from deepgen.explicit.rbm import RBM
from deepgen.explicit.units import Bernoulli
from deepgen.share_means import balance, over_rows


class Part(NamedTuple):
    """Some rows of the stacked buffers: ``visible`` and ``hidden`` are views of rows ``start`` to ``stop - 1``."""

    start: int
    stop: int
    visible: Tensor
    hidden: Tensor


class Offsets(NamedTuple):
    """Running means ``mu`` ``[visible]`` and ``lambd`` ``[hidden]``, which move by ``sliding`` towards the batch's.

    They are the offsets of the gradient if ``centred``; otherwise offsets are zero.
    """

    mu: Tensor
    lambd: Tensor
    sliding: float
    centred: bool


class Target(NamedTuple):
    """Where gradients go: ``biases`` become -da and -db, and ``weight`` becomes beta weight - alpha dW."""

    weight: Tensor
    biases: Sequence[Tensor]
    alpha: float
    beta: float


class Products:
    """Buffers and dense products for ``count`` data rows and ``chains`` chains of ``model``.

    ``own`` are the parameters of the unit layers themselves that `own_gradients` is to be asked for.
    """

    def __init__(self, model: RBM, count: int, chains: int, own: Sequence[nn.Parameter] = ()) -> None:
        self.model, self.own, rows, new = model, own, count + chains, model.weight.new_empty
        self.visible, self.hidden = new(rows + 2, model.visible.width), new(rows + 2, model.hidden.width)
        self.data, self.free, self.both = self._part(0, count), self._part(count, rows), self._part(0, rows)
        self.visible_noise, self.hidden_noise = torch.empty_like(self.free.visible), torch.empty_like(self.free.hidden)
        # Views made once: between cache-cold products a Python call costs more than the arithmetic of a short row.
        self.visible_t, self.hidden_t = self.visible[:rows].t(), self.hidden[:rows].t()
        self.mu, self.dv, self.dh, self.lambd = self.visible[-2], self.visible[-1], self.hidden[-2], self.hidden[-1]
        self.ones = new(count).fill_(1.0)
        self.contrast = torch.cat((new(count).fill_(1 / count), new(chains).fill_(-balance() / chains)))
        self.scale = -self.contrast.unsqueeze(1)
        self.fields = torch.empty_like(self.hidden) if own else None
        self.draws: Any = None  # compiled sigmoids and draws, where they are faster
        if worthwhile(model) and why_not(model) is None:
            from deepgen.explicit import binary_draw  # loads numba

            self.draws = binary_draw

    def _part(self, start: int, stop: int) -> Part:
        return Part(start, stop, self.visible[start:stop], self.hidden[start:stop])

    def load(self, batch: Tensor) -> None:
        """Copy the batch in, from any dtype."""
        self.place(self.data, batch)

    def place(self, part: Part, rows: Tensor) -> None:
        """Copy visible rows in as those of ``part``, from any dtype."""
        part.visible.copy_(rows)

    def use(self, model: RBM) -> None:
        """Take ``model`` for the products from here on: one with the same layers and other weights."""
        self.model = model

    def walk(self, hidden: Tensor, k: int, generator: torch.Generator) -> None:
        """Leave the chains' visible layers reached from ``hidden`` after k ways down and k - 1 ways up."""
        for step in range(k):
            if step:
                self.up(self.free)
                hidden = self.draw(self.free, generator)
            self.down(hidden, generator)

    def down(self, hidden: Tensor, generator: torch.Generator) -> None:
        """Draw the chains' visible layers given hidden layers ``hidden`` ``[chains, hidden]``."""
        units, field = self.model.visible, self.free.visible if self.draws is None else self.visible_noise
        torch.addmm(self.model.visible_bias, hidden, self.model.weight.t(), out=field)
        if self.draws is not None:
            self.draws.sample_field(field.numpy(), self.draws.key(generator, *field.shape), self.free.visible.numpy())
        elif isinstance(units, Bernoulli):
            field.sigmoid_().gt_(self.visible_noise.uniform_(generator=generator))
        else:
            field.copy_(units.sample(field, generator=generator))

    def up(self, part: Part) -> None:
        """The hidden fields of ``part``."""
        torch.addmm(self.model.hidden_bias, part.visible, self.model.weight, out=part.hidden)
        if self.fields is not None:
            self.fields[part.start : part.stop].copy_(part.hidden)

    def draw(self, part: Part, generator: torch.Generator) -> Tensor:
        """Turn the hidden fields of ``part`` (as many rows as chains) into means and return a draw given them."""
        if self.draws is not None:
            self.respond(part)
            drawn = torch.empty_like(part.hidden)
            self.draws.sample(part.hidden.numpy(), self.draws.key(generator, *drawn.shape), drawn.numpy())
            return drawn
        if isinstance(self.model.hidden, Bernoulli):
            self.respond(part)
            noise = self.hidden_noise.uniform_(generator=generator)
            return torch.gt(part.hidden, noise, out=torch.empty_like(noise))
        drawn = self.model.hidden.sample(part.hidden, generator=generator)
        self.respond(part)
        return drawn

    def respond(self, part: Part) -> None:
        """Turn the hidden fields of ``part`` into means."""
        if self.draws is not None:
            hidden = part.hidden.numpy()
            self.draws.sigmoid(hidden, hidden)
        elif isinstance(self.model.hidden, Bernoulli):
            part.hidden.sigmoid_()
        else:
            part.hidden.copy_(self.model.hidden.mean(part.hidden))

    def descend(self, offsets: Offsets, out: Target) -> tuple[Tensor, Tensor]:
        """Write minus the gradients to ``out`` and return the running means, moved.

        Hidden rows must be means, and are spoilt.
        """
        mu, lambd, sliding, centred = offsets
        torch.mv(self.visible_t, self.contrast, out=self.dv)
        torch.mv(self.hidden_t, self.contrast, out=self.dh)
        count, rows = len(self.ones), len(self.scale)
        means = (
            torch.addmv(mu, self.visible_t[:, :count], self.ones, beta=1 - sliding, alpha=sliding / count),
            torch.addmv(lambd, self.hidden_t[:, :count], self.ones, beta=1 - sliding, alpha=sliding / count),
        )
        self.both.hidden.mul_(self.scale)
        if centred:
            rows += 2
            self.mu.copy_(mu)
            self.lambd.copy_(lambd)
            # da = dv - dW lambda and db = dh - dW' mu through the stacks, which are smaller than dW.
            torch.addmv(self.dv, self.visible.t(), torch.mv(self.hidden, lambd), beta=-1, alpha=-1, out=out.biases[0])
            torch.addmv(self.dh, self.hidden.t(), torch.mv(self.visible, mu), beta=-1, alpha=-1, out=out.biases[1])
        else:
            torch.neg(self.dv, out=out.biases[0])
            torch.neg(self.dh, out=out.biases[1])
        visible, hidden = self.visible[:rows].t(), self.hidden[:rows]
        torch.addmm(out.weight, visible, hidden, alpha=out.alpha, beta=out.beta, out=out.weight)
        return means

    def gap(self) -> Tensor:
        """|<h>_d - <h>_m|, of the rows and chains of all ranks, once `descend` has found the difference."""
        return torch.linalg.vector_norm(over_rows(self.dh))

    def own_gradients(self) -> tuple[Tensor, ...]:
        """Minus the gradients of ``own``: those of u(v) - A(field), data minus chains, at the last ways up."""
        assert self.fields is not None
        model, fields = self.model, self.fields

        def free_energy(part: Part) -> Tensor:
            return (model.visible.energy(part.visible) - model.hidden.cumulant(fields[part.start : part.stop])).mean()

        chains = balance()

        with torch.enable_grad():
            return torch.autograd.grad(free_energy(self.data) - chains * free_energy(self.free), self.own)
