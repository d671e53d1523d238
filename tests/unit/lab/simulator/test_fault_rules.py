"""Fault rules: how they are written, what is refused, and which calls they hit."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ConfigError
from holdfast.lab.simulator.calls import fingerprint_of
from holdfast.lab.simulator.fault_effects import (
    ANSWER_EFFECTS,
    PROMPT_EFFECTS,
    REPLACEMENTS,
    SCRIPT_EFFECTS,
    VECTOR_EFFECTS,
)
from holdfast.lab.simulator.fault_plan import FaultPlan
from holdfast.lab.simulator.fault_rules import FaultRule, parse_rule, rule_of
from holdfast.lab.simulator.fault_table import FAULTS, Scope, Traits

CHAT = Traits("chat", stream=False, json_mode=False)
STREAM = Traits("chat", stream=True, json_mode=False)


def chosen(plan: FaultPlan, number: int = 1, *, call: Traits = CHAT, seconds: float = 0.0, **more: Any) -> str | None:
    played = plan.choose(call, drawn=number, seconds=seconds, model=more.get("model", ""), key=more.get("key"))
    return played.fault if played else None


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("stall", FaultRule(fault="stall")),
        (" rate_limited:0.02 ", FaultRule(fault="rate_limited", rate=0.02)),
        ("outage:1.0@10-40", FaultRule(fault="outage", begin=10, end=40)),
        ("eof@5-", FaultRule(fault="eof", begin=5)),
        ("eof@-5,after=0", FaultRule(fault="eof", end=5, parameters={"after": 0})),
        ("stall,after=5,seconds=inf", FaultRule(fault="stall", parameters={"after": 5, "seconds": inf})),
        ("auth,first=3,every=2", FaultRule(fault="auth", first=3, every=2)),
        ("auth, endpoint=chat ,model=gpt,", FaultRule(fault="auth", endpoint="chat", model="gpt")),
        ("outage,as=reset,group=g,slot=5", FaultRule(fault="outage", group="g", slot=5, parameters={"as": "reset"})),
    ],
)  # fmt: skip
def test_rules_as_text(text: str, rule: FaultRule) -> None:
    """The short form holds the name, the rate, the period and the options."""
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be NAME"), ("Stall", "must be NAME"), ("stall,x", "must be NAME"), ("stall:", "must be NAME"),
        ("stal", "did you mean stall"), ("zzz", "the faults are"),
        ("stall:2", "rate='2': must be a number from 0 to 1"),
        ("stall:x", "from 0 to 1"), ("stall:nan", "from 0 to 1"), ("stall@9-3", "must end after it begins"),
        ("stall@x-3", "from='x'"), ("stall,to=-1", "at least 0"), ("stall,first=0", "at least 1"),
        ("stall,every=1.5", "whole number"), ("stall,first=²", "whole number"),
        ("stall,endpoint=x", "must be one of chat"),
        ("stall,model=", "not empty"), ("stall,colour=red", "is no option of stall; it has rate"),
        ("wrong_dimension,dimension=0", "at least 1"), ("outage,as=eof", "must be one of rate_limited"),
        ("outage,as=outage", "must be one of"), ("stall,slot=0,group=g", "at least 0.001"),
    ],
)  # fmt: skip
def test_what_is_no_rule(text: str, words: str) -> None:
    """What is wrong is told with the option, the value and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        parse_rule(text, field="--fault")
    assert words in str(caught.value)
    assert caught.value.field.startswith("--fault")


@pytest.mark.parametrize(
    "options",
    [{}, {"fault": 3}, {"fault": "stall", "rate": True}, {"fault": "stall", "rate": [1]},
     {"fault": "stall", "endpoint": []}, {"fault": "outage", "as": []}, {"fault": "stall", "first": True},
     {"fault": "stall", "first": 2.0}, {"fault": "stall", "model": 3}, {"fault": "stall", "after": None, "x": 1},
     {"fault": "stall", "rate": "9" * 400}],
)  # fmt: skip
def test_objects_that_are_no_rule(options: dict[str, Any]) -> None:
    """Values of the wrong kind are refused too."""
    with pytest.raises(ConfigError):
        rule_of(options)


@given(st.text(max_size=40))
def test_any_text_is_a_rule_or_a_config_error(text: str) -> None:
    """No text makes the parser fail in another way."""
    for given_text in (text, f"stall,{text}", f"stall:{text}"):
        try:
            rule = parse_rule(given_text)
        except ConfigError:
            continue
        assert isinstance(rule, FaultRule)


def test_a_key_is_kept_as_its_fingerprint() -> None:
    """A rule holds no key, and neither does the error about a rule that is not well-formed."""
    rule = parse_rule("auth,key=sk-secret")
    assert rule.key == fingerprint_of("sk-secret") == parse_rule(f"auth,key={rule.key}").key
    assert "sk-secret" not in repr(rule)
    with pytest.raises(ConfigError) as caught:
        parse_rule("auth,key=sk-secret,oops")
    assert "sk-secret" not in str(caught.value)


def test_a_rule_as_json_can_be_read_back() -> None:
    """What the admin endpoint shows of a rule is a rule again, except for what stands for "for ever"."""
    rule = parse_rule("stall:0.5@1-9,after=2,model=m,key=k,group=g,first=2,every=3,endpoint=chat")
    assert rule_of(rule.as_json()).as_json() == rule.as_json()
    assert parse_rule("stall").as_json()["seconds"] == "inf"


