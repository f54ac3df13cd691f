"""ArviZ: chains as its own container.

ArviZ before 1.0 keeps inference data in ``InferenceData``, from 1.0 on in xarray's ``DataTree``, and the two differ in
how one is made; nothing outside this file can tell. Diagnostics need no ArviZ: see `deepgen.evaluate.chains`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from deepgen.errors import ShapeError
from deepgen.evaluate.summary import DIVERGED

if TYPE_CHECKING:
    from deepgen.samplers.trace import Name, Trace


def from_trace(trace: Trace, name: Name = "x") -> Any:
    """Return ``trace`` as ArviZ's container: group ``posterior`` with its variables, group ``sample_stats``.

    Draws become ``[chain, draw, *event]``. Info recorded for all chains goes into ``sample_stats`` (``divergent`` under
    ArviZ's name, ``diverging``), unless ``keep`` dropped chains, when its rows no longer belong to the draws.
    Attributes of ``posterior`` name the kernel's exactness, the warm-up and the thinning.

    Args:
        trace: what `deepgen.samplers.sample_chain` returned.
        name: the name of the variable, or a function that makes several of the draws: see `Trace.named`.

    Raises:
        ShapeError: draws without a chain axis (``keep`` reduced it away).

    >>> import deepgen as dg
    >>> chain = dg.samplers.sample_chain(dg.RBM(visible=4, hidden=3).gibbs(), torch.zeros(2, 4), draws=8, generator=0)
    >>> from_trace(chain, "v")["posterior"]["v"].shape
    (2, 8, 4)
    """
    _check(trace.draws)
    variables = {key: _chains_first(part) for key, part in trace.named(name).items()}
    stats = {
        "diverging" if key in DIVERGED else key: _chains_first(value)
        for key, value in trace.info.items()
        if value.shape == trace.draws.shape[:2]
    }
    groups: dict[str, Any] = {"posterior": variables} | ({"sample_stats": stats} if stats else {})
    with _quiet():
        import arviz

        old = arviz.__version__.startswith("0.")
        data = arviz.from_dict(**groups) if old else arviz.from_dict(groups)
    data["posterior"].attrs.update(_facts(trace))
    return data


def _check(draws: Tensor) -> None:
    if draws.ndim < 2 or 0 in draws.shape[:2]:
        why = " (a run with store=False keeps sums only)" if draws.ndim and len(draws) == 0 else ""
        raise ShapeError(f"draws must be [draws, chains, ...] with at least one of each, got {list(draws.shape)}{why}")


def _chains_first(draws: Tensor) -> Any:
    draws = draws.detach().cpu()
    if draws.dtype in (torch.bfloat16, torch.float16):  # the first is unknown to numpy, the second sums badly
        draws = draws.float()
    return draws.transpose(0, 1).contiguous().numpy()


def _facts(trace: Trace) -> dict[str, Any]:
    return {"exactness": str(trace.exactness), "warmup": trace.warmup, "thin": trace.thin}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence ArviZ: its import and its short-chain remarks, which come as warnings, floating errors and log lines."""
    logger = logging.getLogger("arviz")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
