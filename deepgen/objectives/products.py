"""The products and draws of one contrastive step, in buffers that carry nothing from one step to the next.

`Products` is the plain way, for any pair of unit layers on any device (large Bernoulli layers on a CPU are drawn by
`deepgen.explicit.binary_draw`, where numba can be loaded); `BinaryProducts` replaces the two products with
sparse binary visible rows by sums over the rows' ones. Rows of the stacked buffers are the batch, then the chains
(``free``), then two rows for the offsets of the centred gradient.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError
from deepgen.explicit.rbm import RBM
from deepgen.explicit.units import Bernoulli

# Where the binary kernels are chosen: a share of ones at which they clearly win, weights beyond the fastest cache, and
# few enough threads, for they run on one.
SPARSE, LARGE, THREADS = 0.25, 2**16, 4


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
        self.draws: Any = None  # compiled sigmoids and draws, where they are faster
        if worthwhile(model) and why_not_binary(model) is None:
            from deepgen.explicit import binary_draw  # loads numba

            self.draws = binary_draw

    def _part(self, start: int, stop: int) -> Part:
        return Part(start, stop, self.visible[start:stop], self.hidden[start:stop])

    def load(self, batch: Tensor) -> None:
        """Copy the batch in, from any dtype."""
        self.data.visible.copy_(batch)

    def down(self, hidden: Tensor, generator: torch.Generator) -> None:
        """Draw the chains' visible layers given hidden layers ``hidden`` ``[chains, hidden]``."""
        units, field = self.model.visible, self.free.visible if self.draws is None else self.visible_noise
        torch.addmm(self.model.visible_bias, hidden, self.model.weight.t(), out=field)
        if self.draws is not None:
            self.draws.sample_field(field.numpy(), _key(generator), self.free.visible.numpy())
        elif isinstance(units, Bernoulli):
            field.sigmoid_().gt_(self.visible_noise.uniform_(generator=generator))
        else:
            field.copy_(units.sample(field, generator=generator))

    def up(self, part: Part) -> None:
        """The hidden fields of ``part``."""
        torch.addmm(self.model.hidden_bias, part.visible, self.model.weight, out=part.hidden)

    def draw(self, part: Part, generator: torch.Generator) -> Tensor:
        """Turn the hidden fields of ``part`` (as many rows as chains) into means and return a draw given them."""
        if self.draws is not None:
            self.respond(part)
            drawn = torch.empty_like(part.hidden)
            self.draws.sample(part.hidden.numpy(), _key(generator), drawn.numpy())
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

    def descend(
        self,
        mu: Tensor,
        offset: Tensor,
        *,
        sliding: float,
        centred: bool,
        biases: list[Tensor],
        weight: Tensor,
        alpha: float,
        beta: float,
    ) -> tuple[Tensor, Tensor]:
        """Write minus the gradients of a and b to ``biases``, and beta weight - alpha dW to ``weight``.

        Hidden rows must be means, and are spoilt. Centred at ``mu`` and ``offset`` or, if not ``centred``, at zero.
        Returns ``mu`` and ``offset`` moved by ``sliding`` towards the means of the batch.
        """
        torch.mv(self.visible_t, self.contrast, out=self.dv)
        torch.mv(self.hidden_t, self.contrast, out=self.dh)
        count, rows = len(self.ones), len(self.scale)
        means = (
            torch.addmv(mu, self.visible_t[:, :count], self.ones, beta=1 - sliding, alpha=sliding / count),
            torch.addmv(offset, self.hidden_t[:, :count], self.ones, beta=1 - sliding, alpha=sliding / count),
        )
        self.both.hidden.mul_(self.scale)
        if centred:
            rows += 2
            self.mu.copy_(mu)
            self.offset.copy_(offset)
            # da = dv - dW lambda and db = dh - dW' mu through the stacks, which are smaller than dW.
            torch.addmv(self.dv, self.visible.t(), torch.mv(self.hidden, offset), beta=-1, alpha=-1, out=biases[0])
            torch.addmv(self.dh, self.hidden.t(), torch.mv(self.visible, mu), beta=-1, alpha=-1, out=biases[1])
        else:
            torch.neg(self.dv, out=biases[0])
            torch.neg(self.dh, out=biases[1])
        torch.addmm(weight, self.visible[:rows].t(), self.hidden[:rows], alpha=alpha, beta=beta, out=weight)
        return means


