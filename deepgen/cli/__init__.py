"""The ``deepgen`` command: train a model, draw from it, and state its likelihood, without writing a script.

Exit status: 0 done; 2 what was asked cannot be done (one line on stderr says why and what to do instead);
1 a fault of deepgen itself; 130 interrupted by Ctrl-C. ``--debug``, anywhere on the line, shows the traceback.
Results go to stdout, progress and warnings to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line ``argv`` (that of the process by default) and exit with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        # Importing takes a second, in which Ctrl-C must not show a traceback either.
        from deepgen.cli.commands import app
        from deepgen.cli.frame import run
    except KeyboardInterrupt:
        print("deepgen: interrupted before it began: nothing was done, so start again", file=sys.stderr)
        sys.exit(130)
    sys.exit(run(app, arguments))


def __getattr__(name: str) -> object:
    if name == "app":  # the typer application, loaded when first named
        from deepgen.cli.commands import app

        return app
    raise AttributeError(f"module 'deepgen.cli' has no attribute {name!r}")
