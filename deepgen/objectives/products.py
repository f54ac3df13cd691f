"""The products and draws of one contrastive step, in buffers that carry nothing from one step to the next.

`Products` is the plain way, for any pair of unit layers on any device; `BinaryProducts` replaces the two products with
sparse binary visible rows by sums over the rows' ones. Rows of the stacked buffers are the batch, then the chains
(``free``), then two rows for the offsets of the centred gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from deepgen.explicit.rbm import RBM
from deepgen.explicit.units import Bernoulli


class Part(NamedTuple):
    """Some rows of the stacked buffers: ``visible`` and ``hidden`` are views of rows ``start`` to ``stop - 1``."""

    start: int
    stop: int
    visible: Tensor
    hidden: Tensor


class Products:
    """Buffers and dense products for ``count`` data rows and ``chains`` chains of ``model``."""

    def __init__(self, model: RBM, count: int, chains: int) -> None:
        self.model, rows, new = model, count + chains, model.weight.new_empty
        self.visible, self.hidden = new(rows + 2, model.visible.width), new(rows + 2, model.hidden.width)
        self.data, self.free, self.both = self._part(0, count), self._part(count, rows), self._part(0, rows)
        self.visible_noise, self.hidden_noise = torch.empty_like(self.free.visible), torch.empty_like(self.free.hidden)
        # Views made once: between cache-cold products a Python call costs more than the arithmetic of a short row.
        self.visible_t, self.hidden_t = self.visible[:rows].t(), self.hidden[:rows].t()
        self.mu, self.dv, self.dh, self.offset = self.visible[-2], self.visible[-1], self.hidden[-2], self.hidden[-1]
        self.ones = new(count).fill_(1.0)
        self.contrast = torch.cat((new(count).fill_(1 / count), new(chains).fill_(-1 / chains)))
        self.scale = -self.contrast.unsqueeze(1)

    def _part(self, start: int, stop: int) -> Part:
        return Part(start, stop, self.visible[start:stop], self.hidden[start:stop])

    def load(self, batch: Tensor) -> None:
        """Copy the batch in, from any dtype."""
        self.data.visible.copy_(batch)

    def down(self, hidden: Tensor, generator: torch.Generator) -> None:
        """Draw the chains' visible layers given hidden layers ``hidden`` ``[chains, hidden]``."""
        units, field = self.model.visible, self.free.visible
        torch.addmm(self.model.visible_bias, hidden, self.model.weight.t(), out=field)
        if isinstance(units, Bernoulli):
            field.sigmoid_().gt_(self.visible_noise.uniform_(generator=generator))
        else:
            field.copy_(units.sample(field, generator=generator))

    def up(self, part: Part) -> None:
        """The hidden fields of ``part``."""
        torch.addmm(self.model.hidden_bias, part.visible, self.model.weight, out=part.hidden)

    def draw(self, part: Part, generator: torch.Generator) -> Tensor:
        """Turn the hidden fields of ``part`` (as many rows as chains) into means and return a draw given them."""
        if isinstance(self.model.hidden, Bernoulli):
            self.respond(part)
            noise = self.hidden_noise.uniform_(generator=generator)
            return torch.gt(part.hidden, noise, out=torch.empty_like(noise))
        drawn = self.model.hidden.sample(part.hidden, generator=generator)
        self.respond(part)
        return drawn

    def respond(self, part: Part) -> None:
        """Turn the hidden fields of ``part`` into means."""
        if isinstance(self.model.hidden, Bernoulli):
            part.hidden.sigmoid_()
        else:
            part.hidden.copy_(self.model.hidden.mean(part.hidden))

    def outer(self, rows: int, out: Tensor, alpha: float = 1.0, beta: float = 0.0) -> None:
        """beta out + alpha times the sum over the first ``rows`` rows of visible times hidden, in ``out``."""
        torch.addmm(out, self.visible[:rows].t(), self.hidden[:rows], alpha=alpha, beta=beta, out=out)

    def means(self, state_visible: Tensor, state_hidden: Tensor, sliding: float) -> tuple[Tensor, Tensor]:
        """Return the running means of both layers moved by ``sliding`` towards the batch's; leave dv and dh behind.

        Hidden rows must be means. `descent` scales them and therefore comes after.
        """
        torch.mv(self.visible_t, self.contrast, out=self.dv)
        torch.mv(self.hidden_t, self.contrast, out=self.dh)
        count = len(self.ones)
        return (
            torch.addmv(state_visible, self.visible_t[:, :count], self.ones, beta=1 - sliding, alpha=sliding / count),
            torch.addmv(state_hidden, self.hidden_t[:, :count], self.ones, beta=1 - sliding, alpha=sliding / count),
        )

    def descent(self, mu: Tensor, offset: Tensor, centred: bool, biases: list[Tensor]) -> int:
        """Write minus the gradients of a and b to ``biases``; return how many rows of `outer` give that of W.

        Centred at ``mu`` and ``offset``, unless ``centred`` is False.
        """
        self.both.hidden.mul_(self.scale)
        if not centred:
            torch.neg(self.dv, out=biases[0])
            torch.neg(self.dh, out=biases[1])
            return len(self.scale)
        self.mu.copy_(mu)
        self.offset.copy_(offset)
        # da = dv - dW lambda and db = dh - dW' mu through the stacks, which are smaller than dW.
        torch.addmv(self.dv, self.visible.t(), torch.mv(self.hidden, offset), beta=-1, alpha=-1, out=biases[0])
        torch.addmv(self.dh, self.hidden.t(), torch.mv(self.visible, mu), beta=-1, alpha=-1, out=biases[1])
        return len(self.visible)

