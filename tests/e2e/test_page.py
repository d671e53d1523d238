"""The page in a real browser, over the real service with the real engine."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from holdfast.rag.app import build_engine
from holdfast.rag.settings import Settings
from holdfast.server import run
from holdfast.server.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser

KEY = "a-long-enough-key"
REFUNDS = """\
# Refund times

Refunds go back to the payment method that you used.

## How long it takes

We check a returned parcel within two days. A refund to a **credit card** takes 5 to 7 working days.

| Method | Working days |
|---|---|
| Credit card | 5 to 7 |
| Gift card | at once |
"""
HOSTILE = """\
# Zeppelin <img src=x onerror="window.pwned = 1">

A zeppelin <img src=x onerror="window.pwned = 2"> costs 5 dollars <script>window.pwned = 3</script> a day, \
see [the list](javascript:window.pwned=4).
"""


class Live:
    """The service on a thread of its own."""

    def __init__(self, settings: Settings, articles: Path) -> None:
        self._settings = settings
        self._articles = articles
        self._started = threading.Event()
        self._server: run.Server | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self.address = ""

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(30)
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again where the test waits
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        engine = build_engine(self._settings)
        await engine.open()
        await engine.ingestor.ingest_paths([self._articles])
        with run.bind("127.0.0.1", 0) as listener:
            self.address = run.address_of(listener, "127.0.0.1")
            app = create_app(engine, self._settings)
            self._server = run.Server(app, announce=self._started.set, grace_seconds=2)
            await self._server.serve(sockets=[listener])


@contextmanager
def page_of(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page; a script error or a breach of the page's policy fails the test."""
    context = browser.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def articles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("articles")
    (folder / "refund-times.md").write_text(REFUNDS, encoding="utf-8")
    (folder / "zeppelin.md").write_text(HOSTILE, encoding="utf-8")
    return folder


@pytest.fixture
def live(articles: Path, tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Starts services with the given settings, and stops them at the end."""
    services: list[Live] = []

    def start(**changes: Any) -> Live:
        service = Live(Settings(data_dir=tmp_path / "data", **{"embedder": "none", **changes}), articles)
        services.append(service)
        service.start()
        return service

    yield start
    for service in services:
        service.stop()


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def test_question_gets_its_cited_answer(browser: Browser, live: Callable[..., Live]) -> None:
    """A person asks, reads the answer, and opens the passage it rests on with its article and heading."""
    with page_of(browser) as page:
        page.goto(live().address)
        expect(page.locator("#state-text")).to_have_text("All systems well")
        ask(page, "How long does a refund to a credit card take?")
        answer = page.get_by_role("article").first
        expect(answer).to_contain_text("5 to 7 working days")
        expect(answer.locator(".badge")).to_have_text("Full service")
        expect(answer).to_contain_text("Confidence")
        answer.get_by_role("button", name="Source 1: Refund times").first.click()
        source = answer.locator(".sources details").first
        expect(source).to_have_attribute("open", "")
        expect(source.locator("summary")).to_contain_text("Refund times")
        expect(source.locator(".path")).to_have_text("How long it takes")
        expect(source.locator("mark").first).to_be_visible()
        expect(source.locator("summary")).to_be_focused()


def test_documents_stay_text(browser: Browser, live: Callable[..., Live]) -> None:
    """Markup and script in a document are shown as the characters they are, and nothing of it runs."""
    with page_of(browser) as page:
        page.goto(live().address)
        ask(page, "What does a zeppelin cost a day?")
        answer = page.get_by_role("article").first
        expect(answer).to_contain_text("<img src=x onerror=")
        answer.locator(".sources summary").first.click()
        expect(answer.locator("blockquote").first).to_contain_text("<script>window.pwned = 3</script>")
        assert answer.locator("img, script, a[href^='javascript']").count() == 0
        assert page.evaluate("window.pwned") is None
        ask(page, '<img src=x onerror="window.pwned = 5">')
        expect(page.get_by_role("article").first.locator("h2")).to_contain_text("<img")
        assert page.evaluate("window.pwned") is None


def test_degraded_answer_says_what_is_missing(browser: Browser, live: Callable[..., Live], tmp_path: Path) -> None:
    """Without the embedding model the answer comes with its notice, and the state is shown with the reason."""
    service = live(embedder="local", model_dir=tmp_path / "no-model")
    with page_of(browser) as page:
        page.goto(service.address)
        expect(page.locator("#state-text")).to_have_text("Running degraded")
        ask(page, "How long does a refund to a credit card take?")
        answer = page.get_by_role("article").first
        expect(answer).to_contain_text("5 to 7 working days")
        expect(answer.locator(".badge")).to_have_text("Degraded")
        expect(answer.get_by_role("note")).to_contain_text("by its words only")


def test_service_that_is_away_is_told(browser: Browser, live: Callable[..., Live]) -> None:
    """When the service stops, the page says so, keeps the question at hand, and does not break."""
    service = live()
    with page_of(browser) as page:
        page.goto(service.address)
        expect(page.locator("#state-text")).to_have_text("All systems well")
        service.stop()
        ask(page, "Is anybody there?")
        expect(page.get_by_role("article").first).to_contain_text("cannot be reached")
        expect(page.get_by_role("button", name="Ask again")).to_be_visible()
        expect(page.locator("#state-text")).to_have_text("Not reachable")


def test_key_is_asked_for(browser: Browser, live: Callable[..., Live]) -> None:
    """With an API key set, the page asks for it once and then works."""
    with page_of(browser) as page:
        page.goto(live(api_key=SecretStr(KEY)).address)
        ask(page, "How long does a refund to a credit card take?")
        page.get_by_label("This service needs an API key").fill(KEY)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Ask again").click()
        expect(page.get_by_role("article").first).to_contain_text("5 to 7 working days")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone(browser: Browser, live: Callable[..., Live], scheme: str) -> None:
    """On a narrow screen nothing has to be scrolled sideways, in either colour scheme."""
    with page_of(browser, viewport={"width": 360, "height": 740}, color_scheme=scheme) as page:
        page.goto(live().address)
        ask(page, "How long does a refund to a credit card take? " + "x" * 200)
        answer = page.get_by_role("article").first
        expect(answer.locator(".badge")).to_be_visible()
        for source in answer.locator(".sources summary").all():
            source.click()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_page_works_by_keyboard(browser: Browser, live: Callable[..., Live]) -> None:
    """The question has the focus at once; an example is asked and a source opened without a mouse."""
    with page_of(browser) as page:
        page.goto(live().address)
        expect(page.get_by_label("Your question")).to_be_focused()
        page.keyboard.type("How long does a refund")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("to a credit card take?")
        page.keyboard.press("Enter")
        first = page.get_by_role("article").first.locator(".cite").first
        expect(first).to_be_visible()
        first.focus()
        page.keyboard.press("Enter")
        expect(page.locator(".sources details").first).to_have_attribute("open", "")
