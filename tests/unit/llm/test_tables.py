"""Reading tables strictly."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import ConfigError
from holdfast.llm.tables import Problem, Problems, Table, TableError, suggestion


def refuse(field: str, value: object) -> Any:
    raise ConfigError(field, value, "must be something else")


def test_problem_shows_its_value_cut_short() -> None:
    """A long value is cut, and None shows none."""
    assert str(Problem(path="a.b", value="x" * 500, rule="is long")) == f"a.b='{'x' * 99}...: is long"
    assert str(Problem(path="a.b", value=None, rule="must be given")) == "a.b: must be given"


def test_path_quotes_names_that_toml_would() -> None:
    """A name with a dot or a space stands in quotes, as in the file."""
    inside = Table("", {}, Problems("f")).table("models").table("gpt-4.1")
    assert inside.path == 'models."gpt-4.1"'
    assert inside.at("max_calls") == 'models."gpt-4.1".max_calls'


def test_check_inside_a_table_names_the_key_inside() -> None:
    """A check that speaks of a part of its value is told with the path of that part."""
    problems = Problems("f")
    table = Table("t", {"headers": {}, "a": 1}, problems)
    assert table.take("headers", lambda _key, value: refuse("headers.x", value)) is None
    assert table.take("a", lambda _key, value: refuse("elsewhere", value)) is None
    assert [problem.path for problem in problems.found] == ["t.headers.x", "t.a"]


def test_value_that_is_not_there_is_not_checked() -> None:
    """A key that the table does not have gives None, and no problem."""
    problems = Problems("f")
    assert Table("", {}, problems).take("a", refuse) is None
    problems.refuse()


def test_object_that_refuses_its_values_is_a_problem() -> None:
    """What a constructor refuses is told under the table's path."""
    problems = Problems("f")
    assert Table("t", {}, problems).build(lambda a: refuse("a", a), {"a": 1}) is None
    with pytest.raises(TableError, match=r"f: t\.a=1: must be something else"):
        problems.refuse()


def test_table_that_is_none_is_a_problem() -> None:
    """A number in the place of a table is told, and read as an empty one."""
    problems = Problems("f")
    assert not Table("", {"a": 5}, problems).table("a").content
    assert problems.found == [Problem(path="a", value=5, rule="must be a table")]


def test_suggestion_lists_what_is_known() -> None:
    """The closest name is suggested where there is one, and all are listed in any case."""
    assert suggestion("Opena", ["openai", "groq"]) == "did you mean openai? Known: groq, openai"
    assert suggestion("zzz", ["openai", "groq"]) == "known: groq, openai"
