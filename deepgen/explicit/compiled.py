"""Where the compiled kernels for two Bernoulli layers are chosen, in terms of models: `deepgen.compiled` is of tensors.

The kernels are `deepgen.explicit.binary` and ``binary_draw``.

They run on one thread of a CPU in float32, and pay for weights beyond the fastest cache where threads are few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepgen.compiled import few_threads
from deepgen.explicit.units import Bernoulli

if TYPE_CHECKING:
    from deepgen.explicit.rbm import RBM

LARGE = 2**16  # weights


def worthwhile(model: RBM) -> bool:
    """Whether kernels on one thread pay for ``model``."""
    return model.weight.numel() >= LARGE and few_threads()


def why_not(model: RBM) -> str | None:
    """What keeps the kernels from ``model``, in words; None if nothing does."""
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
