"""Every option of every policy refuses what it cannot mean, by its own name; and so does every decorator."""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import math
import pkgutil
import random
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import holdfast as hf
import holdfast.core
from holdfast.core._options import LONGEST, MOST
from holdfast.core.breaker_options import BreakerOptions
from holdfast.errors import ConfigError, InvalidInputError
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

NAN, INF = math.nan, math.inf


async def answer(*_: object) -> str:
    return "an answer"


def plain(*_: object) -> str:
    return "an answer"


def refused(make: Callable[[], object]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        make()
    return caught.value


# --- one row, one option, one bad value -------------------------------------------------------------------------------

ROWS: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (hf.Fallback, {"alternatives": plain, "kinds": ["nope"]}, "kinds"),
    (hf.Fallback, {"alternatives": plain, "kinds": "timeout"}, "kinds"),
    (hf.Fallback, {"alternatives": plain, "kinds": [["timeout"]]}, "kinds"),
    (hf.Fallback, {"alternatives": 5}, "alternatives"),
    (hf.Fallback, {"alternatives": "plain"}, "alternatives"),
    (hf.Fallback, {"alternatives": [plain, 5]}, "alternatives"),
    (hf.Fallback, {"alternatives": []}, "alternatives"),
    (hf.LastKnownGood, {"kinds": ["nope"]}, "kinds"),
    (hf.LastKnownGood, {"enabled": "no"}, "enabled"),
    (hf.LastKnownGood, {"classify": 5}, "classify"),
    (hf.LastKnownGood, {"classify": 0}, "classify"),
    (hf.Hedge, {"delay": [1]}, "delay"),
    (hf.Hedge, {"delay": 1e300}, "delay"),
    (hf.Hedge, {"classify": 5}, "classify"),
    (hf.Hedge, {"budget": 5}, "budget"),
    (hf.Hedge, {"budget": hf.RetryBudget}, "budget"),
    (hf.CircuitBreaker, {"recovery_jiter": 1}, "recovery_jiter"),
    (hf.CircuitBreaker, {"recovery_timeout": 1e300}, "recovery_timeout"),
    (hf.CircuitBreaker, {"recovery_timeout": LONGEST * 1.001}, "recovery_timeout"),
    (hf.CircuitBreaker, {"recovery_timeout": 1e-12}, "recovery_timeout"),
    (hf.CircuitBreaker, {"clock": FakeClock}, "clock"),
    (hf.CircuitBreaker, {"rng": random.Random}, "rng"),
    (hf.CircuitBreaker, {"rng": 5}, "rng"),
    (hf.CircuitBreaker, {"events": hf.Events}, "events"),
    (hf.CircuitBreaker, {"name": None}, "name"),
    (hf.Retry, {"limits": 3}, "limits"),
    (hf.Retry, {"limits": {"nope": 1}}, "limits"),
    (hf.Retry, {"limits": {hf.FaultKind.TIMEOUT: -1}}, "limits[timeout]"),
    (hf.Retry, {"limits": {hf.FaultKind.TIMEOUT: True}}, "limits[timeout]"),
    (hf.Retry, {"on_result": 5}, "on_result"),
    (hf.Retry, {"backoff": 5}, "backoff"),
    (hf.Retry, {"budget": 5}, "budget"),
    (hf.Retry, {"idempotent": "no"}, "idempotent"),
    (hf.Retry, {"retry_on": [ValueError]}, "retry_on"),
    (hf.Retry, {"max_delay": INF}, "max_delay"),
    (hf.Retry, {"max_retries": 1 << 63}, "max_retries"),
    (hf.Retry, {"base": 10**400}, "base"),
    (hf.Pipeline, {"clock": 5}, "clock"),
    (hf.Pipeline, {"clock": hf.SystemClock}, "clock"),
    (hf.Pipeline, {"rng": 5}, "rng"),
    (hf.Pipeline, {"events": 5}, "events"),
    (hf.Pipeline, {"classify": 5}, "classify"),
    (hf.Pipeline, {"name": 5}, "name"),
    (hf.Pipeline, {"dependency": 5}, "dependency"),
    (hf.Pipeline, {"allow_order": 1}, "allow_order"),
    (hf.RateLimiter, {"max_wait": 1e300}, "max_wait"),
    (hf.RateLimiter, {"burst": 1e300}, "burst"),
    (hf.RateLimiter, {"burst": 1e15}, "burst"),
    (hf.RateLimiter, {"requests_per_minute": 1e-300}, "requests_per_minute"),
    (hf.RateLimiter, {"requests_per_minute": 6e8 + 1}, "requests_per_minute"),
    (hf.RateLimiter, {"tokens_per_minute": 1, "token_burst": 1e9}, "token_burst"),
    (hf.AdaptiveRate, {"burst": 1e9, "min_per_minute": 1}, "burst"),
    (hf.AdaptiveRate, {"min_per_minute": 1e-300}, "min_per_minute"),
    (hf.RequestQueue, {"requests_per_minute": 1e12}, "requests_per_minute"),
    (hf.Quota, {"limit": 1, "rate_window": 1e-10}, "rate_window"),
    (hf.Quota, {"limit": MOST * 1.01}, "limit"),
    (hf.Timeout, {"seconds": 1e300}, "seconds"),
    (hf.Deadline, {"seconds": 1e300}, "seconds"),
    (hf.ThreadBlocking, {"dedicated": 5}, "dedicated"),
    (hf.ThreadBlocking, {"dedicated": {"embed": 0}}, "dedicated[embed]"),
    (hf.ThreadBlocking, {"name": 5}, "name"),
    (hf.TaskWorker, {"queue": 5, "handler": answer}, "queue"),
    (hf.ThreadWorker, {"queue": 5, "handler": plain}, "queue"),
    (hf.ThreadWorker, {"queue": hf.RequestQueue(), "handler": plain, "executor": 5}, "executor"),
    (hf.CoDel, {"newest_first": "no"}, "newest_first"),
]


