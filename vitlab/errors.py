"""Errors that a user can mend, and the names that a user may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


class VitlabError(Exception):
    """Something the user can mend: shown as one message without a traceback, exit code 1."""


class Interrupted(BaseException):
    """The run was asked to stop by a signal. A ``BaseException``, so that a sweep stops with its job.

    Args:
        signum: number of the signal; the process ends with exit code ``128 + signum``.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def first_line(error: BaseException) -> str:
    """What ``error`` says, in one line that is not too long; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def printable(text: str) -> str:
    """``text`` in one line, with what would move a terminal's cursor written out: names may be a stranger's."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def did_you_mean(name: str, legal: Iterable[str]) -> str:
    """``"; did you mean a or b?"`` for the legal names nearest to ``name``, or an empty string if none is near."""
    near = get_close_matches(name, list(dict.fromkeys(legal)), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""
