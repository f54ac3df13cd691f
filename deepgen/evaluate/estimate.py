"""What deepgen says when it states a number: the value, its error, and which side of the truth it is on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, overload

from deepgen.errors import ArgumentError, DeepgenError, check_count
from deepgen.evaluate.error_bars import decimal, plus_minus
from deepgen.evaluate.student import t_quantile

if TYPE_CHECKING:
    from torch import Tensor

Side = Literal["exact", "unbiased", "below", "above", "undetermined"]
LEVEL = 0.95  # of every interval that is printed or drawn without another being asked for


@dataclass(frozen=True)
class Estimate:
    """A value in nats with its standard error, its side and its method.

    Attributes:
        value: the estimate, in ``unit``.
        stderr: Monte-Carlo standard error of ``value`` as an estimate of the quantity named by ``method`` on these
            very data; 0.0 when nothing was drawn. It does not include the choice of the data: see ``stderr_data``.
        side: where ``value`` lies with respect to the quantity: ``exact``; ``unbiased``; ``below`` or ``above`` (in
            expectation, by the method's inequality); ``undetermined`` when no inequality is known.
        method: the estimator, in words.
        n: the number of draws (chains, samples) behind ``value``; 0 when nothing was drawn.
        ess: effective number of those draws, ``(sum w)^2 / sum w^2`` for weighted ones; NaN when not weighted.
        unit: ``nats``, or ``nats/example`` for a mean over data rows.
        stderr_data: standard error of the mean over the data rows, NaN where there are none: how far another test
            set of that size would move the value. No amount of computing removes it.
        settings: what is needed to repeat it: temperatures, chains, data set, split, binarisation, rows.
        each: the estimate of each data row ``[rows]``, whose mean is ``value``, to compare models row by row; None
            where there are no rows. It is not part of `to_dict`.

    >>> log_z = Estimate(218.4, 0.1, "below", "AIS", n=100)
    >>> print(log_z)
    218.40 ± 0.10 nats (below; AIS)
    >>> print(-log_z + 5.0)
    -213.40 ± 0.10 nats (above; AIS)
    """

    value: float
    stderr: float
    side: Side
    method: str
    n: int = 0
    ess: float = math.nan
    unit: str = "nats"
    stderr_data: float = math.nan
    settings: Mapping[str, Any] = field(default_factory=dict)
    each: Tensor | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.side not in get_args(Side):
            raise ArgumentError(f"side must be one of {get_args(Side)}, got {self.side!r}")
        if self.stderr < 0 or (self.side == "exact" and self.stderr != 0):
            raise ArgumentError(f"stderr {self.stderr} does not fit a value that is {self.side}")

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the central interval ``value -/+ t * stderr`` of the given level (Student's t).

        The degrees of freedom are n - 1, or ess - 1 for weighted draws. A `Bracket` has the same method.

        It covers the quantity itself for ``exact`` and ``unbiased`` values, and for a bound whose bias is small beside
        its stderr; for a looser bound only the end on its own side is to be believed. An unknown stderr (NaN) gives
        the whole line.
        """
        draws = self.n if math.isnan(self.ess) else min(float(self.n), self.ess)
        quantile = t_quantile(level, draws)
        if math.isnan(self.stderr):
            return -math.inf, math.inf
        reach = self.stderr * quantile if self.stderr > 0 else 0.0
        return self.value - reach, self.value + reach

    def __neg__(self) -> Estimate:
        flipped: dict[Side, Side] = {"below": "above", "above": "below"}
        each = None if self.each is None else -self.each
        return replace(self, value=-self.value, side=flipped.get(self.side, self.side), each=each)

    def __add__(self, constant: float) -> Estimate:
        each = None if self.each is None else self.each + constant
        return replace(self, value=self.value + constant, each=each)

    def to_dict(self) -> dict[str, Any]:
        """Return values that strict JSON can hold: NaN becomes None, an infinity the string ``inf`` or ``-inf``.

        ``n`` is None where nothing was drawn: there is no sample, not one of size 0.
        """
        plain = {name: _strict(getattr(self, name)) for name in self.__dataclass_fields__ if name != "each"}
        settings = {name: _strict(value) for name, value in self.settings.items()}
        return {**plain, "n": self.n or None, "settings": settings}

    def __str__(self) -> str:
        return f"{number(self)} {self.unit} ({self.side}; {self.method})"


class NoSingleValue(DeepgenError, AttributeError):
    """A `Bracket` was asked for the number that it does not have; ``hasattr`` stays False."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a Bracket has no single {name}: use .interval(), .below.{name} or .above.{name}")


@dataclass(frozen=True)
class Bracket:
    """Two estimates of one quantity, one from each side: what a two-sided method returns instead of a point.

    Attributes:
        below: an `Estimate` that lies below the quantity in expectation (or is exact).
        above: one that lies above; either may be ``undetermined`` where its inequality rests on a condition that its
            ``method`` names, such as a chain that has mixed.

    >>> low, high = Estimate(9.9, 0.1, "below", "AIS", n=100), Estimate(10.1, 0.1, "above", "reverse AIS", n=100)
    >>> print(Bracket(low, high))
    [9.90 ± 0.10, 10.10 ± 0.10] nats (AIS | reverse AIS)
    >>> print(Bracket(low + 1.0, high))
    [10.90 ± 0.10, 10.10 ± 0.10] nats (AIS | reverse AIS; ends crossed: one bound or its error bar has failed)
    """

    below: Estimate
    above: Estimate

    def __post_init__(self) -> None:
        if self.below.side == "above" or self.above.side == "below":
            raise ArgumentError(f"a Bracket needs (below, above), got ({self.below.side}, {self.above.side})")

    @property
    def width(self) -> float:
        """The distance between the two values; it can come out negative by chance when the bracket is tight."""
        return self.above.value - self.below.value

    @property
    def crossed(self) -> bool:
        """Whether the ends of the 95 % interval came out the wrong way round, so that the bracket holds nothing.

        Values that cross inside their error bars are chance. Ends that cross are not: one of the two has failed, its
        bound or its error bar. (Of tight, honest brackets with equal errors about one in 360 does it by bad luck.)
        """
        return self.crosses()

    @property
    def reversed(self) -> bool:
        """Whether the two values stand the wrong way round, but within their errors: by chance, in a tight bracket."""
        close = math.isclose(self.below.value, self.above.value, rel_tol=1e-9, abs_tol=1e-9)
        return self.width < 0 and not close and not self.crossed

    @property
    def of_bound(self) -> bool:
        """Whether both ends are those of a lower bound less log Z: the upper one is then no ceiling of the quantity."""
        return "log f" in self.above.settings

    def crosses(self, level: float = LEVEL) -> bool:
        """`crossed`, for the interval of another level: ends that cross at 95 % need not at 99 %."""
        low, high = self.interval(level)
        # two exact values may differ by rounding
        return low > high and not math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-9)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return (lower end of the one below, upper end of the one above), each at ``level``.

        The call is the same as of an `Estimate`, so ``answer.interval()`` serves whichever came back. Where the ends
        come out the wrong way round see `crossed`.
        """
        return self.below.interval(level)[0], self.above.interval(level)[1]

    if not TYPE_CHECKING:  # a type checker says by itself that they are not there

        @property
        def value(self) -> NoReturn:
            """Missing: ask for an end, or for the interval."""
            raise NoSingleValue("value")

        @property
        def stderr(self) -> NoReturn:
            """Missing, like ``value``."""
            raise NoSingleValue("stderr")

    def __neg__(self) -> Bracket:
        return Bracket(-self.above, -self.below)

    def __add__(self, constant: float) -> Bracket:
        return Bracket(self.below + constant, self.above + constant)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, the ends as ``lower`` and ``upper``, each with its own side.

        >>> bracket = Bracket(Estimate(9.9, 0.1, "undetermined", "AIS", n=100), Estimate(10.1, 0.1, "above", "reverse"))
        >>> [(end, one["side"]) for end, one in bracket.to_dict().items()]
        [('lower', 'undetermined'), ('upper', 'above')]
        """
        return {"lower": self.below.to_dict(), "upper": self.above.to_dict()}

    def __str__(self) -> str:
        low, high = self.below, self.above
        note = ""
        if self.crossed:
            note = "; ends crossed: one bound or its error bar has failed"
        elif self.reversed:
            note = "; in reverse order, within their errors"
        return f"[{number(low)}, {number(high)}] {low.unit} ({low.method} | {high.method}{note})"


@overload
def bits_per_dim(estimate: Estimate, dimensions: int) -> Estimate: ...
@overload
def bits_per_dim(estimate: Bracket, dimensions: int) -> Bracket: ...
def bits_per_dim(estimate: Estimate | Bracket, dimensions: int) -> Estimate | Bracket:
    """Return ``-log p / (D log 2)``: a log-likelihood in ``nats/example`` as bits per dimension (lower is better).

    What lay below the log-likelihood lies above the bits, so the ends of a `Bracket` change places.

    The density must be that of the discrete data: for dequantised pixels rescaled from {0..255} to [0, 1] first
    subtract ``D log 256`` from the log-likelihood.

    >>> nice = Estimate(1980.5, 0.0, "exact", "NICE", unit="nats/example")
    >>> print(bits_per_dim(nice + -784 * math.log(256), 784))
    4.36 bits/dim (exact; NICE)

    Raises:
        ArgumentError: another unit, such as the ``nats`` of a log Z, or ``dimensions`` no integer of at least 1.
    """
    check_count(dimensions=dimensions)
    if isinstance(estimate, Bracket):
        return Bracket(bits_per_dim(estimate.above, dimensions), bits_per_dim(estimate.below, dimensions))
    if estimate.unit != "nats/example":
        raise ArgumentError(
            f"bits per dimension are made of a log-likelihood in nats/example, got a value in {estimate.unit} "
            f"({estimate.method}); deepgen.evaluate.log_likelihood(model, x) gives one"
        )
    scale = 1.0 / (dimensions * math.log(2.0))
    return replace(
        -estimate,
        value=-estimate.value * scale,
        stderr=estimate.stderr * scale,
        stderr_data=estimate.stderr_data * scale,
        unit="bits/dim",
        each=None if estimate.each is None else -estimate.each * scale,
    )


def number(estimate: Estimate) -> str:
    """Its value, with ± its standard error unless it is exact.

    >>> number(Estimate(-1.0, 0.0, "exact", "enumeration", 1)), number(Estimate(-1.0, 0.25, "below", "AIS", 100))
    ('-1.00', '-1.00 ± 0.25')
    """
    exact = estimate.side == "exact"
    return decimal(estimate.value) if exact else plus_minus(estimate.value, estimate.stderr)


def _strict(value: Any) -> Any:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)
