"""The first rung of trajectory tempering: draws and log Z of the machine that training starts at.

The path there begins at a machine without weights, whose draws and log Z are exact,

    log Z_0 = A_v(a + W.lambda) + A_h(b + mu.W),

and is climbed in strides of the share t of the interaction, each halved until the rung before overlaps enough.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepgen.errors import DivergenceError
from deepgen.explicit.rbm import RBM
from deepgen.objectives.trajectory_ladder import (
    Partners,
    Rung,
    carry,
    gibbs,
    hidden_free_energy,
    parameters_of,
    put,
    twin,
)

SETTLING = 20  # Gibbs steps at every machine on the way
FINEST = 2.0**-20  # of the way


@torch.no_grad()
def first_rung(
    model: RBM, offsets: tuple[Tensor, Tensor], draws: int, *, least: float, generator: torch.Generator
) -> Rung:
    """The rung of ``model`` itself, with half of ``draws`` as partners, from a machine without weights.

    The machines between have the share t of the interaction (v - mu).W.(h - lambda) around the ``offsets``, means over
    data. With t W and fixed biases a second mode could come up far from all draws, and be missed.

    Raises:
        DivergenceError: no such ladder leads there.
    """
    moving, frozen, goal = twin(model), twin(model), parameters_of(model)
    frozen.visible_bias.add_(model.weight @ offsets[1])
    frozen.hidden_bias.add_(offsets[0] @ model.weight)
    frozen.weight.zero_()
    hidden = model.hidden.sample(frozen.hidden_bias.expand(draws, -1).contiguous(), generator=generator)
    start, energy = parameters_of(frozen), hidden_free_energy(frozen, hidden)
    log_z = model.visible.cumulant(frozen.visible_bias.double()) + model.hidden.cumulant(frozen.hidden_bias.double())
    nothing = torch.zeros(draws, dtype=torch.float64, device=hidden.device)
    each = torch.arange(draws, device=hidden.device)
    zero = nothing.new_zeros(())
    nobody = Partners(hidden[:0], energy[:0], each[:0])
    rung = Rung(start, hidden, energy, each, nobody, log_z.double(), nothing, zero, zero, zero, torch.tensor(0))
    reached, stride = 0.0, 1.0
    while reached < 1:
        target = min(1.0, reached + stride)
        put(moving, goal if target == 1 else [torch.lerp(p, q, target) for p, q in zip(start, goal, strict=True)])
        found = carry(moving, frozen, rung, hidden[:0], each[:0], least=least, generator=generator)
        if found is not None:
            put(frozen, parameters_of(moving))
            hidden, reached = found[0].draws, target
            for _ in range(SETTLING):
                hidden = gibbs(moving, hidden, generator)
            rung = found[0]._replace(draws=hidden, energy=hidden_free_energy(moving, hidden))
        elif stride / 2 < FINEST:
            raise DivergenceError(
                "no ladder leads from the machine without weights to this one: start from smaller weights"
            )
        else:
            stride /= 2
    half = draws // 2
    partners = Partners(*(part[half:] for part in (rung.draws, rung.energy, rung.family)))
    return rung._replace(
        draws=rung.draws[:half], energy=rung.energy[:half], family=rung.family[:half], partners=partners
    )
