"""Signals that end a run: SIGTERM and SIGUSR1, as schedulers send them, and the launcher's death.

While a trial trains, the signal waits until the step is done and a checkpoint is written. At any
other moment there is nothing to save, so the process ends at once.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
LAUNCHERS = ("ACCELERATE_DYNAMO_BACKEND", "TORCHELASTIC_RUN_ID")
"""One of these is set in the processes that `accelerate launch` or torchrun started."""

PR_SET_PDEATHSIG = 1


class Stopped(SystemExit):
    """A signal came while nothing was trained."""

    def __str__(self) -> str:
        return "stopped by a signal"


class StopSignal:
    """Whether this process was told to end. There is one of it: `STOP`."""

    def __init__(self) -> None:
        self.number = 0
        self.parent: int | None = None
        self._training = False

    def listen(self, parent: int | None = None) -> None:
        """Take the signals from now on, in the main thread; the death of `parent` is a SIGTERM.

        None follows the launcher, if there is one, and no shell: what it leaves running in the
        background goes on.
        """
        for number in SIGNALS:
            signal.signal(number, self._receive)
        if parent is None and any(name in os.environ for name in LAUNCHERS):
            parent = os.getppid()
        self.parent = parent
        if parent is not None:
            end_with(parent)

    def _receive(self, number: int, frame: FrameType | None = None) -> None:
        self.number = number
        if not self._training:
            raise Stopped(self.exit_code)

    @property
    def exit_code(self) -> int:
        """What a shell says of a process that a signal ended; 0 if there was none."""
        return 128 + self.number if self.number else 0

    @contextmanager
    def training(self) -> Iterator[None]:
        """Let the signal wait for `requested`."""
        self._training = True
        try:
            yield
        finally:
            self._training = False

    def requested(self) -> int:
        """Return the signal after which the trial stops at this step; 0 for none."""
        if not self.number and self._is_orphan():  # systems without prctl
            self.number = signal.SIGTERM
        return self.number

    def _is_orphan(self) -> bool:
        return self.parent is not None and os.getppid() != self.parent


def end_with(parent: int, number: int = signal.SIGTERM) -> None:
    """Let this process get a signal when its parent dies, on Linux, and now if that is dead."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


STOP = StopSignal()
