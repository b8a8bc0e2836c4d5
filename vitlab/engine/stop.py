"""SIGINT, SIGTERM and SIGUSR1: finish the step, save, then end; a second Ctrl-C ends at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from vitlab.errors import Interrupted

STOP_AT_EOF = "VITLAB_STOP_AT_EOF"  # in the environment of a run whose launcher holds its standard input open
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # the last is what clusters send before a time limit


def stop_at_end_of(descriptor: int) -> None:
    """From now on the end of a pipe is a SIGTERM: its other end is held by a launcher, and goes when that dies."""

    def wait() -> None:
        while os.read(descriptor, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


class GracefulStop:
    """While this context is open, a signal asks for a stop instead of ending the process.

    The loop sees ``requested`` and calls ``obey`` when it has saved. A second Ctrl-C never waits; a repeated SIGTERM is
    the same request, since a cluster sends it to the run and to its parent, which passes it on, and again before the
    end. Under ``torchrun``, which passes a Ctrl-C on to its processes, that too is the same request.
    """

    def __init__(self) -> None:
        self._signum: int | None = None
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python forbids handlers
            self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Here nothing is to be saved yet: the first signal ends the run.

        It may strike in the middle of an import, which can then fail in any way or swallow the exception, so that
        whatever comes out of this context after a signal is that signal.
        """
        self._at_once = True
        try:
            yield
        except Exception:
            self.obey()
            raise
        finally:
            self._at_once = False
        self.obey()

    @property
    def requested(self) -> bool:
        """True from the first signal on."""
        return self._signum is not None

    def obey(self) -> None:
        """Raise ``Interrupted`` if a signal has come."""
        if self._signum is not None:
            raise Interrupted(self._signum)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        repeated = self.requested
        if repeated and (signum != signal.SIGINT or "TORCHELASTIC_RUN_ID" in os.environ):
            return
        self._signum = signum
        if repeated or self._at_once:
            raise Interrupted(signum)
