"""Copies of exceptions, for several callers that each raise one."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["copy_of"]

ErrorT = TypeVar("ErrorT", bound=BaseException)


def copy_of(error: ErrorT) -> ErrorT:
    """Another exception of the same class, with the same arguments, attributes, notes, cause and traceback.

    The class's own ``__init__`` is not run: it may want other arguments than the exception keeps. A class that cannot
    be copied so (one with ``__slots__``, or a ``__new__`` of its own that objects) gives ``error`` itself.
    """
    cls = type(error)
    if any("__slots__" in vars(each) for each in cls.__mro__):
        return error
    builtin: Any = next(each for each in cls.__mro__ if each.__module__ == "builtins")
    try:
        _, args, *state = builtin.__reduce__(error)  # as for pickling: arguments that ``args`` leaves out, too
        copy = cls.__new__(cls, *args)
        builtin.__init__(copy, *args)  # fills the fields that only C code sees, such as errno
    except Exception:  # noqa: BLE001  whatever a foreign class raises here, sharing the one error is the way out
        return error
    if type(copy) is not cls:
        return error
    for attributes in state:
        copy.__setstate__(attributes)
    if hasattr(error, "__notes__"):
        copy.__notes__ = list(error.__notes__)
    copy.args = error.args
    copy.__cause__ = error.__cause__
    copy.__context__ = error.__context__
    copy.__suppress_context__ = error.__suppress_context__
    return copy.with_traceback(error.__traceback__)