@pytest.mark.parametrize(
    ("make", "options", "field"),
    ROWS,
    ids=[f"{make.__name__}-{number}-{field}" for number, (make, _, field) in enumerate(ROWS)],
)
def test_a_bad_option_names_itself(make: Callable[..., Any], options: dict[str, Any], field: str) -> None:
    """What a review found, and its like: the error is a ConfigError that names the option, the value and the rule."""
    error = refused(lambda: make(**options))
    assert error.field == field
    assert error.rule


@pytest.mark.parametrize(
    ("use", "field"),
    [
        (lambda: hf.CircuitBreaker(5), "options"),  # type: ignore[arg-type]
        (lambda: hf.CircuitBreaker(0), "options"),  # type: ignore[arg-type]
        (lambda: hf.Events().listen(5), "callback"),  # type: ignore[arg-type]
        (lambda: hf.Events().listen(print, 5), "types"),  # type: ignore[arg-type]
        (lambda: hf.Events().listen(print, int), "types"),  # type: ignore[arg-type]
        (lambda: hf.correlation_scope(5), "correlation_id"),  # type: ignore[arg-type]
        (lambda: hf.demand_scope(cost="1"), "cost"),  # type: ignore[arg-type]
        (lambda: hf.demand_scope(priority=True), "priority"),
        (lambda: hf.classify(ValueError(), provider=["openai"]), "provider"),  # type: ignore[arg-type]
        (lambda: hf.Registry().add(5, name="five"), "item"),  # type: ignore[type-var]
        (lambda: hf.Registry().add(hf.CircuitBreaker, name="b"), "item"),  # type: ignore[type-var]
        (lambda: hf.Registry().add(hf.CircuitBreaker(), name=5), "name"),  # type: ignore[arg-type]
        (lambda: hf.RateLimiter().acquire(max_wait=1e300), "max_wait"),
        (lambda: hf.RateLimiter().reserve("1"), "cost"),  # type: ignore[arg-type]
        (lambda: hf.RequestQueue().drain(1e300), "seconds"),
        (lambda: hf.AdaptiveLimit().enter().took(1e300), "seconds"),
        (lambda: hf.Quota(limit=1).observe(reset=1e300), "reset"),
        (lambda: setattr(hf.LastKnownGood(), "enabled", "no"), "enabled"),
    ],
)
def test_a_bad_argument_names_itself(use: Callable[[], object], field: str) -> None:
    """Arguments of methods are checked like options."""
    assert refused(use).field == field


