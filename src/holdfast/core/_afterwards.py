"""What a finalizer must not do itself: it is put off, and done by a thread of the library a moment later.

A stream that nobody reads to its end is closed by the garbage collector, which runs wherever the program happens to
allocate something: also inside a gate's lock, in the thread that holds it. Giving a permit back there, or telling a
listener that has a lock of its own, would wait for that lock for ever. So whatever ends while the collector runs in
this thread goes into a ``SimpleQueue``, whose ``put`` is made for this, and a daemon thread does it. A stream that its
consumer closes, and one whose last reference goes (``for item in stream: break``), is settled at once: no gate lets go
of a stream inside its lock.

The thread begins with the first work there is, and every process has its own: what a process still owed when it
forked, its own thread does.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
from _thread import allocate_lock, get_ident, start_new_thread
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["collecting", "drain", "later", "now_or_later"]

_log = logging.getLogger("holdfast.afterwards")


class _State:
    """This process's own.

    Attributes:
        collector: the thread in which the garbage collector runs, or 0.
    """

    def __init__(self) -> None:
        self.collector = 0
        self.renew()

    def renew(self) -> None:
        """Nothing to do, and no thread that does it: at the start, and in a process that was forked."""
        self.work: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.served = allocate_lock()  # held for good once there is a thread


_state = _State()
if hasattr(os, "register_at_fork"):  # where processes can be forked at all
    os.register_at_fork(after_in_child=_state.renew)


def _collects(phase: str, _: object) -> None:
    _state.collector = get_ident() if phase == "start" else 0


gc.callbacks.append(_collects)


def collecting() -> bool:
    """Whether the garbage collector runs in this thread now, so that any lock may be held below."""
    return _state.collector == get_ident()


def now_or_later(work: Callable[[], object]) -> None:
    """Do ``work`` here, unless the collector runs in this thread."""
    if collecting():
        later(work)
    else:
        work()


def later(work: Callable[[], object]) -> None:
    """Have ``work`` done by the thread; takes no lock that anybody else could hold."""
    _state.work.put(work)
    if _state.served.acquire(blocking=False):
        try:
            start_new_thread(_serve, (_state.work,))  # not a threading.Thread: that takes locks to start
        except RuntimeError:  # none is to be had now; whoever comes next tries again
            _state.served.release()


def drain(timeout: float = 10.0) -> bool:
    """Wait until everything that was put off before is done; False after ``timeout`` seconds."""
    done = threading.Event()
    later(done.set)
    return done.wait(timeout)


def _serve(work: SimpleQueue[Callable[[], object]]) -> None:
    while True:
        _do(work.get())


def _do(work: Callable[[], object]) -> None:
    """Its own frame: between two pieces of work the thread must not keep the last one alive."""
    try:
        work()
    except BaseException:  # noqa: BLE001  there is nobody to raise it to
        _log.exception("What was put off by a finalizer failed.")
