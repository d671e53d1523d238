"""The fault matrix: what a caller gets for every fault, in every protocol, alone and with somebody to fail over to."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.fault_matrix.cells import NO_FAULT, Asked, Cell, Outcome, Setup, applies, run
from benchmarks.fault_matrix.lines import FAMILIES, KEY_LINES, Line, all_lines
from benchmarks.fault_matrix.page import every_cell, page

from holdfast.lab.simulator.fault_table import FAULTS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "fault-matrix.md"
LETTERS = {
    Outcome.ANSWER: "A",
    Outcome.SECOND: "2",
    Outcome.CONTINUED: "C",
    Outcome.WRONG: "w",
    Outcome.LABELLED: "l",
    Outcome.ERROR: "E",
    Outcome.INTERRUPTED: "I",
}

# For each line: alone, with a healthy second provider, with that and continue_streams, and with a second provider that
# has the same fault. Letters in the order of Asked: OpenAI chat, its stream, Anthropic, its stream, embeddings. A dot
# is a call that the fault does not apply to, or one that is not streamed where streams are continued.
EXPECTED = {
    # the provider refuses
    "rate_limited": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "rate_limited,retry_after=3600": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "rate_limited_wrong_unit": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "rate_limited_bare": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "quota": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "billing": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "auth": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "wrong_model": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "overloaded": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "server_error": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "outage": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "bad_gateway_html": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "gateway_timeout": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "gateway_timeout,seconds=10": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    # the connection fails
    "refused": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "reset": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "reset_after_headers": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "cut,after=0": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "cut": (".I.I.", ".I.I.", ".C.C.", ".I.I."),
    "begins_anew": (".I.I.", ".I.I.", ".C.C.", ".I.I."),
    # it takes its time: 20 s are within the 30 s of a whole answer, and beyond the 15 s to a first token
    "slow": ("AAAAA", "AAAAA", ".A.A.", "AAAAA"),
    "slow_headers,seconds=20": ("AEAEE", "A2A22", ".2.2.", "AEAEE"),
    "slow_headers,seconds=inf": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "slow_first_token,seconds=20": ("AEAEE", "A2A22", ".2.2.", "AEAEE"),
    "slow_first_token,seconds=inf": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "role_then_stall": (".E.E.", ".2.2.", ".2.2.", ".E.E."),
    "stall,seconds=10": ("AAAAE", "AAAA2", ".A.A.", "AAAAE"),
    "stall,after=0": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "stall": (".I.I.", ".I.I.", ".C.C.", ".I.I."),
    # the body is not an answer
    "empty_body": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "not_json": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "error_in_200": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "malformed_json": ("E.E.E", "2.2.2", ".....", "E.E.E"),
    "wrong_schema": ("EEEEE", "22222", ".2.2.", "EEEEE"),
    "empty_content": ("EEEE.", "2222.", ".2.2.", "EEEE."),
    "no_finish": ("EIEI.", "2I2I.", ".C.C.", "EIEI."),
    # the stream is not whole
    "empty_stream": (".E.E.", ".2.2.", ".2.2.", ".E.E."),
    "eof,after=0": (".E.E.", ".2.2.", ".2.2.", ".E.E."),
    "eof": (".I.I.", ".I.I.", ".C.C.", ".I.I."),
    "eof_half_event,after=0": (".E.E.", ".2.2.", ".2.2.", ".E.E."),
    "eof_half_event": (".I.I.", ".I.I.", ".C.C.", ".I.I."),
    "error_event,after=0": (".E.E.", ".2.2.", ".2.2.", ".E.E."),
    "error_event": (".I.I.", ".I.I.", ".C.C.", ".I.I."),
    "bad_line": (".A.A.", ".A.A.", ".A.A.", ".A.A."),
    "no_done": (".A.I.", ".A.I.", ".A.C.", ".A.I."),
    # the vectors are wrong
    "wrong_dimension": ("....E", "....2", ".....", "....E"),
    "nan_vector": ("....E", "....2", ".....", "....E"),
    "missing_vector": ("....E", "....2", ".....", "....E"),
    # the question is the reason
    "wrong_request": ("EEEE.", "EEEE.", ".E.E.", "EEEE."),
    "context_length": ("EEEE.", "EEEE.", ".E.E.", "EEEE."),
    "prompt_filtered": ("EEEE.", "EEEE.", ".E.E.", "EEEE."),
    "content_filter": ("EEEE.", "EEEE.", ".E.E.", "EEEE."),
    "content_filter,after=3": ("ElEl.", "ElEl.", ".l.l.", "ElEl."),
    # an answer that is wrong
    "refusal": ("wwEE.", "wwEE.", ".w.E.", "wwEE."),
    "fenced_json": ("ww...", "ww...", ".w...", "ww..."),
    "wrong_usage": ("wwww.", "wwww.", ".w.w.", "wwww."),
}
LINES = list(all_lines())
SETUPS = (Setup.SOLE, Setup.SECOND, Setup.CONTINUED, Setup.BOTH)
THE_CALLERS = {"The question is the reason", "An answer that is wrong"}
ATTEMPT_SECONDS = {
    Asked.CHAT: 30.0,
    Asked.CHAT_STREAM: 15.0,
    Asked.MESSAGES: 30.0,
    Asked.MESSAGES_STREAM: 15.0,
    Asked.EMBEDDINGS: 5.0,
}


def cells(line: Line, setup: Setup) -> list[Cell | None]:
    streams_only = setup is Setup.CONTINUED
    return [
        run(line, asked, setup) if applies(line, asked) and (asked.streamed or not streams_only) else None
        for asked in Asked
    ]


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name.lower())
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.rule)
def test_every_cell_has_the_outcome_that_is_expected(line: Line, setup: Setup) -> None:
    """What the caller gets is what the table above says, for each protocol."""
    got = "".join("." if cell is None else LETTERS[cell.outcome] for cell in cells(line, setup))
    assert got == EXPECTED[line.rule][SETUPS.index(setup)]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.rule)
def test_faults_of_a_provider_before_the_first_token_are_invisible(line: Line) -> None:
    """With a healthy second provider the caller gets a whole answer, unless the line says why not."""
    for cell in cells(line, Setup.SECOND):
        if cell is not None and not line.visible:
            assert cell.outcome in {Outcome.ANSWER, Outcome.SECOND}
            assert not cell.error


def test_lines_that_are_visible_are_visible_for_a_reason() -> None:
    """A reason is given where the caller notices something, and nowhere else."""
    whole = {Outcome.ANSWER, Outcome.SECOND}
    for line in all_lines():
        seen = any(cell is not None and cell.outcome not in whole for cell in cells(line, Setup.SECOND))
        assert seen == bool(line.visible), line.says


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.rule)
def test_failing_over_costs_one_call_and_at_most_one_attempt(line: Line) -> None:
    """The faulty provider is called once, the second one once, and the answer comes within one attempt and its time."""
    for asked, cell in zip(Asked, cells(line, Setup.SECOND), strict=True):
        if cell is not None and cell.outcome is Outcome.SECOND:
            assert (cell.first, cell.other) == (1, 1)
            assert cell.seconds <= ATTEMPT_SECONDS[asked] + run(NO_FAULT, asked, Setup.SOLE).seconds


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.rule)
def test_a_question_keeps_its_limits(line: Line) -> None:
    """Whoever fails, a question makes six calls at most, and what is not given out by its deadline is an error."""
    for asked, cell in zip(Asked, cells(line, Setup.BOTH), strict=True):
        if cell is not None:
            assert cell.first + cell.other <= 6
            assert cell.seconds <= (30 if asked is Asked.EMBEDDINGS else 60)


@pytest.mark.parametrize("line", KEY_LINES, ids=lambda line: line.rule)
def test_the_other_key_answers(line: Line) -> None:
    """When one key of two is refused or throttled, the other one answers at once, in every protocol."""
    for asked in Asked:
        cell = run(line, asked, Setup.KEYS)
        assert (cell.outcome, cell.first, cell.other) == (Outcome.ANSWER, 1, 1)
        assert cell.seconds == run(NO_FAULT, asked, Setup.SOLE).seconds


def test_every_fault_has_a_line() -> None:
    """A fault that is added to the simulator must be in the matrix, and in the table of this test."""
    assert {line.fault for line in all_lines() if line.fault is not None} == set(FAULTS)
    assert [line.rule for line in all_lines()] == list(EXPECTED)


def test_what_is_the_callers_own_is_told_apart() -> None:
    """The two families that name the question or the answer itself are the only ones without any failing over."""
    for family in FAMILIES:
        over = any(
            cell is not None and cell.outcome is Outcome.SECOND
            for line in family.lines
            for cell in cells(line, Setup.SECOND)
        )
        assert over == (family.name not in THE_CALLERS)


def test_the_page_is_what_is_generated() -> None:
    """The page of the documentation says what happens now; python -m benchmarks.fault_matrix --write renews it."""
    assert PAGE.read_text(encoding="utf-8").splitlines() == page().splitlines()


def test_every_cell_is_there_once() -> None:
    """The file of results has one row for a line, a protocol and a setup."""
    names = [(cell.rule, cell.asked, cell.setup) for cell in every_cell()]
    assert len(names) == len(set(names))
