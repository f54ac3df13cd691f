"""numba, from where all modules of kernels take it: what it compiles is told to whoever shows progress.

Kernels are cached on disk, so this happens once for a machine, a version and a type. A kernel that comes from the cache
is no event.
"""

from __future__ import annotations

import numba
from numba.core import event

from deepgen.progress import compiles

__all__ = ["numba"]


class _Told(event.Listener):
    def on_start(self, event: event.Event) -> None:
        compiles()

    def on_end(self, event: event.Event) -> None:
        """The next step says that it is over."""


event.register("numba:compile", _Told())
