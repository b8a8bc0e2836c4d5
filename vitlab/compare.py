"""``python -m vitlab.compare``: runs and sweeps side by side, from their folders alone."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vitlab.errors import VitlabError, did_you_mean
from vitlab.runs import SWEEP_FILE

_SETTINGS = ("metric", "output", "interval")
_INTERVALS = ("t", "bootstrap")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; exit code 1 with one message if the folders cannot be compared, 2 if it is wrong itself."""
    options = _parser().parse_args(_with_dashes(sys.argv[1:] if arguments is None else arguments))
    try:
        compare(options)
    except VitlabError as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        print(f"vitlab: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader went away: | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def compare(options: argparse.Namespace) -> None:
    """Print the table and what is real of it, and write table, pictures and page.

    Raises:
        VitlabError: there is nothing to compare, an unknown metric, or the output cannot be written.
    """
    if options.interval not in _INTERVALS:
        hint = did_you_mean(options.interval, _INTERVALS)
        raise VitlabError(f"interval={options.interval} is not one of {', '.join(_INTERVALS)}{hint}")

    from vitlab.comparison import comparing, difference, report, tables, words
    from vitlab.comparison.loading import load

    folders = [Path(folder).expanduser() for folder in options.folders]
    comparison = comparing.compare(load(folders), options.metric, options.interval)
    if options.diff:
        print("\n".join(difference.difference_in_words(*difference.refuse_other_than_two(comparison))))
        return
    tables.show(comparison, words.sentences(comparison))
    for path in report.write(comparison, _output(options.output, folders)):
        print(os.path.relpath(path))
    if options.wandb:
        from vitlab.comparison.workspace import save_workspace

        print(save_workspace(comparison))


def _output(given: str | None, folders: Sequence[Path]) -> Path:
    """Where the files go: into the sweep, if it is the only one, else into the current folder."""
    if given is not None:
        return Path(given).expanduser()
    if len(folders) == 1 and (folders[0] / SWEEP_FILE).is_file():
        return folders[0] / "comparison"
    return Path("comparison")


def _with_dashes(arguments: Sequence[str]) -> list[str]:
    """``key=value`` of the settings as ``--key=value``; names of folders may hold equals signs too."""
    return [f"--{a}" if a.partition("=")[0] in _SETTINGS and "=" in a else a for a in arguments]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vitlab.compare",
        description="Compare runs from their folders alone: which differences are real, and what they cost.",
        epilog="python -m vitlab.compare multirun/DATE/TIME outputs/DATE/TIME metric=test_accuracy",
    )
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="of a run, of a sweep, or with such inside")
    parser.add_argument(
        "--metric", default="val_accuracy", help="what is compared: a figure of the summaries, or val/loss …"
    )
    parser.add_argument("--output", help="folder for the table, pictures and page; default: comparison/")
    parser.add_argument("--interval", default="t", help="how sure: t (Student, the default) or bootstrap")
    parser.add_argument("--diff", action="store_true", help="say in words what differs between two runs, and stop")
    parser.add_argument("--wandb", action="store_true", help="save the same view as a workspace at W&B, too")
    return parser


if __name__ == "__main__":
    main()
