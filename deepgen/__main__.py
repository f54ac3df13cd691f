"""``python -m deepgen`` is the ``deepgen`` command."""

from deepgen.cli import main

if __name__ == "__main__":
    main()
