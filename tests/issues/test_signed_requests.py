"""HTTP clients that write into the header of what they send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.llm.scripted import Script, Stage, whole
from tests.unit.llm.world import REQUEST

if TYPE_CHECKING:
    from holdfast.core.ports import HttpRequest

BROKEN = Script(pieces=[(0.1, b"{}")], status=500)
GOOD = Script(pieces=[(0.1, whole("Yes."))])


async def test_a_repetition_has_a_header_of_its_own() -> None:
    """What a client wrote into the header of the first call is not in that of the second."""
    stage = Stage(a=[BROKEN, BROKEN, GOOD])
    send: Any = stage.http.send
    names: list[set[str]] = []

    async def signed(request: HttpRequest) -> Any:
        fields: Any = request.headers
        names.append(set(fields))
        fields["x-signature"] = "of the fields above"
        return await send(request)

    stage.http.send = signed  # type: ignore[method-assign]
    await stage.client.complete("answers", REQUEST)
    assert len(names) == 3
    assert names[0] == names[1] == names[2]
