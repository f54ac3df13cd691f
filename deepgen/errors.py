"""The errors deepgen raises: each says what was expected, what came, and what to do.

Every one also inherits the builtin a caller would already catch, so ``except ValueError`` keeps working.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import TypeIs

MISSING = (
    "no model is fitted to missing values but Boltzmann machines by deepgen.objectives.Incomplete, so drop those rows "
    "or fill them in, by the column's median say (what is missing later, a fitted RBM or DeepNADE draws by "
    "conditional_sample)"
)


class DeepgenError(Exception):
    """Base of all errors raised on purpose by deepgen; the command line prints it as one line.

    >>> import deepgen as dg
    >>> try:
    ...     dg.data.load("digitz")
    ... except DeepgenError as error:
    ...     print(type(error).__name__)
    UnknownName
    """


class ShapeError(DeepgenError, ValueError):
    """A tensor has the wrong number of axes, the wrong width, or no rows.

    >>> import torch, deepgen as dg
    >>> dg.RBM(visible=4, hidden=2).free_energy(torch.zeros(1, 5))
    Traceback (most recent call last):
    deepgen.errors.ShapeError: v must be [..., 4], got [1, 5]
    """


class SupportError(DeepgenError, ValueError):
    """A value lies outside a model's support: NaN, infinite, or for example 0.3 for a binary unit.

    >>> import torch, deepgen as dg
    >>> dg.RBM(visible=2, hidden=2).check(torch.tensor([[0.0, 0.3]]))
    Traceback (most recent call last):
    deepgen.errors.SupportError: values must be 0 or 1 ...
    """


class RankLost(DeepgenError, RuntimeError):
    """Another of the processes that train together is gone, killed or failed; what was saved before is unharmed.

    >>> issubclass(RankLost, RuntimeError)
    True
    """


class ArgumentError(DeepgenError, ValueError):
    """An argument is outside its range, or two arguments contradict one another.

    >>> import deepgen as dg
    >>> dg.RBM(visible=0, hidden=2)
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: ... must be an integer of at least 1, got 0
    """


class UnknownName(DeepgenError, LookupError):
    """A name that is not on the list; the message carries the nearest one that is.

    >>> import deepgen as dg
    >>> dg.data.load("digitz")
    Traceback (most recent call last):
    deepgen.errors.UnknownName: unknown data set 'digitz': did you mean 'digits'? Known: ...
    """


class DataError(DeepgenError, ValueError):
    """A file of data is missing, broken, not of the format its name promises, or cannot be written.

    >>> import deepgen as dg
    >>> dg.data.load("no/such/table.csv")
    Traceback (most recent call last):
    deepgen.errors.DataError: no/such/table.csv: no such file or folder
    """


class MissingCapability(DeepgenError, TypeError):
    """A model lacks the protocol that an operation needs (for example a normalised ``log_prob``).

    >>> import torch, deepgen as dg
    >>> dg.typing.require(torch.nn.Linear(2, 1), dg.typing.Samples, "draw")
    Traceback (most recent call last):
    deepgen.errors.MissingCapability: Linear has no Samples, which is needed to draw. ...
    """


class CheckpointError(DeepgenError, RuntimeError):
    """A checkpoint is truncated, altered, foreign, in use, or cannot be written; the message names the file.

    >>> import deepgen as dg
    >>> dg.load("no/such/run")
    Traceback (most recent call last):
    deepgen.errors.CheckpointError: ...
    """


class DivergenceError(DeepgenError, RuntimeError):
    """Training or sampling left the finite numbers, or a model's parameters have no finite log Z.

    Attributes:
        step: the step at which it was noticed, None where there are no steps.
        state: the last finite state, or None if none was kept.

    >>> error = DivergenceError("the weights are no longer finite", step=7)
    >>> error.step, error.state
    (7, None)
    """

    def __init__(self, message: str, *, step: int | None = None, state: Any = None) -> None:
        super().__init__(message)
        self.step = step
        self.state = state


class DegenerateWeights(RuntimeWarning):
    """A few importance weights carry the whole estimate, so its error bar cannot be believed.

    A warning, as the estimate is still returned; an error after ``warnings.simplefilter("error", DegenerateWeights)``.

    >>> issubclass(DegenerateWeights, Warning)
    True
    """


def is_whole(value: object) -> TypeIs[int]:
    """Whether ``value`` is an integer, of Python or of NumPy, and no truth value.

    >>> is_whole(3), is_whole(3.0), is_whole(True)
    (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_count(minimum: int = 1, maximum: int | None = None, **counts: object) -> None:
    """Raise `ArgumentError` unless every one of ``counts`` is an integer of at least ``minimum`` (to ``maximum``).

    >>> check_count(draws=100, thin=1)
    >>> check_count(minimum=0, steps=-1)
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: steps must be an integer of at least 0, got -1
    """
    most = math.inf if maximum is None else maximum
    for name, value in counts.items():
        if not is_whole(value) or value < minimum or not value <= most:
            bounds = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
            raise ArgumentError(f"{name} must be an integer {bounds}, got {value!r}")


def check_real(
    name: str, value: object, least: float = -math.inf, most: float = math.inf, *, below: float = math.inf
) -> None:
    """Raise `ArgumentError` unless ``value`` is a finite real number from ``least`` to ``most`` and ``below`` that.

    >>> check_real("sliding", 0.01, 0, 1)
    >>> check_real("weight_decay", float("nan"), 0)
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: weight_decay must be a finite number of at least 0, got nan
    >>> check_real("momentum", 1.0, 0, below=1)
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: momentum must be a finite number of at least 0 and below 1, got 1.0
    """
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:  # an integer beyond all floats
        number = math.inf
    if not math.isfinite(number) or not least <= number <= most or number >= below:
        bounds = f" from {least} to {most}" if most < math.inf else f" of at least {least}" if least > -math.inf else ""
        bounds += f"{' and' if bounds else ''} below {below}" if below < math.inf else ""
        raise ArgumentError(f"{name} must be a finite number{bounds}, got {value!r}")


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownName:
    """Return an `UnknownName` for ``name``, with the nearest of ``known`` in its message.

    >>> print(unknown_name("data set", "digit", ["digits", "mnist"]))
    unknown data set 'digit': did you mean 'digits'? Known: digits, mnist
    """
    options = sorted(known)
    return UnknownName(f"unknown {kind} {name!r}: {did_you_mean(name, options)}Known: {', '.join(options)}")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The question to ask about a misspelt ``name``, with a space behind it; nothing if none of ``known`` is near.

    >>> did_you_mean("binarize", ["binarise", "seed"])
    "did you mean 'binarise'? "
    """
    nearest = difflib.get_close_matches(str(name), list(known), n=1)
    return f"did you mean {nearest[0]!r}? " if nearest else ""


def not_by_name(argument: str, name: str, known: Iterable[str]) -> ArgumentError:
    """Return an `ArgumentError` for a string where an object is expected, with the nearest of the classes ``known``.

    >>> print(not_by_name("loss", "hinge", ["deepgen.objectives.Hinge", "deepgen.objectives.Minimax"]))
    loss takes an object and no name, got 'hinge': did you mean deepgen.objectives.Hinge(...)? Known: ...
    """
    options = {each.rpartition(".")[2].lower(): each for each in known}
    wanted = "".join(letter for letter in name.lower() if letter.isalnum())
    within = [short for short in options if wanted and (wanted in short or short in wanted)]
    within.sort(key=lambda short: (not short.endswith(wanted), len(short)))  # StandardNormal is nearest to "normal"
    near = [*within, *difflib.get_close_matches(wanted, list(options), n=1)]
    question = f"did you mean {options[near[0]]}(...)? " if near else ""
    listed = ", ".join(options.values())
    return ArgumentError(f"{argument} takes an object and no name, got {name!r}: {question}Known: {listed}")
