"""PDF files, built here with reportlab."""

from __future__ import annotations

import io
import logging
import random
from typing import TYPE_CHECKING

import pytest
from pypdf.errors import DependencyError, LimitReachedError
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from holdfast.rag.loaders import load, pdf
from holdfast.rag.types import Document, Mime

if TYPE_CHECKING:
    from collections.abc import Sequence


def build(pages: Sequence[Sequence[str]], *, title: str = "", encrypt: StandardEncryption | None = None) -> bytes:
    """A PDF with these lines on its pages."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, encrypt=encrypt, invariant=True)
    if title:
        canvas.setTitle(title)
    for lines in pages:
        for number, line in enumerate(lines):
            canvas.drawString(72, 800 - 14 * number, line)
        canvas.rect(10, 10, 20, 20)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def one(raw: bytes) -> Document:
    loaded = load(raw, name="manual.pdf", uri="manual.pdf")
    assert not loaded.problems
    (document,) = loaded.documents
    return document


def reason(raw: bytes) -> str:
    loaded = load(raw, name="manual.pdf", uri="manual.pdf")
    assert not loaded.documents
    (problem,) = loaded.problems
    return problem.reason


def test_text_comes_by_page() -> None:
    """Lines stay lines, and a blank line stands between pages."""
    document = one(build([["First line.", "Second line."], [], ["Third page."]]))
    assert document.text == "First line.\nSecond line.\n\nThird page."
    assert document.mime is Mime.PLAIN
    assert document.title == "manual"


@pytest.mark.parametrize(
    ("given", "title"), [("User manual", "User manual"), ("untitled", "manual"), ("Microsoft Word - a.doc", "manual")]
)
def test_the_title_is_that_of_the_properties(given: str, title: str) -> None:
    """Unless it is one that programs put there by themselves."""
    assert one(build([["Text."]], title=given)).title == title


def test_words_divided_at_line_ends_are_joined() -> None:
    """A hyphen at a line's end goes, unless the word has it elsewhere, too, or a capital follows."""
    document = one(build([["The war-", "ranty is well-", "known, Mini-", "Max. It is a well-known thing."]]))
    assert document.text == "The warranty is well-known, Mini-Max. It is a well-known thing."


def test_ligatures_and_soft_hyphens_are_letters() -> None:
    """What a font draws as one sign is found as the letters it stands for."""
    assert "e\ufb03cient".translate(pdf._LIGATURES) == "efficient"
    assert pdf._SOFT_HYPHEN.sub("", "ef\u00ad\n  ficient") == "efficient"


def test_a_pdf_with_a_password_is_a_problem() -> None:
    """It says that it is protected."""
    assert "password" in reason(build([["Secret."]], encrypt=StandardEncryption("user", "owner")))


def test_a_pdf_that_only_restricts_printing_is_read() -> None:
    """Encryption with an empty user password keeps nobody from reading."""
    assert one(build([["Open."]], encrypt=StandardEncryption("", "owner", canPrint=0))).text == "Open."


def test_a_pdf_without_text_is_a_problem() -> None:
    """Scans are told what would make them readable."""
    assert "OCR" in reason(build([[], []]))


@pytest.mark.parametrize("cut", [8, 20, 200, 700])
def test_a_damaged_pdf_is_a_problem(cut: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Half a file says that it is damaged, and pypdf's own remarks reach neither the terminal nor the log."""
    heard: list[logging.LogRecord] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record)

    listener = Listener()
    logging.getLogger().addHandler(listener)
    try:
        found = reason(build([["Text."]])[:cut])
    finally:
        logging.getLogger().removeHandler(listener)
    assert "damaged" in found
    assert not heard
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_no_pdf_is_a_problem(capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is written to the terminal for it."""
    assert "damaged" in reason(b"this is not a pdf")
    assert capfd.readouterr() == ("", "")


def test_repairs_are_not_talked_about(capfd: pytest.CaptureFixture[str]) -> None:
    """A file that pypdf can repair is read, without warnings on the terminal."""
    raw = build([["Text."]])
    assert one(raw.replace(b"startxref\n", b"startxref\n9")).text == "Text."
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (DependencyError("cryptography is needed"), "password"),
        (LimitReachedError("too much"), "Split it"),
        (RecursionError("deep"), "damaged (deep)"),
        (ValueError(""), "damaged (ValueError)"),
    ],
)
def test_whatever_pypdf_raises_is_a_problem(error: Exception, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of failure has its sentence."""

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(pdf, "PdfReader", broken)
    assert part in reason(b"%PDF-1.7")


def test_too_many_pages_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is named."""
    monkeypatch.setattr(pdf, "MAX_PAGES", 2)
    assert "2 pages" in reason(build([["a"], ["b"], ["c"]]))


def test_too_much_drawing_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that would keep a thread busy for long is given up on after a number of operations."""
    monkeypatch.setattr(pdf, "MAX_OPERATIONS", 50)
    assert "50 drawing operations" in reason(build([["a"] * 50]))


def test_the_budget_holds_inside_of_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """pypdf goes on after errors inside of a form; not after this one."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    canvas.beginForm("F")
    for number in range(100):
        canvas.drawString(10, number, "in a form")
    canvas.endForm()
    canvas.doForm("F")
    canvas.showPage()
    canvas.save()
    assert "in a form" in one(buffer.getvalue()).text
    monkeypatch.setattr(pdf, "MAX_OPERATIONS", 50)
    assert "50 drawing operations" in reason(buffer.getvalue())


def test_too_much_text_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is named."""
    monkeypatch.setattr(pdf, "MAX_CHARS", 10)
    assert "10 characters" in reason(build([["more than ten characters"]]))


def test_no_damage_makes_the_loader_raise() -> None:
    """Bytes changed, cut out and doubled at random give a document or a problem."""
    raw = build([["Some text on a page."], ["And on another."]], title="T")
    rng = random.Random(7)
    for _ in range(150):
        data = bytearray(raw)
        for _ in range(rng.randrange(1, 30)):
            at = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randrange(1, 40)]
                case _:
                    data[at:at] = data[at : at + rng.randrange(1, 40)]
        loaded = load(bytes(data), name="manual.pdf", uri="u")
        assert loaded.documents or loaded.problems


def test_other_users_of_pypdf_can_still_listen() -> None:
    """Only the way to the root logger is closed: who wants pypdf's remarks adds a handler to its logger."""
    assert not logging.getLogger("pypdf").propagate
    assert not logging.getLogger("pypdf").disabled
