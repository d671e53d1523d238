"""The bounds of all options, to the last number."""

from typing import Any

import pytest

from holdfast.core._options import (
    at_least,
    duration,
    fault_kinds,
    number,
    options_by_name,
    per_minute,
    positive,
    whole,
)
from holdfast.errors import ConfigError


@pytest.mark.parametrize("value", [-1e15, -1, 0, 0.5, 1e15, 10**15])
def test_numbers_that_floats_tell_apart(value: float) -> None:
    """Up to a million billion, either way, a number is taken as it is."""
    assert number("n", value) is value


@pytest.mark.parametrize("value", [-1.001e15, 10**15 + 1, 1.001e15, float("inf"), float("nan"), True, "1", None, 1j])
def test_what_is_no_number(value: object) -> None:
    """Beyond them, and for what is no finite number, the rule says what is allowed."""
    with pytest.raises(ConfigError, match=r"from -1e\+15 to 1e\+15") as refused:
        number("n", value)
    assert (refused.value.field, refused.value.value is value) == ("n", True)


@pytest.mark.parametrize("value", [1e-9, 0.5, 1, 1e9, 1_000_000_000])
def test_times_from_a_nanosecond_to_31_years(value: float) -> None:
    """Both ends are times, as whole numbers too."""
    assert duration("t", value) is value
    assert duration("t", value, or_zero=True) is value


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (0, "above 0"),
        (-1.0, "above 0"),
        (0.99e-9, "at least a nanosecond"),
        (1_000_000_001, r"at most 1,000,000,000 seconds"),
        (1e9 + 0.5, r"at most 1,000,000,000 seconds"),
    ],
)
def test_what_is_no_time(value: float, rule: str) -> None:
    """What is shorter or longer is refused with the bound that it is beyond."""
    with pytest.raises(ConfigError, match=rule):
        duration("t", value)


def test_a_time_that_may_be_zero() -> None:
    """Then so may what is less than a nanosecond, but nothing below 0."""
    assert duration("t", 0, or_zero=True) == 0
    assert duration("t", 1e-12, or_zero=True) == 1e-12
    with pytest.raises(ConfigError, match="at least 0"):
        duration("t", -1e-12, or_zero=True)


@pytest.mark.parametrize(("value", "least"), [(0, 0), (1, 1), (2**63 - 1, 0)])
def test_whole_numbers_that_fit_into_64_bits(value: int, least: int) -> None:
    """Both ends fit."""
    assert whole("n", value, least=least) is value


@pytest.mark.parametrize(("value", "least"), [(-1, 0), (0, 1), (2**63, 0), (1.0, 0), (True, 0)])
def test_what_is_no_whole_number(value: Any, least: int) -> None:
    """One less, one more, and what is none."""
    with pytest.raises(ConfigError, match=f"whole number (of at least|from) {least}"):
        whole("n", value, least=least)


def test_rates_that_whole_nanoseconds_tell() -> None:
    """From one in two years to ten million a second."""
    assert [per_minute("r", value) for value in (1e-6, 6e8)] == [1e-6, 6e8]
    for value in (0.99e-6, 6e8 + 1):
        with pytest.raises(ConfigError, match=r"from 0\.000001 to 600,000,000"):
            per_minute("r", value)


def test_from_where_a_number_is_allowed() -> None:
    """A least number is allowed itself, and 0 is not above 0."""
    assert at_least("n", 2, 2) == 2
    with pytest.raises(ConfigError, match="at least 2"):
        at_least("n", 1.99, 2)
    assert positive("n", 1e-300) == 1e-300
    with pytest.raises(ConfigError, match="above 0"):
        positive("n", 0)


@pytest.mark.parametrize("given", ["timeout", b"timeout", 5, None])
def test_one_kind_is_no_collection_of_kinds(given: object) -> None:
    """The refusal names what was given, and not its letters."""
    with pytest.raises(ConfigError, match="must be a collection of kinds of fault") as refused:
        fault_kinds("kinds", given)
    assert refused.value.value is given


@options_by_name
class Thing:
    """Has a first argument without a keyword, and two options."""

    def __init__(self, first: int = 0, /, *, second: int = 0, third: int = 0) -> None:
        self.sum = first + second + third


@options_by_name
class Other:
    """Has one option."""

    def __init__(self, *, only: int = 0) -> None:
        self.only = only


@pytest.mark.parametrize("name", ["first", "self", "zzz"])
def test_what_no_keyword_can_name(name: str) -> None:
    """Neither the object itself nor an argument that goes by its place is an option."""
    assert Thing(1, second=2, third=3).sum == 6
    assert Other(only=4).only == 4
    with pytest.raises(ConfigError, match="is no option of Thing; it has second, third"):
        Thing(**{name: 1})
    with pytest.raises(ConfigError, match="is no option of Other; it has only"):
        Other(**{name: 1})


def test_the_option_that_may_be_meant() -> None:
    """A name that is nearly right is told from the others."""
    wrong = {"secund": 1}
    with pytest.raises(ConfigError, match=r"is no option of Thing; did you mean second\?"):
        Thing(**wrong)
