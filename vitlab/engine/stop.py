"""SIGINT and SIGTERM: finish the step, save, then end; a second Ctrl-C ends at once."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from vitlab.errors import Interrupted

STOP_AT_EOF = "VITLAB_STOP_AT_EOF"  # in the environment of a run whose launcher holds its standard input open
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_at_end_of(descriptor: int) -> None:
    """From now on the end of a pipe is a SIGTERM: its other end is held by a launcher, and goes when that dies."""

    def wait() -> None:
        while os.read(descriptor, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


class GracefulStop:
    """While this context is open, a signal asks for a stop instead of ending the process.

    Until ``wait_for_loop`` is called there is nothing to save, so that a signal ends the run at once; after it the
    loop sees ``requested`` and calls ``obey`` when it has saved. A second Ctrl-C never waits; a repeated SIGTERM is the
    same request, since a cluster sends it to the run and to its parent, which passes it on, and again before the end.
    """

    def __init__(self) -> None:
        self._signum: int | None = None
        self._looping = False
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

    def wait_for_loop(self) -> None:
        """From now on the loop stops by itself."""
        self._looping = True

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
        if repeated and signum == signal.SIGTERM:
            return
        self._signum = signum
        if repeated or not self._looping:
            raise Interrupted(signum)
