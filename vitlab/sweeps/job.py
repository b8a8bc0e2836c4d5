"""``python -m vitlab.sweeps.job``: ``vitlab.train`` for a launcher, without which it saves its checkpoint and ends.

With ``VITLAB_STOP_AT_EOF=1`` in the environment the launcher holds the other end of the standard input open: the kernel
closes it when the launcher dies, however it dies.
"""

import os
import runpy
import signal
import sys
import threading

STOP_AT_EOF = "VITLAB_STOP_AT_EOF"


def main() -> None:
    """The command line, which is that of ``vitlab.train``."""
    if os.environ.pop(STOP_AT_EOF, None) == "1":
        threading.Thread(target=_stop_at_eof, daemon=True).start()
    runpy.run_module("vitlab.train", run_name="__main__", alter_sys=True)  # by name: it stands above this package


def _stop_at_eof() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
