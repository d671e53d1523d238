"""Workers behind a queue: results, refusals, cancellation, and no slot that is lost."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from holdfast.core.deadline import deadline_scope
from holdfast.core.queue_worker import TaskWorker, ThreadWorker, _Job
from holdfast.core.request_queue import RequestQueue
from holdfast.errors import ConfigError, DeadlineExceededError, QueueFullError, ShedError
from holdfast.testing.clock import FakeClock

S = 10**9


def make(**options: Any) -> tuple[RequestQueue, FakeClock]:
    clock = FakeClock(auto=False)
    return RequestQueue(clock=clock, **({"requests_per_minute": None, "max_wait": None} | options)), clock


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def idle(queue: RequestQueue) -> bool:
    now = queue.snapshot()
    return now.running == now.waiting == 0


def same(item: int) -> int:
    return item


class Later(Executor):
    """Runs what it was given when it is told to."""

    def __init__(self) -> None:
        self.work: list[Callable[[], object]] = []
        self.is_shut = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.is_shut:
            raise RuntimeError("shut down")
        self.work.append(lambda: fn(*args, **kwargs))
        return Future()

    def run(self) -> None:
        while self.work:
            self.work.pop(0)()


# --- tasks ----------------------------------------------------------------------------------------------------------


async def test_tasks_are_handled_in_the_order_of_the_queue() -> None:
    """Each item's task ends with the handler's result or error; the important ones are handled first."""
    queue, _ = make(max_concurrent=1)
    order: list[int] = []

    async def handle(item: int) -> int:
        await asyncio.sleep(0)
        order.append(item)
        if item == 3:
            raise KeyError(item)
        return item * 10

    worker = TaskWorker(queue, handle)
    tasks = [worker.submit(item, priority=item) for item in (1, 2, 3, 9)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [1, 9, 3, 2]
    assert results[0] == 10
    assert results[1] == 20
    assert results[3] == 90
    assert isinstance(results[2], KeyError)
    assert idle(queue)
    assert (queue.snapshot().succeeded, queue.snapshot().failed) == (3, 1)


async def test_what_tasks_are_refused_with() -> None:
    """A full queue refuses at once; a request that is dropped later fails its task."""
    queue, clock = make(max_concurrent=1, max_size=2)
    gate = asyncio.get_running_loop().create_future()

    async def handle(item: int) -> int:
        await gate
        return item

    worker = TaskWorker(queue, handle)
    first, low = worker.submit(0), worker.submit(1, priority=0)
    with deadline_scope(1, clock=clock):
        late = worker.submit(2)
    with pytest.raises(QueueFullError):
        worker.submit(3, priority=0, size=1)
    high = worker.submit(4)
    with pytest.raises(ShedError):
        await low
    await turns()
    clock.advance(1)
    with pytest.raises(DeadlineExceededError):
        await late
    gate.set_result(None)
    assert await first == 0
    assert await high == 4
    assert idle(queue)


@pytest.mark.parametrize("steps", range(6))
async def test_a_task_that_is_cancelled(steps: int) -> None:
    """Cancelled before it ran at all, while it waits, or while it works: the next one is handled."""
    queue, _ = make(max_concurrent=1)

    async def handle(item: int) -> int:
        await turns(2)
        return item

    worker = TaskWorker(queue, handle)
    tasks = [worker.submit(item) for item in range(3)]
    await turns(steps)
    tasks[0].cancel()
    tasks[1].cancel()
    assert await tasks[2] == 2
    await asyncio.gather(*tasks, return_exceptions=True)
    assert idle(queue)


# --- threads --------------------------------------------------------------------------------------------------------


def test_threads_handle_everything_once() -> None:
    """Two hundred requests of four threads: each handled once, three at a time at most, in their own context."""
    queue = RequestQueue(max_concurrent=3, requests_per_minute=None, max_wait=None)
    lock = threading.Lock()
    caller: contextvars.ContextVar[int] = contextvars.ContextVar("caller")
    now = peak = 0

    def handle(item: int) -> tuple[int, int]:
        nonlocal now, peak
        with lock:
            now += 1
            peak = max(peak, now)
        with lock:
            now -= 1
        return caller.get(), item

    worker = ThreadWorker(queue, handle)
    futures: list[Future[tuple[int, int]]] = []

    def submit(number: int) -> None:
        caller.set(number)
        for item in range(50):
            future = worker.submit(item, priority=number)
            with lock:
                futures.append(future)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(each.result() for each in futures) == [(number, item) for number in range(4) for item in range(50)]
    assert peak <= 3
    assert worker.close()
    assert idle(queue)
    with pytest.raises(QueueFullError):
        worker.submit(1)


def test_a_handler_that_fails() -> None:
    """The handler's error is in the future, and the next request is handled."""
    queue, _ = make(max_concurrent=1)
    pool = Later()

    def handle(item: int) -> float:
        return 1 / item

    worker = ThreadWorker(queue, handle, executor=pool)
    bad, good = worker.submit(0), worker.submit(2)
    pool.run()
    with pytest.raises(ZeroDivisionError):
        bad.result()
    assert good.result() == 0.5
    assert queue.snapshot().failed == 1
    assert worker.close()
    assert not pool.is_shut  # it is not ours to end


