"""Put a mutant into a process that has everything imported: functions get the changed code in place.

What cannot be put in place so (code that runs at import, a closure of another shape) is *unfit*, and needs a process
that imports the changed module afresh.
"""

from __future__ import annotations

import gc
import inspect
from types import CodeType, FunctionType
from typing import TypeAlias

__all__ = ["Functions", "Unfit", "living", "swap"]

Functions: TypeAlias = dict[tuple[str, str, int], list[FunctionType]]
"""The functions that exist, by file, qualified name and first line of their code."""


class Unfit(Exception):  # noqa: N818  no error: it needs another way
    """The change cannot be made in place."""


def living() -> Functions:
    """Every function that exists now."""
    found: Functions = {}
    for each in gc.get_objects():
        if type(each) is FunctionType:
            found.setdefault(_name(each.__code__, each.__code__.co_filename), []).append(each)
    return found


def swap(original: CodeType, changed: CodeType, functions: Functions) -> None:
    """Give all ``functions`` of the module the ``changed`` code; both are compiled from the module's file.

    Raises:
        Unfit: nothing was changed.
    """
    todo: list[tuple[FunctionType, CodeType]] = []
    _pairs(original, changed, functions, todo, within=False)
    for function, code in todo:
        if len(function.__code__.co_freevars) != len(code.co_freevars):
            raise Unfit
    for function, code in todo:
        function.__code__ = code


def _pairs(
    original: CodeType,
    changed: CodeType,
    functions: Functions,
    todo: list[tuple[FunctionType, CodeType]],
    *,
    within: bool,
) -> bool:
    """Collect what is to be swapped; whether ``changed`` is another code than ``original``.

    ``within`` says that a function is around it, whose new code brings this one along.
    """
    is_function = bool(original.co_flags & inspect.CO_OPTIMIZED)
    differs = _own(original) != _own(changed)
    if differs and not is_function:
        raise Unfit
    inner, others = _nested(original), _nested(changed)
    if [code.co_qualname for code in inner] != [code.co_qualname for code in others]:
        if not is_function:
            raise Unfit
        differs = True
    else:
        for each, other in zip(inner, others, strict=True):
            differs |= _pairs(each, other, functions, todo, within=within or is_function)
    if differs and is_function:
        alive = functions.get(_name(original, original.co_filename), [])
        if not alive and not within:
            raise Unfit
        todo += [(function, changed) for function in alive]
    return differs and is_function


def _nested(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _own(code: CodeType) -> tuple[object, ...]:
    """What a code does by itself, without the codes in it."""
    constants = [(type(each), repr(each)) for each in code.co_consts if not isinstance(each, CodeType)]
    return (
        code.co_code,
        constants,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_exceptiontable,
    )


def _name(code: CodeType, path: str) -> tuple[str, str, int]:
    return path, code.co_qualname, code.co_firstlineno
