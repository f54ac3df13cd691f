"""The same products and draws with sparse binary visible rows as sums over the rows' ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError
from deepgen.explicit.compiled import why_not, worthwhile
from deepgen.explicit.rbm import RBM
from deepgen.objectives.products import Offsets, Part, Products, Target

SPARSE = 0.25  # the share of ones up to which sums over ones clearly win


class BinaryProducts(Products):
    """`Products` for two Bernoulli layers in float32 on a CPU, with the kernels of `deepgen.explicit.binary`.

    Visible rows are lists; of the visible stack only the chains' fields and the offset rows are used.
    """

    def __init__(self, model: RBM, count: int, chains: int, own: Sequence[nn.Parameter] = ()) -> None:
        super().__init__(model, count, chains, own)
        from deepgen.explicit import binary, binary_draw  # loads numba

        self.kernels, self.draws, rows, width = binary, binary_draw, count + chains, model.visible.width
        self.rows, self.columns = binary.new_lists(rows, width), binary.new_columns(rows, width)
        self.paired = self.visible.new_empty(width // 2, model.hidden.width).numpy()
        self.field, self.hidden_array = self.free.visible.numpy(), self.hidden.numpy()
        self.listed_hidden = self.hidden[:rows].numpy()
        self.extra_visible, self.extra_hidden = self.visible[rows:].numpy(), self.hidden[rows:].numpy()
        self.visible_mean, self.hidden_mean = torch.empty_like(self.dv), torch.empty_like(self.dh)

    def load(self, batch: Tensor) -> None:
        self.place(self.data, batch)
        self.use(self.model)

    def place(self, part: Part, rows: Tensor) -> None:
        if rows.dtype not in (torch.float32, torch.uint8):  # a kernel is compiled anew for every type
            rows = rows.to(torch.uint8)
        self.kernels.list_rows(rows.contiguous().numpy(), part.start, self.rows)

    def use(self, model: RBM) -> None:
        self.model = model
        self.kernels.pair_sums(model.weight.detach().numpy(), self.paired)  # the weights stay from here on

    def down(self, hidden: Tensor, generator: torch.Generator) -> None:
        torch.addmm(self.model.visible_bias, hidden, self.model.weight.t(), out=self.free.visible)
        self.draws.sample_lists(self.field, self.draws.key(generator, *self.field.shape), self.free.start, self.rows)

    def up(self, part: Part) -> None:
        weight, bias = self.model.weight.detach().numpy(), self.model.hidden_bias.detach().numpy()
        self.kernels.gather(self.rows, part.start, part.stop, weight, self.paired, bias, self.hidden_array)

    def descend(self, offsets: Offsets, out: Target) -> tuple[Tensor, Tensor]:
        mu, lambd, sliding, centred = offsets
        self.mu.copy_(mu) if centred else self.mu.zero_()
        self.lambd.copy_(lambd) if centred else self.lambd.zero_()
        self.kernels.descend(
            self.rows,
            self.columns,
            len(self.ones),
            self.listed_hidden,
            self.extra_visible,
            self.extra_hidden,
            self.visible_mean.numpy(),
            self.hidden_mean.numpy(),
            out.biases[0].numpy(),
            out.biases[1].numpy(),
            out.alpha,
            out.beta,
            out.weight.numpy(),
        )
        return torch.lerp(mu, self.visible_mean, sliding), torch.lerp(lambd, self.hidden_mean, sliding)


def use_binary(model: RBM, option: bool | str) -> tuple[bool, bool]:
    """Whether the binary kernels are to be used always, and whether for sparse data.

    Which of the two ways a step takes depends on its state alone, so that a resumed run takes the same.
    """
    if option is False or (option == "auto" and not worthwhile(model)):
        return False, False
    reason = why_not(model)
    if option is True and reason is not None:
        raise ArgumentError(f"binary=True: {reason}; use binary='auto' or False")
    return option is True, reason is None
