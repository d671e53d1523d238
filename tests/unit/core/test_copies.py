"""Copies of exceptions."""

from typing import Any

import pytest

from holdfast.core._copies import copy_of
from holdfast.errors import CircuitOpenError, ConfigError, RetriesExhaustedError


class Picky(Exception):  # noqa: N818
    def __init__(self, code: int, *, detail: str) -> None:
        super().__init__(f"code {code}: {detail}")
        self.code = code


class Slotted(Exception):  # noqa: N818
    __slots__ = ("code",)


class Refusing(Exception):  # noqa: N818
    def __new__(cls, *, wanted: int) -> "Refusing":
        return super().__new__(cls)

    def __init__(self, *, wanted: int) -> None:
        super().__init__("text")


class Shifty(Exception):  # noqa: N818
    """Its ``__new__`` gives another class, as that of ``OSError`` does."""

    def __new__(cls, *args: object) -> Any:
        return ValueError(*args) if args == ("other",) else super().__new__(cls, *args)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a", 1),
        KeyError("k"),
        OSError(104, "reset", "file"),
        ConnectionResetError(104, "reset"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ImportError("x", name="n"),
        ExceptionGroup("several", [ValueError(1), KeyError(2)]),
        Picky(4, detail="x"),
        ConfigError("field", 1, "must be 2"),
        CircuitOpenError("open", dependency="d", retry_after=2.0),
        RetriesExhaustedError("all", attempts=3, delays=[1.0]),
    ],
)
def test_a_copy_says_the_same(error: Exception) -> None:
    """Class, text, arguments and attributes are those of the original."""
    copy = copy_of(error)
    assert copy is not error
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.args == error.args
    assert vars(copy) == vars(error)
    for name in ("errno", "filename", "name", "start", "exceptions"):
        assert getattr(copy, name, None) == getattr(error, name, None)


def test_a_copy_is_on_its_own() -> None:
    """Cause, context, notes and traceback come along; what is added to the copy later leaves the original alone."""
    try:
        try:
            raise KeyError("inner")  # noqa: TRY301
        except KeyError as inner:
            raise ValueError("outer") from inner
    except ValueError as caught:
        error = caught
    error.add_note("one")
    copy = copy_of(error)
    assert copy.__cause__ is error.__cause__
    assert copy.__context__ is error.__context__
    assert copy.__suppress_context__
    assert copy.__traceback__ is error.__traceback__
    copy.add_note("two")
    assert error.__notes__ == ["one"]
    before = error.__traceback__
    with pytest.raises(ValueError, match="outer"):
        raise copy
    assert error.__traceback__ is before
    assert copy.__traceback__ is not before


@pytest.mark.parametrize("error", [Slotted("a"), Refusing(wanted=1)])
def test_what_cannot_be_copied_is_shared(error: Exception) -> None:
    """A class that hides state, or refuses its own arguments, is given as it is."""
    assert copy_of(error) is error


def test_a_class_that_makes_another() -> None:
    """A ``__new__`` that gives an object of another class does not pass for a copy."""
    error = Shifty("x")
    error.args = ("other",)
    assert copy_of(error) is error


def test_a_copy_keeps_that_there_is_no_cause() -> None:
    """What happened while another error was handled is shown with it, unless that was turned off."""
    for hidden in (False, True):
        error = ValueError("x")
        error.__context__ = KeyError("before")
        error.__suppress_context__ = hidden
        assert copy_of(error).__suppress_context__ is hidden


def test_a_copy_of_a_class_that_adds_arguments() -> None:
    """What ``__new__`` adds to the arguments is not added again."""

    class AddingError(OSError):
        def __new__(cls, *args: object) -> "AddingError":
            return super().__new__(cls, *args, "more")

    error = AddingError()
    assert error.args == ("more",)
    copy = copy_of(error)
    assert copy is not error
    assert copy.args == ("more",)
