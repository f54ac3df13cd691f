"""A command that torchrun started several times: one of them speaks, and a rank that is gone ends all in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from deepgen.errors import RankLost

if TYPE_CHECKING:
    from deepgen.train import Ranks

_SAID = "deepgen/said"
_PATIENCE = timedelta(seconds=5)  # with a store that may be gone; torch's own is minutes, and a line waits for it


@contextmanager
def ranks_of(out: Path | None = None, device: str = "cpu") -> Iterator[Ranks]:
    """The ranks that train the run in ``out`` together, of which the first prints; without torchrun one alone.

    Args:
        out: the directory of the run.
        device: what they compute on, as of `deepgen.train.torchrun`.

    Raises:
        ArgumentError: a GPU is asked for, and there is not one for each.
        RankLost: another one is gone; the message says what ``out`` holds.
    """
    from deepgen.train import torchrun
    from deepgen.train.store import MANIFEST

    try:
        with ExitStack() as stack:
            ranks = stack.enter_context(torchrun(device))
            if not ranks.is_first:
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(redirect_stdout(nowhere))
                stack.enter_context(redirect_stderr(nowhere))
            yield ranks
    except RankLost as error:
        if out is None:
            raise
        saved = f"{out} holds the run as it was last saved, and the same command with any number of ranks goes on"
        kept = saved if (out / MANIFEST).exists() else "nothing was saved"
        raise RankLost(f"{error}; {kept}") from error


def speaks(line: str, error: Exception) -> bool:
    """Whether this process is the one to print ``line``: one that many ranks have is said once, and that a rank is gone
    only where no rank has said why."""
    if _alone():
        return True
    import torch.distributed as dist

    try:  # torchrun's own, which outlives the ranks
        store = dist.TCPStore(  # type: ignore[attr-defined]
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=_PATIENCE
        )
        before = store.add(_SAID, 1) - 1
        return before == 0 if isinstance(error, RankLost) else store.add(f"{_SAID}/{line}", 1) == 1
    except (RuntimeError, KeyError, ValueError):  # it is gone as well
        return True


def speaks_of_interrupt() -> bool:
    """Whether this process is the one to say that Ctrl-C came, which comes to all ranks and to torchrun's store."""
    return _alone() or os.environ.get("RANK") == "0"


def _alone() -> bool:
    return "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1
