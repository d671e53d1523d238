"""What the second call of a question costs no second time, and what the first one leaves behind."""

from __future__ import annotations

import gc

import pytest
from tests.unit.llm.scripted import Script, Stage, whole
from tests.unit.llm.world import REQUEST

from holdfast.errors import ProviderError, TargetsExhaustedError

BROKEN = Script(pieces=[(0.1, b"{}")], status=500)
GOOD = Script(pieces=[(0.1, whole("Yes."))])


def alive() -> list[ProviderError]:
    """The errors that are there, those of other tests included."""
    return [each for each in gc.get_objects() if isinstance(each, ProviderError)]


async def test_a_link_that_is_asked_again_is_sent_the_same_request() -> None:
    """A repetition sends what was written for the first call; another target and another question have their own."""
    stage = Stage(a=[BROKEN, BROKEN, GOOD], b=BROKEN)
    await stage.client.complete("answers", REQUEST)
    to_a = [each for each in stage.http.requests if "//a." in each.url]
    to_b = [each for each in stage.http.requests if "//b." in each.url]
    assert len(to_a) == 3
    assert to_a[0] == to_a[1] == to_a[2]
    assert to_a[0].body is to_a[1].body is to_a[2].body
    assert to_b[0].url != to_a[0].url
    await stage.client.complete("answers", REQUEST)
    assert stage.http.requests[-1] == to_a[0]
    assert stage.http.requests[-1].body is not to_a[0].body


@pytest.mark.parametrize("others", [GOOD, BROKEN])
async def test_a_failure_is_freed_without_the_garbage_collector(others: Script) -> None:
    """No frame or record of a call holds the error that its traceback belongs to, so it goes with the question."""
    stage = Stage(a=BROKEN, b=others)
    gc.collect()
    older = alive()
    gc.disable()
    try:
        try:
            await stage.client.complete("answers", REQUEST)
        except TargetsExhaustedError:
            assert others is BROKEN
        stage.recorder.events.clear()
        assert len(alive()) == len(older)
    finally:
        gc.enable()
