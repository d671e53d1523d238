"""What mutation testing changes in a program, and what it leaves alone."""

from __future__ import annotations

from textwrap import dedent

import pytest
from benchmarks.mutation.mutants import Program


def changes(source: str) -> list[tuple[str, str, str]]:
    return [(each.key.operator, each.key.was, each.key.now) for each in Program(dedent(source), "x.py").mutants]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", ("comparison", "a < b", "a <= b")),
        ("a >= b", ("comparison", "a >= b", "a > b")),
        ("a is None", ("comparison", "a is None", "a is not None")),
        ("a in b", ("comparison", "a in b", "a not in b")),
        ("a < b == c", ("comparison", "a < b == c", "a < b != c")),
        ("a and b", ("boolean", "a and b", "a or b")),
        ("a and b", ("operand", "a and b", "a")),
        ("a or b or c", ("operand", "a or b or c", "a or c")),
        ("a + b", ("arithmetic", "a + b", "a - b")),
        ("a // b", ("arithmetic", "a // b", "a * b")),
        ("not a", ("unary", "not a", "a")),
        ("-a", ("unary", "-a", "a")),
        ("a if b else c", ("condition", "a if b else c", "a if not b else c")),
        ("[a for a in b if a]", ("condition", "[a for a in b if a]", "[a for a in b if not a]")),
        ("min(a, b)", ("function", "min(a, b)", "max(a, b)")),
        ("a.popleft()", ("function", "a.popleft()", "a.pop()")),
        ("1", ("constant", "1", "2")),
        ("0.5", ("constant", "0.5", "1.0")),
        ("0.0", ("constant", "0.0", "1.0")),
        ("True", ("constant", "True", "False")),
        ("a['key']", ("constant", "a['key']", "a['not key']")),
        ("{'key': a}", ("constant", "{'key': a}", "{'not key': a}")),
        ("a == 'word'", ("constant", "a == 'word'", "a == 'not word'")),
    ],
)
def test_expressions(source: str, expected: tuple[str, str, str]) -> None:
    """Each kind of expression has its changes, and the mutant shows the whole of it."""
    operator, was, now = expected
    assert (operator, f"x = {was}", f"x = {now}") in changes(f"x = {source}")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a.b = c", ("statement", "a.b = c", "pass")),
        ("a.b: int = c", ("statement", "a.b: int = c", "pass")),
        ("a += b", ("statement", "a += b", "pass")),
        ("a += b", ("arithmetic", "a += b", "a -= b")),
        ("f(a)", ("statement", "f(a)", "pass")),
        ("del a", ("statement", "del a", "pass")),
        ("return a", ("return", "return a", "return None")),
        ("return", ("return", "return", "pass")),
        ("raise E(a)", ("raise", "raise E(a)", "pass")),
        ("raise E(a)", ("exception", "raise E(a)", "raise RuntimeError")),
        ("while a:\n  break", ("break", "break", "continue")),
        ("while a:\n  continue", ("continue", "continue", "break")),
        ("while a:\n  pass", ("condition", "while a", "while not a")),
        ("for a in b:\n  pass", ("loop", "for a in b", "for a in ()")),
        ("if a < b:\n  pass", ("condition", "if a < b", "if not a < b")),
        ("try:\n  pass\nexcept E:\n  pass", ("exception", "except E", "except ()")),
        ("try:\n  pass\nexcept (E, F):\n  pass", ("exception", "except (E, F)", "except (F,)")),
        ("match a:\n  case 'b':\n    pass", ("constant", "'b'", "'not b'")),
        ("def g():\n  return a", ("return", "return a", "return None")),
    ],
)
def test_statements(body: str, expected: tuple[str, str, str]) -> None:
    """Each kind of statement has its changes, in nested functions too."""
    lines = "\n".join(f"  {line}" for line in body.splitlines())
    assert expected in changes(f"def f():\n{lines}")


@pytest.mark.parametrize(
    "source",
    [
        "'''A docstring.'''",
        "def f(a: Literal[1]) -> Literal[2]: ...",
        "__all__ = ['a']",
        "__slots__ = ('a',)",
        "from a import b",
        "if TYPE_CHECKING:\n  a = 1",
        "T = TypeVar('T', bound=1)",
        "A: TypeAlias = Literal[1]",
        "def __repr__(self):\n  return self.a + 1",
        "assert a == 1",
        "raise AssertionError(1)",
        "log.warning('gone', 1)",
        "@decorated(1)\ndef f(): ...",
        "x = f('wording')",
        "x = f'{1} wording'",
        "def f():\n  return None",
    ],
)
def test_what_is_left_alone(source: str) -> None:
    """Annotations, names, imports and wording have no mutants of what they say."""
    assert [each for each in changes(source) if each[0] not in {"statement", "raise"}] == []


def test_a_condition_has_one_contrary() -> None:
    """``if a == b`` is turned round once, by its comparison."""
    assert changes("if a == b: pass") == [("comparison", "if a == b", "if a != b")]


def test_a_mutant_is_known_by_its_content() -> None:
    """Comments and lines before it change nothing of a mutant; equal ones in a function are counted."""
    source = """
        def f():
            g()
            g()
        """
    keys = [each.key for each in Program(dedent(source), "x.py").mutants]
    assert [(key.function, key.nth) for key in keys] == [("f", 0), ("f", 1)]
    moved = Program("# a comment\n\n" + dedent(source), "x.py")
    assert [each.key for each in moved.mutants] == keys
    assert moved.digest == Program(dedent(source), "x.py").digest


def test_where_code_runs() -> None:
    """Module, class and defaults run at import, a function's body does not."""
    source = """
        A = 1
        class B:
            c = 2
            def d(self, e=3):
                return 4
        """
    assert [(each.key.was, each.at_import) for each in Program(dedent(source), "x.py").mutants] == [
        ("A = 1", True),
        ("c = 2", True),
        ("def d(self, e=3)", True),
        ("return 4", False),
        ("return 4", False),
    ]


def test_a_long_statement_is_named_by_a_part() -> None:
    """The text of a mutant stays short, whatever the statement."""
    [mutant] = [
        each for each in Program(f"x = f({', '.join(['name'] * 60)}, a + b)", "x.py").mutants if each.key.was == "a + b"
    ]
    assert mutant.key.now == "a - b"


def test_the_changed_code_runs() -> None:
    """Compiling a mutant leaves the program as it was."""
    program = Program("x = 1", "x.py")
    found: dict[str, int] = {}
    for code in (program.changed(0), program.original()):
        exec(code, found)
        found.setdefault("first", found["x"])
    assert (found["first"], found["x"]) == (2, 1)
