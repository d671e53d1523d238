"""Which jobs this process runs: each is a lease in the job's row, which it renews while it lives.

A process that dies stops renewing, and after the lease's end another may take the job. A process that only stood still
for that long finds its lease gone and goes on with its item at worst: finishing an item counts once, and so does
storing a document, so that two that run one job for a while do no harm.

Leases are compared with the wall clock of whoever looks: keep the machines' clocks within some seconds of each other.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from uuid import uuid4

from holdfast.core.clock import to_ns
from holdfast.errors import StoreError
from holdfast.rag.store.mongo.faults import store_faults
from holdfast.rag.store.mongo.layout import JOBS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from holdfast.core.clock import Clock, Timer
    from holdfast.rag.store.mongo.client import Database, Row

__all__ = ["Leases"]

RENEWALS_PER_LEASE = 3

_log = logging.getLogger(__name__)


class Leases:
    """The jobs that one store object runs.

    Args:
        database: gives the database; raises when the store is closed.
        clock: for the ends of leases and the times of renewals.
        seconds: how long a lease is good for without renewal.
        place: for messages.
    """

    def __init__(self, database: Callable[[], Database], *, clock: Clock, seconds: float, place: str) -> None:
        self._database = database
        self._clock = clock
        self._lease_ns = to_ns(seconds)
        self._place = place
        self._held: dict[str, str] = {}
        self._given_up: dict[str, str] = {}
        self._timer: Timer | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def new(self) -> Row:
        """The fields of a new lease."""
        return {"lease": uuid4().hex, "lease_end": self._clock.wall_ns() + self._lease_ns}

    def free(self, job: Row) -> bool:
        """Whether this object may take the job."""
        if job["_id"] in self._held:
            return False
        lease = job.get("lease")
        return lease is None or lease == self._given_up.get(job["_id"]) or job["lease_end"] < self._clock.wall_ns()

    def took(self, job_id: str, lease: str) -> None:
        """Hold a lease that is written in the job's row."""
        self._held[job_id] = lease
        self._given_up.pop(job_id, None)
        if self._timer is None:
            self._wind()

    def forget(self, job_id: str) -> None:
        """The job is over: there is nothing to give back."""
        self._held.pop(job_id, None)
        self._given_up.pop(job_id, None)

    def give_up(self, job_id: str) -> None:
        """Give a job back. The message to the server goes out by itself; when it is lost, the lease ends by time."""
        lease = self._held.pop(job_id, None)
        if lease is not None:
            self._given_up[job_id] = lease
            self._start(self._write_release(job_id, lease))

    async def settled(self) -> None:
        """Return when every message about a lease that was under way is answered, or has failed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def release_all(self) -> None:
        """Give every job back."""
        for job_id in list(self._held):
            self.give_up(job_id)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.settled()

    def _wind(self) -> None:
        self._timer = self._clock.call_later_ns(self._lease_ns // RENEWALS_PER_LEASE, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._held:
            self._start(self._renew())
            self._wind()

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self) -> None:
        try:
            with store_faults(self._place):
                for job_id, lease in list(self._held.items()):
                    renewed = await self._database()[JOBS].update_one(
                        {"_id": job_id, "lease": lease},
                        {"$set": {"lease_end": self._clock.wall_ns() + self._lease_ns}},
                    )
                    if not renewed.matched_count and self._held.get(job_id) == lease:
                        del self._held[job_id]
        except StoreError as error:
            _log.warning("The leases of running jobs could not be renewed now: %s", error)

    async def _write_release(self, job_id: str, lease: str) -> None:
        try:
            with store_faults(self._place):
                await self._database()[JOBS].update_one(
                    {"_id": job_id, "lease": lease}, {"$unset": {"lease": "", "lease_end": ""}}
                )
        except StoreError as error:
            _log.warning("A job could not be given back now, its lease ends by itself: %s", error)
