"""Header fields that others write: an HTTP client into what it sends, an owner into a provider's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.llm.scripted import Script, Stage, whole
from tests.unit.llm.world import REQUEST

from holdfast.errors import ProviderError

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


async def test_a_token_that_was_renewed_is_in_no_error() -> None:
    """An error that repeats a provider's header hides what is in the header now."""
    first, renewed = "tok-that-was-there-first", "tok-that-was-renewed"
    said = f'{{"error": {{"message": "no such token: {renewed}"}}}}'
    stage = Stage(a=Script(pieces=[(0.1, said.encode())], status=400))
    headers: Any = stage.providers["a"].headers
    headers["x-token"] = first
    with pytest.raises(ProviderError):
        await stage.client.complete("answers", REQUEST)
    headers["x-token"] = renewed
    with pytest.raises(ProviderError) as caught:
        await stage.client.complete("answers", REQUEST)
    assert stage.http.requests[-1].headers["x-token"] == renewed
    assert renewed not in str(caught.value)
