"""``python -m vitlab.plan``: every job of a sweep, whether it can be run and what it will cost. Nothing is trained."""

from vitlab.config.command import run_command
from vitlab.train import train


def main() -> None:
    """The command line: that of ``vitlab.train``, with or without ``--multirun``."""
    run_command(train, "plan", always_sweeps=True)


if __name__ == "__main__":
    main()
