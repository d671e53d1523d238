"""Putting together the tool calls of a streamed answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.llm.messages import ToolCall

if TYPE_CHECKING:
    from holdfast.llm.wire.base import ToolDelta

__all__ = ["ToolCalls"]


class _Call:
    """A call of which pieces have come."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class ToolCalls:
    """Tool calls in the order of their beginnings.

    Pieces belong together by their index. A piece with another id and a name begins a new call even under an index
    that was there already: some servers send every parallel call with index 0.
    """

    def __init__(self) -> None:
        self._all: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def add(self, delta: ToolDelta) -> None:
        """Take the next piece."""
        call = self._by_index.get(delta.index)
        if call is None or (delta.id and delta.name and call.id and delta.id != call.id):
            call = self._by_index[delta.index] = _Call()
            self._all.append(call)
        call.id = call.id or delta.id or ""
        call.name = call.name or delta.name or ""
        if delta.arguments:
            call.arguments.append(delta.arguments)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls so far."""
        return tuple(ToolCall(id=each.id, name=each.name, arguments="".join(each.arguments)) for each in self._all)

    def __contains__(self, index: object) -> bool:
        return index in self._by_index

    def __len__(self) -> int:
        return len(self._all)
