"""Other options for a pipeline that is in use: what is refused, and in which words."""

from typing import Any, ClassVar

import pytest

from holdfast.core.bulkhead import Bulkhead
from holdfast.core.faults import Fault
from holdfast.core.pipeline import Pipeline
from holdfast.core.policy import CallRef, Site
from holdfast.core.rate_limiter import RateLimiter
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import ConfigError


class Knob:
    """A gate whose options are a number."""

    label: ClassVar[str] = "knob"
    options: Any = 1

    def attach(self, site: Site) -> None:
        """Nothing."""

    def enter(self, call: CallRef | None = None) -> int:
        return 1

    def leave(self, permit: int, fault: Fault | None = None, call: CallRef | None = None) -> None:
        """Nothing."""

    def snapshot(self) -> object:
        return self.options

    def reconfigure(self, options: Any) -> None:
        self.options = options


def test_an_option_that_is_none_is_refused_by_name() -> None:
    """A mistyped option of a gate or of a policy is refused with the one that may be meant, and nothing changes."""
    limiter = RateLimiter()
    guard = Pipeline(Retry(), limiter)
    before = limiter.options
    for name, option, meant in (("rate_limiter", "brust", "burst"), ("retry", "max_retires", "max_retries")):
        with pytest.raises(ConfigError, match=f"{option}=3: is no option of {name}; did you mean {meant}"):
            guard.reconfigure(**{name: {option: 3}})
    assert limiter.options is before


def test_options_that_are_no_dataclass() -> None:
    """A gate whose options have no fields takes them as a whole only."""
    knob = Knob()
    guard = Pipeline(knob)
    guard.reconfigure(knob=2)
    assert knob.options == 2
    with pytest.raises(ConfigError, match="or a whole int"):
        guard.reconfigure(knob={"value": 3})
    assert knob.options == 2


def test_the_policies_that_can_be_exchanged_are_named() -> None:
    """The error names those that the pipeline has once, as its snapshot does."""
    guard = Pipeline(Timeout(seconds=1))
    with pytest.raises(ConfigError, match=r"has once: timeout$"):
        guard.reconfigure(Retry())


def test_no_line_where_there_was_none() -> None:
    """A gate cannot begin to let callers wait; a queue, where they always may, can bound how long."""
    with pytest.raises(ConfigError, match=": would let callers wait"):
        Pipeline(Bulkhead()).reconfigure(bulkhead={"max_waiting": 1})
    queue = RequestQueue(max_wait=None)
    Pipeline(queue).reconfigure(request_queue={"max_wait": 5.0})
    assert queue.options.max_wait == 5
