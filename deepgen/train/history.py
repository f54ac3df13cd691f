"""What a fit leaves behind: one plain record per epoch, indexable, and JSON all the way down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, overload

from deepgen.errors import unknown_name


@dataclass(frozen=True)
class Record:
    """One epoch.

    Attributes:
        epoch: epochs done, from 1.
        step: updates done.
        seconds, cpu_seconds: since the run began, on the wall and of this process, earlier parts of a resumed run and
            monitoring included.
        metrics: means over the epoch's examples.
        monitor: the monitor's value (of a `Bracket` its lower end), None without a monitor.
        estimate: the whole `Estimate` or `Bracket` as plain values, when the monitor returned one.
        passes: over the rows of the data by then, where an epoch is none: see ``data`` of `deepgen.fit`.
        measured: what callbacks found besides, as plain values: of `Monitors` the key ``monitors``.

    >>> Record(epoch=1, step=10, seconds=0.5, cpu_seconds=0.5, metrics={"moment_gap": 0.25}).metrics["moment_gap"]
    0.25
    """

    epoch: int
    step: int
    seconds: float
    cpu_seconds: float
    metrics: dict[str, float]
    monitor: float | None = None
    estimate: dict[str, Any] | None = None
    passes: float | None = None
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def monitor_error(self) -> float:
        """The Monte Carlo error of ``monitor``; 0 where none is known."""
        found = self.estimate or {}
        return float(found.get("lower", found).get("stderr") or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass
class History:
    """The records of a run, and the settings that repeat it.

    Attributes:
        records: one `Record` per epoch.
        settings: objective, optimizer, seed, batch size, data with its provenance, and the caller's ``extras``.
        stopped: why the run ended before its last epoch (``early stopping``, ``max_seconds``), or None.
        new_steps: updates made by the call that returned this history. 0: the run in ``out=`` was complete, and nothing
            was trained. None: the history was read from a directory.

    >>> history = History([Record(1, 10, 0.1, 0.1, {"error": 0.5}), Record(2, 20, 0.2, 0.2, {"error": 0.25})])
    >>> history[-1].metrics["error"], history["error"], len(history)
    (0.25, [0.5, 0.25], 2)
    """

    records: list[Record] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    stopped: str | None = None
    new_steps: int | None = None

    def __repr__(self) -> str:
        last = f", last {self.records[-1].metrics}" if self.records else ""
        complete = ", was already complete" if self.new_steps == 0 else ""
        return f"History({len(self.records)} epochs{last}, stopped={self.stopped!r}{complete})"

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @overload
    def __getitem__(self, key: int) -> Record: ...
    @overload
    def __getitem__(self, key: slice) -> list[Record]: ...
    @overload
    def __getitem__(self, key: str) -> list[Any]: ...
    def __getitem__(self, key: int | slice | str) -> Record | list[Record] | list[Any]:
        """A record by number, or a column by name: a field of `Record` or one of the metrics."""
        return self.column(key) if isinstance(key, str) else self.records[key]

    def column(self, name: str) -> list[Any]:
        """One value per epoch: a metric, or ``epoch``, ``step``, ``seconds``, ``cpu_seconds``, ``monitor``, ``passes``.

        Raises:
            UnknownName: no such column.
        """
        fields = ("epoch", "step", "seconds", "cpu_seconds", "monitor", "passes")
        if name in fields:
            return [getattr(record, name) for record in self.records]
        metrics = {key for record in self.records for key in record.metrics}
        if name not in metrics:
            raise unknown_name("column", name, [*fields, *metrics])
        return [record.metrics.get(name) for record in self.records]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as they stand in the checkpoint."""
        records = [record.to_dict() for record in self.records]
        return {"records": records, "settings": self.settings, "stopped": self.stopped}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> History:
        """Undo `to_dict`."""
        return cls([Record(**record) for record in plain["records"]], dict(plain["settings"]), plain["stopped"])
