"""Chains: a kernel repeated on all of them at once, in blocks if memory is short, kept in a folder if time is long."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.random import streams
from deepgen.samplers.kernel import Kernel, require_kernel
from deepgen.samplers.run import Plan, Run, Tunable, go
from deepgen.samplers.starts import check_start
from deepgen.samplers.trace import Trace
from deepgen.streams import Streams

__all__ = ["Trace", "Tunable", "sample_chain"]


def sample_chain(
    kernel: Kernel,
    position: Any,
    draws: int,
    *,
    warmup: int = 0,
    thin: int = 1,
    keep: Callable[[Any], Tensor] | None = None,
    store: bool = True,
    at_once: int | None = None,
    generator: torch.Generator | int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = True,
    progress: bool = False,
) -> Trace:
    """Run ``warmup + draws * thin`` steps of ``kernel`` on all chains at once and keep every ``thin``-th state.

    With ``out`` the run is kept in that folder, and the same call goes on from there: killed at any moment and taken up
    again it ends in the same draws, bit for bit (on the same machine and thread count). It is saved every 30 seconds,
    and at Ctrl-C, which then raises `deepgen.train.Interrupted`. A warm-up that tunes a kernel is saved when it is
    done.

    Args:
        kernel: any `Kernel`.
        position: ``[chains, *event]`` starting points, or a State to go on from.
        draws: how many states to keep, at least 1.
        warmup: steps to throw away first, in which a kernel without a step size is tuned.
        thin: steps per kept draw.
        keep: what to keep of a state; its ``position`` by default. ``lambda s: s.position[:8]`` keeps eight chains.
        store: False keeps running sums only (`deepgen.evaluate.sums`): `Trace.summary` works, and memory does not grow.
        at_once: run so many chains at a time, to bound memory. Chains have the same numbers in any blocks (to rounding
            where the target multiplies matrices; others where a law draws by `deepgen.random.sequential`), but a kernel
            that is tuned learns from the first block alone; the other blocks warm up with what it learnt. A kernel with
            one number for each chain cannot be cut.
        generator: a generator, a seed, or None for fresh entropy: the source of one stream a chain
            (`deepgen.random.Streams`), so that the numbers of a chain do not depend on those beside it. To go on as if
            never stopped, hand back the ``generator`` of the trace.
        out: the run's folder. A run in it that stored its draws can be made longer by calling with more ``draws``.
        resume: go on from what ``out`` holds; False starts anew in its place.
        progress: show a bar with the time left.

    Returns:
        A `Trace` of ``draws`` kept states.

    Raises:
        ArgumentError: ``draws`` or ``thin`` below 1, ``warmup`` below 0, or none for a kernel that is tuned in it; or
            kernels of different targets are composed.
        ShapeError: no chains, or ``keep`` returns no tensor.
        SupportError: a chain starts at a NaN or an infinity or where log f is NaN, or all of them where f is 0.
        MissingCapability: ``kernel`` is none, but a model, say.
        CheckpointError: ``out`` is damaged, belongs to another run, or cannot be written.
        Interrupted: Ctrl-C, with ``out``.

    >>> import deepgen as dg
    >>> rbm = dg.explicit.RBM(visible=4, hidden=3)
    >>> sample_chain(rbm.gibbs(), torch.zeros(10, 4), draws=5, generator=0).draws.shape
    torch.Size([5, 10, 4])
    """
    require_kernel(kernel)
    check_count(draws=draws, thin=thin, **({} if at_once is None else {"at_once": at_once}))
    check_count(0, warmup=warmup)
    if isinstance(kernel, Tunable) and warmup == 0:
        raise ArgumentError("this kernel is tuned in its warm-up: give warmup=, some hundred steps, or a step_size")
    state = kernel.init(position) if isinstance(position, Tensor) else position
    if not hasattr(state, "position"):
        raise ShapeError(f"position must be a tensor [chains, *event] or a kernel's State, got {type(state).__name__}")
    if state.position.ndim < 1 or len(state.position) == 0:
        raise ShapeError(f"position must be [chains, *event] with at least one chain, got {list(state.position.shape)}")
    if isinstance(position, Tensor) and not position.is_meta:
        check_start(kernel, state)
    stream = streams(generator, state.position.device)
    chains = len(state.position)
    plan = Plan(draws, warmup, thin, keep, store, chains)
    facts = {"stream": None if generator is None else [stream.seed_key, stream.first, stream.calls], "at_once": at_once}
    options: dict[str, Any] = {"facts": facts, "resume": resume, "progress": progress}
    if at_once is None or at_once >= chains:
        return _sample(kernel, state, stream, plan, out=out, **options)
    if out is not None:
        from deepgen.samplers.folder import claim

        claim(out, {"shape": list(state.position.shape), "at_once": at_once}, resume)
    traces: list[Trace] = []
    calls, given = stream.calls, kernel
    for start in range(0, chains, at_once):
        stop = min(start + at_once, chains)
        block = None if out is None else Path(out) / f"chains-{start:07d}"
        part, options["what"] = stream.part(start), f"chains {start:,} to {stop - 1:,}"
        rows = _rows(state, start, stop, chains)
        if start and isinstance(given, Tunable):  # its state may be of another form now, with more rungs, say
            rows = kernel.init(rows.position)
        traces.append(_sample(kernel, rows, part, plan, out=block, **options))
        kernel, calls = traces[-1].kernel, max(calls, part.calls)
        stream.seed_key = part.seed_key  # that of the folder, where the first block was taken up from one
        if traces[-1].sums is not None:
            plan = plan._replace(centre=traces[-1].sums.centre)
        elif traces[-1].draws.shape[1:2] != (stop - start,):
            raise ArgumentError(
                f"with at_once keep must keep a row for each chain, got {list(traces[-1].draws.shape[1:])}"
            )
    stream.calls = calls
    return _joined(traces, stream)


def _sample(
    kernel: Any,
    state: Any,
    stream: Streams,
    plan: Plan,
    *,
    out: Any,
    facts: dict[str, Any],
    resume: bool,
    progress: bool,
    what: str = "sampling",
) -> Trace:
    run, folder = Run(kernel, state, stream, plan), None
    lock: AbstractContextManager[None] = nullcontext()
    if out is not None:
        from deepgen.samplers.folder import Folder, digest, numbers_of
        from deepgen.train.lock import held

        settings = {
            "kernel": digest(numbers_of(kernel)),
            "shape": list(state.position.shape),
            "dtype": str(state.position.dtype),
            "start": digest(state.position),
            "keep": None if plan.keep is None else getattr(plan.keep, "__name__", type(plan.keep).__name__),
            "warmup": plan.warmup,
            "thin": plan.thin,
            "store": plan.store,
            **({} if plan.store else {"draws": plan.draws}),
            **facts,
        }
        folder, lock = Folder(out, settings), held(out)
    with lock:
        if folder is not None and (not resume or not folder.restore(run)):
            folder.save(run)  # an unwritable place is found now, not in an hour
        go(run, folder, progress=progress, what=what)
    draws = run.draws
    if draws is None:
        draws = state.position.new_empty(0, *(run.sums.part.shape if run.sums is not None else ()))
    return Trace(draws, run.info, run.state, run.kernel.exactness, plan.warmup, plan.thin, run.kernel, stream, run.sums)


def _rows(tree: Any, start: int, stop: int, chains: int) -> Any:
    """Some chains of a state."""
    if isinstance(tree, Tensor):
        return tree[start:stop] if tree.ndim and len(tree) == chains else tree
    if isinstance(tree, tuple):
        items = [_rows(item, start, stop, chains) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    return tree


def _joined(traces: list[Trace], stream: Streams) -> Trace:
    """The trace of all chains from those of blocks of them."""
    from dataclasses import replace

    from deepgen.evaluate.sums import join

    sums = [trace.sums for trace in traces if trace.sums is not None]
    return replace(
        traces[0],
        draws=torch.cat([trace.draws for trace in traces], 1),
        info={name: torch.cat([trace.info[name] for trace in traces], 1) for name in traces[0].info},
        state=_together([trace.state for trace in traces]),
        generator=stream,
        sums=join(sums) if sums else None,
    )


def _together(trees: list[Any]) -> Any:
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.cat(trees) if first.ndim else first
    if isinstance(first, tuple):
        items = [_together(list(parts)) for parts in zip(*trees, strict=True)]
        return type(first)(*items) if hasattr(first, "_fields") else tuple(items)
    return first
