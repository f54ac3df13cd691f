"""A run of chains, step by step: what `sample_chain` does between its checks and its Trace."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError
from deepgen.progress import bar
from deepgen.samplers.kernel import Kernel, after_warmup
from deepgen.streams import Streams

if TYPE_CHECKING:
    from deepgen.evaluate.sums import Sums
    from deepgen.samplers.folder import Folder


@runtime_checkable
class Tunable(Protocol):
    """A kernel that learns in its warm-up: ``tune(position, steps, *, generator, tick) -> (frozen kernel, state)``."""

    def tune(
        self, position: Any, steps: int, *, generator: torch.Generator, tick: Callable[[], object] | None = None
    ) -> tuple[Kernel, Any]: ...


class Plan(NamedTuple):
    """How long, and what is kept: ``chains`` in all blocks; ``centre`` of the sums, if another block has chosen it."""

    draws: int
    warmup: int
    thin: int
    keep: Callable[[Any], Tensor] | None
    store: bool
    chains: int
    centre: Tensor | None = None

    @property
    def steps(self) -> int:
        return self.warmup + self.draws * self.thin


@dataclass
class Run:
    """Chains on their way: all that the next step depends on, and what was kept so far."""

    kernel: Any
    state: Any
    stream: Streams
    plan: Plan
    step: int = 0
    draws: Tensor | None = None  # room for all of them, of which ``kept`` are there
    info: dict[str, Tensor] = field(default_factory=dict)
    kept: int = 0
    sums: Sums | None = None

    def tune(self, tick: Callable[[], object]) -> None:
        """The whole warm-up of a kernel that is tuned in it."""
        if self.plan.warmup == 0:
            raise ArgumentError("this kernel is tuned in its warm-up: give warmup=, some hundred steps, or a step_size")
        self.kernel, self.state = self.kernel.tune(self.state, self.plan.warmup, generator=self.stream, tick=tick)
        self.step = self.plan.warmup

    def advance(self) -> None:
        """One step."""
        self.state, info = self.kernel.step(self.state, generator=self.stream)
        self.step += 1
        past = self.step - self.plan.warmup
        if past == 0:
            self.state = after_warmup(self.kernel, self.state)
        if past > 0 and past % self.plan.thin == 0:
            self._keep(info)

    @torch.no_grad()
    def _keep(self, info: Any) -> None:
        x = self.state.position if self.plan.keep is None else self.plan.keep(self.state)
        if not isinstance(x, Tensor):
            raise ShapeError(f"keep must make a tensor of a state, such as state.position, got {type(x).__name__}")
        if not self.plan.store:
            if self.sums is None:
                from deepgen.evaluate.sums import start

                self.sums = start(x, self.plan.draws, chains=self.plan.chains, centre=self.plan.centre)
            self.sums = self.sums.update(x, info)
        else:
            if self.draws is None:
                self.draws = x.new_empty(self.plan.draws, *x.shape, requires_grad=False)
            self.draws[self.kept] = x
            for name, value in per_chain(info, len(self.state.position)).items():
                room = self.info.setdefault(name, value.new_empty(self.plan.draws, *value.shape))
                room[self.kept] = value
        self.kept += 1


def go(run: Run, folder: Folder | None, *, progress: bool, what: str = "sampling") -> None:
    """Take ``run`` to its end; with a folder, save on the way, and stop at Ctrl-C after the step in progress."""
    from deepgen.train.interrupt import Flag, Interrupted, delayed_interrupt

    with ExitStack() as stack:
        pressed = stack.enter_context(delayed_interrupt()) if folder is not None else Flag()
        total = run.plan.steps
        shown = stack.enter_context(bar(what=what, unit="step", show=progress, total=total, initial=run.step))

        def tick() -> None:
            shown.update()
            if pressed.pressed:
                raise Interrupted(f"interrupted in the warm-up; repeat the same call to begin it anew in {folder}")

        if run.step == 0 and isinstance(run.kernel, Tunable):
            run.tune(tick)
            if folder is not None:
                folder.save(run)
        while run.step < total:
            run.advance()
            shown.update()
            if folder is not None and (pressed.pressed or run.step == total or folder.due()):
                folder.save(run)
                if pressed.pressed and run.step < total:
                    raise Interrupted(
                        f"interrupted after step {run.step:,} of {total:,}; saved in {folder}: repeat the same call to "
                        "go on"
                    )


def per_chain(info: Any, chains: int) -> dict[str, Tensor]:
    """The fields of an Info that are one number a chain."""
    fields = zip(getattr(info, "_fields", ()), info or (), strict=True)
    return {k: v for k, v in fields if isinstance(v, Tensor) and v.shape == (chains,)}
