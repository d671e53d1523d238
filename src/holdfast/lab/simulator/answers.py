"""The simulated model: it answers from the passages of its prompt, the same every time.

With passages, the answer is the sentence that shares most with the question, weighted by how rare each shared word is
among the sentences, with the number of its passage; a second one follows when it is nearly as good. Without passages
the answer is made of the question. A prompt that ends with the assistant's own words is continued after them.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from math import fsum, log
from typing import TYPE_CHECKING, Any

from holdfast.lab.simulator import tokens
from holdfast.lab.simulator.prompt import Answer, Prompt
from holdfast.lab.simulator.reading import passages_in, question_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from holdfast.lab.simulator.prompt import Finish
    from holdfast.lab.simulator.reading import Passage

__all__ = ["DONT_KNOW", "answer", "prompt_tokens"]

DONT_KNOW = "I don't know: the passages do not say it."

_PER_TURN = 3
_PER_PROMPT = 3
_SECOND_BEST = 0.75
_QUOTED = 200
_SENTENCE_CHARS = 1_000
_SHORT_PROMPT = 20_000
_DEEPEST = 12
_WORD = re.compile(r"\w+")
_CITED = re.compile(r"\[(\d+)\]")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_WRAPPED = re.compile(r"(?<![.!?:\n])\n(?=[a-z0-9(])")
"""The end of a line within a sentence: the next line goes on in lower case."""
_CONTINUE = re.compile(r"continue\b", re.IGNORECASE)
_FUNCTION_WORDS = frozenset(
    _WORD.findall("""
    a about after all am an and any are as at be been before but by can could did do does for from had has have how i
    if in into is it its may me must my no not of on or our shall should so than that the their them there these they
    this to us was we were what when where which who why will with would you your
    """)
)
_ENDINGS = ("ing", "ed", "es", "s")


def prompt_tokens(prompt: Prompt) -> int:
    """Tokens that the model reads: those of all texts, and a few for each message."""
    texts = sum(tokens.count(turn.text) + _PER_TURN for turn in prompt.turns)
    return texts + _PER_PROMPT + prompt.extra_tokens


def answer(prompt: Prompt, read: int | None = None) -> Answer:
    """The answer, as long as the prompt allows.

    Args:
        read: the tokens of the prompt, where they are known.
    """
    read = prompt_tokens(prompt) if read is None else read
    if prompt.tool is not None:
        arguments = json.dumps(_example(prompt.tool.schema, _question(prompt)), ensure_ascii=False)
        return _limited(prompt, tokens.pieces_of(arguments), "tool", read, tool=prompt.tool.name)
    text = _rest(prompt, _object(prompt) if prompt.json_mode else _text(prompt))
    ends = [(place, stop) for stop in prompt.stop if stop and (place := text.find(stop)) >= 0]
    stopped = min(ends) if ends else None
    if stopped is not None:
        text = text[: stopped[0]]
    return _limited(prompt, tokens.pieces_of(text), "stop", read, stop=stopped[1] if stopped else None)


def _limited(
    prompt: Prompt,
    written: Sequence[str],
    finish: Finish,
    read: int,
    *,
    tool: str | None = None,
    stop: str | None = None,
) -> Answer:
    if prompt.max_tokens is not None and len(written) > prompt.max_tokens:
        written, finish, stop = written[: prompt.max_tokens], "length", None
    return Answer(
        tokens=written,
        finish=finish,
        prompt_tokens=read,
        completion_tokens=len(written),
        tool=tool,
        stop_sequence=stop,
    )


def _question(prompt: Prompt) -> str:
    asked = [turn for turn in prompt.turns if not (turn.role == "user" and _CONTINUE.match(turn.text.strip()))]
    return question_in(asked) or question_in(prompt.turns)


def _text(prompt: Prompt) -> str:
    question = _question(prompt)
    passages = passages_in(prompt.turns)
    if passages:
        short = sum([len(each.text) for each in passages]) <= _SHORT_PROMPT
        return (_told_again if short else _told)(tuple(passages), _stems(question))
    quoted = " ".join(question.split())
    quoted = quoted if len(quoted) <= _QUOTED else quoted[:_QUOTED].rstrip() + "..."
    return (
        f'You asked: "{quoted}" This answer comes from a simulated model, which was given no passages to answer from. '
        "It is the same every time that this is asked."
    )


def _object(prompt: Prompt) -> str:
    text = _text(prompt)
    if prompt.schema:
        return json.dumps(_example(prompt.schema, text), ensure_ascii=False)
    cited = [int(number) for number in _CITED.findall(text)]
    return json.dumps({"answer": text, "citations": cited}, ensure_ascii=False)


def _rest(prompt: Prompt, text: str) -> str:
    """What is left of ``text`` for a model that is handed the beginning of its own answer."""
    last = prompt.turns[-1] if prompt.turns else None
    if last is not None and last.role == "user" and _CONTINUE.match(last.text.strip()) and len(prompt.turns) > 1:
        last = prompt.turns[-2]
    if last is None or last.role != "assistant" or not last.text:
        return text
    if text.startswith(last.text):
        return text[len(last.text) :]
    begun = last.text.rstrip()  # some protocols forbid that a prefix ends with a blank
    return text.removeprefix(begun)


def _told(passages: Sequence[Passage], asked: frozenset[str]) -> str:
    """What the passages say to a question with these stems."""
    return " ".join(_cited(passage, sentence) for passage, sentence in _best(passages, asked)) or DONT_KNOW


_told_again = lru_cache(1_024)(_told)
"""For prompts of an ordinary length: the same is asked in many wordings."""


def _best(passages: Sequence[Passage], asked: frozenset[str]) -> list[tuple[Passage, str]]:
    """The sentences that answer best a question with these stems."""
    sentences = [(passage, each) for passage in passages for each in _statements_in(passage.text)]
    whole = [each for each in sentences if each[1].endswith((".", "!"))]
    stems = [(each, _stems(each[1])) for each in whole or sentences]
    weights = {word: log(1 + len(stems) / (1 + sum(word in other for _, other in stems))) for word in asked}
    # The order of a set is another one in each process; only an exact sum does not depend on it.
    scored = [(fsum(weights[word] for word in words & asked), -place) for place, (_, words) in enumerate(stems)]
    ranked = sorted((each for each in scored if each[0] > 0), reverse=True)[:2]
    chosen = [place for score, place in ranked if score >= _SECOND_BEST * ranked[0][0]]
    return [stems[-place][0] for place in sorted(chosen, reverse=True)]


@lru_cache(2_048)
def _statements_in(text: str) -> tuple[str, ...]:
    """The sentences of a passage that do not ask; passages come again."""
    sentences = (each.strip() for each in _SENTENCE.split(_WRAPPED.sub(" ", text)))
    return tuple(each for each in sentences if each and not each.endswith("?"))


def _cited(passage: Passage, sentence: str) -> str:
    if passage.label is None:
        return sentence
    end = sentence[-1] if sentence[-1] in ".!" else ""
    return f"{sentence.removesuffix(end) if end else sentence} [{passage.label}]{end}"


def _stem(word: str) -> str:
    if word.endswith(_ENDINGS):  # most words have none of them
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                return word.removesuffix(ending)
    return word


_stem_again = lru_cache(4_096)(_stem)
"""For the words of sentences of an ordinary length: other questions have the same."""


def _stems(text: str) -> frozenset[str]:
    return _stems_of_sentence(text) if len(text) <= _SENTENCE_CHARS else _stems_of(text)


@lru_cache(8_192)
def _stems_of_sentence(text: str) -> frozenset[str]:
    """Passages come again with every question that they may answer."""
    return _stems_of(text, _stem_again)


def _stems_of(text: str, stem: Callable[[str], str] = _stem) -> frozenset[str]:
    words = _WORD.findall(text.lower())
    return frozenset(map(stem, [word for word in words if word not in _FUNCTION_WORDS])) or frozenset(words)


def _example(schema: Mapping[str, Any], text: str, depth: int = 0) -> Any:  # noqa: ANN401 - whatever the schema says
    """The smallest value that fits ``schema``, with ``text`` wherever it asks for a string."""
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if isinstance(values := schema.get("enum"), list) and values:
        return values[0]
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(options := schema.get(key), list) and options and isinstance(options[0], dict):
            return _example(options[0], text, depth + 1) if depth < _DEEPEST else None
    kind = schema.get("type", "object" if depth == 0 or "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind == "object" and depth < _DEEPEST:
        properties = schema.get("properties")
        named = properties.items() if isinstance(properties, dict) else ()
        return {name: _example(each, text, depth + 1) for name, each in named if isinstance(each, dict)}
    if kind == "array" and depth < _DEEPEST:
        items = schema.get("items")
        return [_example(items, text, depth + 1)] if isinstance(items, dict) else []
    return {"string": text, "integer": 1, "number": 1.0, "boolean": True}.get(str(kind))
