"""Have chains mixed, and how far off are their averages? R-hat, effective sample size, Monte-Carlo standard error.

    R-hat = sqrt((N - 1)/N + B/W),       W = variance within chains,  B = variance of the chains' means

near 1 where chains agree. `rhat` cuts each chain into halves, replaces draws by normal scores
(`deepgen.evaluate.ranks`), does so again for their distances from the median, which shows chains of unequal width, and
takes the worse. `ess` comes from autocovariances (`deepgen.evaluate.autocovariance`). All take draws ``[draws, chains,
*event]``, as a Trace has them, and return ``[*event]`` in float64. They agree with ArviZ.

NaN: where a draw is NaN, and where a coordinate never moved, since such chains say nothing about mixing.

Sources: Vehtari, Gelman, Simpson, Carpenter & Buerkner 2021, "Rank-normalization, folding, and localization: an
improved R-hat", https://doi.org/10.1214/20-BA1221; Margossian et al. 2024, "Nested R-hat",
https://doi.org/10.1214/24-BA1453.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, is_whole
from deepgen.evaluate.autocovariance import effective_size
from deepgen.evaluate.coordinates import LEAST, blocks, each, tells
from deepgen.evaluate.ranks import median, normal_scores, order, quantile

TAILS = (0.05, 0.95)
COLUMNS = ("mean", "sd", "mcse", "ess_bulk", "ess_tail", "r_hat")


def rhat(draws: Tensor) -> Tensor:
    """Rank-normalised split R-hat of ``[draws, chains, *event]``: ``[*event]``; NaN for a single chain.

    1.01 or less is good (Vehtari et al.). Many short chains are judged better by `nested_rhat`.

    Raises:
        ShapeError: no such axes, or fewer than four draws.

    >>> x = torch.randn(500, 4, 2, generator=torch.Generator().manual_seed(0))
    >>> x[:, 0, 1] += 1
    >>> rhat(x) < 1.02
    tensor([ True, False])
    """
    if draws.ndim > 1 and draws.shape[1] == 1:
        return torch.full_like(each(lambda x: x[:, 0, 0].double(), draws), torch.nan)
    return each(_rank_rhat, draws)


def nested_rhat(draws: Tensor, superchains: int) -> Tensor:
    """Nested R-hat of ``[draws, chains, *event]``, for many chains that may be short: ``[*event]``.

    Chains stand in groups, the superchains, each started from one point; their means are compared with each other,
    which a group has far more exactly than a chain. One draw a chain is enough. Chains started apart say only whether
    averages over groups agree.

    Args:
        draws: chains in order: the first ``chains / superchains`` are the first group.
        superchains: how many groups, at least two; it divides the number of chains.

    Raises:
        ShapeError: no such axes. ArgumentError: ``superchains`` does not divide the chains.

    >>> x = torch.randn(5, 256, generator=torch.Generator().manual_seed(0))
    >>> bool(nested_rhat(x, superchains=8) < 1.01)
    True
    >>> x[:, :32] += 0.5  # one of the eight sits elsewhere
    >>> bool(nested_rhat(x, superchains=8) < 1.01)
    False
    """
    check_groups(superchains, draws.shape[1] if draws.ndim > 1 else 0)

    def nested(x: Tensor) -> Tensor:
        x = x.double()
        n = x.shape[2]
        return nested_from(x.mean(2).mT, x.var(2).mT if n > 1 else torch.zeros_like(x[:, :, 0].mT), superchains)

    return each(nested, draws, least=1)


def ess(draws: Tensor, of: str | float = "bulk") -> Tensor:
    """Effective sample size of ``[draws, chains, *event]``, all chains together: ``[*event]``.

    Args:
        draws: a chain's draws along the first axis.
        of: ``"bulk"`` (of the normal scores: what to look at first), ``"tail"`` (the lesser of those of the quantiles
            0.05 and 0.95), ``"mean"``, ``"sd"``, or a number between 0 and 1: of that quantile.

    Raises:
        ShapeError: no such axes, or fewer than four draws. ArgumentError: no such ``of``.

    >>> x = torch.randn(500, 4, 2, generator=torch.Generator().manual_seed(0))
    >>> ess(x) > 1000, bool(ess(x.cumsum(0)).max() < 20)
    (tensor([True, True]), True)
    """
    if of == "bulk":
        return each(lambda x: effective_size(_scores(split(x))), draws)
    if of == "tail":
        return each(_tail_size, draws)
    if of == "mean":
        return each(lambda x: effective_size(split(x.double())), draws)
    if of == "sd":
        return each(lambda x: effective_size(split(_squares(x))), draws)
    share = _share(of, ("bulk", "tail", "mean", "sd"))
    return each(lambda x: _quantile_size(x, order(x.flatten(1)), share), draws)


def autocorrelation_time(draws: Tensor) -> Tensor:
    """tau = 1 + 2 sum rho_t of ``[draws, chains, *event]``, in draws, as the `ess` of means has it: ``[*event]``.

    A mean over a chain of tau draws is worth about one that knows nothing of its start. Chains that disagree count:
    where none goes over into the other's part, tau is near the length of the chains, and no measure of how long it is.

    Raises:
        ShapeError: no such axes, or fewer than four draws.

    >>> x = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
    >>> bool((autocorrelation_time(x) - 1).abs() < 0.2)
    True
    """
    size = ess(draws, "mean")
    return draws.shape[0] * draws.shape[1] / size


def mcse(draws: Tensor, of: str | float = "mean") -> Tensor:
    """Monte-Carlo standard error of the mean, the standard deviation or a quantile of ``[draws, chains, *event]``.

    Args:
        draws: a chain's draws along the first axis.
        of: ``"mean"``, ``"sd"``, or a number between 0 and 1, a quantile.

    Returns:
        ``[*event]``, in the units of the draws.

    Raises:
        ShapeError: no such axes, or fewer than four draws. ArgumentError: no such ``of``.

    >>> x = torch.randn(2500, 4, generator=torch.Generator().manual_seed(0))
    >>> bool((mcse(x) - 0.01).abs() < 0.001)  # one over the root of 10,000
    True
    """
    if of == "mean":
        return each(_error_of_mean, draws)
    if of == "sd":
        return each(_error_of_sd, draws)
    share = _share(of, ("mean", "sd"))
    return each(lambda x: _error_of_quantile(x, share), draws)


def diagnose(draws: Tensor) -> dict[str, Tensor]:
    """All that a table shows of ``[draws, chains, *event]``, in less time than one by one, since ranks are shared.

    Returns:
        ``mean``, ``sd``, ``mcse`` (of the mean), ``ess_bulk``, ``ess_tail``, ``r_hat``, each ``[*event]`` in float64.
        With fewer than four draws the last four are NaN.

    >>> x = torch.randn(500, 4, 2, generator=torch.Generator().manual_seed(0))
    >>> torch.equal(diagnose(x)["r_hat"], rhat(x))
    True
    """
    rows = [_all(block) for block in blocks(draws, 1)]
    values = torch.cat(rows or [torch.empty(0, 6, dtype=torch.float64, device=draws.device)])
    return {name: column.reshape(draws.shape[2:]) for name, column in zip(COLUMNS, values.unbind(1), strict=True)}


def check_groups(superchains: int, chains: int) -> None:
    """Raise `ArgumentError` unless ``chains`` fall into ``superchains`` equal groups, two at least."""
    if not is_whole(superchains) or superchains < 2 or chains % superchains:
        raise ArgumentError(f"superchains must be 2 or more and divide the {chains} chains, got {superchains!r}")


def nested_from(mean: Tensor, variance: Tensor, superchains: int) -> Tensor:
    """Nested R-hat from means and variances of the chains, both ``[chains, *event]``: ``[*event]``.

    >>> nested_from(torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.ones(4), 2)  # sqrt(1 + 1/2)
    tensor(1.2247)
    """
    groups = mean.unflatten(0, (superchains, -1))
    within = variance.unflatten(0, (superchains, -1)).mean(1)
    if groups.shape[1] > 1:
        within = within + groups.var(1)
    return (1 + groups.mean(1).var(0) / within.mean(0)).sqrt()


def split(x: Tensor) -> Tensor:
    """Halves of chains as chains, a middle draw left out: ``[rows, chains, draws] -> [rows, 2 chains, draws // 2]``."""
    half = x.shape[2] // 2
    return torch.cat([x[:, :, :half], x[:, :, -half:]], 1)


def _all(x: Tensor) -> Tensor:
    wide, moves = x.double(), tells(x)
    nothing = torch.full_like(wide[:, 0, 0], torch.nan)
    mean, sd = wide.mean((1, 2)), wide.flatten(1).std(1) if wide[0].numel() > 1 else nothing
    if x.shape[2] < LEAST:
        return torch.stack([mean, sd, *[nothing] * 4], 1)
    halves = split(x)
    flat = halves.flatten(1)
    places = order(flat)
    scores = _scores(halves, places)
    whole = (flat, places) if x.shape[2] % 2 == 0 else (x.flatten(1), order(x.flatten(1)))  # with the middle draw
    tail = torch.minimum(*(_below_size(x, quantile(*whole, share)) for share in TAILS))
    single = x.shape[1] == 1
    shrink = nothing if single else _worse(_plain_rhat(scores), _folded_rhat(halves, flat, places))
    told = [sd / effective_size(split(wide)).sqrt(), effective_size(scores), tail, shrink]
    return torch.stack([mean, sd, *(column.where(moves, torch.nan) for column in told)], 1)


def _rank_rhat(x: Tensor) -> Tensor:
    halves = split(x)
    flat = halves.flatten(1)
    places = order(flat)
    return _worse(_plain_rhat(_scores(halves, places)), _folded_rhat(halves, flat, places))


def _worse(bulk: Tensor, folded: Tensor) -> Tensor:
    """The larger; where all draws are equally far from the median, folding tells nothing."""
    return torch.where(folded > bulk, folded, bulk)


def _folded_rhat(halves: Tensor, flat: Tensor, places: Tensor) -> Tensor:
    return _plain_rhat(_scores((halves - median(flat, places).unsqueeze(2)).abs()))


def _plain_rhat(x: Tensor) -> Tensor:
    n, mean = x.shape[2], x.mean(2, keepdim=True)
    within = (x - mean).square().mean(2).mean(1) * n / (n - 1)  # torch's own var is four times as slow
    return (mean.squeeze(2).var(1) / within + (n - 1) / n).sqrt()


def _scores(x: Tensor, places: Tensor | None = None) -> Tensor:
    return normal_scores(x.flatten(1), places).view(x.shape)


def _squares(x: Tensor) -> Tensor:
    x = x.double()
    return (x - x.mean((1, 2), keepdim=True)).square()


def _tail_size(x: Tensor) -> Tensor:
    places = order(x.flatten(1))
    return torch.minimum(*(_quantile_size(x, places, share) for share in TAILS))


def _quantile_size(x: Tensor, places: Tensor, share: float) -> Tensor:
    return _below_size(x, quantile(x.flatten(1), places, share))


def _below_size(x: Tensor, threshold: Tensor) -> Tensor:
    return effective_size(split((x.double() <= threshold.unsqueeze(2)).double()))


def _error_of_mean(x: Tensor) -> Tensor:
    x = x.double()
    spread = _squares(x).flatten(1).sum(1) / (x[0].numel() - 1)
    return (spread / effective_size(split(x))).sqrt()


def _error_of_sd(x: Tensor) -> Tensor:
    squares = _squares(x)
    flat = squares.flatten(1)
    spread = flat.square().mean(1) - flat.mean(1).square()
    return (spread / effective_size(split(squares)) / flat.mean(1) / 4).sqrt()


def _error_of_quantile(x: Tensor, share: float) -> Tensor:
    from scipy.special import betaincinv

    flat = x.flatten(1)
    n, places = flat.shape[1], order(flat)
    size, ends = _quantile_size(x, places, share).cpu().numpy(), []
    for probability, limit in ((0.1586553, torch.floor), (0.8413447, torch.ceil)):  # one standard error to each side
        at = torch.from_numpy(betaincinv(size * share + 1, size * (1 - share) + 1, probability)) * n - 1
        place = limit(at).clamp(0, n - 1).nan_to_num(0).long().to(x.device).unsqueeze(1)
        ends.append(flat.gather(1, places.gather(1, place).long()).squeeze(1).double())
    return (ends[1] - ends[0]) / 2


def _share(of: object, names: tuple[str, ...]) -> float:
    if isinstance(of, float) and 0 < of < 1:
        return of
    raise ArgumentError(f"of must be {', '.join(map(repr, names))} or a quantile between 0 and 1, got {of!r}")
