"""Log partition functions and log-likelihoods by whatever method fits the model, each with its error and its side.

    log p(x) = log f(x) - log Z

A normalised model (`LogProb`) needs only its mean. A machine with at most 25 bits on its smaller side is summed
exactly; for a larger one log Z lies between AIS (below) and reverse AIS (above), so the log-likelihood lies between
the reverse of the two. An AIS log-likelihood alone is optimistic: it sits above.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, is_whole
from deepgen.evaluate import annealed
from deepgen.evaluate.annealed import Temperatures
from deepgen.evaluate.arguments import (
    LIKELIHOOD,
    PARTITION,
    as_numbers,
    check_method,
    check_rows,
    is_data,
    require_layers,
    require_machine,
    split_context,
    split_draws,
)
from deepgen.evaluate.bound import importance_bound
from deepgen.evaluate.energy import enumerable, enumerate_log_partition
from deepgen.evaluate.error_bars import standard_error
from deepgen.evaluate.estimate import Bracket, Estimate
from deepgen.evaluate.exact import MAX_BITS, closed_form, exact_log_partition, seconds, smaller_side
from deepgen.evaluate.exact_mean import exact_mean, provenance_of
from deepgen.evaluate.latent import by_latent, latent_likelihood, methods_of
from deepgen.evaluate.layered import LAYERED, Layered, check_draws, log_density, sides, undirected
from deepgen.evaluate.log_f import log_f, log_weights
from deepgen.evaluate.pseudo import pseudo_likelihood
from deepgen.evaluate.start import seed_of, start
from deepgen.explicit.dbm import DBM
from deepgen.explicit.dbn import DBN
from deepgen.explicit.energy import EnergyModel
from deepgen.explicit.rbm import RBM
from deepgen.random import resolve
from deepgen.rest import answered_at_rest
from deepgen.samplers.temperature import Temperable
from deepgen.typing import Bound, LogProb

if TYPE_CHECKING:
    from torch import nn
    from torch.distributions import Distribution
    from torch.utils.data import TensorDataset

_PATIENCE = 30.0  # seconds that "auto" spends on enumeration before it prefers annealing
_CHAINS, _CHAINS_PER_ROW, _DRAWS_PER_ROW = 100, 5, 50
_COUNTS = ("samples", "chains")  # either says how many draws a bound takes


@answered_at_rest
def log_partition(
    model: Layered | EnergyModel | Temperable,
    method: str = "auto",
    *,
    base: Tensor | None = None,
    samples: Tensor | None = None,
    exact_samples: bool = False,
    chains: int | None = None,
    temperatures: Temperatures | None = None,
    tolerance: float | None = None,
    generator: torch.Generator | int | None = None,
    progress: bool = False,
) -> Estimate | Bracket:
    """log Z of a Boltzmann machine, of an energy model with a base, or of a kernel's target, in nats.

    Args:
        model: the machine or energy model (of a `DBM` that of its even and odd levels is meant, of a `DBN` its top); or
            an exact kernel over a `Target` with a reference law, from which it anneals
            (`deepgen.samplers.kernel_path`; not ``exact``).
        method: ``exact`` (smaller discrete side up to 25 bits, or two Gaussian layers), ``ais`` (below), ``reverse``
            (above if from exact draws), ``bidirectional`` (a `Bracket` of both), ``auto`` (exact where that takes less
            than about half a minute, otherwise bidirectional). Of an energy model ``exact`` lists up to 20 bits.
        base: rows of data whose base rates start the path; without them those of a short run of the model's own chain.
            An energy model's path starts at its own base.
        samples: draws of the model to start reverse AIS from (one per chain): of a `DBM` of all its even levels side by
            side, visible first; of a `DBN` of the level below the top. Without them AIS ends, resampled by weight and
            moved on, stand in.
        exact_samples: your word that ``samples`` are independent exact draws of the model. Only then is the reverse
            value a bound; otherwise its side says ``undetermined``. Data are not draws of the model, and neither are
            ends of chains that have not mixed.
        chains: how many anneal at the same time, at least 2 (100).
        temperatures: how many, or the values from 0 to 1, or ``"adaptive"``, the default (placed by a pilot run).
        tolerance: add temperatures until the stderr of AIS is at most this.
        generator: a generator, a seed, or None for fresh entropy.
        progress: show bars with the time left.

    Raises:
        UnknownName: no such method.
        ArgumentError: an option that the method has no use for, or out of range (under ``auto`` all are taken, and
            serve where it anneals; ``base`` is taken by all), too many states for ``exact``, or ``exact_samples`` of
            rows that are data.
        DivergenceError: a parameter is NaN or infinite, or the method anneals and log Z is +inf.
        MissingCapability: no machine with two layers of units, or an energy model without a base.

    >>> import deepgen as dg
    >>> rbm = dg.RBM(visible=6, hidden=4, generator=0)
    >>> print(log_partition(rbm))
    6.9... nats (exact; enumeration of 4 hidden units)
    """
    promised = None if exact_samples is False else exact_samples
    options: dict[str, Any] = {"samples": samples, "exact_samples": promised, "chains": chains}
    options |= {"temperatures": temperatures, "tolerance": tolerance}
    check_method("log_partition", method, PARTITION, options)
    machine = None if isinstance(model, Temperable) and method != "exact" else undirected(require_machine(model))
    if method == "auto":
        method = "exact" if machine is not None and _enumerable(machine) else "bidirectional"
    if method == "exact":
        if isinstance(machine, EnergyModel):
            return enumerate_log_partition(machine)
        assert machine is not None
        return exact_log_partition(machine, sides=sides(model), progress=progress)
    chains = _CHAINS if chains is None else chains
    path, plan, settings, stream = start(model, base, chains, temperatures, generator)
    run = None
    if method != "reverse" or samples is None:
        if tolerance is None:
            run = annealed.ais(path, plan, chains=chains, generator=stream, progress=progress)
        else:
            plan, run = annealed.ais_to_tolerance(
                path, plan, tolerance, chains=chains, generator=stream, progress=progress
            )
    if method == "ais":
        assert run is not None
        return _with_settings(run.estimate, settings)
    origin = annealed.EXACT if exact_samples else annealed.DATA if is_data(samples) else annealed.HANDED
    if samples is not None and machine is not None:
        check_draws(model, machine, samples)
        samples = as_numbers(machine, samples)
    if method == "reverse" and samples is not None:
        upper = annealed.reverse_ais(
            path,
            plan,
            samples,
            exact=exact_samples,
            origin=origin,
            generator=stream,
            progress=progress,
        )
        return _with_settings(upper, settings)
    assert run is not None
    bracket = annealed.bidirectional(path, plan, run, samples, origin=origin, generator=stream, progress=progress)
    if method == "reverse":
        return _with_settings(bracket.above, settings)
    return Bracket(_with_settings(bracket.below, settings), _with_settings(bracket.above, settings))


@answered_at_rest
def log_likelihood(
    model: nn.Module | Distribution,
    x: Tensor | tuple[Tensor, Tensor] | TensorDataset,
    method: str = "auto",
    *,
    base: Tensor | None = None,
    samples: Tensor | int | None = None,
    exact_samples: bool = False,
    chains: int | None = None,
    temperatures: Temperatures | None = None,
    tolerance: float | None = None,
    generator: torch.Generator | int | None = None,
    progress: bool = False,
) -> Estimate | Bracket:
    """Mean log-likelihood of rows of data, in nats/example.

    Args:
        model: anything with a normalised ``log_prob`` (torch's Distributions, too), a `Latent`, anything with a
            ``bound``, a Boltzmann machine (`RBM`, `DBM`, `DBN`), or an `EnergyModel`.
        x: ``[rows, *event]``, a tensor or an array; for a model with ``context`` a pair, these and ``[rows, context]``;
            or a TensorDataset of either.
        method: as for `log_partition`; besides, ``raise`` (a lower bound per row, of the model that annealing
            generates) and ``pseudo`` (the pseudo-likelihood, comparable only with itself). A normalised model takes
            only ``auto`` and ``exact``, a model with a bound by drawing (`Bound`) only ``auto`` and ``bound``. A model
            with latent variables takes ``elbo``, ``iwae`` (its importance bound, and what ``auto`` is), ``prior`` (the
            same with draws of the prior) and ``ais`` (annealing in z, what ``auto`` is without a posterior); all lie
            below. `likelihood_ladder` shows them together.
        base: rows whose base rates start the path; ``x`` itself without.
        samples: as for `log_partition`; of a `DBM` or `DBN` also a number, k draws of its hidden levels for each row,
            in place of the mean field or of 50 draws; with latent variables the draws of each row, k (1000; for
            ``elbo`` 100 draws of a bound of one); for ``bound`` the same (50).
        exact_samples, temperatures, tolerance, generator, progress: as for `log_partition`.
        chains: how many anneal at the same time (100), for ``raise`` how many per row (5; 16 with latent variables),
            for ``bound`` the same as ``samples``.

    Of a `DBM` or `DBN` the method is that of log Z. log f is exact where its hidden levels can be listed in half a
    minute (up to 2^25 states; with ``exact`` whatever it takes), otherwise a bound from below. That minus an AIS log Z
    is of no known side, and the upper end of a bracket then belongs to the bound, not to the log-likelihood.

    Returns:
        An `Estimate`, or a `Bracket` from ``bidirectional``. ``stderr`` is the Monte-Carlo error on these rows,
        ``stderr_data`` how far another set of rows would move the value; ``settings`` holds the data's provenance.
        Both have ``interval()``.

    Raises:
        ShapeError, SupportError: ``x`` is no tensor of rows that the model can take.
        UnknownName, ArgumentError, DivergenceError, MissingCapability: as for `log_partition`.

    >>> import deepgen as dg
    >>> rbm = dg.RBM(visible=6, hidden=4, generator=0)
    >>> print(log_likelihood(rbm, torch.ones(10, 6)))
    -4.1... nats/example (exact; enumeration of 4 hidden units)
    """
    samples, draws = split_draws(model, method, samples)
    promised = None if exact_samples is False else exact_samples
    options: dict[str, Any] = {"samples": samples, "exact_samples": promised, "chains": chains}
    options |= {"temperatures": temperatures, "tolerance": tolerance}
    check_method("log_likelihood", method, LIKELIHOOD, options)
    rows, context = split_context(model, x)
    check_rows(model, rows, context)
    about = {"data": provenance_of(rows), "rows": len(rows)}
    if by_latent(model, context, method):
        found = latent_likelihood(model, rows, context, method, options, generator=generator, progress=progress)
        return _with_settings(found, about)
    if isinstance(model, LogProb):
        if method not in ("auto", "exact"):
            raise ArgumentError(f"{type(model).__name__} has an exact log_prob, {_methods(model, context, method)}")
        _refuse(model, "an exact log_prob", options)
        return exact_mean(model, rows, context)
    if isinstance(model, Bound):
        if method not in ("auto", "bound"):
            raise ArgumentError(f"{type(model).__name__} has a bound of its own, {_methods(model, context, method)}")
        _refuse(model, "a bound of its own", {name: options[name] for name in options if name not in _COUNTS})
        counts = [options[name] for name in _COUNTS if options[name] is not None]
        if len(counts) > 1:
            raise ArgumentError("samples and chains are both the draws per row of a bound: give one of them")
        found = importance_bound(
            model, rows, counts[0] if counts else _DRAWS_PER_ROW, context=context, generator=generator,
            progress=progress,
        )  # fmt: skip
        return _with_settings(found, about)
    model = require_machine(model)
    if method == "bound":
        raise ArgumentError(
            f"{type(model).__name__} has no bound of its own; its methods: {', '.join((*PARTITION, 'raise', 'pseudo'))}"
        )
    if method == "pseudo":
        return _with_settings(pseudo_likelihood(require_layers(model), rows), about)
    base = rows if base is None and isinstance(model, LAYERED) else base
    if method == "raise":
        runs = _CHAINS_PER_ROW if chains is None else chains
        path, plan, settings, stream = start(model, base, runs, temperatures, generator)
        if isinstance(model, (DBM, DBN)):
            x, density = log_weights(model, undirected(model), rows, runs, generator=stream)
        else:
            x, density = as_numbers(model, rows), log_density(model, rows)
        bounds, bound = annealed.raise_bound(path, plan, x, density, chains=runs, generator=stream, progress=progress)
        return _with_settings(replace(bound, stderr_data=standard_error(bounds), each=bounds), {**settings, **about})
    if is_whole(samples):
        raise ArgumentError(f"samples are draws of {type(model).__name__}, one a chain; got the number {samples}")
    if isinstance(model, (DBM, DBN)):
        about |= seed_of(generator)
        generator = resolve(generator, next(model.parameters()).device)
    patience = math.inf if method == "exact" else _PATIENCE
    f = log_f(model, rows, draws, patience=patience, generator=generator, progress=progress)
    log_z = log_partition(
        model, method, base=base, samples=samples, exact_samples=exact_samples, chains=chains,
        temperatures=temperatures, tolerance=tolerance, generator=generator, progress=progress,
    )  # fmt: skip
    if isinstance(log_z, Bracket):
        return Bracket(*(_with_settings(f.over(one), about) for one in (log_z.above, log_z.below)))
    return _with_settings(f.over(log_z), about)


def _methods(model: Any, context: Tensor | None, method: str) -> str:
    return f"and no use for method={method!r}; its methods: {', '.join(methods_of(model, context))}"


def _refuse(model: object, what: str, options: dict[str, Any]) -> None:
    """Raise `ArgumentError` where an option is given that a model with ``what`` has no use for."""
    for name, value in options.items():
        if value is not None:
            raise ArgumentError(f"{type(model).__name__} has {what}, which takes no {name}: leave it out")


def _enumerable(model: RBM | EnergyModel) -> bool:
    if isinstance(model, EnergyModel):
        return enumerable(model)
    states, _ = smaller_side(model)
    return closed_form(model) or (states is not None and states <= 2**MAX_BITS and seconds(model) <= _PATIENCE)


def _with_settings(estimate: Estimate, more: dict[str, Any]) -> Estimate:
    return replace(estimate, settings={**estimate.settings, **more})
