"""Prices: the package's table, the user's own, and how a model is found in them."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ConfigError
from holdfast.llm.messages import Usage
from holdfast.llm.prices import PRICE_KEYS, LongPrice, Price, Prices, load_prices
from holdfast.llm.routing.known import KNOWN_PROVIDERS
from holdfast.llm.tables import TableError

PAGE = (Path(__file__).parents[3] / "docs/reference/prices.md").read_text()
PACKAGED = load_prices()
MILLION = Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000)


def usd(prices: Prices, name: str, usage: Usage = MILLION) -> float | None:
    provider, _, model = name.partition("/")
    cost = prices.cost(provider, model, usage)
    assert cost.known or cost.usd == 0
    return cost.usd if cost.known else None


def test_packaged_prices_are_dated_and_sourced() -> None:
    """Every price of the package has a date, a source, a known provider, and a cache that is not dearer."""
    for name, price in PACKAGED.table.items():
        assert price.as_of is not None
        assert dt.date(2026, 1, 1) <= price.as_of <= dt.date(2026, 12, 31)
        assert price.source
        assert name.split("/")[0] in KNOWN_PROVIDERS
        assert price.cached_input is None or price.cached_input <= price.input
        if price.long is not None:
            assert price.long.input > price.input


def test_packaged_prices_hold_the_main_models() -> None:
    """The models that the documentation names have their public prices."""
    assert usd(PACKAGED, "openai/gpt-4o-mini") == pytest.approx(0.75)
    assert usd(PACKAGED, "anthropic/claude-haiku-4-5") == pytest.approx(6)
    assert usd(PACKAGED, "openai/text-embedding-3-small", Usage(prompt_tokens=1_000_000)) == pytest.approx(0.02)
    assert usd(PACKAGED, "voyage/voyage-3.5", Usage(prompt_tokens=1_000_000)) == pytest.approx(0.06)


def test_server_of_ones_own_costs_nothing_and_that_is_known() -> None:
    """Any model of a local server has the price 0."""
    assert usd(PACKAGED, "ollama/whatever:8b") == 0


@pytest.mark.parametrize(
    ("name", "same_as"),
    [
        ("openai/gpt-4o-2024-08-06", "openai/gpt-4o"),
        ("openai/gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
        ("openai/gpt-4-0613", "openai/gpt-4"),
        ("openai/gpt-5-chat-latest", "openai/gpt-5-chat"),
        ("anthropic/claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"),
        ("anthropic/claude-sonnet-4@20250514", "anthropic/claude-sonnet-4"),
    ],
)
def test_version_at_the_end_is_the_same_model(name: str, same_as: str) -> None:
    """A dated name costs what the model costs."""
    assert PACKAGED.price(*name.split("/")) is PACKAGED.price(*same_as.split("/"))


def test_version_with_a_price_of_its_own_keeps_it() -> None:
    """A whole name counts before the one without its version."""
    assert usd(PACKAGED, "openai/gpt-4o-2024-05-13") == pytest.approx(20)
    assert usd(PACKAGED, "openai/gpt-3.5-turbo-1106") == pytest.approx(3)


@pytest.mark.parametrize(
    "name", ["openai/gpt-4o-realtime", "openai/gpt-4o-audio-2024-08-06", "elsewhere/gpt-4o", "openai/4"]
)
def test_unknown_model_costs_nothing_and_says_so(name: str) -> None:
    """A model that only begins like a known one, or is somebody else's, has no price."""
    provider, _, model = name.partition("/")
    cost = PACKAGED.cost(provider, model, MILLION)
    assert (cost.usd, cost.known) == (0, False)


def test_longest_pattern_wins() -> None:
    """Of several entries with a star the longest that fits counts, and a whole name before all of them."""
    prices = Prices(
        {"a/*": Price(input=1), "a/llama-*": Price(input=2), "a/llama-3*": Price(input=3), "a/llama-3": Price(input=4)}
    )
    once = Usage(prompt_tokens=1_000_000)
    names = ("a/x", "a/llama-2", "a/llama-3.1", "a/llama-3", "a/llama-3-20250101", "b/x")
    assert [usd(prices, name, once) for name in names] == [1, 2, 3, 4, 4, None]


def test_cached_tokens_cost_less() -> None:
    """Tokens from the cache have their own price, or that of others where none is given."""
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=400_000)
    assert Price(input=10, cached_input=1).of(usage) == pytest.approx(6.4)
    assert Price(input=10).of(usage) == pytest.approx(10)


