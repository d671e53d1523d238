"""The pipelines and gates of a program by name: seen, reset, forced open and reconfigured while they work."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from holdfast.core._changes import planned
from holdfast.core._options import text
from holdfast.core.pipeline import Pipeline
from holdfast.core.policy import Gate
from holdfast.core.request_queue import RequestQueue
from holdfast.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from holdfast.core.deadline import Deadline
    from holdfast.core.fallback import Fallback
    from holdfast.core.retry import Retry
    from holdfast.core.timeout import Timeout

__all__ = ["Named", "Registry"]

Named: TypeAlias = "Pipeline | Gate"

ItemT = TypeVar("ItemT", bound="Pipeline | Gate")


class Registry:
    """Named pipelines and gates (a breaker, a limiter, a bulkhead); safe to use from any thread.

    No lock is held while a pipeline or a gate is asked for anything.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: Mapping[str, Named] = MappingProxyType({})

    def add(self, item: ItemT, *, name: str | None = None) -> ItemT:
        """Register ``item``, and give it back.

        Args:
            item: a pipeline or a gate.
            name: what to find it by; for a pipeline its own name by default.

        Raises:
            ConfigError: it is neither of them, it has no name, or another one has it.
        """
        given: object = item
        if isinstance(given, type) or not isinstance(given, Pipeline | Gate | RequestQueue):
            raise ConfigError("item", given, "must be a pipeline, or a gate such as a circuit breaker")
        if name is None:
            name = item.name if isinstance(item, Pipeline) else ""
        text("name", name)
        if not name:
            raise ConfigError("name", name, "must be given for what has no name of its own")
        with self._lock:
            held = self._items.get(name)
            if held is not None and held is not item:
                raise ConfigError("name", name, "is taken by another one: remove that first, or choose another name")
            self._items = MappingProxyType({**self._items, name: item})
        return item

    def get_or_add(self, name: str, make: Callable[[], Pipeline]) -> Pipeline:
        """The pipeline of this name; made and registered when there is none. One caller's, for all who come at once.

        Raises:
            ConfigError: the name is that of a gate.
        """
        if name not in self._items:
            made = make()
            with self._lock:
                if name not in self._items:
                    self._items = MappingProxyType({**self._items, name: made})
        return self.pipeline(name)

    def remove(self, name: str) -> None:
        """Forget it; whoever holds it goes on using it.

        Raises:
            NotFoundError: there is none of this name.
        """
        with self._lock:
            self._find(name)
            self._items = MappingProxyType({key: item for key, item in self._items.items() if key != name})

    def get(self, name: str) -> Named:
        """The pipeline or gate of this name.

        Raises:
            NotFoundError: there is none.
        """
        return self._find(name)

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline of this name.

        Raises:
            NotFoundError: there is none.
            ConfigError: the name is that of a gate.
        """
        item = self._find(name)
        if not isinstance(item, Pipeline):
            raise ConfigError("name", name, "is no pipeline")
        return item

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        """The names, in the order in which they came."""
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def snapshot(self) -> Mapping[str, object]:
        """The state of each by its name."""
        return {name: item.snapshot() for name, item in self._items.items()}

    def reset(self, name: str | None = None) -> None:
        """Reset the gates of one, or of all: breakers close, limits forget what was charged.

        Raises:
            NotFoundError: there is none of this name.
        """
        for item in self._items.values() if name is None else (self._find(name),):
            for gate in _gates(item):
                reset: Callable[[], None] | None = getattr(gate, "reset", None)
                if reset is not None:
                    reset()

    def force_open(self, name: str) -> None:
        """Let its breakers refuse every call until they are reset.

        Raises:
            NotFoundError: there is none of this name.
            ConfigError: it has no breaker.
        """
        switches = [gate.force_open for gate in _gates(self._find(name)) if hasattr(gate, "force_open")]
        if not switches:
            raise ConfigError("name", name, "has no circuit breaker")
        for switch in switches:
            switch()

    def reconfigure(
        self,
        name: str,
        *policies: Deadline | Fallback | Retry | Timeout,
        **changes: Any,  # noqa: ANN401
    ) -> None:
        """Give policies of a pipeline, or a gate, other options while they work; see :meth:`Pipeline.reconfigure`.

            registry.reconfigure("model:x", circuit_breaker={"failure_threshold": 3}, retry={"max_retries": 0})

        Args:
            name: of the pipeline or the gate.
            policies: each takes the place of the pipeline's one policy of its sort.
            changes: by the policy's name (for a gate, its label): single options, or all of them as an object.

        Raises:
            NotFoundError: there is none of this name.
            ConfigError: there is no such policy or option, or a value is out of its range: then nothing is changed.
        """
        item = self._find(name)
        if isinstance(item, Pipeline):
            item.reconfigure(*policies, **changes)
        else:
            planned((item,), policies, changes).apply()

    def _find(self, name: str) -> Named:
        item = self._items.get(name)
        if item is None:
            known = ", ".join(sorted(self._items)) or "none"
            raise NotFoundError("name", f"Nothing is registered as {name!r}; known: {known}.")
        return item


def _gates(item: Named) -> tuple[Gate | RequestQueue, ...]:
    return item.gates if isinstance(item, Pipeline) else (item,)