def test_the_bounds_themselves_are_allowed() -> None:
    """The longest time and the largest number are still accepted, and work."""
    clock = FakeClock()
    breaker = hf.CircuitBreaker(failure_threshold=1, recovery_timeout=LONGEST, clock=clock)
    breaker.force_open()
    assert hf.Timeout(seconds=LONGEST).ns == LONGEST * 10**9
    assert hf.Timeout(seconds=1e-9).ns == 1
    assert hf.Quota(limit=MOST).snapshot().remaining == MOST
    assert hf.RateLimiter(requests_per_minute=1e-6, max_wait=LONGEST).reserve().cost == 1
    with pytest.raises(InvalidInputError):
        hf.RateLimiter(burst=2, max_wait=LONGEST).acquire(3)


# --- every option there is --------------------------------------------------------------------------------------------

SCOPES = {"correlation_scope", "deadline_scope", "demand_scope"}
"""Made for each request, where a check of a whole protocol, or of each keyword's name, would cost more than the scope:
a wrong clock, or a misspelt keyword, is Python's own error there."""

NO_OPTIONS = {"Clock", "Event", "Events", "Fault", "FaultKind", "Good", "BreakerState", "Registry", "SystemClock"}
"""What has no options: enumerations, protocols, and what the library tells (its fields are made by the library)."""

REQUIRED: dict[str, dict[str, Any]] = {
    "Timeout": {"seconds": 1},
    "Deadline": {"seconds": 1},
    "deadline_scope": {"seconds": 1},
    "Fallback": {"alternatives": plain},
    "Quota": {"limit": 1},
    "QuotaOptions": {"limit": 1},
    "TaskWorker": {"queue": hf.RequestQueue(), "handler": answer},
    "ThreadWorker": {"queue": hf.RequestQueue(), "handler": plain},
}

ACCEPTED: dict[str, tuple[object, ...]] = {
    "expected": ([],),  # of no kind at all
    "kinds": ([],),
}
"""What the general rules below would call wrong, and is meant."""


class Option(NamedTuple):
    """One parameter of one constructor."""

    owner: type
    name: str
    annotation: str
    positional: bool


def public_classes() -> list[type]:
    """The classes of the core at the top of the package, and every class of options below it."""
    exported = [getattr(hf, name) for name in hf.__all__]
    found = [each for each in exported if inspect.isclass(each) and each.__module__.startswith("holdfast.core.")]
    for info in pkgutil.iter_modules(holdfast.core.__path__, "holdfast.core."):
        for name, value in vars(importlib.import_module(info.name)).items():
            if inspect.isclass(value) and name.endswith("Options") and value.__module__ == info.name:
                found.append(value)
    return [each for each in found if each.__name__ not in NO_OPTIONS]


def options_of(cls: type) -> Iterator[Option]:
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            assert cls is hf.CircuitBreaker
            yield from (each._replace(owner=cls) for each in options_of(BreakerOptions))
        else:
            positional = parameter.kind in {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL}
            yield Option(cls, name, str(parameter.annotation), positional)


def wrong_values(annotation: str) -> Iterator[object]:
    """What an option of this type never means."""
    head = annotation
    while "[" in head:
        head = re.sub(r"\[[^\[\]]*\]", "", head)
    parts = {each.strip() for each in head.split("|")}
    yield object()
    yield []
    if "None" not in parts:
        yield None
    if "Callable" not in parts:
        yield int
    if not parts & {"int", "float", "HedgeDelay"}:
        yield 5
        yield 1.5
    else:
        yield from (True, "5", NAN, INF, -INF, -1, 10**400, -(10**400), 1e300, 1j, b"1")
        if parts & {"int"}:
            yield 1.5
    if "str" not in parts:
        yield "nope"
    if "bool" in parts:
        yield from (0, 1)
    else:
        yield True


OPTIONS = [
    option
    for cls in public_classes()
    for option in options_of(cls)
    if not (cls.__name__ in SCOPES and option.name == "clock")
]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: f"{option.owner.__name__}.{option.name}")
def test_every_option_refuses_what_its_type_excludes(option: Option) -> None:
    """Whatever option there is or will be, a value of another type or beyond all ranges is refused by its name."""
    for value in wrong_values(option.annotation):
        if value in ACCEPTED.get(option.name, ()):
            continue
        others = REQUIRED.get(option.owner.__name__, {}) | ({} if option.positional else {option.name: value})
        field: str | None = None
        try:
            option.owner(*([value] if option.positional else []), **others)
        except ConfigError as error:
            field = error.field.partition("[")[0]
        wanted = {"handler", "fn"} if option.name == "handler" else {option.name}
        assert field in wanted, f"{option.owner.__name__}({option.name}={value!r}): {field}; it is {option.annotation}"