class BinaryProducts(Products):
    """The same for two Bernoulli layers in float32 on a CPU, with the kernels of `deepgen.explicit.binary`.

    Visible rows are lists; of the visible stack only the chains' fields and the offset rows are used.
    """

    def __init__(self, model: RBM, count: int, chains: int) -> None:
        super().__init__(model, count, chains)
        from deepgen.explicit import binary, binary_draw  # loads numba

        self.kernels, self.draws, rows, width = binary, binary_draw, count + chains, model.visible.width
        self.rows, self.columns = binary.new_lists(rows, width), binary.new_columns(rows, width)
        self.paired = self.visible.new_empty(width // 2, model.hidden.width).numpy()
        self.field, self.hidden_array = self.free.visible.numpy(), self.hidden.numpy()
        self.listed_hidden = self.hidden[:rows].numpy()
        self.extra_visible, self.extra_hidden = self.visible[rows:].numpy(), self.hidden[rows:].numpy()
        self.visible_mean, self.hidden_mean = torch.empty_like(self.dv), torch.empty_like(self.dh)

    def load(self, batch: Tensor) -> None:
        if batch.dtype not in (torch.float32, torch.uint8):  # a kernel is compiled anew for every type
            batch = batch.to(torch.uint8)
        self.kernels.list_rows(batch.contiguous().numpy(), self.data.start, self.rows)

    def down(self, hidden: Tensor, generator: torch.Generator) -> None:
        torch.addmm(self.model.visible_bias, hidden, self.model.weight.t(), out=self.free.visible)
        self.draws.sample_lists(self.field, _key(generator), self.free.start, self.rows)

    def up(self, part: Part) -> None:
        weight, bias = self.model.weight.detach().numpy(), self.model.hidden_bias.detach().numpy()
        self.kernels.up(self.rows, part.start, part.stop, weight, bias, self.paired, self.hidden_array)

    def descend(
        self,
        mu: Tensor,
        offset: Tensor,
        *,
        sliding: float,
        centred: bool,
        biases: list[Tensor],
        weight: Tensor,
        alpha: float,
        beta: float,
    ) -> tuple[Tensor, Tensor]:
        self.mu.copy_(mu) if centred else self.mu.zero_()
        self.offset.copy_(offset) if centred else self.offset.zero_()
        self.kernels.descend(
            self.rows,
            self.columns,
            len(self.ones),
            self.listed_hidden,
            self.extra_visible,
            self.extra_hidden,
            self.visible_mean.numpy(),
            self.hidden_mean.numpy(),
            biases[0].numpy(),
            biases[1].numpy(),
            alpha,
            beta,
            weight.numpy(),
        )
        return torch.lerp(mu, self.visible_mean, sliding), torch.lerp(offset, self.hidden_mean, sliding)


def _key(generator: torch.Generator) -> int:
    return int(torch.empty((), dtype=torch.int64).random_(generator=generator))


def worthwhile(model: RBM) -> bool:
    """Whether kernels on one thread pay for ``model``."""
    return model.weight.numel() >= LARGE and torch.get_num_threads() <= THREADS


def why_not_binary(model: RBM) -> str | None:
    """What keeps `BinaryProducts` from ``model``, in words; None if nothing does."""
    if not (isinstance(model.visible, Bernoulli) and isinstance(model.hidden, Bernoulli)):
        return "both layers must be Bernoulli"
    weight = model.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not weight.is_contiguous():
        return f"the weights must be contiguous float32 on a CPU, not {weight.dtype} on {weight.device}"
    try:
        from deepgen.explicit import binary_draw  # noqa: F401
    except Exception as error:  # numba is absent, does not support this Python, or has nowhere to keep its cache
        return f"numba cannot be loaded ({error})"
    return None


def use_binary(model: RBM, option: bool | str) -> tuple[bool, bool]:
    """Whether the binary kernels are to be used always, and whether for sparse data.

    Which of the two ways a step takes depends on its state alone, so that a resumed run takes the same.
    """
    if option is False or (option == "auto" and not worthwhile(model)):
        return False, False
    reason = why_not_binary(model)
    if option is True and reason is not None:
        raise ArgumentError(f"binary=True: {reason}; use binary='auto' or False")
    return option is True, reason is None
