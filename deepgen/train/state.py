"""Everything a run is at one moment: what a checkpoint stores, and what a resumed run takes up again."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import CheckpointError, DivergenceError
from deepgen.share import Part
from deepgen.train.callbacks import Stateful
from deepgen.train.checkpoint import Path, describe_model, put_weights
from deepgen.train.differences import differences
from deepgen.train.history import History
from deepgen.train.loop import Step
from deepgen.train.meter import Clock, Meter
from deepgen.train.ranks import Ranks
from deepgen.train.rebuild import as_python
from deepgen.train.sharing import SharedUpdate, all_chains, own_chains
from deepgen.train.source import Source
from deepgen.train.store import MANIFEST, malformed, read, write
from deepgen.typing import Objective, Rebuilt, Update

Schedule = torch.optim.lr_scheduler.LRScheduler | Callable[[float], float] | None


ANEW = "pass resume=False to start anew in its place, or another out="  # which a shell has other words for
KEPT = " (the error's .state has the last finite weights)"  # of use to a script, and not in a shell


@dataclasses.dataclass
class RunState:
    """A fit in progress: epochs and batches done, and all that the next step depends on."""

    model: nn.Module
    source: Source
    epochs: int
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    state: Any
    generator: torch.Generator
    stateful: list[Stateful]
    history: History
    epoch: int = 0
    batch: int = 0
    step: int = 0
    meter: Meter = dataclasses.field(default_factory=Meter)
    clock: Clock = dataclasses.field(default_factory=Clock)
    good: dict[str, Any] | None = None
    passes: float | None = None
    ranks: Ranks = dataclasses.field(default_factory=Ranks)
    chains: Part | None = None

    @property
    def total(self) -> int | None:
        """Steps of the whole run, None where the data have no length."""
        return None if self.source.steps is None else self.epochs * self.source.steps

    def shared(self, objective: Objective) -> Update:
        """The step of ``objective``; of the state's chains only this rank's are kept from here on."""
        update = objective.update(self.model, self.optimizer)
        if self.ranks.world == 1:
            return update
        taken = SharedUpdate(update, self.ranks, self.state, objective, self.model, self.optimizer)
        self.state, self.chains = own_chains(self.state, self.ranks), taken.chains
        return taken

    def set_rate(self) -> None:
        """With a schedule that is a function: the rates of the next step, a pure function of its number."""
        if self.schedule is None or isinstance(self.schedule, torch.optim.lr_scheduler.LRScheduler):
            return
        factor = float(self.schedule(self.step / max(self.total or 1, 1)))
        for group in self.optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def take(self, step: Step) -> None:
        """Count a step that was made."""
        self.state, self.step = step.state, step.step
        self.batch += 1
        self.meter.add(step.metrics, step.rows)

    @torch.no_grad()
    def check_finite(self) -> None:
        """Raise `DivergenceError` if a metric since the epoch began or a parameter is not finite, or a buffer NaN."""
        lost = self.meter.lost()
        broken = [name for name, p in self.model.named_parameters() if not bool(p.isfinite().all())]
        # an infinite buffer may be meant
        broken += [name for name, kept in self.model.named_buffers() if bool(kept.isnan().any())]
        if lost is None and not broken:
            self.good = {
                "step": self.step,
                "weights": copy_tree(self.model.state_dict()),
                "state": copy_tree(self.state),
            }
            return
        step = self.step if lost is None else self.step - self.meter.steps + lost
        what = "a metric" if lost is not None else f"the parameter {broken[0]}"
        raise DivergenceError(
            f"training diverged: {what} is no longer finite at step {step}; lower the learning rate{KEPT}",
            step=step,
            state=self.good,
        )

    def content(self, live: dict[str, Tensor] | None = None) -> dict[str, Any]:
        """The checkpoint; ``live`` are the weights to train on from where those of the model were chosen at the end."""
        stepped = isinstance(self.schedule, torch.optim.lr_scheduler.LRScheduler)
        return {
            "kind": "run",
            "model": describe_model(self.model),
            "live": live,
            "history": self.history.to_dict(),
            "position": {"epoch": self.epoch, "batch": self.batch, "step": self.step},
            "clock": {"seconds": self.clock.seconds(), "cpu_seconds": self.clock.cpu_seconds()},
            "meter": self.meter.state_dict(),
            "generator": self.generator.get_state(),
            "state": all_chains(self.state, self.ranks, self.chains),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if stepped else None,  # type: ignore[union-attr]
            "callbacks": [{"class": type(c).__name__, "state": c.state_dict()} for c in self.stateful],
        }

    def save(self, out: Path, live: dict[str, Tensor] | None = None) -> None:
        content = self.content(live)
        self.ranks.first(lambda: write(out, content))

    def restore(self, content: dict[str, Any], out: Path) -> None:
        """Go on from a checkpoint."""
        with malformed(out):
            self._restore(content, out)

    def _restore(self, content: dict[str, Any], out: Path) -> None:
        live = content["live"]
        put_weights(self.model, content["model"]["weights"] if live is None else live, out)
        stored = History.from_dict(content["history"])
        self.history.records = stored.records
        self.epoch, self.batch, self.step = (content["position"][k] for k in ("epoch", "batch", "step"))
        self.clock.add(**content["clock"])
        self.meter.load_state_dict(content["meter"], self.generator.device)
        self.generator.set_state(content["generator"])
        self.state = like(self.state, content["state"])
        self.optimizer.load_state_dict(content["optimizer"])
        if isinstance(self.schedule, torch.optim.lr_scheduler.LRScheduler):
            self.schedule.load_state_dict(content["schedule"])
        for callback, saved in zip(self.stateful, content["callbacks"], strict=True):
            callback.load_state_dict(saved["state"])


def describe(thing: Any) -> dict[str, Any]:
    """Class and settings of an objective, an optimizer or a schedule, as plain values that can be compared."""
    if thing is None:
        return {}
    if isinstance(thing, torch.optim.Optimizer):
        hooks: dict[str, Any] = {"before": thing._optimizer_step_pre_hooks, "after": thing._optimizer_step_post_hooks}
        known = {k: [describe(hook) for hook in v.values() if isinstance(hook, Rebuilt)] for k, v in hooks.items()}
        values = {**thing.defaults, **{f"{when} each step": found for when, found in known.items() if found}}
    elif isinstance(thing, Rebuilt):
        values = dict(thing.arguments())
    elif dataclasses.is_dataclass(thing):
        values = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    elif isinstance(thing, torch.optim.lr_scheduler.LRScheduler):
        moving = {"last_epoch", "best", "num_bad_epochs", "cooldown_counter", "T_cur", "T_i"}
        values = {k: v for k, v in thing.state_dict().items() if not k.startswith("_") and k not in moving}
    elif callable(thing) and not isinstance(thing, type):  # a function of the fraction is known by its values
        return {"function": [plain(float(thing(i / 16))) for i in range(17)]}
    else:
        values = {}
    return {"class": type(thing).__name__, **{k: plain(v) for k, v in values.items()}}


def plain(value: Any) -> Any:
    """``value`` as JSON has it; what JSON has not, by the name of its type."""
    value = as_python(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.item()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return describe(value)
    return type(value).__name__


def resumable(out: Path, settings: dict[str, Any], epochs: int) -> dict[str, Any] | None:
    """Return the checkpoint in ``out`` if it is one of this very run, None if there is none.

    Raises:
        CheckpointError: damaged, or of a run with other settings; the message says which.
    """
    if not os.path.exists(os.path.join(out, MANIFEST)):
        return None
    content = read(out)
    with malformed(out):
        _compare(content, out, settings, epochs)
    return content


def _compare(content: dict[str, Any], out: Path, settings: dict[str, Any], epochs: int) -> None:
    if content["kind"] != "run":
        raise CheckpointError(f"{out} holds a saved model, not a run to resume: {ANEW}")
    stored, done = content["history"]["settings"], content["position"]["epoch"]
    differing = differences(stored, {key: settings[key] for key in settings if key not in ("epochs", "extras")})
    if "function" in settings["schedule"] and stored["epochs"] != epochs:
        differing.append(
            f"epochs: {stored['epochs']} there, {epochs} here, and the schedule is a function of the fraction of all "
            "steps, so that every step of a run of another length has another rate"
        )
    if differing:
        raise CheckpointError(f"{out} holds a run with other settings ({'; '.join(differing)}): {ANEW}")
    if epochs < done:
        raise CheckpointError(
            f"{out} holds a run with {done} epoch{'' if done == 1 else 's'} done, and {epochs} were asked for: {ANEW}"
        )


def copy_tree(tree: Any) -> Any:
    """A copy of nested tuples and dicts of tensors that shares no memory with them."""
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, tuple):
        items = [copy_tree(item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if isinstance(tree, dict):
        return {key: copy_tree(item) for key, item in tree.items()}
    return tree


def like(template: Any, value: Any) -> Any:
    """``value`` from a checkpoint in the NamedTuples and on the devices of ``template``."""
    if isinstance(template, Tensor):
        return value.to(template.device)
    if isinstance(template, tuple):
        if len(template) != len(value):
            raise CheckpointError(f"the checkpoint's update state has {len(value)} parts, expected {len(template)}")
        items = [like(a, b) for a, b in zip(template, value, strict=True)]
        return type(template)(*items) if hasattr(template, "_fields") else tuple(items)
    return value