def test_a_future_that_is_cancelled() -> None:
    """Cancelled while it waits, or when it has its turn and no thread yet: the next one is handled."""
    queue, _ = make(max_concurrent=1)
    pool = Later()
    handled: list[int] = []
    worker = ThreadWorker(queue, handled.append, executor=pool)
    futures = [worker.submit(item) for item in range(4)]
    assert queue.snapshot().waiting == 3
    assert futures[2].cancel()
    assert queue.snapshot().waiting == 2  # its place is free at once
    assert futures[0].cancel()
    assert queue.snapshot().waiting == 1  # and so is its turn
    pool.run()
    assert handled == [1, 3]
    assert idle(queue)
    assert queue.snapshot().abandoned == 2


def test_a_future_that_was_dropped() -> None:
    """An evicted request fails its future, unless that was cancelled; a closed queue fails all that wait."""
    queue, _ = make(max_concurrent=1, max_size=2)
    pool = Later()
    worker = ThreadWorker(queue, same, executor=pool)
    first, low, kept = worker.submit(0), worker.submit(1, priority=0), worker.submit(2)
    worker.submit(3)
    with pytest.raises(ShedError, match="more important"):
        low.result()
    assert worker.close(0) is False
    with pytest.raises(ShedError, match="closed"):
        kept.result()
    pool.run()
    assert first.result() == 0
    assert idle(queue)


def test_a_pool_that_is_shut_down() -> None:
    """When the pool takes no work the future says so, and the slot is not lost: neither at once nor after a wait."""
    queue, _ = make(max_concurrent=1)
    pool = Later()
    worker = ThreadWorker(queue, same, executor=pool)
    first, second, third = (worker.submit(item) for item in range(3))
    third.cancel()
    pool.is_shut = True
    pool.run()
    assert first.result() == 0
    with pytest.raises(RuntimeError, match="shut down"):
        second.result()
    with pytest.raises(RuntimeError, match="shut down"):
        worker.submit(4).result()
    assert idle(queue)


