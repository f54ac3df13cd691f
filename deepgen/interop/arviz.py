"""ArviZ: chains as its own container, and its ESS and R-hat for tensors.

ArviZ before 1.0 keeps inference data in ``InferenceData``, from 1.0 on in xarray's ``DataTree``, and the two differ in
how one is made and summarised; nothing outside this file can tell. ESS is the bulk effective sample size, R-hat the
rank-normalised split one (Vehtari, Gelman, Simpson, Carpenter & Buerkner 2021, "Rank-normalization, folding, and
localization: an improved R-hat", https://doi.org/10.1214/20-BA1221).

Where ArviZ has no answer it is NaN here, without a warning: fewer than four draws, and R-hat of a single chain. A
coordinate that never moved is NaN as well (ArviZ calls every one of its draws effective).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from deepgen.errors import ShapeError

if TYPE_CHECKING:
    from deepgen.samplers.chain import Trace

COLUMNS = ["mean", "sd", "mcse_mean", "ess_bulk", "ess_tail", "r_hat"]


def from_trace(trace: Trace, name: str = "x") -> Any:
    """Return ``trace`` as ArviZ's container: group ``posterior`` with variable ``name``, group ``sample_stats``.

    Draws become ``[chain, draw, *event]``. Info recorded for all chains goes into ``sample_stats``, unless ``keep``
    dropped chains, when its rows no longer belong to the draws. Attributes of ``posterior`` name the kernel's
    exactness, the warm-up and the thinning.

    Args:
        trace: what `deepgen.samplers.sample_chain` returned.
        name: the name of the variable.

    Raises:
        ShapeError: draws without a chain axis (``keep`` reduced it away).

    >>> import deepgen as dg
    >>> chain = dg.samplers.sample_chain(dg.RBM(visible=4, hidden=3).gibbs(), torch.zeros(2, 4), draws=8, generator=0)
    >>> from_trace(chain, "v")["posterior"]["v"].shape
    (2, 8, 4)
    """
    draws = _chains_first(trace.draws)
    stats = {key: _chains_first(value) for key, value in trace.info.items() if value.shape == trace.draws.shape[:2]}
    groups: dict[str, Any] = {"posterior": {name: draws}} | ({"sample_stats": stats} if stats else {})
    with _quiet():
        import arviz

        old = arviz.__version__.startswith("0.")
        data = arviz.from_dict(**groups) if old else arviz.from_dict(groups)
    data["posterior"].attrs.update(_facts(trace))
    return data


def summary(trace: Trace, name: str = "x") -> Any:
    """Return a pandas table of mean, sd, MCSE, bulk and tail ESS and R-hat, one row per coordinate, unrounded.

    ``table.attrs`` names the kernel's exactness, the warm-up and the thinning.

    >>> import deepgen as dg
    >>> chain = dg.samplers.sample_chain(dg.RBM(visible=2, hidden=3).gibbs(), torch.zeros(4, 2), draws=50, generator=0)
    >>> table = summary(chain, "v")
    >>> list(table.index), table.attrs["exactness"]
    (['v[0]', 'v[1]'], 'exact')
    """
    data = from_trace(trace, name)
    with _quiet():
        import arviz

        table = arviz.summary(data, var_names=[name], round_to="none")[COLUMNS]
    still = _still(trace.draws).flatten().numpy()
    table.loc[still, ["mcse_mean", "ess_bulk", "ess_tail", "r_hat"]] = np.nan
    table.attrs.update(_facts(trace))
    return table


def ess(draws: Tensor) -> Tensor:
    """Bulk effective sample size of ``[draws, chains, *event]``, all chains together: ``[*event]``, float64.

    >>> ess(torch.randn(500, 4, 2, generator=torch.Generator().manual_seed(0))) > 1000
    tensor([True, True])
    """

    def bulk(chains: Any) -> float:
        import arviz

        return float(arviz.ess(chains, method="bulk"))

    return _each(bulk, draws)


def rhat(draws: Tensor) -> Tensor:
    """Rank-normalised split R-hat of ``[draws, chains, *event]``: ``[*event]``, float64; near 1 where chains agree.

    >>> rhat(torch.randn(500, 4, 2, generator=torch.Generator().manual_seed(0))) < 1.05
    tensor([True, True])
    """

    def rank(chains: Any) -> float:
        import arviz

        return float(arviz.rhat(chains, method="rank"))

    return _each(rank, draws)


def _each(diagnostic: Callable[[Any], float], draws: Tensor) -> Tensor:
    chains = _chains_first(draws)
    columns = chains.reshape(*chains.shape[:2], -1)
    with _quiet():
        values = [diagnostic(columns[:, :, index]) for index in range(columns.shape[2])]
    result = torch.tensor(values, dtype=torch.float64).reshape(draws.shape[2:])
    return result.masked_fill(_still(draws), torch.nan)


def _chains_first(draws: Tensor) -> Any:
    if draws.ndim < 2 or 0 in draws.shape[:2]:
        raise ShapeError(f"draws must be [draws, chains, ...] with at least one of each, got {list(draws.shape)}")
    draws = draws.detach().cpu()
    if draws.dtype in (torch.bfloat16, torch.float16):  # the first is unknown to numpy, the second sums badly
        draws = draws.float()
    return draws.transpose(0, 1).contiguous().numpy()


def _still(draws: Tensor) -> Tensor:
    """True for the coordinates that hold one value in every chain and draw: ``[*event]``."""
    return (draws == draws[:1, :1]).flatten(0, 1).all(0).cpu()


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
