"""The hand-over between the event loop and the threads of a store.

A job is a function to run in a transaction and the future somebody waits on. Jobs go to a thread through a queue; what
became of them comes back in one call into the loop per batch, in the order in which they were committed.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, Final

from connector.exchange.ports import Commit, Tx

Queue = SimpleQueue["Job | None"]


class Job:
    """One transaction to run, and what became of it."""

    __slots__ = ("commit", "context", "doubtful", "error", "fn", "future", "reads", "result")

    def __init__(self, fn: Callable[[Tx], Any], future: asyncio.Future[Any], *, reads: bool) -> None:
        self.fn: Final = fn
        self.future: Final = future
        self.reads: Final = reads
        self.context: Final = copy_context()  # the caller's: listeners are told in it
        self.result: Any = None
        self.error: BaseException | None = None
        self.commit: Commit | None = None
        self.doubtful = False
        """It has failed, but the answer to its COMMIT was lost: it may stand."""

    def fail(self, error: BaseException) -> None:
        """Nothing of this job has happened."""
        self.result, self.commit, self.error = None, None, error

    def resolve(self) -> None:
        """Wake whoever waits, in the event loop; somebody who no longer waits is not disturbed."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        elif isinstance(self.error, StopIteration):  # a future refuses it
            self.future.set_exception(RuntimeError("the function raised StopIteration"))
        else:
            self.future.set_exception(self.error)


class Worker:
    """A thread that takes up to `at_once` jobs from a queue, works on them together, and reports."""

    def __init__(
        self,
        name: str,
        queue: Queue,
        work: Callable[[Sequence[Job]], None],
        report: Callable[[Sequence[Job]], None],
        *,
        at_once: int,
    ) -> None:
        self._queue = queue
        self._work = work
        self._report = report
        self._at_once = at_once
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let one worker of this queue finish what is in it and end."""
        self._queue.put(None)

    def join(self) -> None:
        """Wait for that; blocks."""
        self._thread.join()

    def _run(self) -> None:
        while True:
            jobs, ended = self._drain()
            if jobs:
                self._work(jobs)
                with contextlib.suppress(RuntimeError):  # the loop has gone; nobody waits any more
                    self._loop.call_soon_threadsafe(self._report, jobs)
            if ended:
                return

    def _drain(self) -> tuple[list[Job], bool]:
        """Wait for a job and take what else is there; True at the end."""
        jobs: list[Job] = []
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._at_once:
                return jobs, False
            try:
                job = self._queue.get_nowait()
            except Empty:
                return jobs, False
        return jobs, True
