"""Results of mutation testing: kept, gone on from, and explained."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from benchmarks.mutation import report
from benchmarks.mutation.equivalents import Equivalent, Equivalents
from benchmarks.mutation.mutants import Key, Program
from benchmarks.mutation.results import Result, Results, Status

PROGRAM = Program("def f():\n  g()\n  g()\n  h()\n", "x.py")


def result(nth: int, status: Status, digest: str = PROGRAM.digest) -> Result:
    return Result("x.py", digest, PROGRAM.mutants[nth].key, status, "t.py::test", "tests", 0.25)


def explained(**changes: object) -> Equivalent:
    values: dict[str, object] = {"file": "x.py", "function": "f", "was": "g()", "now": "pass", "reason": "No effect."}
    return Equivalent(**(values | changes))  # type: ignore[arg-type]


def test_results_are_there_again(tmp_path: Path) -> None:
    """The last result of a mutant is read back, also after a line that was cut off."""
    path = tmp_path / "results.jsonl"
    results = Results(path)
    results.add(result(0, "survived"))
    results.add(result(1, "killed"))
    results.add(result(0, "timeout"))
    results.close()
    path.write_text(path.read_text(encoding="utf-8") + '{"source": "x.py", "dig', encoding="utf-8")
    again = Results(path)
    assert again.get("x.py", PROGRAM.mutants[0].key) == result(0, "timeout")
    assert again.get("x.py", PROGRAM.mutants[1].key) == result(1, "killed")
    assert again.get("x.py", PROGRAM.mutants[2].key) is None
    again.close()
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


def test_results_that_are_only_read(tmp_path: Path) -> None:
    """Looking at results changes nothing on disk, and takes none in."""
    path = tmp_path / "results.jsonl"
    looking = Results(path, to_read=True)
    assert looking.get("x.py", PROGRAM.mutants[0].key) is None
    with pytest.raises(RuntimeError, match="only to be read"):
        looking.add(result(0, "killed"))
    looking.close()
    assert not path.exists()


def test_equivalents_match_content() -> None:
    """An entry is for one text in one function; for one of several when it says which."""
    first, second, other = (each.key for each in PROGRAM.mutants)
    every = Equivalents([explained()])
    assert every.reason("x.py", first) == every.reason("x.py", second) == "No effect."
    assert every.reason("x.py", other) is None
    assert every.reason("y.py", first) is None
    one = Equivalents([explained(nth=1)])
    assert one.reason("x.py", first) is None
    assert one.reason("x.py", second) == "No effect."


def test_a_stale_equivalent_is_told() -> None:
    """What explains no survivor any more is named, for the files that were asked about."""
    entry = explained()
    equivalents = Equivalents([entry, explained(file="y.py")])
    assert equivalents.stale("x.py", [PROGRAM.mutants[0].key]) == []
    assert equivalents.stale("x.py", [Key("f", "statement", "h()", "pass", 0)]) == [entry]


def test_an_equivalent_needs_a_reason() -> None:
    """Nothing is explained by saying nothing."""
    with pytest.raises(ValueError, match="needs a reason"):
        explained(reason=" ")


def test_the_equivalents_of_the_core_are_readable(tmp_path: Path) -> None:
    """The file in the repository can be read, and so can one with entries."""
    Equivalents.read(Path(report.__file__).with_name("equivalents.toml"))
    path = tmp_path / "equivalents.toml"
    path.write_text(
        dedent("""
            [[equivalent]]
            file = "x.py"
            function = "f"
            was = "g()"
            now = "pass"
            reason = "No effect."
            """),
        encoding="utf-8",
    )
    assert Equivalents.read(path).reason("x.py", PROGRAM.mutants[0].key) == "No effect."


def test_scores(tmp_path: Path) -> None:
    """A timeout counts as noticed, the explained are left out of the second score, and old code has no figures."""
    results = Results(tmp_path / "results.jsonl")
    results.add(result(0, "survived"))
    results.add(result(1, "timeout"))
    assert report.figures("x.py", PROGRAM, results, Equivalents([])) is None
    results.add(result(2, "uncovered"))
    found = report.figures("x.py", PROGRAM, results, Equivalents([explained(nth=0)]))
    assert found == {
        "mutants": 3,
        "killed": 0,
        "timeout": 1,
        "survived": 1,
        "explained": 1,
        "raw_score": 33.3,
        "score": 50.0,
        "seconds": 0.8,
    }
    assert report.table({"x.py": found})[2:] == [
        "| x.py | 3 | 0 | 1 | 1 | 1 | 33.3% | 50.0% |",
        "| **all** | 3 | 0 | 1 | 1 | 1 | 33.3% | 50.0% |",
    ]
    assert report.survivors("x.py", PROGRAM, results, Equivalents([explained(nth=0)])) == [
        "x.py:4 f  [statement, no test runs it]",
        "    - h()",
        "    + pass",
    ]
    results.add(result(0, "killed", digest="older"))
    assert report.figures("x.py", PROGRAM, results, Equivalents([])) is None
    results.close()
