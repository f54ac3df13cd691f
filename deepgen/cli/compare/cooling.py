"""What a run does whose best state lies well behind it: go back there and cool down.

    rate factor(t) = 1 - t                                          until, at t', the best look, at t*, is PATIENCE old
                   = (1 - t*) (1 - (t - t') / min(t*, 1 - t'))      after that, from the best weights on

with t the share of the time. A model that overfits is at its best early, when the rate is still high and the last steps
show in it: the shares of its modes swing, if not its likelihood. Cooled down from there it loses that noise, in as much
time as it took to get there. The run ends when the rate is zero, and its best state may be of either part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from deepgen.cli.compare.training import Spent
    from deepgen.train import EarlyStopping
    from deepgen.train.history import Record

PATIENCE = 4  # looks without a new best, of some twenty


class Cooling:
    """The schedule above for `deepgen.fit`, and the callback that starts its second part.

    Args:
        spent: the clock.
        stopping: keeps the best weights, and is called before this at every look.
    """

    def __init__(self, spent: Spent, stopping: EarlyStopping) -> None:
        self.spent, self.stopping = spent, stopping
        self.at = 0.0  # t*
        self.since: float | None = None  # t'

    def __call__(self, record: Record, model: nn.Module) -> None:
        if self.since is not None:
            return
        if self.stopping.waited == 0:
            self.at = self.spent.share()
        elif self.stopping.waited >= PATIENCE:
            self.stopping.finish(model)  # the best weights
            self.since = self.spent.share()

    def factor(self) -> float:
        """Of the rate, now."""
        if self.since is None:
            return 1.0 - self.spent.share()
        return (1.0 - self.at) * max(0.0, 1.0 - self._cooled())

    @property
    def stop(self) -> bool:
        """Ends the run where it has cooled down."""
        return self.since is not None and self._cooled() >= 1.0

    def _cooled(self) -> float:
        assert self.since is not None
        length = min(self.at, 1.0 - self.since)
        return (self.spent.share() - self.since) / length if length > 0 else 1.0

    def state_dict(self) -> dict[str, Any]:
        return {"at": self.at, "since": self.since}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class Falling:
    """The factor as a schedule: it falls with the time that is spent, whatever the number of the step."""

    def __init__(self, cooling: Cooling) -> None:
        self.cooling = cooling

    def __call__(self, done: float) -> float:
        return self.cooling.factor()

    def arguments(self) -> dict[str, Any]:
        """What a checkpoint knows it by."""
        return {"seconds": self.cooling.spent.seconds}