def test_threads_keep_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the pace holds requests back one timer runs, for the next start; when nobody waits, none."""
    timers: list[tuple[float, Callable[..., object], list[Any]]] = []

    class Timer:
        daemon = False

        def __init__(self, seconds: float, callback: Callable[..., object], args: list[Any]) -> None:
            self.entry = seconds, callback, args

        def start(self) -> None:
            assert self.daemon
            timers.append(self.entry)

    monkeypatch.setattr(threading, "Timer", Timer)
    queue, clock = make(requests_per_minute=60, burst=1)
    pool = Later()
    worker = ThreadWorker(queue, same, executor=pool)
    futures = [worker.submit(item) for item in range(3)]
    for left in (2, 1):
        pool.run()
        assert sum(each.done() for each in futures) == 3 - left
        ((seconds, callback, args),) = timers
        timers.clear()
        assert seconds == 1
        clock.advance(seconds)
        callback(*args)
    pool.run()
    assert [each.result() for each in futures] == [0, 1, 2]
    assert timers == []
    assert idle(queue)


def test_a_turn_that_comes_while_the_request_is_being_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that another thread gives before the worker knows the request is seen when it does, and taken once."""
    queue, _ = make(max_concurrent=1)
    pool = Later()
    worker = ThreadWorker(queue, same, executor=pool)
    first = queue.ask()
    ask = queue.ask

    def ask_and_lose_the_cpu(**options: Any) -> Any:
        request = ask(**options)
        queue.leave(first)
        return request

    monkeypatch.setattr(queue, "ask", ask_and_lose_the_cpu)
    future = worker.submit(7)
    assert queue.snapshot().running == 1
    assert len(pool.work) == 1
    pool.run()
    assert future.result() == 7
    assert idle(queue)


def test_a_wake_too_many() -> None:
    """Being woken once more when it has begun does nothing."""
    queue, _ = make(max_concurrent=1)
    pool = Later()
    worker = ThreadWorker(queue, same, executor=pool)
    first = queue.ask()
    future = worker.submit(1)
    (request,) = queue._rules.line
    queue.leave(first)
    assert request.waker is not None
    assert request.waker.wake()
    assert len(pool.work) == 1
    pool.run()
    assert future.result() == 1
    assert idle(queue)
    queue.ask()
    cancelled = worker.submit(2)
    (request,) = queue._rules.line
    cancelled.cancel()
    assert request.waker is not None
    assert request.waker.wake()
    assert pool.work == []


def test_cancelled_at_the_very_moment_it_is_dropped() -> None:
    """A future that was cancelled is not failed, whatever the queue thinks of its request."""
    queue, _ = make(max_concurrent=1)
    worker = ThreadWorker(queue, same, executor=Later())
    queue.ask()
    future = worker.submit(1)
    (request,) = queue._rules.line
    assert isinstance(request.waker, _Job)
    request.waker._request = None  # a cancellation that the queue has not heard of
    future.cancel()
    request.waker._request = request
    queue.close()
    assert future.cancelled()


def test_handlers_of_the_wrong_kind() -> None:
    """A worker says which kind of handler it needs."""
    queue, _ = make()

    async def task(item: int) -> int:
        return item

    async def stream(item: int) -> Any:
        yield item

    with pytest.raises(ConfigError, match="needs a TaskWorker"):
        ThreadWorker(queue, task)
    with pytest.raises(ConfigError, match="needs a ThreadWorker"):
        TaskWorker(queue, lambda item: item)
    with pytest.raises(ConfigError, match="gives a stream: a worker has nobody"):
        TaskWorker(queue, stream)
    with pytest.raises(ConfigError, match="gives a stream: a worker has nobody"):
        ThreadWorker(queue, stream)
    for worker, handler in ((TaskWorker, task), (ThreadWorker, same)):
        with pytest.raises(ConfigError, match="must be a RequestQueue"):
            worker(None, handler)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="must be an executor"):
        ThreadWorker(queue, same, executor=1)  # type: ignore[arg-type]


def test_its_own_pool_has_as_many_threads_as_run_at_once() -> None:
    """The default pool has a thread for each slot, and ends with the worker."""
    queue, _ = make(max_concurrent=2)

    def handle(_: int) -> str:
        return threading.current_thread().name

    worker = ThreadWorker(queue, handle)
    assert worker.submit(1).result().startswith("holdfast-worker")
    pool = worker._executor
    assert isinstance(pool, ThreadPoolExecutor)
    assert pool._max_workers == 2
    assert worker.close(0)
    with pytest.raises(RuntimeError):
        pool.submit(print)
