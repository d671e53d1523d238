"""The admin endpoint: faults switched at run time, calls looked at, and nobody let in who should not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from holdfast.lab.simulator.fault_table import FAULTS

if TYPE_CHECKING:
    from tests.unit.lab.simulator.conftest import MakeProvider, Provider, Reply

    from holdfast.testing.clock import FakeClock

JSON = {"Content-Type": "application/json; charset=utf-8"}


async def post(some: Provider, body: Any) -> Reply:
    return await some.send("POST", "/admin/faults", body, JSON)


async def test_faults_are_switched(provider: MakeProvider) -> None:
    """A rule that is posted hits the next calls, is listed with its counts, and goes when it is deleted."""
    some = provider("eof", admin=True)
    made = await post(some, {"rule": "overloaded:1.0"})
    assert (made.status, made.json["id"], made.json["fault"]) == (201, 2, "overloaded")
    assert (await some.chat()).status == 503
    listed = (await some.send("GET", "/admin/faults")).json
    assert [(rule["fault"], rule["fitted"], rule["played"]) for rule in listed["faults"]] == [
        ("eof", 0, 0), ("overloaded", 1, 1),
    ]  # fmt: skip
    assert listed["known"] == list(FAULTS)
    assert (await some.send("DELETE", "/admin/faults/2")).json == {"removed": 1}
    assert (await some.chat()).status == 200
    assert (await some.send("DELETE", "/admin/faults/2")).status == 404
    assert (await some.send("DELETE", "/admin/faults/x")).status == 404
    assert (await some.send("DELETE", "/admin/faults/")).json == {"removed": 1}


async def test_a_fault_for_some_seconds_from_now(provider: MakeProvider, clock: FakeClock) -> None:
    """With `for` a rule is on from now, for so many seconds."""
    some = provider(admin=True)
    clock.advance(100)
    made = (await post(some, {"fault": "outage", "for": 30, "as": "auth"})).json
    assert (made["from"], made["to"], made["as"]) == (100, 130, "auth")
    assert (await some.chat()).status == 401
    clock.advance(30)
    assert (await some.chat()).status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "must be a JSON object"), ([], "must be a JSON object"), ({}, "is no fault"),
        ({"rule": "zzz"}, "is no fault"), ({"rule": 3}, "must be a text"), ({"rule": "eof", "rate": 1}, "stand alone"),
        ({"fault": "eof", "for": 0}, "number of seconds"), ({"fault": "eof", "for": "x"}, "number of seconds"),
        ({"fault": "eof", "for": True}, "number of seconds"), ({"fault": "eof", "rate": 3}, "from 0 to 1"),
    ],
)  # fmt: skip
async def test_bad_rules(provider: MakeProvider, body: Any, words: str) -> None:
    """What is no rule is a 400 that says why, and nothing is switched on."""
    some = provider(admin=True)
    reply = await post(some, body)
    assert (reply.status, words in reply.json["error"]["message"]) == (400, True)
    assert not list(some.simulator.faults)


async def test_bodies_are_declared_as_json(provider: MakeProvider) -> None:
    """A body that a browser could send from any page is not taken."""
    some = provider(admin=True)
    reply = await some.send("POST", "/admin/faults", {"rule": "eof"}, {"content-type": "text/plain"})
    assert reply.status == 415


async def test_calls(provider: MakeProvider) -> None:
    """The last calls and the counts are shown, as many as asked for, and forgotten on request."""
    some = provider(admin=True)
    for _ in range(3):
        await some.embed()
    shown = (await some.send("GET", "/admin/calls?limit=2")).json
    assert [call["number"] for call in shown["calls"]] == [2, 3]
    assert shown["calls"][0]["outcome"] == "completed"
    assert shown["counts"]["calls"] == 3
    assert len((await some.send("GET", "/admin/calls")).json["calls"]) == 3
    assert (await some.send("GET", "/admin/calls?limit=0")).json["calls"] == []
    assert (await some.send("GET", "/admin/calls?limit=-1")).status == 400
    assert (await some.send("DELETE", "/admin/calls")).status == 200
    assert (await some.send("GET", "/admin/calls")).json["counts"]["calls"] == 0


async def test_the_token_is_wanted(provider: MakeProvider) -> None:
    """With a token set, no request without it is answered."""
    some = provider(admin=True, admin_token="let-me-in")
    assert (await some.send("GET", "/admin/faults")).status == 401
    assert (await some.send("GET", "/admin/faults", headers={"authorization": "Bearer wröng"})).status == 401
    assert (await some.send("GET", "/admin/faults", headers={"Authorization": "Bearer let-me-in"})).status == 200
    assert "let-me-in" not in repr(some.simulator.options)


async def test_it_is_closed_unless_it_is_opened(provider: MakeProvider) -> None:
    """Without the option there is no admin endpoint."""
    assert (await provider().send("GET", "/admin/faults")).status == 404
    assert (await provider(admin=True).send("GET", "/admin/nothing")).status == 404
