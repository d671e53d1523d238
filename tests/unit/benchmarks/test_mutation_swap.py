"""Putting a mutant into a running process."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from benchmarks.mutation.mutants import Program
from benchmarks.mutation.swap import Unfit, living, swap

SOURCE = dedent("""
    LIMIT = 1

    def near(a, b=1):
        return a < 5

    def outer(a):
        def inner(b):
            return a + b
        return inner

    class Box:
        @property
        def full(self):
            return self.held > 3

    made = outer(1)
    """)


def loaded(path: str) -> tuple[Program, dict[str, Any]]:
    program = Program(SOURCE, path)
    names: dict[str, Any] = {}
    exec(program.original(), names)
    return program, names


def number(program: Program, now: str) -> int:
    return next(at for at, each in enumerate(program.mutants) if each.key.now == now)


def test_functions_change_in_place() -> None:
    """A function that is bound already does what the mutant says, behind a decorator too."""
    program, names = loaded("in_place.py")
    near, box = names["near"], names["Box"]()
    functions = living()
    swap(program.original(), program.changed(number(program, "return a <= 5")), functions)
    swap(program.original(), program.changed(number(program, "return self.held >= 3")), functions)
    box.held = 3
    assert near(5)
    assert box.full


def test_closures_change_wherever_they_were_made() -> None:
    """A closure from before and one from after both are the mutant's."""
    program, names = loaded("closures.py")
    swap(program.original(), program.changed(number(program, "return a - b")), living())
    assert names["made"](3) == -2
    assert names["outer"](5)(3) == 2


@pytest.mark.parametrize("now", ["LIMIT = 2", "def near(a, b=2)"])
def test_what_runs_at_import_is_unfit(now: str) -> None:
    """A constant of the module and a default cannot be changed in place, and nothing is."""
    program, names = loaded(f"at_import_{len(now)}.py")
    before = names["near"].__code__
    with pytest.raises(Unfit):
        swap(program.original(), program.changed(number(program, now)), living())
    assert names["near"].__code__ is before


def test_code_that_nothing_holds_is_unfit() -> None:
    """A change of a function that is not there is not taken for made."""
    program = Program(SOURCE, "never_loaded.py")
    with pytest.raises(Unfit):
        swap(program.original(), program.changed(number(program, "return a <= 5")), living())


def test_a_closure_that_needs_other_names_is_unfit() -> None:
    """What would lose a variable of the function around it has to be made afresh."""
    program, _ = loaded("other_names.py")
    with pytest.raises(Unfit):
        swap(program.original(), program.changed(number(program, "return None")), {})
    at = next(
        at
        for at, each in enumerate(program.mutants)
        if each.key.function == "outer.inner" and each.key.now == "return None"
    )
    with pytest.raises(Unfit):
        swap(program.original(), program.changed(at), living())
