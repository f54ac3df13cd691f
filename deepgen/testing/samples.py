"""Everything that a model which draws promises, whatever it knows of its density."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from deepgen.random import resolve
from deepgen.testing.failure import CheckFailed, demand
from deepgen.testing.randomness import check_random
from deepgen.testing.rest import check_rest
from deepgen.testing.view import View
from deepgen.typing import Samples, require

MANY = 64  # draws that cannot all be one


def check_samples(
    model: nn.Module, *, context: Tensor | None = None, generator: torch.Generator | int | None = None
) -> list[str]:
    """Check ``sample(n, generator=)`` of a GAN, a decoder or any other model, and return the names of the checks made.

    ============  =====================================================================================================
    shapes        ``[n, *event]`` for n = 1 and more, on the model's device; n = 0 is refused
    detached      draws hold no graph, whether gradients are on or off
    random        `check_random`: a seed's draws repeat, others differ, global streams neither move nor matter
    untouched     draws in training are those in evaluation; parameters, buffers and modes are as before
    float64       a model in float64 draws in it (or whole numbers)
    context       a context for each row is taken, and moves draws of real values
    ============  =====================================================================================================

    Args:
        model: a module with `Samples`; with a context ``sample(n, context, generator=)``. A copy of it is checked.
        context: rows ``[k, ...]`` to condition on, the first two different; None for a model that takes none.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        CheckFailed: naming the broken promise.

    >>> import deepgen as dg
    >>> check_samples(dg.implicit.mlp_vae(6, [8], latent=2, generator=0), generator=0)
    ['shapes', 'detached', 'random', 'untouched', 'float64']
    """
    require(model, Samples, "be checked by its draws")
    stream, view = resolve(generator), View(copy.deepcopy(model), context)
    name, one, home = view.name, view.at(0), next(model.parameters(), torch.zeros(()))
    event = one.sample(2, generator=stream).shape[1:]
    for n in (1, 5):
        for on in (True, False):
            with torch.set_grad_enabled(on):
                x = one.sample(n, generator=stream)
            demand(x.shape == (n, *event), f"{name}.sample({n}) gave {[*x.shape]}, not {[n, *event]}")
            demand(x.device.type == home.device.type, f"{name} on {home.device} draws on {x.device}")
            demand(not x.requires_grad, f"draws of {name} hold a graph: draw under torch.no_grad()")
    demand(_refuses(one, 0, stream), f"{name}.sample(0) is not refused by a ValueError")
    many = one.sample(MANY, generator=stream)
    demand(bool((many != many[:1]).any()), f"{MANY} draws of {name} are one and the same")
    try:
        check_random(lambda generator: one.sample(16, generator=generator), generator=stream)
    except CheckFailed as failure:
        raise CheckFailed(f"{name}.sample: {failure}") from None
    check_rest(one, lambda: one.sample(3, generator=0), f"{name}.sample")
    exact = copy.deepcopy(one).double().sample(3, generator=stream)
    demand(exact.dtype == torch.float64 or not exact.is_floating_point(), f"{name}.double() draws in {exact.dtype}")
    done = ["shapes", "detached", "random", "untouched", "float64"]
    return done if context is None else [*done, _check_context(view)]


def _refuses(view: View, n: int, stream: torch.Generator) -> bool:
    try:
        view.sample(n, generator=stream)
    except ValueError:
        return True
    return False


def _check_context(view: View) -> str:
    assert view.context is not None  # for mypy; the caller has looked
    demand(view.rows > 1 and not torch.equal(*view.context[:2]), "context needs two different rows at least")
    whole = view.sample(view.rows, generator=0)
    demand(len(whole) == view.rows, f"{view.name} gave {len(whole)} draws for {view.rows} contexts")
    one, other = (copy.deepcopy(view.at(row)).double().sample(MANY, generator=0) for row in (0, 1))
    same = torch.equal(one, other) and one.is_floating_point() and bool((one != one.round()).any())  # few bits flip
    demand(not same, f"draws of {view.name} do not depend on the context")
    return "context"