# --- the table --------------------------------------------------------------------------------------------------------


def test_every_fault_has_exactly_one_effect() -> None:
    """Each fault of the table is played in one place, and nothing is played that is not in the table."""
    effects = [*REPLACEMENTS, *PROMPT_EFFECTS, *ANSWER_EFFECTS, *VECTOR_EFFECTS, *SCRIPT_EFFECTS, "outage"]
    assert sorted(effects) == sorted(FAULTS)


def test_faults_apply_where_the_table_says() -> None:
    """Each scope takes the calls that its name says."""
    calls = {
        "chat": CHAT,
        "stream": STREAM,
        "json": Traits("messages", stream=False, json_mode=True),
        "embeddings": Traits("embeddings", stream=False, json_mode=False),
        "models": Traits("models", stream=False, json_mode=False),
    }
    taken = {
        scope: {
            name
            for name, call in calls.items()
            if next(f for f in FAULTS.values() if f.scope is scope).applies_to(call)
        }
        for scope in Scope
    }
    assert taken == {
        Scope.CALLS: set(calls),
        Scope.CHATS: {"chat", "stream", "json"},
        Scope.STREAMS: {"stream"},
        Scope.WHOLE: set(calls) - {"stream"},
        Scope.JSON_MODE: {"json"},
        Scope.REASONED: {"chat", "stream", "json"},
        Scope.EMBEDDINGS: {"embeddings"},
    }


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_the_first_rule_that_fits_is_played() -> None:
    """A rule that does not fit a call leaves it to the next one."""
    plan = FaultPlan(0, [parse_rule("eof"), parse_rule("auth,model=m"), parse_rule("reset,endpoint=models")])
    assert chosen(plan) is None
    assert chosen(plan, model="m") == "auth"
    assert chosen(plan, model="m", call=STREAM) == "eof"
    assert chosen(plan, call=Traits("models", stream=False, json_mode=False)) == "reset"


def test_the_rate_is_the_share_of_the_calls() -> None:
    """About one in five of many calls is hit by a rate of 0.2, the same ones every time, others with another seed."""

    def hit(seed: int) -> list[int]:
        plan = FaultPlan(seed, [parse_rule("auth:0.2")])
        return [number for number in range(3_000) if chosen(plan, number)]

    assert 520 < len(hit(1)) < 680
    assert hit(1) == hit(1) != hit(2)


def test_a_rule_that_comes_or_goes_leaves_the_others_draws() -> None:
    """The calls that a rule hits do not depend on other rules, nor on the order of the calls."""
    alone = FaultPlan(1, [parse_rule("auth:0.2")])
    beside = FaultPlan(1, [parse_rule("auth:0.2"), parse_rule("reset:0.5")])
    hit = [number for number in range(200) if chosen(alone, number) == "auth"]
    assert [number for number in reversed(range(200)) if chosen(beside, number) == "auth"][::-1] == hit


def test_a_period_has_a_beginning_and_an_end() -> None:
    """A rule is on from its first second up to its last."""
    plan = FaultPlan(0, [parse_rule("auth@10-40")])
    assert [chosen(plan, seconds=each) for each in (9.9, 10, 39.9, 40)] == [None, "auth", "auth", None]


def test_first_and_every_count_the_calls_that_fit() -> None:
    """The first n calls, and every n-th, are counted among those that the rule fits."""
    first = FaultPlan(0, [parse_rule("auth,first=2,model=m")])
    assert [chosen(first, model=model) for model in ("x", "m", "m", "m")] == [None, "auth", "auth", None]
    every = FaultPlan(0, [parse_rule("auth,every=3")])
    assert [chosen(every) for _ in range(6)] == [None, None, "auth", None, None, "auth"]


def test_a_key_is_matched_by_its_fingerprint() -> None:
    """A rule for one key leaves the others alone."""
    plan = FaultPlan(0, [parse_rule("quota,key=sk-a")])
    assert chosen(plan, key=fingerprint_of("sk-a")) == "quota"
    assert chosen(plan, key=fingerprint_of("sk-b")) is None
    assert chosen(plan) is None


def test_a_group_fails_in_the_same_slots_everywhere() -> None:
    """Two plans of one seed with a group have their outages at the same times, whatever their calls' numbers."""
    one = FaultPlan(5, [parse_rule("outage:0.3,group=power,slot=10")])
    two = FaultPlan(5, [parse_rule("stall"), parse_rule("outage:0.3,group=power,slot=10")])
    two.remove(1)
    times = [slot * 10 + 3 for slot in range(300)]
    hit = [bool(chosen(one, number, seconds=each)) for number, each in enumerate(times)]
    assert hit == [bool(chosen(two, 7 * number, seconds=each + 4)) for number, each in enumerate(times)]
    assert 50 < sum(hit) < 130


def test_rules_are_added_and_removed() -> None:
    """Rules have numbers, and go one by one or all together."""
    plan = FaultPlan(0)
    numbers = [plan.add(parse_rule(each)).id for each in ("auth", "reset")]
    assert [active.rule.fault for active in plan] == ["auth", "reset"]
    assert (plan.remove(numbers[0]), plan.remove(numbers[0])) == (True, False)
    assert chosen(plan) == "reset"
    assert (plan.clear(), plan.clear(), chosen(plan)) == (1, 0, None)