def test_the_search_finds_the_options() -> None:
    """The enumeration sees the policies and the classes of options; it is no test of nothing."""
    names = {option.owner.__name__ for option in OPTIONS}
    assert names >= {"Retry", "CircuitBreaker", "Pipeline", "BreakerOptions", "RateLimiterOptions", "HedgeOptions"}
    assert len(OPTIONS) > 200


CONSTRUCTED = [cls for cls in public_classes() if cls.__name__ in hf.__all__]


@pytest.mark.parametrize("cls", [each for each in CONSTRUCTED if each.__name__ not in SCOPES])
def test_a_misspelt_keyword_is_told_the_closest_one(cls: type) -> None:
    """Every constructor answers a misspelt keyword with the one that may be meant, or with all that it has."""
    keywords = [option.name for option in options_of(cls) if not option.positional]
    required = REQUIRED.get(cls.__name__, {})
    for name in keywords:
        misspelt = f"{name[:-1]}{name[-1]}x"
        error = refused(functools.partial(cls, **required, **{misspelt: 1}))
        assert error.field == misspelt
        assert error.rule == f"is no option of {cls.__name__}; did you mean {name}?"
    error = refused(functools.partial(cls, **required, qqqq=1))
    assert all(name in error.rule for name in keywords)


# --- what cannot be guarded -------------------------------------------------------------------------------------------

GUARDS: list[Callable[[], Any]] = [
    hf.Pipeline,
    functools.partial(hf.Pipeline, hf.Retry()),
    hf.Retry,
    hf.CircuitBreaker,
    hf.RateLimiter,
    hf.AdaptiveRate,
    hf.SlidingWindow,
    functools.partial(hf.Quota, limit=10),
    hf.Bulkhead,
    hf.AdaptiveLimit,
    hf.RequestQueue,
    hf.SingleFlight,
    hf.LastKnownGood,
    hf.Hedge,
    functools.partial(hf.Timeout, seconds=1),
    functools.partial(hf.Deadline, seconds=1),
    functools.partial(hf.Fallback, plain),
    lambda: hf.Bulkhead().admit(),
]


class Thing:
    """What somebody may take for a function."""


def items() -> Iterator[int]:
    yield 1


async def async_items() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("form", ["decorator", "call"])
@pytest.mark.parametrize("make", GUARDS)
@pytest.mark.parametrize(
    ("what", "advice"),
    [
        (lambda: Thing, "is a class: guard the function or method that makes the call"),
        (answer, "is already a coroutine: pass the function and its arguments, without calling it"),
        (items, "is already a generator: pass the function and its arguments, without calling it"),
        (async_items, "is already a generator: pass the function and its arguments, without calling it"),
        (Thing, "is not a function: pass the function and its arguments, without calling it"),
        (lambda: 5, "is not a function: pass the function and its arguments, without calling it"),
        (lambda: None, "is not a function: pass the function and its arguments, without calling it"),
        (lambda: staticmethod(answer), "is a staticmethod: put @staticmethod above the policy's decorator"),
        (lambda: classmethod(plain), "is a classmethod: put @classmethod above the policy's decorator"),
    ],
    ids=["class", "coroutine", "generator", "async generator", "object", "number", "None", "static", "classmethod"],
)
def test_what_is_no_function_is_told_what_to_do(
    make: Callable[[], Any], what: Callable[[], Any], advice: str, form: str
) -> None:
    """Decorating or calling a class, a coroutine, a generator or no function at all says what to do instead."""
    guard = make()
    thing = what()
    error = refused(lambda: guard(thing) if form == "decorator" else guard.call(thing))
    assert error.field == "fn"
    assert error.rule.startswith(advice)


def test_a_future_is_told_what_to_do() -> None:
    """Something else to await, which is no coroutine, is refused the same way and left as it is."""
    loop = asyncio.new_event_loop()
    future: asyncio.Future[int] = loop.create_future()
    for make in GUARDS:
        assert "without calling it" in refused(functools.partial(make().call, future)).rule
    assert not future.done()
    loop.close()


@pytest.mark.parametrize("make", [hf.SingleFlight, hf.LastKnownGood, hf.Bulkhead])
def test_generator_functions_are_still_told_apart(make: Callable[[], Any]) -> None:
    """A plain function takes the quick way, and a generator function is still refused where a stream cannot be had."""
    guard = make()
    assert guard.call(plain) == "an answer"
    assert "gives a stream" in refused(lambda: guard.call(items)).rule