def test_long_question_has_another_price() -> None:
    """From one token above the threshold the whole call has the other price."""
    price = Price(input=1, output=2, long=LongPrice(above_tokens=1000, input=10, output=20))
    assert price.of(Usage(prompt_tokens=1000, completion_tokens=1000)) == pytest.approx(0.003)
    assert price.of(Usage(prompt_tokens=1001, completion_tokens=1000)) == pytest.approx(0.03001)


_tokens = st.integers(0, 10**9)


@given(st.floats(0, 1000), st.none() | st.floats(0, 1000), st.floats(0, 1000), _tokens, _tokens, _tokens)
def test_cost_lies_between_its_bounds(
    fresh: float, cached: float | None, output: float, prompt: int, hit: int, written: int
) -> None:
    """A cost is never negative, and never above all tokens at the dearest price, whatever a provider reports."""
    usage = Usage(prompt_tokens=prompt, cached_tokens=hit, completion_tokens=written)
    cost = Price(input=fresh, cached_input=cached, output=output).of(usage)
    assert 0 <= cost <= usage.total_tokens * max(fresh, cached or 0, output) / 1e6 * (1 + 1e-9)


def write(folder: Path, text: str) -> Path:
    file = folder / "prices.toml"
    file.write_text(text)
    return file


def test_own_prices_take_the_place_of_the_packages(tmp_path: Path) -> None:
    """An entry replaces the package's for that model, whole; all others stay."""
    prices = load_prices(write(tmp_path, '[models."openai/gpt-4o"]\ninput = 1\n[models."mine/x"]\ninput = 2'))
    assert usd(prices, "openai/gpt-4o") == pytest.approx(1)
    assert usd(prices, "mine/x") == pytest.approx(2)
    assert usd(prices, "openai/gpt-4o-mini") == usd(PACKAGED, "openai/gpt-4o-mini")


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    """One error names the file and lists each problem with its path, value and rule."""
    file = write(
        tmp_path,
        """
        as_of = "yesterday"
        colour = 1
        [models."openai/a"]
        input = -1
        [models."openai/b"]
        output = 1
        prize = 2
        [models."openai/c"]
        input = 1
        long = { above_tokens = 0 }
        [models."openai/d"]
        input = 200_000
        as_of = 2026-01-01T00:00:00
        [models.nothing]
        input = 1
        [models."a/*b"]
        input = true
        """,
    )
    with pytest.raises(TableError) as caught:
        load_prices(file)
    assert [problem.path for problem in caught.value.problems] == [
        "colour",
        "as_of",
        'models."openai/a".input',
        'models."openai/b".prize',
        'models."openai/b".input',
        'models."openai/c".long.input',
        'models."openai/c".long.above_tokens',
        'models."openai/d".input',
        'models."openai/d".as_of',
        "models.nothing",
        'models."a/*b"',
        'models."a/*b".input',
    ]
    assert f"{file}: 12 things are wrong:" in str(caught.value)
    assert 'models."openai/a".input=-1: must be at least 0' in str(caught.value)


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A path without a file is an error with the path."""
    with pytest.raises(TableError, match=r"none\.toml: file: the file cannot be read"):
        load_prices(tmp_path / "none.toml")


def test_name_without_a_provider_is_refused() -> None:
    """Prices made in code are checked like those of a file."""
    with pytest.raises(ConfigError, match="a provider and its model"):
        Prices({"gpt-4o": Price(input=1)})


def test_the_example_of_the_page_loads(tmp_path: Path) -> None:
    """The documented example is a file of prices that uses every key there is."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    prices = load_prices(write(tmp_path, example))
    assert usd(prices, "openai/gpt-5.5", Usage(prompt_tokens=300_000)) == pytest.approx(3)
    assert usd(prices, "gateway/llama-3.3-70b") == pytest.approx(0.4)
    mine, other = prices.price("europe", "my-deployment"), prices.price("openai", "gpt-4o")
    assert mine is not None
    assert (mine.as_of, mine.source) == (dt.date(2026, 9, 1), "invoice of September")
    assert other is not None
    assert (other.as_of, other.source) == (dt.date(2026, 7, 24), "our contract")
    assert {key for keys in PRICE_KEYS.values() for key in keys if key not in example} == set()


def test_every_key_is_documented() -> None:
    """Each key of the file stands on the page."""
    assert {key for keys in PRICE_KEYS.values() for key in keys if f"`{key}`" not in PAGE} == set()


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented lines work with the documented file."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    write(tmp_path, example)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, object] = {}
    exec(compile(code, "prices.md", "exec"), namespace)
    assert getattr(namespace["cost"], "usd") == pytest.approx((1000 * 2.5 + 200 * 1.25 + 300 * 10) / 1e6)  # noqa: B009
